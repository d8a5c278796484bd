/**
 * A worker's side of the rate that all workers of a machine share (src/core/rate-places.ts): asks the driver, and knows
 * for which scopes it has to. A driver that does not answer is not waited for: then the worker goes by what it learnt.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import type { RateAnswer, RateAsk, RateLease } from '../core/rate-places.ts'

const ANSWER_MS = 2_000

type Waits = readonly number[] | undefined

export class RateClient implements RateLease {
  readonly #send: (bytes: Uint8Array) => void
  readonly #clock: Clock
  readonly #limited = new Set<string>()
  /** Asks that wait for their answer, one a scope. */
  readonly #asked = new Map<string, (waits: Waits) => void>()

  /** `send` brings bytes to the driver. */
  constructor(send: (bytes: Uint8Array) => void, clock: Clock = systemClock) {
    this.#send = send
    this.#clock = clock
  }

  isLimited(scope: string): boolean {
    return this.#limited.has(scope)
  }

  async ask(ask: RateAsk): Promise<Waits> {
    const { scope } = ask
    const answered = new AbortController()
    const waits = new Promise<Waits>((resolve) => {
      this.#asked.set(scope, (given) => {
        this.#asked.delete(scope)
        answered.abort(scope)
        resolve(given)
      })
    })
    this.tell(ask)
    this.#clock.sleep(ANSWER_MS, answered.signal).then(
      () => this.#asked.get(scope)?.(undefined),
      () => undefined,
    )
    return waits
  }

  tell(ask: RateAsk): void {
    this.#send(Buffer.from(JSON.stringify(ask)))
  }

  /** Takes what the driver says: answers, and that a scope is limited now. */
  take(bytes: Uint8Array): void {
    for (const { scope, limited, waitsMs } of JSON.parse(Buffer.from(bytes).toString()) as RateAnswer[]) {
      if (limited) this.#limited.add(scope)
      else this.#limited.delete(scope)
      if (waitsMs !== undefined || !limited) this.#asked.get(scope)?.(waitsMs)
    }
  }
}
