/**
 * When a call takes so much longer than the others of its job that it gets a backup. Pure: time is an argument.
 * The rule is that of MapReduce's backup tasks (Dean & Ghemawat 2004) with the numbers that cubed has found to work: of
 * at least 10 calls at least half have succeeded, and this one runs longer than 3 times their median.
 */
import { MinHeap } from '../futures/min-heap.ts'

export interface SpeculationPolicy {
  /** Jobs of fewer calls have no backups. */
  readonly minCalls: number
  /** Share of the calls that must have succeeded, 0 to 1. */
  readonly minDoneFraction: number
  /** How many times the median of those makes a straggler. */
  readonly factor: number
}

export const DEFAULT_SPECULATION: SpeculationPolicy = { minCalls: 10, minDoneFraction: 0.5, factor: 3 }

/** Sooner a backup costs more than it can save. */
const LEAST_MS = 100

/**
 * Calls longer than this, ms, are stragglers; undefined while it cannot be told. `calls`: those that run in this job. For
 * one that has taken `tookMs` until now and cannot be one yet it is the soonest time of any: what the others took need not
 * be looked at.
 */
export function stragglerMs(
  policy: SpeculationPolicy,
  calls: number,
  took: MedianOf,
  tookMs = Number.POSITIVE_INFINITY,
): number | undefined {
  if (calls < policy.minCalls || took.count < Math.max(1, policy.minDoneFraction * calls)) return undefined
  if (tookMs <= LEAST_MS) return LEAST_MS
  return Math.max(LEAST_MS, policy.factor * took.median)
}

/** So many that were added are sorted rather than put into their places one by one. */
const SORTED_FROM = 64

/** The exact median of all that was added. Adding costs nothing; what was added is looked at when it is asked for. */
export class MedianOf {
  /** The lower half, largest first, and the upper half: as many, or one more below. */
  readonly #below = new MinHeap<number>(isMore)
  readonly #above = new MinHeap<number>(isLess)
  #added: number[] = []

  get count(): number {
    return this.#below.size + this.#above.size + this.#added.length
  }

  /** The lower of the two in the middle; NaN where nothing was added. */
  get median(): number {
    const added = this.#added
    this.#added = []
    if (added.length >= Math.max(SORTED_FROM, this.#below.size)) this.#sort(added)
    else for (const value of added) this.#place(value)
    return this.#below.peek() ?? Number.NaN
  }

  add(value: number): void {
    this.#added.push(value)
  }

  #place(value: number): void {
    if (value <= (this.#below.peek() ?? value)) this.#below.push(value)
    else this.#above.push(value)
    if (this.#below.size > this.#above.size + 1) this.#above.push(this.#below.pop() as number)
    else if (this.#above.size > this.#below.size) this.#below.push(this.#above.pop() as number)
  }

  #sort(added: readonly number[]): void {
    const all = Float64Array.from([...this.#below.drain(), ...this.#above.drain(), ...added]).sort()
    const middle = Math.ceil(all.length / 2)
    for (let i = middle - 1; i >= 0; i--) this.#below.push(all[i] as number)
    for (let i = middle; i < all.length; i++) this.#above.push(all[i] as number)
  }
}

function isMore(a: number, b: number): boolean {
  return a > b
}

function isLess(a: number, b: number): boolean {
  return a < b
}
