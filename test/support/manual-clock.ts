/** Time that passes only when a test says so. What is due wakes in order of time, each before the next is looked at. */
import type { Clock } from '../../src/core/clock.ts'

interface Sleeper {
  readonly untilMs: number
  readonly wake: () => void
}

export class ManualClock implements Clock {
  #nowMs: number
  readonly #sleepers = new Set<Sleeper>()

  constructor(nowMs = 0) {
    this.#nowMs = nowMs
  }

  nowMs(): number {
    return this.#nowMs
  }

  /** How many sleep. */
  get sleeping(): number {
    return this.#sleepers.size
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper = { untilMs: this.#nowMs + ms, wake: resolve }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        if (this.#sleepers.delete(sleeper)) reject(signal.reason)
      })
    })
  }

  /** Moves the hands without waking anybody: what a task that takes time does. */
  pass(ms: number): void {
    this.#nowMs += ms
  }

  /** Lets so much time pass, waking who is due on the way. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await settle()
    for (let next = this.#first(); next !== undefined && next.untilMs <= endMs; next = this.#first()) {
      this.#sleepers.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.untilMs)
      next.wake()
      await settle()
    }
    this.#nowMs = Math.max(this.#nowMs, endMs)
  }

  #first(): Sleeper | undefined {
    let first: Sleeper | undefined
    for (const sleeper of this.#sleepers) if (first === undefined || sleeper.untilMs < first.untilMs) first = sleeper
    return first
  }
}

/** Until everything that could go on without time passing has. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}
