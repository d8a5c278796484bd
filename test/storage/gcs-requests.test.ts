/** What the Google Cloud Storage backend sends, and how it takes answers that no server here gives. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { createGcsBackend } from '../../src/storage/gcs.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { MIB, noise, pieces } from '../conformance/storage-bench.ts'
import { type GcsStub, type NotedRequest, startGcsStub } from '../support/gcs-stub.ts'
import { manualClock } from '../support/manual-retry.ts'
import { type RecordingServer, startRecordingServer } from '../support/recording-server.ts'

let stub: GcsStub
let storage: StorageBackend
beforeAll(async () => {
  stub = await startGcsStub()
  storage = await createGcsBackend({ endpoint: stub.endpoint })
  await storage.createBucket('b')
})
afterEach(() => {
  stub.intercept = undefined
  vi.unstubAllEnvs()
})
afterAll(async () => {
  await storage.close()
  await stub.close()
})

/** The requests that `act` makes. */
async function sentBy(act: () => Promise<unknown>) {
  const before = stub.requests.length
  await act()
  return stub.requests.slice(before)
}
const query = ({ url }: { readonly url: URL }) => Object.fromEntries(url.searchParams)

describe('generations', () => {
  it('pin a read by a precondition, as they are without one in the request', async () => {
    const { etag } = await storage.put('b', 'k', Buffer.from('arbitrary data'))
    expect(etag).toMatch(/^\d+$/)
    const [read] = await sentBy(() => storage.get('b', 'k', { ifMatch: etag, range: { start: 2, end: 5 } }))
    expect(query(read as never)).toEqual({ alt: 'media', ifGenerationMatch: etag })
    expect(read?.headers).toMatchObject({ range: 'bytes=2-4', 'accept-encoding': 'gzip' })
    const [free] = await sentBy(() => storage.get('b', 'k'))
    expect(query(free as never)).toEqual({ alt: 'media' })
  })

  it('are compared in the answer too, where a server ignores the precondition', async () => {
    stub.intercept = (_, response) =>
      Boolean(response.writeHead(200, { 'x-goog-generation': '2', 'content-length': 1 }).end('x'))
    await expect(storage.get('b', 'k', { ifMatch: '1' })).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
    await expect(storage.get('b', 'k', { ifMatch: '"foreign"' })).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
    expect((await storage.get('b', 'k', { ifMatch: '2' })).head.etag).toBe('2')
  })

  it('condition a put: none for ifAbsent, one for ifMatch, and what is none is never sent', async () => {
    const [absent] = await sentBy(() => storage.put('b', 'cond', Buffer.from('x'), { ifAbsent: true }))
    expect(query(absent as never)).toMatchObject({ uploadType: 'media', name: 'cond', ifGenerationMatch: '0' })
    const { etag } = await storage.head('b', 'cond')
    const [match] = await sentBy(() => storage.put('b', 'cond', Buffer.from('y'), { ifMatch: etag }))
    expect(query(match as never)).toMatchObject({ ifGenerationMatch: etag })
    const none = await sentBy(async () => {
      const foreign = storage.put('b', 'cond', Buffer.from('z'), { ifMatch: '"e"' })
      await expect(foreign).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    })
    expect(none).toEqual([])
  })
})

