import { utimesSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import { HttpBackend } from '../../src/storage/http.ts'
import { MIB, noise } from '../conformance/storage-bench.ts'

const CONTENT = 'arbitrary data'
type Answer = (request: http.IncomingMessage, response: http.ServerResponse) => void

const storage = new HttpBackend()
let bucket = ''
let version = 0

/** Serves the content with ranges; `validator` names its header and value. */
function ranged(validator: () => Record<string, string>): Answer {
  return (request, response) => {
    const headers: Record<string, string> = { 'accept-ranges': 'bytes', ...validator() }
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== headers.etag) {
      return response.writeHead(412).end()
    }
    const match = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (match === null) return response.writeHead(200, { ...headers, 'content-length': CONTENT.length }).end(CONTENT)
    const [start, end] = [Number(match[1]), Math.min(Number(match[2]) + 1, CONTENT.length)]
    if (start >= CONTENT.length) return response.writeHead(416).end()
    const range = { 'content-range': `bytes ${start}-${end - 1}/${CONTENT.length}`, 'content-length': end - start }
    return response.writeHead(206, { ...headers, ...range }).end(CONTENT.slice(start, end))
  }
}

const answers: Record<string, Answer> = {
  '/strong': ranged(() => ({ etag: `"v${version}"` })),
  '/weak': ranged(() => ({ etag: `W/"v${version}"` })),
  '/dated': ranged(() => ({ 'last-modified': new Date(version * 1_000_000).toUTCString() })),
  '/bare': ranged(() => ({})),
  '/query?a=1&b=%20': ranged(() => ({ etag: '"q"' })),
  '/no-ranges': (_, response) => response.writeHead(200, { etag: '"n"', 'content-length': 14 }).end(CONTENT),
  '/no-head': (request, response) =>
    request.method === 'HEAD' ? response.writeHead(405).end() : answers['/strong']?.(request, response),
  '/no-length': (_, response) => {
    response.writeHead(200, { etag: '"c"' })
    response.write('arbitrary ')
    response.end('data')
  },
  '/empty': (request, response) =>
    request.headers.range === undefined
      ? response.writeHead(200, { etag: '"e"', 'content-length': 0 }).end()
      : response.writeHead(416).end(),
  '/cut': (_, response) => {
    response.writeHead(200, { 'content-length': 14 })
    response.write('arbi', () => response.destroy())
  },
  '/cut-chunked': (_, response) => {
    response.writeHead(200)
    response.write('arbi', () => response.destroy())
  },
  '/gzipped': (request, response) => {
    expect(request.headers['accept-encoding']).toBe('identity')
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': 14 }).end(CONTENT)
  },
  '/identity': (_, response) =>
    response.writeHead(200, { 'content-encoding': 'identity', 'content-length': 14 }).end(CONTENT),
  '/elsewhere-in-it': (request, response) => {
    const range = { 'content-range': 'bytes 0-4/14', 'content-length': 5 }
    if (request.headers.range === undefined) response.writeHead(200, { 'content-length': 14 }).end(CONTENT)
    else response.writeHead(206, range).end(CONTENT.slice(0, 5))
  },
  '/moved': (_, response) => response.writeHead(302, { location: '/moved-again' }).end(),
  '/moved-again': (_, response) => response.writeHead(301, { location: `${bucket}/strong` }).end(),
  '/circle': (_, response) => response.writeHead(302, { location: '/circle' }).end(),
  '/elsewhere': (_, response) => response.writeHead(302, { location: 'file:///etc/passwd' }).end(),
}

const server = http.createServer((request, response) => {
  const status = /^\/status\/(\d+)$/.exec(request.url ?? '')
  if (status !== null) response.writeHead(Number(status[1])).end()
  else (answers[request.url ?? ''] ?? ((_, missing) => missing.writeHead(404).end()))(request, response)
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  bucket = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  await storage.close()
  server.closeAllConnections()
  server.close()
})

async function text(key: string, options = {}): Promise<string> {
  const { body } = await storage.get(bucket, key, options)
  return Buffer.from(await collectBytes(body)).toString()
}

