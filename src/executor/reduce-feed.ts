/**
 * Feeds one reduce call with the results it reads: in plan order (as they arrive where the reducer is commutative),
 * never more than a window ahead of what it has consumed, so that neither side piles up results in memory.
 */
import { encodeFeed } from '../job/messages.ts'
import type { ResultStore } from './result-store.ts'

const WINDOW_BYTES = 16 * 1024 * 1024
const WINDOW_RESULTS = 4096

export class ReduceFeed {
  /** The map calls it reads, in plan order. */
  readonly #maps: readonly number[]
  readonly #results: ResultStore
  readonly #anyOrder: boolean
  /** Places that have arrived, in order of arrival; used where order does not matter. */
  readonly #arrived: number[] = []
  /** Bytes of what was sent, in the order sent. */
  readonly #sentBytes: number[] = []
  #consumed = 0
  #openBytes = 0

  constructor(maps: readonly number[], results: ResultStore, anyOrder: boolean) {
    this.#maps = maps
    this.#results = results
    this.#anyOrder = anyOrder
    if (anyOrder) for (let i = 0; i < maps.length; i++) if (results.has(maps[i] as number)) this.#arrived.push(i)
  }

  get complete(): boolean {
    return this.#sentBytes.length === this.#maps.length
  }

  /** The result of the map at this place of the group has come. */
  arrived(place: number): void {
    if (this.#anyOrder) this.#arrived.push(place)
  }

  /** The reducer has taken so many of what was sent. */
  consumed(count: number): void {
    while (this.#consumed < count) this.#openBytes -= this.#sentBytes[this.#consumed++] ?? 0
  }

  /** Sends what has come and fits the window. */
  pump(send: (bytes: Uint8Array) => void): void {
    for (;;) {
      const sent = this.#sentBytes.length
      if (sent - this.#consumed >= WINDOW_RESULTS || this.#openBytes >= WINDOW_BYTES) return
      const place = this.#anyOrder ? this.#arrived[sent] : sent
      if (place === undefined || place >= this.#maps.length) return
      const map = this.#maps[place] as number
      if (!this.#results.has(map)) return
      const value = this.#results.get(map)
      this.#sentBytes.push(value.byteLength)
      this.#openBytes += value.byteLength
      send(encodeFeed({ type: 'result', index: place, value }))
    }
  }
}
