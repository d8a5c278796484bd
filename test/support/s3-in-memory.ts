/**
 * An S3 server in this process, with conditional puts: objects lie in a map for tests to look at. Each request can be
 * met before it is performed and before it is answered, to kill somebody there or to break the connection.
 */
import { createHash } from 'node:crypto'
import http from 'node:http'

export interface StoredObject {
  readonly bytes: Buffer
  readonly etag: string
}

export interface StoreRequest {
  /** `GET`, `PUT`, `LIST`, `HEAD`, `DELETE`, … */
  readonly operation: string
  /** Empty for requests of a bucket. */
  readonly key: string
  /** Counts requests of this server from 1. */
  readonly number: number
}

/** `drop`: the connection is reset there; `lose`: what was asked is done first; `slow down`: refused, before only. */
export type Fate = 'go on' | 'drop' | 'lose' | 'slow down'

export interface StoreHooks {
  /** Nothing has been done yet. */
  before?(request: StoreRequest): Fate | Promise<Fate>
  /** A body is half sent. */
  halfway?(request: StoreRequest): Fate | Promise<Fate>
  /** It has been done, nobody knows yet. */
  after?(request: StoreRequest): Fate | Promise<Fate>
  /** A request to a path that begins with `/control/`; answered when it resolves. */
  control?(path: string): void | Promise<void>
}

export interface S3InMemory {
  readonly port: number
  readonly objects: ReadonlyMap<string, StoredObject>
  hooks: StoreHooks
  put(key: string, body: string | Buffer): void
  delete(key: string): void
  close(): Promise<void>
}

const PAGE = 1_000

export interface S3InMemoryOptions {
  /** Default: one that is free. */
  readonly port?: number
  /** What it holds, kept up to date before anything is answered. */
  readonly objects?: Map<string, StoredObject>
}