describe('HttpBackend', () => {
  for (const key of ['strong', 'weak', 'dated', 'bare', 'moved', 'query?a=1&b=%20', 'no-head']) {
    it(`reads ranges of /${key}`, async () => {
      expect(await storage.head(bucket, key)).toMatchObject({ key, size: 14, acceptsRanges: true })
      expect(await text(key)).toBe(CONTENT)
      expect(await text(key, { range: { start: 2, end: 5 } })).toBe('bit')
      const { range, head } = await storage.get(bucket, key, { range: { start: 10, end: 99 } })
      expect({ range, size: head.size }).toEqual({ range: { start: 10, end: 14 }, size: 14 })
      const past = storage.get(bucket, key, { range: { start: 14, end: 20 } })
      await expect(past).rejects.toMatchObject({ code: 'RANGE_INVALID' })
    })
  }

  for (const key of ['strong', 'weak', 'dated']) {
    it(`holds reads of /${key} to the version that was seen`, async () => {
      const { etag } = await storage.head(bucket, key)
      expect(etag).not.toBe('')
      expect(await text(key, { ifMatch: etag, range: { start: 0, end: 3 } })).toBe('arb')
      version += 1
      const stale = storage.get(bucket, key, { ifMatch: etag, range: { start: 0, end: 3 } })
      await expect(stale).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
    })
  }

  it('says by an empty etag that there is no validator', async () => {
    expect(await storage.head(bucket, 'bare')).toMatchObject({ etag: '' })
  })

  it('tells of a server without ranges, refuses parts of it and gives the whole', async () => {
    expect(await storage.head(bucket, 'no-ranges')).toMatchObject({ size: 14, acceptsRanges: false })
    const part = storage.get(bucket, 'no-ranges', { range: { start: 2, end: 5 } })
    await expect(part).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await text('no-ranges', { range: { start: 0, end: 14 } })).toBe(CONTENT)
    expect(await text('no-ranges')).toBe(CONTENT)
  })

  it('tells of an unknown length, and reads to the end', async () => {
    expect(await storage.head(bucket, 'no-length')).toMatchObject({ size: 0, sizeUnknown: true })
    const { range, body } = await storage.get(bucket, 'no-length')
    expect(range).toEqual({ start: 0, end: Number.POSITIVE_INFINITY })
    expect(Buffer.from(await collectBytes(body)).toString()).toBe(CONTENT)
  })

  it('knows an empty object', async () => {
    const head = await storage.head(bucket, 'empty')
    expect(head).toMatchObject({ size: 0, etag: '"e"' })
    expect(head.sizeUnknown).toBeUndefined()
    expect(await text('empty')).toBe('')
  })

  for (const key of ['cut', 'cut-chunked']) {
    it(`never takes an early end for the end (/${key})`, async () => {
      await expect(text(key)).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
    })
  }

  it('asks for the object as it is, and refuses by name what is encoded all the same', async () => {
    const what = { code: 'UNSUPPORTED', message: expect.stringContaining('Content-Encoding: gzip') }
    await expect(text('gzipped')).rejects.toMatchObject(what)
    await expect(storage.head(bucket, 'gzipped')).rejects.toMatchObject(what)
    expect(await text('identity')).toBe(CONTENT)
  })

  it('takes no other part than the one it asked for', async () => {
    expect(await text('elsewhere-in-it', { range: { start: 0, end: 5 } })).toBe('arbit')
    for (const range of [
      { start: 2, end: 5 },
      { start: 0, end: 3 },
    ]) {
      await expect(text('elsewhere-in-it', { range })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    }
  })

  const statuses: readonly (readonly [number, string])[] = [
    [401, 'PERMISSION_DENIED'],
    [403, 'PERMISSION_DENIED'],
    [404, 'NOT_FOUND'],
    [410, 'NOT_FOUND'],
    [418, 'STORAGE'],
    [429, 'THROTTLED'],
    [500, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
  ]
  for (const [status, code] of statuses) {
    it(`answers ${code} for status ${status}`, async () => {
      await expect(storage.get(bucket, `status/${status}`)).rejects.toMatchObject({ code, status })
      await expect(storage.head(bucket, `status/${status}`)).rejects.toMatchObject({ code, status })
    })
  }

  it('gives up on endless redirects and on ones that leave the web', async () => {
    await expect(storage.get(bucket, 'circle')).rejects.toMatchObject({ code: 'STORAGE' })
    await expect(storage.get(bucket, 'elsewhere')).rejects.toMatchObject({ code: 'STORAGE' })
  })

  it('is UNAVAILABLE where nobody listens, and shows no password', async () => {
    await expect(storage.get('http://127.0.0.1:1', 'x')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const secret = storage.get('http://user:hunter2@127.0.0.1', 'x')
    await expect(secret).rejects.toThrow(expect.not.stringContaining('hunter2'))
  })

  it('ends with the reason of an aborted signal', async () => {
    const reason = new Error('enough')
    const early = storage.get(bucket, 'strong', { signal: AbortSignal.abort(reason) })
    await expect(early).rejects.toBe(reason)
  })

  it('refuses everything that is not reading', async () => {
    const list = async () => {
      for await (const page of storage.list(bucket)) expect(page).toEqual([])
    }
    const refused = [storage.put(bucket, 'k'), list(), storage.delete(bucket), storage.createBucket(bucket)]
    for (const outcome of await Promise.allSettled(refused)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'UNSUPPORTED' } })
    }
  })
})

