/**
 * The client of `minio`, loaded at the first use, and the one way requests go through it. It signs and addresses them;
 * what it lacks is added around it:
 *
 * - Its retries are off (layers retry), and the body of an answer it would have retried is kept: it says why.
 * - It knows no AbortSignal and no timeout: its transport is wrapped, and finds the request's signal by async context.
 * - It forgets a bucket's region at every error: regions are kept here.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import type { Client } from 'minio'
import { asBuffer, collectBytes } from '../core/bytes.ts'
import { ConfigError, type StorageContext } from '../core/errors.ts'
import { agentOptions } from './http-agent.ts'
import { exactBody } from './http-body.ts'
import { type Exchange, minioError } from './minio-errors.ts'
import { loadPeer } from './peer.ts'
import type { S3Condition } from './s3-errors.ts'

/** The section `minio` of the configuration. Without keys requests are anonymous. */
export interface MinioConfig {
  readonly endpoint?: string | undefined
  /** Default: asked of the server, once a bucket. */
  readonly region?: string | undefined
  readonly accessKeyId?: string | undefined
  readonly secretAccessKey?: string | undefined
  readonly sessionToken?: string | undefined
  /** Bucket in the path, not in the host name. Default: true. */
  readonly forcePathStyle?: boolean | undefined
}

export interface MinioRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  readonly bucket: string
  readonly key?: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly context: StorageContext
  readonly condition?: S3Condition | undefined
  readonly signal?: AbortSignal | undefined
}

const MAX_SOCKETS = 256
/** A connection on which nothing moves for this long is given up. */
const IDLE_TIMEOUT_MS = 60_000
const DONE = [200, 204, 206]
/** Statuses whose answer the client drops unread. */
const DROPPED = new Set([408, 429, 499, 500, 502, 503, 504, 520])
const REFUSAL_BYTES = 64 << 10

/** One for all clients: each that was ever used slows every promise of the process from then on. */
const exchanges = new AsyncLocalStorage<Exchange>()

/** @throws ConfigError when minio is not installed, or the endpoint or one of two keys is missing */
export async function openMinioClient(config: MinioConfig): Promise<MinioClient> {
  const { endpoint, region, accessKeyId, secretAccessKey, sessionToken, forcePathStyle = true } = config
  if (endpoint === undefined) throw new ConfigError('minio: endpoint is missing, such as http://127.0.0.1:9000')
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw new ConfigError('minio: accessKeyId and secretAccessKey go together, only one of them is given')
  }
  const { hostname, port, protocol, pathname } = new URL(endpoint)
  if (pathname !== '/') throw new ConfigError('minio: endpoint has a path, which its client cannot send requests to')
  const useSSL = protocol === 'https:'
  const agent = new (useSSL ? https : http).Agent(agentOptions(MAX_SOCKETS))
  const minio = await loadPeer('minio', 'minio', () => import('minio'))
  const client = new minio.Client({
    endPoint: hostname.replace(/^\[|\]$/g, ''),
    useSSL,
    pathStyle: forcePathStyle,
    transport: watched(useSSL ? https : http),
    transportAgent: agent,
    retryOptions: { disableRetry: true },
    ...(port === '' ? {} : { port: Number(port) }),
    ...(region === undefined ? {} : { region }),
    ...(accessKeyId === undefined ? {} : { accessKey: accessKeyId }),
    ...(secretAccessKey === undefined ? {} : { secretKey: secretAccessKey }),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  })
  return new MinioClient(client, () => agent.destroy())
}

export class MinioClient {
  readonly #client: Client
  readonly #regions = new Map<string, string>()
  readonly close: () => void

  constructor(client: Client, close: () => void) {
    this.#client = client
    this.close = close
  }

  /** The answer with a status of success; its body is the caller's to read or destroy. @throws StorageError */
  send(request: MinioRequest): Promise<IncomingMessage> {
    const { method, bucket, key, query, headers, body, context, condition, signal } = request
    const options = {
      method,
      bucketName: bucket,
      ...(key === undefined ? {} : { objectName: key }),
      ...(query === undefined ? {} : { query: queryString(query) }),
      headers: { 'accept-encoding': 'identity', ...headers },
    }
    const payload = body === undefined ? '' : asBuffer(body)
    return this.call(context, { condition, signal }, async (client) => {
      const region = await this.#regionOf(bucket, client)
      return client.makeRequestAsync(options, payload, DONE, region)
    })
  }

  /** The answer's body, for answers that are read whole. @throws StorageError */
  async sendForBytes(request: MinioRequest): Promise<Uint8Array> {
    const response = await this.send(request)
    return collectBytes(exactBody(response, lengthOf(response), request.context, request.signal))
  }

  /** Whatever else the client can do, with its errors as ours. */
  async call<T>(
    context: StorageContext,
    how: { readonly condition?: S3Condition | undefined; readonly signal?: AbortSignal | undefined },
    use: (client: Client) => Promise<T>,
  ): Promise<T> {
    how.signal?.throwIfAborted()
    const exchange: Exchange = { signal: how.signal, status: undefined, retryAfter: undefined, refusal: undefined }
    try {
      return await exchanges.run(exchange, () => use(this.#client))
    } catch (error) {
      throw await minioError(error, context, exchange, how.condition)
    }
  }

  async #regionOf(bucket: string, client: Client): Promise<string> {
    const known = this.#regions.get(bucket) ?? (await client.getBucketRegionAsync(bucket))
    this.#regions.set(bucket, known)
    return known
  }
}

/** Content-Length of an answer. */
export function lengthOf({ headers }: IncomingMessage): number | undefined {
  return headers['content-length'] === undefined ? undefined : Number(headers['content-length'])
}

/** Sorted, and encoded as it is signed. */
function queryString(query: Readonly<Record<string, string>>): string {
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  const pairs = Object.entries(query).map(([name, value]) => (value === '' ? name : `${name}=${encode(value)}`))
  return pairs.sort().join('&')
}

/** A transport that heeds the signal of the exchange it serves, and notes the answer there. */
function watched(transport: typeof http | typeof https): typeof http {
  const request = (options: https.RequestOptions, answer: (response: IncomingMessage) => void) => {
    const exchange = exchanges.getStore()
    if (exchange === undefined) return transport.request(options, answer)
    exchange.status = undefined
    const { signal } = exchange
    const sent = transport.request(signal === undefined ? options : { ...options, signal }, (response) => {
      exchange.status = response.statusCode
      exchange.retryAfter = response.headers['retry-after']
      if (DROPPED.has(response.statusCode ?? 0)) exchange.refusal = beginningOf(response)
      answer(response)
    })
    const idle = Object.assign(new Error(`nothing moved for ${IDLE_TIMEOUT_MS} ms`), { code: 'ETIMEDOUT' })
    return sent.setTimeout(IDLE_TIMEOUT_MS, () => sent.destroy(idle))
  }
  return { request } as typeof http
}

async function beginningOf(response: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const chunk of response) {
      if (text.length < REFUSAL_BYTES) text += String(chunk)
    }
  } catch {
    // what came of it is all there is to say
  }
  return text
}
