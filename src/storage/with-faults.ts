/**
 * Layer: a store that fails as stores do, on purpose and by a seed. For tests of what stands above it.
 *
 * Deterministic: whether and how a request fails follows from the seed, the request (operation, bucket, key, range) and
 * how often it was sent before, not from the order in which concurrent requests happen to run.
 *
 *   throttle    THROTTLED (503), the request is not done                      any request
 *   error       UNAVAILABLE (500), not done                                   any request
 *   reset       UNAVAILABLE without an answer, not done                       any request
 *   lost-reply  done, and then UNAVAILABLE without an answer                  put, delete
 *   duplicate   done twice, as a network that delivers twice does             put without condition, delete
 *   truncate    the body breaks in the middle with BODY_TRUNCATED             get
 *   short       the body just ends in the middle, without an error            get
 *   slow        `slowMs` before the answer and before every chunk             get
 *   stale       the head of the version before, where this layer saw one      head
 *   overwrite   the object gets other bytes while its body is read            get; where the store can be written
 *
 * `throttle`, `error`, `reset`, `truncate` and `short` pass when the request is sent again. The others change what is
 * stored or seen, and are not among the default faults.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import { StorageError } from '../core/errors.ts'
import type { GetOptions, ObjectHead, ObjectReading, RequestOptions, StorageBackend } from './backend.ts'
import { breakingBody, slowBody } from './faulty-body.ts'
import { layered } from './layer.ts'
import { seededDraw } from './seeded-draw.ts'

const REFUSALS = ['throttle', 'error', 'reset'] as const
const KINDS = [...REFUSALS, 'lost-reply', 'duplicate', 'truncate', 'short', 'slow', 'stale', 'overwrite'] as const

export type FaultKind = (typeof KINDS)[number]

export interface FaultRequest {
  readonly operation: 'get' | 'put' | 'head' | 'list' | 'delete'
  readonly bucket: string
  readonly key?: string | undefined
  readonly options?: RequestOptions | undefined
}

export interface FaultOptions {
  /** Default 1. */
  readonly seed?: number | undefined
  /** Share of the requests that fail in each way, together at most 1; what a request cannot do does not happen to it. */
  readonly faults?: Partial<Record<FaultKind, number>> | undefined
  /** Decides before the shares do; undefined leaves it to them. */
  readonly when?: ((request: FaultRequest) => FaultKind | 'none' | undefined) | undefined
  /** Retry-After of throttled answers. Default: none. */
  readonly retryAfterMs?: number | undefined
  /** Default 100. */
  readonly slowMs?: number | undefined
  readonly clock?: Clock | undefined
}

export interface FaultyStore extends StorageBackend {
  /** How often each fault happened. */
  readonly faults: Readonly<Record<FaultKind, number>>
  /** Requests that reached this store, failed ones included. */
  readonly requests: number
}

export const DEFAULT_FAULTS: FaultOptions['faults'] = { throttle: 0.05, error: 0.05, reset: 0.05, truncate: 0.05 }

const POSSIBLE: Readonly<Record<FaultRequest['operation'], readonly FaultKind[]>> = {
  get: [...REFUSALS, 'truncate', 'short', 'slow', 'overwrite'],
  put: [...REFUSALS, 'lost-reply', 'duplicate'],
  head: [...REFUSALS, 'stale'],
  list: REFUSALS,
  delete: [...REFUSALS, 'lost-reply', 'duplicate'],
}

/** The same store, failing now and then. @throws StorageError as the list above says */
export function withFaults(backend: StorageBackend, options: FaultOptions = {}): FaultyStore {
  const injector = new FaultInjector(backend, options)
  const methods = layered(backend, {
    get: (bucket, key, how) => injector.get(bucket, key, how),
    put: async (bucket, key, body, how) => {
      injector.remember(bucket, key, await backend.head(bucket, key).catch(() => undefined))
      const conditional = how?.ifAbsent === true || how?.ifMatch !== undefined
      const send = () => backend.put(bucket, key, body, how)
      const once = conditional || !(body instanceof Uint8Array)
      return injector.write({ operation: 'put', bucket, key, options: how }, send, once)
    },
    head: async (bucket, key, how) => {
      const fault = injector.refuse({ operation: 'head', bucket, key, options: how })
      const head = await backend.head(bucket, key, how)
      return fault === 'stale' ? injector.stale(bucket, head) : head
    },
    list: (bucket, how) => injector.list(bucket, how),
    delete: (bucket, keys, how) => {
      const send = () => backend.delete(bucket, keys, how)
      return injector.write({ operation: 'delete', bucket, key: keys.join('\n'), options: how }, send, false)
    },
  })
  return Object.defineProperties(methods as FaultyStore, {
    faults: { get: () => ({ ...injector.counts }), enumerable: true },
    requests: { get: () => injector.requests, enumerable: true },
  })
}

class FaultInjector {
  readonly counts = Object.fromEntries(KINDS.map((kind) => [kind, 0])) as Record<FaultKind, number>
  requests = 0
  readonly #backend: StorageBackend
  readonly #options: FaultOptions
  readonly #clock: Clock
  readonly #sent = new Map<string, number>()
  readonly #before = new Map<string, ObjectHead>()

