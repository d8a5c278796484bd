/** Events a second, averaged over the last second: what came longer ago weighs less and less. Pure; times are arguments. */
const AVERAGED_MS = 1_000

export class AverageRate {
  readonly #leastSeen: number
  #count = 0
  #atMs = 0
  #firstAtMs: number | undefined

  /** `leastSeen`: of the average, what is taken as seen at least: the first events of all may come together by chance. */
  constructor(leastSeen: number) {
    this.#leastSeen = leastSeen
  }

  add(nowMs: number): void {
    this.#firstAtMs ??= nowMs
    this.#count = this.#decayed(nowMs) + 1
    this.#atMs = nowMs
  }

  /** As if so many a second had come for long. */
  suppose(perSecond: number, nowMs: number): void {
    this.#firstAtMs = nowMs - 10 * AVERAGED_MS
    this.#count = (perSecond * AVERAGED_MS) / 1_000
    this.#atMs = nowMs
  }

  perSecond(nowMs: number): number {
    const seen = 1 - Math.exp(-(nowMs - (this.#firstAtMs ?? nowMs)) / AVERAGED_MS)
    return (this.#decayed(nowMs) / AVERAGED_MS / Math.max(seen, this.#leastSeen)) * 1_000
  }

  #decayed(nowMs: number): number {
    return this.#count * Math.exp(-(nowMs - this.#atMs) / AVERAGED_MS)
  }
}
