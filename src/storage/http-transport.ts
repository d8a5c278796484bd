/** Requests by our own sockets: kept-alive connections, redirects, timeouts, and errors as ours. */
import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { urlToHttpOptions } from 'node:url'
import { NotFoundError, ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import { agentOptions } from './http-agent.ts'
import { retryAfter } from './retry-after.ts'

const MAX_REDIRECTS = 5
const MAX_SOCKETS = 64
/** A connection on which nothing moves for this long, though somebody waits for it, is given up. */
const IDLE_TIMEOUT_MS = 60_000
const REDIRECTS = new Set([301, 302, 303, 307, 308])

/** A body encoded in transit is not the object's bytes. */
const IDENTITY = { 'accept-encoding': 'identity' }

export interface TransportRequest {
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly context: StorageContext
  readonly signal: AbortSignal | undefined
}

/** Where a request goes whose path must not be touched: a URL would resolve the dots in it. */
export interface HttpTarget {
  readonly protocol: string
  readonly hostname: string
  readonly port: number | undefined
  /** With its query, encoded. */
  readonly path: string
}

export interface TransportOptions {
  readonly maxSockets?: number | undefined
  readonly idleTimeoutMs?: number | undefined
}

export class HttpTransport {
  readonly #plain: http.Agent
  readonly #secure: https.Agent
  readonly #idleTimeoutMs: number

  constructor({ maxSockets = MAX_SOCKETS, idleTimeoutMs = IDLE_TIMEOUT_MS }: TransportOptions = {}) {
    const options = agentOptions(maxSockets)
    this.#plain = new http.Agent(options)
    this.#secure = new https.Agent(options)
    this.#idleTimeoutMs = idleTimeoutMs
  }

  /**
   * The answer with a 2xx status, after redirects; its body is the caller's to read or destroy.
   *
   * @throws StorageError for every other status, as the contract names them, and when no answer comes
   */
  async request(
    method: 'GET' | 'HEAD',
    url: URL,
    headers: Readonly<Record<string, string>>,
    context: StorageContext,
    signal: AbortSignal | undefined,
  ): Promise<IncomingMessage> {
    let target = url
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      signal?.throwIfAborted()
      const response = await this.send(method, target, { headers: { ...IDENTITY, ...headers }, context, signal })
      const status = response.statusCode ?? 0
      if (status >= 200 && status < 300) return response
      response.destroy()
      if (!REDIRECTS.has(status)) throw statusError(status, response, context)
      target = redirectTarget(response.headers.location, target, context)
    }
    throw new StorageError('STORAGE', `more than ${MAX_REDIRECTS} redirects`, context)
  }

  /** The answer, whatever its status; its body is the caller's to read or destroy. @throws StorageError UNAVAILABLE */
  send(method: string, target: URL | HttpTarget, request: TransportRequest): Promise<IncomingMessage> {
    const { headers, body, context, signal } = request
    const secure = target.protocol === 'https:'
    const options = {
      ...(target instanceof URL ? urlToHttpOptions(target) : target),
      method,
      agent: secure ? this.#secure : this.#plain,
      headers: { 'user-agent': 'quern', ...headers },
      // of the socket, also while it connects
      timeout: this.#idleTimeoutMs,
    }
    return new Promise((resolve, reject) => {
      const sent = (secure ? https : http).request(options, (response) => {
        signal?.removeEventListener('abort', abort)
        resolve(response)
      })
      const abort = () => sent.destroy(new Error('aborted'))
      signal?.addEventListener('abort', abort, { once: true })
      giveUpWhenIdle(sent, this.#idleTimeoutMs)
      sent.on('error', (error) => {
        signal?.removeEventListener('abort', abort)
        reject(
          signal?.aborted
            ? signal.reason
            : new StorageError('UNAVAILABLE', error.message, { ...context, cause: error }),
        )
      })
      sent.end(body)
    })
  }

  close(): void {
    this.#plain.destroy()
    this.#secure.destroy()
  }
}

/**
 * Ends a request, with its answer, when its socket's timeout of `idleMs` has come: unless it is the reader of the answer
 * who takes that long, who then waits for the socket anew.
 */
export function giveUpWhenIdle(sent: ClientRequest, idleMs: number): void {
  let answer: IncomingMessage | undefined
  const onIdle = () => {
    if (answer?.complete === true) return
    if (answer?.isPaused() === true) {
      answer.once('resume', () => sent.socket?.setTimeout(idleMs, onIdle))
      return
    }
    const error = Object.assign(new Error(`nothing moved for ${idleMs} ms`), { code: 'ETIMEDOUT' })
    answer?.destroy(error)
    sent.destroy(error)
  }
  sent.on('response', (response) => {
    answer = response
  })
  sent.on('timeout', onIdle)
}

function redirectTarget(location: string | undefined, from: URL, context: StorageContext): URL {
  const target = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from) : undefined
  if (target?.protocol === 'http:' || target?.protocol === 'https:') return target
  throw new StorageError('STORAGE', 'a redirect that leads to no http(s) URL', context)
}

function statusError(status: number, response: IncomingMessage, context: StorageContext): StorageError {
  const place = { ...context, status, ...retryAfter(response.headers['retry-after']) }
  const what = `HTTP ${status} ${response.statusMessage ?? ''}`.trimEnd()
  if (status === 404 || status === 410) return new NotFoundError(what, place)
  if (status === 401 || status === 403 || status === 407) return new StorageError('PERMISSION_DENIED', what, place)
  if (status === 412) return new ObjectChangedError('its etag is not the one asked for', place)
  if (status === 416) return new StorageError('RANGE_INVALID', what, place)
  if (status === 429) return new StorageError('THROTTLED', what, place)
  if (status === 408 || (status >= 500 && status !== 501)) return new StorageError('UNAVAILABLE', what, place)
  if (status === 405 || status === 501) return new StorageError('UNSUPPORTED', what, place)
  return new StorageError('STORAGE', what, place)
}
