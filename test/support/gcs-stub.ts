/**
 * A stand-in for Google Cloud Storage that keeps the rules emulators leave out (generations as preconditions, uploads in
 * pieces, 416, offsets of listings), as its JSON API documents them. It notes every request; `intercept` answers some
 * otherwise.
 */
import http from 'node:http'
import type { AddressInfo } from 'node:net'

export interface NotedRequest {
  readonly method: string
  readonly url: URL
  readonly headers: http.IncomingHttpHeaders
  readonly body: Buffer
}

/** True when it has answered. */
export type Intercept = (request: NotedRequest, response: http.ServerResponse) => boolean

export interface GcsStub {
  readonly endpoint: string
  readonly requests: readonly NotedRequest[]
  intercept: Intercept | undefined
  /** Requests that are done, and whose answers never come: the connection ends. */
  loses: ((request: NotedRequest) => boolean) | undefined
  close(): Promise<void>
}

interface StoredObject {
  readonly name: string
  readonly bytes: Buffer
  readonly generation: number
  readonly contentType: string
}

interface Session {
  readonly bucket: string
  readonly name: string
  readonly contentType: string
  bytes: Buffer
  made?: StoredObject
}

export async function startGcsStub(): Promise<GcsStub> {
  const store = new StubStore()
  const requests: NotedRequest[] = []
  const stub = { intercept: undefined as Intercept | undefined, loses: undefined as GcsStub['loses'] }
  const server = http.createServer(async (incoming, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const url = new URL(incoming.url ?? '/', 'http://stub')
    const request = { method: incoming.method ?? '', url, headers: incoming.headers, body: Buffer.concat(chunks) }
    requests.push(request)
    if (stub.intercept?.(request, response)) return
    const { status, headers = {}, body = '' } = store.answer(request)
    if (stub.loses?.(request) === true) {
      incoming.socket.destroy()
      return
    }
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
    const type = Buffer.isBuffer(body) ? {} : { 'content-type': 'application/json' }
    response.writeHead(status, { 'content-length': bytes.length, ...type, ...headers }).end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  store.endpoint = endpoint
  return Object.assign(stub, {
    endpoint,
    requests,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer | object
}

const refused = (code: number, message: string): Answer => ({ status: code, body: { error: { code, message } } })

class StubStore {
  endpoint = ''
  readonly #buckets = new Map<string, Map<string, StoredObject>>()
  readonly #sessions = new Map<string, Session>()
  #generation = 1_700_000_000_000_000

  answer(request: NotedRequest): Answer {
    const { method, url } = request
    if (url.pathname === '/session') return this.#onSession(request)
    const [, upload, bucketName, isObjects, key] =
      /^(\/upload)?\/storage\/v1\/b(?:\/([^/]+)(\/o(?:\/([^/]+))?)?)?$/.exec(url.pathname) ?? []
    if (bucketName === undefined) return this.#makeBucket(JSON.parse(request.body.toString()).name)
    const name = decodeURIComponent(bucketName)
    const bucket = this.#buckets.get(name)
    if (bucket === undefined) return refused(404, 'The specified bucket does not exist.')
    if (upload !== undefined) return this.#upload(name, bucket, request)
    if (key !== undefined) return this.#onObject(bucket, decodeURIComponent(key), request)
    if (isObjects !== undefined) return list(bucket, url.searchParams)
    if (method === 'GET') return { status: 200, body: { name } }
    if (bucket.size > 0) return refused(409, 'The bucket you tried to delete is not empty.')
    this.#buckets.delete(name)
    return { status: 204 }
  }

  #makeBucket(name: string): Answer {
    if (this.#buckets.has(name)) return refused(409, 'Your previous request to create the named bucket succeeded.')
    this.#buckets.set(name, new Map())
    return { status: 200, body: { name } }
  }

  #upload(bucketName: string, bucket: Map<string, StoredObject>, { url, headers, body }: NotedRequest): Answer {
    const name = url.searchParams.get('name') ?? ''
    const wanted = url.searchParams.get('ifGenerationMatch')
    const present = bucket.get(name)?.generation ?? 0
    if (wanted !== null && Number(wanted) !== present) return refused(412, 'conditions you specified did not hold')
    if (url.searchParams.get('uploadType') === 'media') {
      return { status: 200, body: resourceOf(this.#write(bucket, name, body, headers['content-type'] ?? '')) }
    }
    const id = `${this.#sessions.size + 1}`
    const contentType = String(headers['x-upload-content-type'] ?? '')
    this.#sessions.set(id, { bucket: bucketName, name, contentType, bytes: Buffer.alloc(0) })
    return { status: 200, headers: { location: `${this.endpoint}/session?id=${id}` } }
  }

  #onSession({ method, url, headers, body }: NotedRequest): Answer {
    const id = url.searchParams.get('id') ?? ''
    const session = this.#sessions.get(id)
    if (session === undefined) return refused(404, 'no such upload')
    if (method === 'DELETE') {
      this.#sessions.delete(id)
      return { status: 499 }
    }
    const range = String(headers['content-range'])
    if (range.startsWith('bytes */')) {
      if (session.made !== undefined) return { status: 200, body: resourceOf(session.made) }
      return {
        status: 308,
        headers: session.bytes.length === 0 ? {} : { range: `bytes=0-${session.bytes.length - 1}` },
      }
    }
    const [, from = '', total = ''] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(range) ?? []
    if (Number(from) !== session.bytes.length) return refused(400, 'not where the upload is')
    session.bytes = Buffer.concat([session.bytes, body])
    const kept = session.bytes.length
    if (total === '*') {
      if (body.length % (256 << 10) !== 0) return refused(400, 'not a multiple of 256 KiB')
      return { status: 308, headers: { range: `bytes=0-${kept - 1}` } }
    }
    if (Number(total) !== kept) return refused(400, 'not all of the upload')
    const bucket = this.#buckets.get(session.bucket) ?? new Map()
    session.made = this.#write(bucket, session.name, session.bytes, session.contentType)
    return { status: 200, body: resourceOf(session.made) }
  }

  #write(bucket: Map<string, StoredObject>, name: string, bytes: Buffer, contentType: string): StoredObject {
    this.#generation += 1
    const object = { name, bytes, generation: this.#generation, contentType }
    bucket.set(name, object)
    return object
  }

  #onObject(bucket: Map<string, StoredObject>, key: string, { method, url, headers }: NotedRequest): Answer {
    const object = bucket.get(key)
    if (object === undefined) return refused(404, `No such object: ${key}`)
    if (method === 'DELETE') {
      bucket.delete(key)
      return { status: 204 }
    }
    if (url.searchParams.get('alt') !== 'media') return { status: 200, body: resourceOf(object) }
    const wanted = url.searchParams.get('ifGenerationMatch')
    if (wanted !== null && Number(wanted) !== object.generation) return refused(412, 'conditions did not hold')
    const { bytes, generation, contentType } = object
    const about = { 'x-goog-generation': `${generation}`, 'content-type': contentType }
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
    if (first === undefined) return { status: 200, headers: about, body: bytes }
    const [start, end] = [Number(first), Math.min(Number(last) + 1, bytes.length)]
    if (start >= bytes.length) return refused(416, 'The requested range cannot be satisfied.')
    const range = { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` }
    return { status: 206, headers: { ...about, ...range }, body: bytes.subarray(start, end) }
  }
}

function list(bucket: ReadonlyMap<string, StoredObject>, query: URLSearchParams): Answer {
  const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
  const from = query.get('pageToken') ?? query.get('startOffset') ?? ''
  const found = [...bucket.values()]
    .filter(({ name }) => name.startsWith(query.get('prefix') ?? '') && compare(name, from) >= 0)
    .sort((a, b) => compare(a.name, b.name))
  const limit = Number(query.get('maxResults'))
  const next = found[limit]
  const items = found.slice(0, limit).map(resourceOf)
  return { status: 200, body: next === undefined ? { items } : { items, nextPageToken: next.name } }
}

function resourceOf({ name, bytes, generation, contentType }: StoredObject): object {
  const updated = '2026-01-01T00:00:00.000Z'
  return { kind: 'storage#object', name, size: `${bytes.length}`, generation: `${generation}`, updated, contentType }
}
