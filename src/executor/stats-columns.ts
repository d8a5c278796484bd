/** What workers measured, by call: the numbers as they travel, one behind the other; the rest, where there is any, as it is. */
import { readNumber, readStats, restOf, STATS_BYTES, writeStats } from '../job/stats-bytes.ts'
import type { WorkerStats } from '../monitor/monitor.ts'

export class StatsColumns {
  readonly #rows: DataView
  readonly #present: Uint8Array
  readonly #rests: Map<number, Record<string, unknown>>

  /** Over memory of STATS_BYTES and of one byte a call; what is no number is kept beside it. */
  constructor(rows: DataView, present: Uint8Array, rests: Map<number, Record<string, unknown>>) {
    this.#rows = rows
    this.#present = present
    this.#rests = rests
  }

  set(call: number, stats: WorkerStats): void {
    this.#present[call] = 1
    writeStats(this.#rows, call * STATS_BYTES, stats)
    const rest = restOf(stats)
    if (rest !== undefined) this.#rests.set(call, rest)
    else if (this.#rests.size > 0) this.#rests.delete(call)
  }

  get(call: number): WorkerStats | undefined {
    if (this.#present[call] !== 1) return undefined
    return readStats(this.#rows, call * STATS_BYTES, this.#rests.get(call))
  }

  /** One of the numbers. */
  number(call: number, name: Parameters<typeof readNumber>[2]): number | undefined {
    return this.#present[call] === 1 ? readNumber(this.#rows, call * STATS_BYTES, name) : undefined
  }
}
