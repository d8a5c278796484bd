/**
 * Futures that are watched, in the order they end. What it holds on a future it lets go when the future ends or when it
 * is closed; a timer and a listener exist only while somebody waits.
 */
import type { Future } from './future.ts'
import { Queue } from './queue.ts'

const LONGEST_TIMER_MS = 2 ** 31 - 1

export class Endings<F extends Future<unknown>> {
  readonly #deadlineMs: number
  readonly #signal: AbortSignal | undefined
  readonly #watched = new Set<F>()
  readonly #ended = new Queue<F>()
  #wake: (() => void) | undefined
  #closed = false

  /** The time counts from now. */
  constructor(timeoutMs: number | undefined, signal: AbortSignal | undefined) {
    this.#deadlineMs = performance.now() + (timeoutMs ?? Number.POSITIVE_INFINITY)
    this.#signal = signal
  }

  /** How many have not ended. */
  get pending(): number {
    return this.#watched.size
  }

  /** Those that have not ended, in the order given. */
  watched(): F[] {
    return [...this.#watched]
  }

  watch(future: F): void {
    if (this.#closed) return
    this.#watched.add(future)
    future.addWatcher(this.#onEnd)
  }

  /** The next that ended and was not taken. */
  shift(): F | undefined {
    return this.#ended.shift()
  }

  /** True when something has changed, false when the time is over. For one caller at a time. @throws the signal's reason */
  next(): Promise<boolean> {
    if (this.#ended.size > 0 || this.#closed) return Promise.resolve(true)
    return new Promise((resolve, reject) => {
      const signal = this.#signal
      if (signal?.aborted) return reject(signal.reason)
      const settle = (act: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#wake = undefined
        act()
      }
      const onAbort = () => settle(() => reject(signal?.reason))
      this.#wake = () => settle(() => resolve(true))
      const timer = this.#startTimer(() => settle(() => resolve(false)))
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  wake(): void {
    this.#wake?.()
  }

  /** Watches nothing any more; what had ended and was not taken is forgotten. */
  close(): void {
    this.#closed = true
    for (const future of this.#watched) future.removeWatcher(this.#onEnd)
    this.#watched.clear()
    this.#ended.keep(() => false)
    this.wake()
  }

  readonly #onEnd = (future: Future<unknown>): void => {
    this.#watched.delete(future as F)
    this.#ended.push(future as F)
    this.wake()
  }

  #startTimer(onOver: () => void): NodeJS.Timeout | undefined {
    const leftMs = this.#deadlineMs - performance.now()
    if (leftMs === Number.POSITIVE_INFINITY) return undefined
    if (leftMs <= LONGEST_TIMER_MS) return setTimeout(onOver, Math.max(0, leftMs))
    // nobody has waited so long yet: the caller is told of a change and asks again
    return setTimeout(() => this.wake(), LONGEST_TIMER_MS)
  }
}
