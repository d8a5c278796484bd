/**
 * A clock that moves only when everybody waits: then it jumps to the next who is to wake. Simulations of minutes take
 * as long as their work, and always go the same way.
 */
import type { Clock } from '../../src/core/clock.ts'

interface Sleeper {
  readonly atMs: number
  wake(): void
}

export class VirtualClock implements Clock {
  readonly #sleepers: Sleeper[] = []
  #nowMs = 0

  nowMs(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = () => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1)
        reject(signal?.reason)
      }
      const wake = () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      const sleeper = { atMs: this.#nowMs + ms, wake }
      signal?.addEventListener('abort', onAbort, { once: true })
      // in the order of their times, and of their coming
      let at = this.#sleepers.length
      while (at > 0 && (this.#sleepers[at - 1] as Sleeper).atMs > sleeper.atMs) at -= 1
      this.#sleepers.splice(at, 0, sleeper)
    })
  }

  /** Runs until the work is done; fails where it waits for something that is not this clock. */
  async run<T>(work: Promise<T>): Promise<T> {
    let done = false
    const settled = work.finally(() => {
      done = true
    })
    settled.catch(() => undefined)
    for (let idle = 0; !done; ) {
      await new Promise<void>((resolve) => setImmediate(resolve))
      const next = this.#sleepers[0]
      if (done) break
      if (next === undefined && ++idle > 1_000) throw new Error(`nobody sleeps at ${this.#nowMs} ms, and nothing ends`)
      if (next === undefined) continue
      idle = 0
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      while (this.#sleepers[0] !== undefined && this.#sleepers[0].atMs <= this.#nowMs) this.#sleepers.shift()?.wake()
    }
    return settled
  }
}