const nginx = inject('nginx')
if (nginx.endpoint === '') it.skip('HttpBackend against nginx: needs nginx')

describe.skipIf(nginx.endpoint === '')('HttpBackend against nginx', () => {
  const bytes = Buffer.from('arbitrary data')
  const put = (name: string, content: Uint8Array) => writeFileSync(join(nginx.root, name), content)
  const read = async (key: string, options = {}) => {
    const { body } = await storage.get(nginx.endpoint, key, options)
    return Buffer.from(await collectBytes(body)).toString()
  }

  for (const path of ['', 'dated/', 'compressing/', 'moved/', 'moved-for-good/']) {
    it(`reads ranges of /${path}, and holds to what it saw`, async () => {
      const key = `${path}a.txt`
      put('a.txt', bytes)
      const { etag, size, acceptsRanges } = await storage.head(nginx.endpoint, key)
      expect({ size, acceptsRanges }).toEqual({ size: 14, acceptsRanges: true })
      expect(etag).toMatch(path === 'dated/' ? /^modified:/ : /^"/)
      expect(await read(key, { ifMatch: etag })).toBe('arbitrary data')
      expect(await read(key, { ifMatch: etag, range: { start: 2, end: 5 } })).toBe('bit')
      expect(await read(key, { ifMatch: etag, range: { start: 10, end: 99 } })).toBe('data')
      await expect(read(key, { range: { start: 14, end: 15 } })).rejects.toMatchObject({ code: 'RANGE_INVALID' })
      put('a.txt', Buffer.from('other bytes'))
      utimesSync(join(nginx.root, 'a.txt'), 1, 2_000_000)
      await expect(read(key, { ifMatch: etag })).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
    })
  }

  it('knows a server without ranges, an empty file, a missing one, and refusals', async () => {
    put('b.txt', bytes)
    put('empty', Buffer.alloc(0))
    expect(await storage.head(nginx.endpoint, 'no-ranges/b.txt')).toMatchObject({ size: 14, acceptsRanges: false })
    expect(await read('no-ranges/b.txt')).toBe('arbitrary data')
    const range = { start: 1, end: 2 }
    await expect(read('no-ranges/b.txt', { range })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(await storage.head(nginx.endpoint, 'empty')).toMatchObject({ size: 0 })
    expect(await read('empty')).toBe('')
    await expect(read('none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(read('private/x')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    await expect(read('busy/x')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('refuses by name what is sent encoded, to head and to get', async () => {
    put('c.txt', bytes)
    const what = { code: 'UNSUPPORTED', message: expect.stringContaining('gzip') }
    await expect(storage.head(nginx.endpoint, 'encoded/c.txt')).rejects.toMatchObject(what)
    await expect(read('encoded/c.txt')).rejects.toMatchObject(what)
  })

  it('reads odd names, percent-encoded as URLs have them', async () => {
    for (const name of ['a b', '100%', 'a+b', 'a#b', 'a?b=c', `quotes'"<>&`, 'ünï-日本-😀']) {
      put(name, Buffer.from(`content of ${name}`))
      expect(await read(encodeURIComponent(name)), name).toBe(`content of ${name}`)
    }
  })

  it('reads a large file whole and in ranges, byte for byte', async () => {
    const content = noise(5 * MIB + 3)
    put('large', content)
    const { body } = await storage.get(nginx.endpoint, 'large')
    expect(content.equals(await collectBytes(body))).toBe(true)
    const part = await storage.get(nginx.endpoint, 'large', { range: { start: MIB, end: 3 * MIB } })
    expect(content.subarray(MIB, 3 * MIB).equals(await collectBytes(part.body))).toBe(true)
  })
})
