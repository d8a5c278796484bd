/**
 * Which refusals are news of the rate. A store that has a rate takes all that is asked below it; one that is ill, or a
 * proxy before it, refuses some of any. To ask the second for less and less would only stop the work. So what it refuses
 * although it is asked for far less than it took a moment ago is its background, and where there is one a cut needs more:
 * a sum of what is refused beyond background and slack (CUSUM; Page 1954), which chance seldom brings up and a rate soon.
 *
 * A background fades, as the store may be well again, and as refusals that other clients cause look like one. Pure; times
 * are arguments. The numbers are a balance found by simulation (test/storage/with-limit.test.ts): the more a cut needs,
 * the more is refused where clients share a rate and know nothing of each other, the less, the slower an ill store is.
 */
/** So few answers say nothing of a rate. */
const EARLY = 25
/** A background is averaged over so many answers, ... */
const LEARNED = 50
/** ... half of it is gone after so long, ... */
const FADES_MS = 6_000
/** ... it is sure from here on, ... */
const SURE = 0.06
/** ... and at most this: beyond it is cut away in any case. */
const MOST = 0.25
const SLACK = 0.06
/** What the sum has to come to where there is a background, or may be. */
const ENOUGH = 4

export class RefusalShares {
  #answered = 0
  #sum = 0
  #background = 0
  #atMs = 0
  #isLow = false

  get isEarly(): boolean {
    return this.#answered < EARLY
  }

  /** Whether so many are refused that it is on account of the rate: at full rate and without a background, one. */
  get isTooFast(): boolean {
    return this.#sum > ENOUGH * (this.#isLow ? 1 : Math.min(1, this.#background / SURE))
  }

  /** `isLow`: the store is asked for far less than it took a moment ago. */
  answered(refused: boolean, isLow: boolean, nowMs: number): void {
    const value = refused ? 1 : 0
    this.#answered += 1
    this.#background *= 0.5 ** ((nowMs - this.#atMs) / FADES_MS)
    this.#atMs = nowMs
    this.#isLow = isLow
    this.#sum = Math.max(0, this.#sum + value - 1.5 * this.#background - SLACK)
    if (isLow) this.#background = Math.min(MOST, this.#background + (value - this.#background) / LEARNED)
  }

  /** What was refused before a cut is answered by it. */
  cut(): void {
    this.#sum = 0
  }

  /** As if enough had been answered. */
  suppose(): void {
    this.#answered = EARLY
  }
}
