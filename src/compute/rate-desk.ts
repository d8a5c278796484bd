/** The driver's side of the rate that its workers share: answers what src/worker/rate-client.ts asks. */
import { type Clock, systemClock } from '../core/clock.ts'
import { type RateAnswer, type RateAsk, RatePlaces } from '../core/rate-places.ts'

export class RateDesk {
  readonly #tell: (bytes: Uint8Array, worker?: number) => void
  readonly #clock: Clock
  readonly #places = new RatePlaces()

  /** `tell` brings bytes to one worker, or to all. */
  constructor(tell: (bytes: Uint8Array, worker?: number) => void, clock: Clock = systemClock) {
    this.#tell = tell
    this.#clock = clock
  }

  /** Takes an ask of a worker; `workers` is how many there are. */
  take(worker: number, bytes: Uint8Array, workers: number): void {
    const ask = JSON.parse(Buffer.from(bytes).toString()) as RateAsk
    const { answer, isNew } = this.#places.answer(ask, workers, this.#clock.nowMs())
    if (isNew) this.#tell(encoded([{ scope: answer.scope, limited: true }]))
    if (ask.places > 0) this.#tell(encoded([answer]), worker)
  }

  /** A worker has come: it must not begin with all it can. */
  greet(worker: number): void {
    const limited = this.#places.limited(this.#clock.nowMs())
    if (limited.length > 0) this.#tell(encoded(limited), worker)
  }
}

function encoded(answers: readonly RateAnswer[]): Uint8Array {
  return Buffer.from(JSON.stringify(answers))
}
