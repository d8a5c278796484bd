import { PassThrough, Readable } from 'node:stream'
import { expect, it } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import { exactBody } from '../../src/storage/http-body.ts'
import { settle } from '../support/manual-clock.ts'

const context = { backend: 'http', operation: 'get', bucket: 'b', key: 'k' }
const stream = () => Readable.from([Buffer.from('arbi'), Buffer.alloc(0), Buffer.from('trary')])

for (const [announced, outcome] of [
  [9, 'whole'],
  [undefined, 'whole'],
  [10, 'truncated'],
  [8, 'truncated'],
] as const) {
  it(`a body of 9 bytes announced as ${announced} is ${outcome}`, async () => {
    const reading = collectBytes(exactBody(stream(), announced, context, undefined))
    if (outcome === 'whole') expect(Buffer.from(await reading).toString()).toBe('arbitrary')
    else await expect(reading).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
  })
}

it('destroys the stream of a body that is left early', async () => {
  const source = stream()
  for await (const chunk of exactBody(source, 9, context, undefined)) {
    expect(chunk).toHaveLength(4)
    break
  }
  expect(source.destroyed).toBe(true)
})

it('lets 256 KiB wait for their reader, then holds the stream back until all of it was taken, again and again', async () => {
  const source = new PassThrough({ highWaterMark: 0 })
  const body = exactBody(source, undefined, context, undefined)
  const chunk = Buffer.alloc(100 * 1024)
  const first = body.next()
  for (const paused of [false, false, false, true]) {
    source.write(chunk)
    await settle()
    expect(source.isPaused()).toBe(paused)
  }
  await first
  for (let taken = 0; taken < 3; taken++) await body.next()
  const next = body.next()
  for (const paused of [false, false, false, true]) {
    source.write(chunk)
    await settle()
    expect(source.isPaused()).toBe(paused)
  }
  await next
  await body.return?.()
})
