/**
 * How fast to ask a store that says when it is too fast: a rate that is cut when a request is refused and grows back by
 * a cubic (RFC 9438; the AWS SDKs' adaptive mode), and a window of requests under way (additive increase,
 * multiplicative decrease). Pure: time is an argument.
 *
 * - Until a refusal after the first 25 answers there is no rate, only a window: so little tells nothing of a rate.
 * - One cut answers all refusals of requests that were sent before it: they tell the same news.
 * - What is refused at any rate is no reason for a cut (refusal-shares.ts).
 * - Clients that share a store know nothing of each other. Who sends more is refused more often, so they come to share
 *   its capacity. Workers of one machine do better: rate-places.ts.
 */
import { AverageRate } from './average-rate.ts'
import { RefusalShares } from './refusal-shares.ts'

export interface RateOptions {
  /** What is left of the rate after a cut. Default 0.8. */
  readonly cut?: number
  /** How long after a cut the rate is again what it was: at least, and 25 requests. Default 3,000. */
  readonly recoverMs?: number
  /** Requests under way at most. Default 256. */
  readonly maxWindow?: number
}

/** What may be sent at once after a pause, in time. */
const BURST_MS = 50
const MIN_PER_SECOND = 1
/** A store that takes few requests is not asked for more after every few of them. */
const RECOVER_REQUESTS = 25
/** Beside the cut, a measure of accepted requests may be so much too low. */
const MEASURE_SLACK = 1.1
/** A rate is low that is below so much of the best of the last 20 seconds. */
const LOW = 0.5
const BEST_MS = 20_000
/** The average of a second tells too little of fewer: who asked for little is not taken for a store that takes little. */
const KNOWN_PER_SECOND = 12

export class RateControl {
  readonly #cut: number
  readonly #recoverMs: number
  readonly #maxWindow: number
  #window: number
  #inFlight = 0
  #perSecond = Number.POSITIVE_INFINITY
  /** The rate at which the last refusal came, and when. */
  #refusedPerSecond = 0
  #cutAtMs = Number.NEGATIVE_INFINITY
  #notBeforeMs = Number.NEGATIVE_INFINITY
  #tokens = 0
  #tokensAtMs = 0
  /** Accepted requests, with what was supposed of them before any. */
  readonly #accepted = new AverageRate(0.01)
  /** Accepted requests, only as seen. */
  readonly #seen = new AverageRate(0.1)
  /** The highest rate that was seen of late, and when. */
  #best = 0
  #bestAtMs = 0
  readonly #refusals = new RefusalShares()

  constructor({ cut = 0.8, recoverMs = 3_000, maxWindow = 256 }: RateOptions = {}) {
    this.#cut = cut
    this.#recoverMs = recoverMs
    this.#maxWindow = maxWindow
    this.#window = maxWindow
  }

  /** Requests a second; Infinity until the store refused one. */
  get perSecond(): number {
    return this.#perSecond
  }

  /** How many requests may be under way beside those that are. */
  get room(): number {
    return Math.max(0, Math.floor(this.#window) - this.#inFlight)
  }

  get hasRoom(): boolean {
    return this.room > 0
  }

  /** Whether a request has to wait for its place. */
  isLimited(nowMs: number): boolean {
    return this.#perSecond !== Number.POSITIVE_INFINITY || nowMs < this.#notBeforeMs
  }

  /** Accepted requests a second, of late. */
  acceptedPerSecond(nowMs: number): number {
    return this.#accepted.perSecond(nowMs)
  }

  /** Before anything was measured here: as if so many requests a second had been accepted of late, unless they are few. */
  suppose(perSecond: number, nowMs: number): void {
    if (perSecond < KNOWN_PER_SECOND) return
    this.#accepted.suppose(perSecond, nowMs)
    // a first burst is not taken for a rate
    this.#seen.suppose(0, nowMs)
    this.#refusals.suppose()
  }

  /** Takes the next place in the rate; how many ms until it comes. */
  reserve(nowMs: number): number {
    const pausedMs = Math.max(0, this.#notBeforeMs - nowMs)
    if (this.#perSecond === Number.POSITIVE_INFINITY) return pausedMs
    const perMs = this.#perSecond / 1_000
    const burst = Math.max(1, perMs * BURST_MS)
    this.#tokens = Math.min(burst, this.#tokens + (nowMs - this.#tokensAtMs) * perMs) - 1
    this.#tokensAtMs = nowMs
    return Math.max(pausedMs, this.#tokens >= 0 ? 0 : -this.#tokens / perMs)
  }

  sent(): void {
    this.#inFlight += 1
  }

  /** A request has been answered, by whatever but a refusal. */
  accepted(nowMs: number): void {
    this.#inFlight -= 1
    this.#measure(nowMs)
    this.#refusals.answered(false, this.#isLow, nowMs)
    this.#window = Math.min(this.#maxWindow, this.#window + 1 / this.#window)
    if (this.#perSecond === Number.POSITIVE_INFINITY) return
    const recoverMs = Math.max(this.#recoverMs, (RECOVER_REQUESTS * 1_000) / this.#refusedPerSecond)
    const past = (nowMs - this.#cutAtMs) / recoverMs - 1
    const grown = this.#refusedPerSecond * (1 + (1 - this.#cut) * past ** 3)
    // a rate that nobody uses says nothing about the store
    const used = Math.max(2 * this.#accepted.perSecond(nowMs), this.#refusedPerSecond)
    this.#perSecond = Math.max(MIN_PER_SECOND, Math.min(grown, used))
  }

  /** A request sent at `sentMs` was refused as too fast; `retryAfterMs`: nothing is to be sent for so long. */
  refused(sentMs: number, nowMs: number, retryAfterMs = 0): void {
    this.#inFlight -= 1
    this.#notBeforeMs = Math.max(this.#notBeforeMs, nowMs + retryAfterMs)
    if (sentMs < this.#cutAtMs) return
    this.#refusals.answered(true, this.#isLow, nowMs)
    if (!this.#refusals.isTooFast) return
    this.#refusals.cut()
    this.#cutAtMs = nowMs
    this.#window = Math.max(1, Math.min(this.#window, this.#inFlight + 1) * this.#cut)
    if (this.#refusals.isEarly) return
    const atLeast = Math.min(KNOWN_PER_SECOND, this.#perSecond / 2)
    const measured = Math.max(atLeast, this.#accepted.perSecond(nowMs) * MEASURE_SLACK)
    this.#refusedPerSecond = Math.min(this.#perSecond, measured)
    this.#perSecond = Math.max(MIN_PER_SECOND, this.#refusedPerSecond * this.#cut)
    this.#tokens = Math.min(this.#tokens, 0)
    this.#tokensAtMs = nowMs
  }

  /** A request ended without saying anything of the rate: it failed, or was given up. */
  ended(): void {
    this.#inFlight -= 1
  }

  #measure(nowMs: number): void {
    this.#accepted.add(nowMs)
    this.#seen.add(nowMs)
    if (this.#refusals.isEarly) return
    const seen = this.#seen.perSecond(nowMs)
    if (seen < this.#best && nowMs - this.#bestAtMs <= BEST_MS) return
    this.#best = seen
    this.#bestAtMs = nowMs
  }

  /** Whether the store is asked for far less than it took of late. */
  get #isLow(): boolean {
    return this.#best > KNOWN_PER_SECOND && this.#perSecond < LOW * this.#best
  }
}