  constructor(backend: StorageBackend, options: FaultOptions) {
    this.#backend = backend
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** What happens to the request beside being refused. @throws StorageError where it is */
  refuse(request: FaultRequest): FaultKind | undefined {
    request.options?.signal?.throwIfAborted()
    const kind = this.#draw(request)
    if (kind === 'throttle') {
      const { retryAfterMs } = this.#options
      throw this.#error('THROTTLED', 'SlowDown: injected', request, {
        status: 503,
        ...(retryAfterMs && { retryAfterMs }),
      })
    }
    if (kind === 'error') throw this.#error('UNAVAILABLE', 'InternalError: injected', request, { status: 500 })
    if (kind === 'reset') throw this.#error('UNAVAILABLE', 'ECONNRESET: injected', request)
    return kind
  }

  async get(bucket: string, key: string, options: GetOptions | undefined): Promise<ObjectReading> {
    const request = { operation: 'get', bucket, key, options } as const
    const fault = this.refuse(request)
    if (fault === 'slow') await this.#clock.sleep(this.#slowMs, options?.signal)
    const reading = await this.#backend.get(bucket, key, options)
    const breakAt = Math.floor((reading.range.end - reading.range.start) / 2)
    if (fault === 'slow') {
      return { ...reading, body: slowBody(reading.body, () => this.#clock.sleep(this.#slowMs, options?.signal)) }
    }
    if (fault === 'short') return { ...reading, body: breakingBody(reading.body, breakAt, async () => undefined) }
    const broken = this.#error('BODY_TRUNCATED', 'the body broke: injected', request)
    if (fault === 'truncate')
      return { ...reading, body: breakingBody(reading.body, breakAt, () => Promise.reject(broken)) }
    if (fault !== 'overwrite') return reading
    const overwrite = async () => {
      await this.#overwrite(bucket, key)
      throw broken
    }
    return { ...reading, body: breakingBody(reading.body, breakAt, overwrite) }
  }

  async write<T>(request: FaultRequest, send: () => Promise<T>, once: boolean): Promise<T> {
    const fault = this.refuse(request)
    const answer = await send()
    if (fault === 'lost-reply') throw this.#error('UNAVAILABLE', 'ECONNRESET after it was done: injected', request)
    return fault === 'duplicate' && !once ? send() : answer
  }

  async *list(bucket: string, options: Parameters<StorageBackend['list']>[1]): AsyncGenerator<readonly ObjectHead[]> {
    const key = `${options?.prefix ?? ''}\n${options?.startAfter ?? ''}`
    this.refuse({ operation: 'list', bucket, key, options })
    yield* this.#backend.list(bucket, options)
  }

  remember(bucket: string, key: string, head: ObjectHead | undefined): void {
    if (head !== undefined) this.#before.set(`${bucket}\n${key}`, head)
  }

  stale(bucket: string, head: ObjectHead): ObjectHead {
    return this.#before.get(`${bucket}\n${head.key}`) ?? head
  }

  get #slowMs(): number {
    return this.#options.slowMs ?? 100
  }

  #draw(request: FaultRequest): FaultKind | undefined {
    this.requests += 1
    const possible = POSSIBLE[request.operation]
    const kind = this.#options.when?.(request) ?? this.#drawShare(request)
    if (kind === 'none' || kind === undefined || !possible.includes(kind)) return undefined
    this.counts[kind] += 1
    return kind
  }

  #drawShare(request: FaultRequest): FaultKind | undefined {
    const { seed = 1, faults = DEFAULT_FAULTS } = this.#options
    const { operation, bucket, key = '', options } = request
    const identity = JSON.stringify([operation, bucket, key, (options as GetOptions | undefined)?.range])
    const sent = this.#sent.get(identity) ?? 0
    this.#sent.set(identity, sent + 1)
    let draw = seededDraw(seed, `${identity}${sent}`)
    // shares are kept in one order, whatever order they are given in
    for (const kind of KINDS) {
      draw -= faults?.[kind] ?? 0
      if (draw < 0) return kind
    }
    return undefined
  }

  /** Other bytes of the same length, so that nothing but the version tells. */
  async #overwrite(bucket: string, key: string): Promise<void> {
    const { head, body } = await this.#backend.get(bucket, key)
    const bytes = new Uint8Array(head.size)
    let at = 0
    for await (const chunk of body) {
      for (const byte of chunk) bytes[at++] = byte ^ 1
    }
    await this.#backend.put(bucket, key, bytes)
  }

  #error(
    code: 'THROTTLED' | 'UNAVAILABLE' | 'BODY_TRUNCATED',
    what: string,
    { operation, bucket, key }: FaultRequest,
    more: { readonly status?: number; readonly retryAfterMs?: number } = {},
  ): StorageError {
    const place = { backend: this.#backend.name, operation, bucket, ...(key === undefined ? {} : { key }) }
    return new StorageError(code, what, { ...place, ...more })
  }
}
