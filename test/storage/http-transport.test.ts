/** Connections on which nothing moves. */
import { EventEmitter, once } from 'node:events'
import http, { type ClientRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { exactBody } from '../../src/storage/http-body.ts'
import { giveUpWhenIdle, HttpTransport } from '../../src/storage/http-transport.ts'

const context = { backend: 'http', operation: 'get', bucket: 'b', key: 'k' }
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

async function serve(answer: http.RequestListener): Promise<URL> {
  const server = http.createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  ends.push(
    () => server.closeAllConnections(),
    () => server.close(),
  )
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/k`)
}

function transport(): HttpTransport {
  const opened = new HttpTransport({ idleTimeoutMs: 50 })
  ends.push(() => opened.close())
  return opened
}

it('an answer that does not come is given up', async () => {
  const url = await serve(() => undefined)
  const sent = transport().send('GET', url, { headers: {}, context, signal: undefined })
  await expect(sent).rejects.toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('nothing moved') })
})

it('a body that stalls breaks, so that it is gone on with', async () => {
  const url = await serve((_, response) => void response.writeHead(200, { 'content-length': 10 }).write('half '))
  const response = await transport().send('GET', url, { headers: {}, context, signal: undefined })
  const body = exactBody(response, 10, context, undefined)
  expect(`${(await body.next()).value}`).toBe('half ')
  await expect(body.next()).rejects.toMatchObject({ code: 'BODY_TRUNCATED', cause: { code: 'ETIMEDOUT' } })
})

it('a reader who takes that long is not cut off, and has the socket watched again when it goes on', () => {
  const timers: (() => void)[] = []
  const ended: unknown[] = []
  const socket = { setTimeout: (_: number, onIdle: () => void) => timers.push(onIdle) }
  const sent = Object.assign(new EventEmitter(), { socket, destroy: () => ended.push('request') })
  let paused = true
  const answer = Object.assign(new EventEmitter(), {
    complete: false,
    isPaused: () => paused,
    destroy: () => ended.push('answer'),
  })
  giveUpWhenIdle(sent as unknown as ClientRequest, 50)
  sent.emit('response', answer)
  sent.emit('timeout')
  expect([ended, timers.length]).toEqual([[], 0])
  paused = false
  answer.emit('resume')
  expect(timers).toHaveLength(1)
  timers[0]?.()
  expect(ended).toEqual(['answer', 'request'])
})

it('the socket of a body that has come whole is nobody to give up', () => {
  const ended: unknown[] = []
  const sent = Object.assign(new EventEmitter(), { socket: null, destroy: () => ended.push('request') })
  giveUpWhenIdle(sent as unknown as ClientRequest, 50)
  sent.emit('response', { complete: true, isPaused: () => false, destroy: () => ended.push('answer') })
  sent.emit('timeout')
  expect(ended).toEqual([])
})
