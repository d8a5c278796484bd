/**
 * Feeds one reduce call with the results it reads: in plan order (as they arrive where the reducer is commutative),
 * never more than a window ahead of what it has consumed, so that neither side piles up results in memory. Maps whose
 * failure is tolerated are told as absent.
 */
import { callId } from '../core/ids.ts'
import { encodeFeed } from '../job/messages.ts'
import type { ResultStore } from './result-store.ts'

const WINDOW_BYTES = 16 * 1024 * 1024
const WINDOW_RESULTS = 4096

/** What became of the maps so far. */
export interface MapEnds {
  readonly results: Pick<ResultStore, 'has' | 'get'>
  /** Those that will have no result. */
  readonly absent: ReadonlySet<number>
}

export class ReduceFeed {
  /** The map calls it reads, in plan order. */
  #maps: readonly number[]
  readonly #ends: MapEnds
  readonly #anyOrder: boolean
  /** Maps in the order in which they ended; used where order does not matter. */
  readonly #arrived: number[]
  /** Bytes of what was sent, in the order sent. */
  readonly #sentBytes: number[] = []
  #consumed = 0
  #openBytes = 0
  /** How many inputs the reduce call has been told to expect. */
  #told: number | undefined

  /** `told`: the number of inputs the call was sent with, where it knows of all. */
  constructor(maps: readonly number[], ends: MapEnds, anyOrder: boolean, told?: number) {
    this.#maps = maps
    this.#ends = ends
    this.#anyOrder = anyOrder
    this.#arrived = anyOrder ? maps.filter((map) => this.#hasEnded(map)) : []
    this.#told = told
  }

  get complete(): boolean {
    return this.#sentBytes.length === this.#maps.length
  }

  /** The map has ended: its result is there, or it is absent. */
  arrived(map: number): void {
    if (this.#anyOrder) this.#arrived.push(map)
  }

  /** One of the maps, which has not ended, was divided: these are read now. */
  reads(maps: readonly number[]): void {
    this.#maps = maps
  }

  /** The reducer has taken so many of what was sent. */
  consumed(count: number): void {
    while (this.#consumed < count) this.#openBytes -= this.#sentBytes[this.#consumed++] ?? 0
  }

  /** Sends what has come and fits the window. */
  pump(send: (bytes: Uint8Array) => void): void {
    // before the result of the map that was divided, so that the call does not take that for the last one
    if (this.#told !== this.#maps.length) {
      send(encodeFeed({ type: 'inputs', count: this.#maps.length }))
      this.#told = this.#maps.length
    }
    for (;;) {
      const sent = this.#sentBytes.length
      if (sent - this.#consumed >= WINDOW_RESULTS || this.#openBytes >= WINDOW_BYTES) return
      const map = this.#anyOrder ? this.#arrived[sent] : this.#maps[sent]
      if (map === undefined || !this.#hasEnded(map)) return
      send(this.#inputOf(map, sent))
    }
  }

  /** What was sent before stays before: `index` counts what is sent, which is plan order unless order does not matter. */
  #inputOf(map: number, index: number): Uint8Array {
    if (this.#ends.absent.has(map)) {
      this.#sentBytes.push(0)
      return encodeFeed({ type: 'absent', index, callId: callId(map) })
    }
    const value = this.#ends.results.get(map)
    this.#sentBytes.push(value.byteLength)
    this.#openBytes += value.byteLength
    return encodeFeed({ type: 'result', index, value })
  }

  #hasEnded(map: number): boolean {
    return this.#ends.results.has(map) || this.#ends.absent.has(map)
  }
}
