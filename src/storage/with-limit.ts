/**
 * Layer: asks no faster than the store takes it, learnt from what it refuses (`THROTTLED`: 503 SlowDown, 429). The rule
 * is src/core/rate-control.ts; here requests wait for their turn.
 *
 * Stores count requests by bucket and prefix, reads apart from writes; so does this: a scope is a bucket with the first
 * segment of the key. What is held is a place until the store has answered, not until a body is read: who reads slowly
 * holds up nobody.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import { RateControl, type RateOptions } from '../core/rate-control.ts'
import type { RateAsk, RateLease } from '../core/rate-places.ts'
import type { ListOptions, ObjectHead, RequestOptions, StorageBackend } from './backend.ts'
import { isThrottled, layered } from './layer.ts'

export interface LimitLayer extends RateOptions {
  readonly clock?: Clock | undefined
  /** What the store counts together. Default: the bucket and the key up to its first slash. */
  readonly scopeOf?: ((bucket: string, key: string) => string) | undefined
  /** Who gives out the rate to several of us; default: each learns it by itself. */
  readonly lease?: RateLease | undefined
}

const MAX_SCOPES = 1_000

/** The same store, at the rate it takes. */
export function withLimit(backend: StorageBackend, layer: LimitLayer = {}): StorageBackend {
  const { clock = systemClock, scopeOf = firstSegment, lease } = layer
  const gates = new Map<string, Gate>()
  const gate = (kind: 'read' | 'write', bucket: string, key: string): Gate => {
    const name = `${kind} ${scopeOf(bucket, key)}`
    const found = gates.get(name) ?? new Gate(`${backend.name} ${name}`, new RateControl(layer), clock, lease)
    gates.delete(name)
    gates.set(name, found)
    if (gates.size > MAX_SCOPES) gates.delete(gates.keys().next().value as string)
    return found
  }
  return layered(backend, {
    get: (bucket, key, options) => gate('read', bucket, key).pass(options, () => backend.get(bucket, key, options)),
    put: (bucket, key, body, options) =>
      gate('write', bucket, key).pass(options, () => backend.put(bucket, key, body, options)),
    head: (bucket, key, options) => gate('read', bucket, key).pass(options, () => backend.head(bucket, key, options)),
    list: (bucket, options) => pacedPages(backend, bucket, options, gate('read', bucket, options?.prefix ?? '')),
    delete: (bucket, keys, options) =>
      gate('write', bucket, keys[0] ?? '').pass(options, () => backend.delete(bucket, keys, options)),
  })
}

interface Turn {
  resolve(): void
}

/** Where the requests of a scope wait, in the order they came; one at a time takes its place in the rate. */
class Gate {
  readonly #scope: string
  readonly #control: RateControl
  readonly #clock: Clock
  readonly #lease: RateLease | undefined
  readonly #waiting = new Set<Turn>()
  #isPumping = false
  #nobodyWaits = new AbortController()
  #onRoom: (() => void) | undefined
  /** Answered since the driver was told last. */
  #accepted = 0

  constructor(scope: string, control: RateControl, clock: Clock, lease: RateLease | undefined) {
    this.#scope = scope
    this.#control = control
    this.#clock = clock
    this.#lease = lease
  }

  async pass<T>(options: RequestOptions | undefined, send: () => Promise<T>): Promise<T> {
    const control = this.#control
    if (this.#mustWait()) await this.#turn(options?.signal)
    else control.sent()
    const sentMs = this.#clock.nowMs()
    try {
      const answer = await send()
      this.#accepted += 1
      control.accepted(this.#clock.nowMs())
      return answer
    } catch (error) {
      if (isThrottled(error)) this.#refused(sentMs, error.retryAfterMs)
      else control.ended()
      throw error
    } finally {
      this.#onRoom?.()
    }
  }

  #mustWait(): boolean {
    if (this.#isPumping || !this.#control.hasRoom || this.#control.isLimited(this.#clock.nowMs())) return true
    return this.#lease?.isLimited(this.#scope) === true
  }

  /** Settles when the request may be sent, and counts as sent. @throws the reason of the signal */
  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        this.#waiting.delete(turn)
        if (this.#waiting.size === 0) this.#nobodyWaits.abort()
        reject(signal?.reason)
      }
      const turn = {
        resolve: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(turn)
      if (!this.#isPumping) void this.#pump()
    })
  }

  async #pump(): Promise<void> {
    this.#isPumping = true
    while (this.#waiting.size > 0) {
      this.#nobodyWaits = new AbortController()
      // an abort ends the waiting of the last one, and with it this
      await this.#giveTurns(this.#nobodyWaits.signal).catch(() => undefined)
    }
    this.#isPumping = false
  }

  async #giveTurns(nobodyWaits: AbortSignal): Promise<void> {
    const control = this.#control
    while (!control.hasRoom) await new Promise<void>((resolve) => (this.#onRoom = resolve))
    this.#onRoom = undefined
    const waits = (await this.#leased()) ?? [control.reserve(this.#clock.nowMs())]
    const fromMs = this.#clock.nowMs()
    for (const waitMs of waits) {
      const leftMs = fromMs + waitMs - this.#clock.nowMs()
      if (leftMs > 0) await this.#clock.sleep(leftMs, nobodyWaits)
      const turn = this.#waiting.values().next().value
      if (turn === undefined) return
      this.#waiting.delete(turn)
      control.sent()
      turn.resolve()
    }
  }

  async #leased(): Promise<readonly number[] | undefined> {
    if (this.#lease?.isLimited(this.#scope) !== true) return undefined
    return this.#lease.ask(this.#news(Math.min(this.#waiting.size, this.#control.room)))
  }

  #refused(sentMs: number, retryAfterMs = 0): void {
    const nowMs = this.#clock.nowMs()
    const news = this.#news(0)
    this.#control.refused(sentMs, nowMs, retryAfterMs)
    this.#lease?.tell({ ...news, refused: { agoMs: nowMs - sentMs, retryAfterMs } })
  }

  #news(places: number): RateAsk {
    const accepted = this.#accepted
    this.#accepted = 0
    return { scope: this.#scope, places, accepted, perSecond: this.#control.acceptedPerSecond(this.#clock.nowMs()) }
  }
}

async function* pacedPages(
  backend: StorageBackend,
  bucket: string,
  options: ListOptions | undefined,
  gate: Gate,
): AsyncGenerator<readonly ObjectHead[], void, undefined> {
  const pages = backend.list(bucket, options)[Symbol.asyncIterator]()
  try {
    for (;;) {
      const page = await gate.pass(options, () => pages.next())
      if (page.done === true) return
      yield page.value
    }
  } finally {
    await pages.return?.()
  }
}

function firstSegment(bucket: string, key: string): string {
  const slash = key.indexOf('/')
  return slash < 0 ? bucket : `${bucket}/${key.slice(0, slash)}`
}