/** One bucket of any name: every bucket is it. */
export async function startS3InMemory({ port = 0, objects = new Map() }: S3InMemoryOptions = {}): Promise<S3InMemory> {
  const state = { hooks: {} as StoreHooks, number: 0 }
  const uploads = new Map<string, Map<number, Buffer>>()
  const put = (key: string, body: string | Buffer) => {
    const bytes = Buffer.from(body)
    const etag = `"${createHash('md5').update(bytes).digest('hex')}"`
    objects.set(key, { bytes, etag })
    return etag
  }
  const server = http.createServer((request, response) => {
    void serve({ request, response, objects, uploads, put, hooks: state.hooks, number: ++state.number }).catch(
      (error: unknown) => response.destroy(error as Error),
    )
  })
  server.keepAliveTimeout = 60_000
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    port: (server.address() as { port: number }).port,
    objects,
    get hooks() {
      return state.hooks
    },
    set hooks(hooks: StoreHooks) {
      state.hooks = hooks
    },
    put: (key, body) => void put(key, body),
    delete: (key) => void objects.delete(key),
    close() {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

interface Serving {
  readonly request: http.IncomingMessage
  readonly response: http.ServerResponse
  readonly objects: Map<string, StoredObject>
  readonly uploads: Map<string, Map<number, Buffer>>
  readonly hooks: StoreHooks
  readonly number: number
  put(key: string, body: Buffer): string
}

interface Answer {
  readonly status: number
  readonly headers?: http.OutgoingHttpHeaders
  readonly body?: string | Buffer
}

async function serve(serving: Serving): Promise<void> {
  const { request, response, hooks, number } = serving
  const url = new URL(request.url ?? '/', 'http://store')
  const body = await bodyOf(request)
  if (url.pathname.startsWith('/control/')) {
    await hooks.control?.(url.pathname.slice('/control/'.length))
    response.end()
    return
  }
  const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'))
  const operation = request.method === 'GET' && key === '' ? 'LIST' : (request.method as string)
  const met: StoreRequest = { operation, key, number }
  const fate = await hooks.before?.(met)
  if (fate === 'drop') return drop(response)
  const answer = fate === 'slow down' ? failure(503, 'SlowDown') : perform(serving, url, operation, key, body)
  if (fate === 'lose' || ((await hooks.after?.(met)) ?? 'go on') !== 'go on') return drop(response)
  const bytes = Buffer.from(answer.body ?? '')
  response.writeHead(answer.status, { 'content-length': bytes.length, ...answer.headers })
  if (operation === 'HEAD') return void response.end()
  if (hooks.halfway !== undefined && operation === 'GET' && answer.status < 300) {
    const half = bytes.length >> 1
    response.write(bytes.subarray(0, half))
    if ((await hooks.halfway(met)) !== 'go on') return drop(response)
    response.end(bytes.subarray(half))
    return
  }
  response.end(bytes)
}

function drop(response: http.ServerResponse): void {
  response.socket?.resetAndDestroy()
}

function perform(serving: Serving, url: URL, operation: string, key: string, body: Buffer): Answer {
  if (operation === 'LIST') return list(serving, url.searchParams)
  if (operation === 'PUT') return key === '' ? { status: 200 } : putAnswer(serving, url.searchParams, key, body)
  if (operation === 'POST') return postAnswer(serving, url.searchParams, key, body)
  if (operation === 'DELETE') {
    serving.objects.delete(key)
    serving.uploads.delete(url.searchParams.get('uploadId') ?? '')
    return { status: 204 }
  }
  if (key === '') return { status: 200 }
  return getAnswer(serving, key)
}

function getAnswer({ request, objects }: Serving, key: string): Answer {
  const object = objects.get(key)
  if (object === undefined) return failure(404, 'NoSuchKey')
  const { bytes, etag } = object
  const match = request.headers['if-match']
  if (match !== undefined && bare(match) !== bare(etag)) return failure(412, 'PreconditionFailed')
  const headers = { etag, 'accept-ranges': 'bytes', 'last-modified': new Date(0).toUTCString() }
  const range = /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? '')
  if (request.method === 'HEAD') return { status: 200, headers: { ...headers, 'content-length': bytes.length } }
  if (range === null) return { status: 200, headers, body: bytes }
  const start = Number(range[1])
  const end = Math.min(bytes.length, Number(range[2] ?? bytes.length - 1) + 1)
  if (start >= bytes.length) return failure(416, 'InvalidRange')
  const contentRange = `bytes ${start}-${end - 1}/${bytes.length}`
  return { status: 206, headers: { ...headers, 'content-range': contentRange }, body: bytes.subarray(start, end) }
}

function putAnswer(
  { request, objects, uploads, put }: Serving,
  query: URLSearchParams,
  key: string,
  body: Buffer,
): Answer {
  const upload = query.get('uploadId')
  if (upload !== null) {
    uploads.get(upload)?.set(Number(query.get('partNumber')), body)
    return { status: 200, headers: { etag: `"part-${query.get('partNumber')}"` } }
  }
  const now = objects.get(key)
  const match = request.headers['if-match']
  if (request.headers['if-none-match'] === '*' && now !== undefined) return failure(412, 'PreconditionFailed')
  if (match !== undefined && now === undefined) return failure(404, 'NoSuchKey')
  if (match !== undefined && bare(match) !== bare(now?.etag ?? '')) return failure(412, 'PreconditionFailed')
  const source = request.headers['x-amz-copy-source']
  if (source === undefined) return { status: 200, headers: { etag: put(key, body) } }
  const from = objects.get(decodeURIComponent(String(source)).replace(/^\//, '').split('/').slice(1).join('/'))
  if (from === undefined) return failure(404, 'NoSuchKey')
  const etag = put(key, from.bytes)
  return { status: 200, body: `<CopyObjectResult><ETag>${xml(etag)}</ETag></CopyObjectResult>` }
}

function postAnswer(
  { objects, uploads, put, number }: Serving,
  query: URLSearchParams,
  key: string,
  body: Buffer,
): Answer {
  if (query.has('delete')) {
    for (const [, name] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) objects.delete(plain(name as string))
    return { status: 200, body: '<DeleteResult/>' }
  }
  if (query.has('uploads')) {
    uploads.set(`${number}`, new Map())
    return {
      status: 200,
      body: `<InitiateMultipartUploadResult><UploadId>${number}</UploadId></InitiateMultipartUploadResult>`,
    }
  }
  const parts = uploads.get(query.get('uploadId') ?? '')
  if (parts === undefined) return failure(404, 'NoSuchUpload')
  uploads.delete(query.get('uploadId') ?? '')
  const etag = put(key, Buffer.concat([...parts].sort(([a], [b]) => a - b).map(([, bytes]) => bytes)))
  return {
    status: 200,
    body: `<CompleteMultipartUploadResult><ETag>${xml(etag)}</ETag></CompleteMultipartUploadResult>`,
  }
}

function list({ objects }: Serving, query: URLSearchParams): Answer {
  const prefix = query.get('prefix') ?? ''
  const after = query.get('continuation-token') ?? query.get('start-after') ?? ''
  const most = Math.min(PAGE, Number(query.get('max-keys') ?? PAGE))
  const delimiter = query.get('delimiter') ?? ''
  const keys = [...objects.keys()].filter((key) => key.startsWith(prefix) && compare(key, after) > 0).sort(compare)
  const entries: string[] = []
  const folders = new Set<string>()
  let last = ''
  let more = false
  for (const key of keys) {
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const folder = cut === -1 ? undefined : key.slice(0, cut + delimiter.length)
    if (folder !== undefined && (folders.has(folder) || compare(`${folder}\u{10ffff}`, after) <= 0)) continue
    if (entries.length + folders.size === most) {
      more = true
      break
    }
    if (folder !== undefined) folders.add(folder)
    else entries.push(entryOf(key, objects.get(key) as StoredObject))
    last = folder === undefined ? key : `${folder}\u{10ffff}`
  }
  const common = [...folders].map((folder) => `<CommonPrefixes><Prefix>${encode(folder)}</Prefix></CommonPrefixes>`)
  const next = more ? `<NextContinuationToken>${xml(last)}</NextContinuationToken>` : ''
  const body = `<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>${more}</IsTruncated>${next}${entries.join('')}${common.join('')}</ListBucketResult>`
  return { status: 200, headers: { 'content-type': 'application/xml' }, body }
}

function entryOf(key: string, { bytes, etag }: StoredObject): string {
  const modified = new Date(0).toISOString()
  return `<Contents><Key>${encode(key)}</Key><Size>${bytes.length}</Size><ETag>${xml(etag)}</ETag><LastModified>${modified}</LastModified></Contents>`
}

function failure(status: number, code: string): Answer {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`
  return { status, headers: { 'content-type': 'application/xml' }, body }
}

async function bodyOf(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const bytes = Buffer.concat(chunks)
  return String(request.headers['content-encoding'] ?? '').includes('aws-chunked') ? unchunked(bytes) : bytes
}

/** The SDK's `aws-chunked`: sizes in hex, each before its bytes; what follows the empty chunk are trailers. */
function unchunked(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length; ) {
    const lineEnd = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    if (size === 0) break
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = lineEnd + 2 + size + 2
  }
  return Buffer.concat(parts)
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function bare(etag: string): string {
  return etag.replaceAll('"', '')
}

function encode(key: string): string {
  return encodeURIComponent(key).replaceAll('%2F', '/')
}

function xml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function plain(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&quot;', '"').replaceAll('&amp;', '&')
}
