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
import type { ListOptions, ObjectHead, RequestOptions, StorageBackend } from './backend.ts'
import { isThrottled, layered } from './layer.ts'

export interface LimitLayer extends RateOptions {
  readonly clock?: Clock | undefined
  /** What the store counts together. Default: the bucket and the key up to its first slash. */
  readonly scopeOf?: ((bucket: string, key: string) => string) | undefined
}

const MAX_SCOPES = 1_000

/** The same store, at the rate it takes. */
export function withLimit(backend: StorageBackend, layer: LimitLayer = {}): StorageBackend {
  const { clock = systemClock, scopeOf = firstSegment } = layer
  const gates = new Map<string, Gate>()
  const gate = (kind: 'read' | 'write', bucket: string, key: string): Gate => {
    const name = `${kind} ${scopeOf(bucket, key)}`
    const found = gates.get(name) ?? new Gate(new RateControl(layer), clock)
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

/** Where the requests of a scope wait. */
class Gate {
  readonly #control: RateControl
  readonly #clock: Clock
  readonly #waiting = new Set<() => void>()

  constructor(control: RateControl, clock: Clock) {
    this.#control = control
    this.#clock = clock
  }

  async pass<T>(options: RequestOptions | undefined, send: () => Promise<T>): Promise<T> {
    const control = this.#control
    const waitMs = control.reserve(this.#clock.nowMs())
    if (waitMs > 0) await this.#clock.sleep(waitMs, options?.signal)
    while (!control.hasRoom) await this.#room(options?.signal)
    control.sent()
    const sentMs = this.#clock.nowMs()
    try {
      const answer = await send()
      control.accepted(this.#clock.nowMs())
      return answer
    } catch (error) {
      if (isThrottled(error)) control.refused(sentMs, this.#clock.nowMs(), error.retryAfterMs)
      else control.ended()
      throw error
    } finally {
      this.#wake()
    }
  }

  /** Settles when there may be room. @throws the reason of the signal */
  #room(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        this.#waiting.delete(settle)
        signal?.removeEventListener('abort', settle)
        if (signal?.aborted) reject(signal.reason)
        else resolve()
      }
      this.#waiting.add(settle)
      signal?.addEventListener('abort', settle, { once: true })
      if (signal?.aborted) settle()
    })
  }

  #wake(): void {
    // a request that ends makes room for one, and its answer may have opened the window by another
    for (const settle of [...take(this.#waiting, 2)]) settle()
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

function* take<T>(items: Iterable<T>, count: number): Generator<T> {
  let left = count
  for (const item of items) {
    if (left-- <= 0) return
    yield item
  }
}

function firstSegment(bucket: string, key: string): string {
  const slash = key.indexOf('/')
  return slash < 0 ? bucket : `${bucket}/${key.slice(0, slash)}`
}