describe('long uploads', () => {
  const content = noise(20 * MIB + 5)
  const upload = () => storage.put('b', 'long', pieces(content, 700_000), { contentType: 'text/csv' })
  const stored = async () => collectBytes((await storage.get('b', 'long')).body)

  it('are sessions of 8 MiB pieces, whose length is told with the last', async () => {
    const [session, ...sent] = await sentBy(upload)
    expect(query(session as never)).toMatchObject({ uploadType: 'resumable', name: 'long' })
    expect(session?.headers['x-upload-content-type']).toBe('text/csv')
    expect(sent.map(({ headers }) => headers['content-range'])).toEqual([
      `bytes 0-${8 * MIB - 1}/*`,
      `bytes ${8 * MIB}-${16 * MIB - 1}/*`,
      `bytes ${16 * MIB}-${20 * MIB + 4}/${20 * MIB + 5}`,
    ])
    expect(content.equals(await stored())).toBe(true)
    expect(await storage.head('b', 'long')).toMatchObject({ contentType: 'text/csv', size: content.length })
  })

  it('of whole pieces end with a piece, not with nothing', async () => {
    const sent = await sentBy(() => storage.put('b', 'even', Buffer.alloc(16 * MIB)))
    expect(sent.at(-1)?.headers['content-range']).toBe(`bytes ${8 * MIB}-${16 * MIB - 1}/${16 * MIB}`)
  })

  it('send again what was not kept of a piece', async () => {
    let cut = 0
    const kept: Buffer[] = []
    stub.intercept = ({ url, method, body, headers }, response) => {
      if (url.pathname !== '/session' || method !== 'PUT') return false
      // half of every first sending is kept
      const [, from = 0] = /^bytes (\d+)-/.exec(String(headers['content-range'])) ?? []
      expect(Number(from)).toBe(Buffer.concat(kept).length)
      const all = cut++ % 2 === 1
      kept.push(all ? body : body.subarray(0, body.length / 2))
      const total = Buffer.concat(kept).length
      const resource = JSON.stringify({ name: 'long', size: `${total}`, generation: '9' })
      if (total === content.length) response.writeHead(200).end(resource)
      else response.writeHead(308, { range: `bytes=0-${total - 1}` }).end()
      return true
    }
    expect(await upload()).toMatchObject({ size: content.length, etag: '9' })
    expect(content.equals(Buffer.concat(kept))).toBe(true)
    expect(cut).toBe(6)
  })

  it('go on with what the store has where an answer was lost, also the last', async () => {
    const patient = withRetry(storage, { policy: { attempts: 3, baseMs: 1, maxMs: 1 }, clock: manualClock() })
    const isPiece = ({ url, method, headers }: NotedRequest) =>
      url.pathname === '/session' && method === 'PUT' && !`${headers['content-range']}`.startsWith('bytes */')
    stub.loses = isPiece
    const sent = await sentBy(() => patient.put('b', 'long', pieces(content, 700_000)))
    stub.loses = undefined
    // each piece is sent once, and asked for once
    expect(sent.filter(isPiece)).toHaveLength(3)
    expect(sent.filter(({ headers }) => `${headers['content-range']}`.startsWith('bytes */'))).toHaveLength(3)
    expect(content.equals(await stored())).toBe(true)
  })

  it.each([
    ['keeps nothing more', 308, {}, 'UNAVAILABLE'],
    ['keeps more than it was sent', 308, { range: `bytes=0-${9 * MIB}` }, 'UNAVAILABLE'],
    ['takes the first pieces for the whole', 200, {}, 'UNSUPPORTED'],
    ['is overloaded', 503, {}, 'UNAVAILABLE'],
    ['has forgotten the session', 410, {}, 'STORAGE'],
  ])('fail and are cancelled when the store %s', async (_, status, headers, code) => {
    stub.intercept = ({ url, method }, response) => {
      if (url.pathname !== '/session' || method !== 'PUT') return false
      return Boolean(response.writeHead(status, headers).end('{}'))
    }
    const sent = await sentBy(() => expect(upload()).rejects.toMatchObject({ code }))
    expect(sent.at(-1)).toMatchObject({ method: 'DELETE', url: { pathname: '/session' } })
  })

  it('are cancelled when their source breaks or their signal aborts', async () => {
    const broken = new Error('the source broke')
    const controller = new AbortController()
    const source = async function* (end: () => void) {
      yield noise(9 * MIB)
      yield noise(9 * MIB)
      end()
      yield noise(9 * MIB)
    }
    const breaking = source(() => {
      throw broken
    })
    const aborting = source(() => controller.abort(broken))
    for (const [body, signal] of [
      [breaking, undefined],
      [aborting, controller.signal],
    ] as const) {
      const sent = await sentBy(() => expect(storage.put('b', 'broken', body, { signal })).rejects.toBe(broken))
      expect(sent.at(-1)).toMatchObject({ method: 'DELETE', url: { pathname: '/session' } })
    }
    await expect(storage.head('b', 'broken')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('bodies', () => {
  const answer = (headers: Record<string, string | number>, body = 'data') => {
    stub.intercept = (_, response) =>
      Boolean(response.writeHead(200, { 'x-goog-generation': '1', ...headers }).end(body))
  }

  it('come as they are stored, and are refused when encoded on their way', async () => {
    const gzip = { 'content-encoding': 'gzip', 'content-length': 4 }
    answer({ ...gzip, 'x-goog-stored-content-encoding': 'gzip' })
    const { head, body } = await storage.get('b', 'k')
    expect(head.contentEncoding).toBe('gzip')
    expect(Buffer.from(await collectBytes(body)).toString()).toBe('data')
    answer({ ...gzip, 'x-goog-stored-content-encoding': 'identity' })
    await expect(storage.get('b', 'k')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('gzip'),
    })
  })

  it('of another range than the one asked for are refused, and short ones are truncated', async () => {
    answer({ 'content-length': 4 })
    const part = storage.get('b', 'k', { range: { start: 1, end: 2 } })
    await expect(part).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    stub.intercept = (_, response) => {
      response.writeHead(200, { 'x-goog-generation': '1', 'content-length': 14 })
      return response.write('arbi', () => response.destroy()) || true
    }
    const { body } = await storage.get('b', 'k')
    await expect(collectBytes(body)).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
  })
})

describe('errors', () => {
  const answers: readonly (readonly [number, string])[] = [
    [401, 'PERMISSION_DENIED'],
    [403, 'PERMISSION_DENIED'],
    [404, 'NOT_FOUND'],
    [408, 'UNAVAILABLE'],
    [429, 'THROTTLED'],
    [500, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [501, 'UNSUPPORTED'],
    [400, 'STORAGE'],
  ]
  it.each(answers)('%d is %s, after one request, by the library and by our own sockets', async (status, code) => {
    const body = JSON.stringify({ error: { code: status, message: 'told "so"' } })
    stub.intercept = (_, response) =>
      Boolean(response.writeHead(status, { 'content-type': 'application/json' }).end(body))
    const message = expect.stringContaining('told')
    for (const ask of [() => storage.get('b', 'k'), () => storage.head('b', 'k')]) {
      const sent = await sentBy(() => expect(ask()).rejects.toMatchObject({ code, status, message, key: 'k' }))
      expect(sent).toHaveLength(1)
    }
  })

  it('are UNAVAILABLE where nobody listens', async () => {
    const nowhere = await createGcsBackend({ endpoint: 'http://127.0.0.1:1' })
    await expect(nowhere.head('b', 'k')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(nowhere.get('b', 'k')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await nowhere.close()
  })

  it('of an aborted signal are its reason, at once', async () => {
    stub.intercept = () => true
    const reason = new Error('enough')
    for (const operation of ['get', 'head'] as const) {
      const controller = new AbortController()
      const asking = storage[operation]('b', 'k', { signal: controller.signal })
      setImmediate(() => controller.abort(reason))
      await expect(asking).rejects.toBe(reason)
    }
  })
})

describe('listings', () => {
  it('begin at an offset, and fetch a page when it is asked for', async () => {
    const names = Array.from({ length: 2_100 }, (_, i) => `page/${String(i).padStart(5, '0')}`)
    for (const name of names) await storage.put('b', name, Buffer.alloc(0))
    const pages = storage.list('b', { prefix: 'page/', startAfter: names[49] as string })[Symbol.asyncIterator]()
    const [first, ...more] = await sentBy(() => pages.next())
    expect(query(first as never)).toMatchObject({ prefix: 'page/', startOffset: names[49], maxResults: '1000' })
    expect(more).toEqual([])
    const found: string[] = []
    for await (const page of storage.list('b', { prefix: 'page/', startAfter: names[49] as string })) {
      found.push(...page.map(({ key }) => key))
    }
    expect(found).toEqual(names.slice(50))
  })
})

describe('credentials', () => {
  let folder: string
  let tokens: RecordingServer
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'quern-gcs-'))
    tokens = await startRecordingServer()
    tokens.answer = () => ({
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ access_token: 'tok1', expires_in: 3600, token_type: 'Bearer' }),
    })
    writeFileSync(join(folder, 'subject'), 'who I am')
  })
  beforeEach(() => {
    const credentials = {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${tokens.endpoint}/token`,
      credential_source: { file: join(folder, 'subject') },
    }
    writeFileSync(join(folder, 'key.json'), JSON.stringify(credentials))
  })
  afterAll(async () => {
    await tokens.close()
    rmSync(folder, { recursive: true })
  })

  it('are those of credentialsPath, for the library and for our own sockets', async () => {
    const credentialsPath = join(folder, 'key.json')
    const backend = await createGcsBackend({ endpoint: stub.endpoint, credentialsPath, projectName: 'p' })
    const sent = await sentBy(async () => {
      await backend.put('b', 'auth', Buffer.from('x'))
      await backend.head('b', 'auth')
      await backend.get('b', 'auth')
    })
    expect(sent.map(({ headers }) => headers.authorization)).toEqual(Array(3).fill('Bearer tok1'))
    stub.intercept = (_, response) => Boolean(response.writeHead(403).end('no'))
    for (const ask of [() => backend.head('b', 'k'), () => backend.get('b', 'k')]) {
      const error = await ask().catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'PERMISSION_DENIED' })
      expect(inspect(error, { depth: 12, showHidden: true })).not.toContain('tok1')
    }
    await backend.close()
  })

  it('are missed by name, and none are sent to an emulator', async () => {
    const missing = await createGcsBackend({ endpoint: stub.endpoint, credentialsPath: join(folder, 'none.json') })
    await expect(missing.get('b', 'k')).rejects.toMatchObject({ message: expect.stringContaining('none.json') })
    vi.stubEnv('STORAGE_EMULATOR_HOST', `${stub.endpoint}/storage/v1`)
    const emulated = await createGcsBackend({ credentialsPath: join(folder, 'key.json') })
    const sent = await sentBy(() => emulated.get('b', 'auth'))
    expect(sent.map(({ headers }) => headers.authorization)).toEqual([undefined])
    await emulated.close()
    await missing.close()
  })
})
