/** What connections of the agents read, over plain sockets and over TLS. */
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { agentOptions } from '../../src/storage/http-agent.ts'
import { exactBody } from '../../src/storage/http-body.ts'

const context = { backend: 'http', operation: 'get', bucket: 'b', key: 'k' }
/** Several reads long, and no multiple of one. */
const BODY_BYTES = 1_500_007
const bodyOf = (name: number) => Buffer.alloc(BODY_BYTES, `body ${name} of the server, `)
const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0)) await end()
})

describe.each(['http', 'https'] as const)('over %s', (protocol) => {
  it('bodies that arrive at once keep their bytes, whoever is read first', async () => {
    const get = await served(protocol, (name, response) => response.end(bodyOf(name)))
    const bodies = await Promise.all([0, 1, 2, 3].map(get))
    // all are begun, then read by turns with pauses, and looked at when everything has come
    const chunks = bodies.map((body) => ({
      body: exactBody(body, BODY_BYTES, context, undefined),
      kept: [] as Uint8Array[],
    }))
    for (const open = new Set(chunks); open.size > 0; await setImmediate()) {
      for (const each of open) {
        const { done, value } = await each.body.next()
        if (done === true) open.delete(each)
        else each.kept.push(value)
      }
    }
    for (const [name, { kept }] of chunks.entries()) expect(Buffer.concat(kept).equals(bodyOf(name))).toBe(true)
  })

  it('a connection serves one request after another, also where a body was held back', async () => {
    const sockets = new Set<unknown>()
    const get = await served(protocol, (name, response) => {
      sockets.add(response.socket)
      response.end(bodyOf(name))
    })
    for (const name of [0, 1, 2]) {
      const body = exactBody(await get(name), BODY_BYTES, context, undefined)
      const first = await body.next()
      // what comes now waits in the socket
      for (let turn = 0; turn < 20; turn++) await setImmediate()
      const kept = [first.value as Uint8Array]
      for await (const chunk of body) kept.push(chunk)
      expect(Buffer.concat(kept).equals(bodyOf(name))).toBe(true)
    }
    expect(sockets.size).toBe(1)
  })

  it('a connection that breaks in the middle breaks the body', async () => {
    const get = await served(protocol, (name, response) => {
      response.write(bodyOf(name).subarray(0, 1_000), () => response.destroy())
    })
    const body = exactBody(await get(0), BODY_BYTES, context, undefined)
    expect((await body.next()).value).toHaveLength(1_000)
    await expect(body.next()).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
  })
})

/** A server that answers `get(name)` with as many bytes as a body has, written by `answer`. */
async function served(
  protocol: 'http' | 'https',
  answer: (name: number, response: http.ServerResponse) => void,
): Promise<(name: number) => Promise<IncomingMessage>> {
  const module = protocol === 'http' ? http : https
  const identity = protocol === 'http' ? {} : selfSigned()
  const onRequest: http.RequestListener = (request, response) => {
    response.writeHead(200, { 'content-length': BODY_BYTES })
    answer(Number(request.url?.slice(1)), response)
  }
  const server = protocol === 'http' ? http.createServer(onRequest) : https.createServer(identity, onRequest)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const agent = new module.Agent({ ...agentOptions(4), ...(protocol === 'http' ? {} : { ca: selfSigned().cert }) })
  ends.push(
    () => agent.destroy(),
    () => server.closeAllConnections(),
    () => server.close(),
  )
  const { port } = server.address() as AddressInfo
  return async (name) => {
    const [response] = await once(module.get({ agent, host: '127.0.0.1', port, path: `/${name}` }), 'response')
    return response
  }
}

let identity: { readonly key: string; readonly cert: string } | undefined

function selfSigned(): { readonly key: string; readonly cert: string } {
  if (identity !== undefined) return identity
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'quern-tls-'))
  const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')]
  const made = 'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1'
  const named = ['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert]
  execFileSync('openssl', [...made.split(' '), ...named], { stdio: 'ignore' })
  identity = { key: fs.readFileSync(key, 'utf8'), cert: fs.readFileSync(cert, 'utf8') }
  fs.rmSync(folder, { recursive: true })
  return identity
}
