/**
 * What is known of some calls that follow each other, in columns. Memory is taken when something is written; a page whose
 * calls have all ended can lie in a file, but for how they stand and when their results were read.
 */
import { STATS_BYTES } from '../job/stats-bytes.ts'
import type { SpillFile } from './spill-file.ts'
import { StatsColumns } from './stats-columns.ts'

export interface PageColumns {
  /** Epoch ms; 0: unknown. */
  readonly sentAt: Float64Array
  readonly startedAt: Float64Array
  readonly endedAt: Float64Array
  /** One more than the bytes; 0: unknown. */
  readonly dataBytes: Float64Array
  readonly attempts: Uint16Array
  readonly worker: StatsColumns
}

/** Of a call, in the page. */
const COLUMNS_BYTES = 4 * 8 + 2

export class CallPage {
  /** Its first call. */
  readonly from: number
  readonly length: number
  readonly standing: Uint8Array
  readonly readAt: Float64Array
  /** Calls that have not ended. */
  unended: number
  readonly #rests = new Map<number, Record<string, unknown>>()
  #bytes: ArrayBuffer | undefined
  #columns: PageColumns | undefined
  /** Where it lies, once it was written. */
  #place: number | undefined

  constructor(from: number, length: number) {
    this.from = from
    this.length = length
    this.unended = length
    this.standing = new Uint8Array(length)
    this.readAt = new Float64Array(length)
  }

  /** Whether its columns are in memory, or were never asked for. */
  get isHere(): boolean {
    return this.#columns !== undefined || this.#place === undefined
  }

  /** Its columns, from the file where they lie there. */
  columns(file: SpillFile): PageColumns {
    if (this.#columns !== undefined) return this.#columns
    const size = this.length * (COLUMNS_BYTES + STATS_BYTES + 1)
    this.#bytes = this.#place === undefined ? new ArrayBuffer(size) : file.read(this.#place, size).buffer
    this.#columns = this.#over(this.#bytes)
    return this.#columns
  }

  /** Lets go of the columns, which change no more, where the file takes them. */
  spill(file: SpillFile): void {
    if (this.#bytes === undefined) return
    this.#place ??= file.write(new Uint8Array(this.#bytes))
    if (this.#place === undefined) return
    this.#columns = undefined
    this.#bytes = undefined
  }

  #over(bytes: ArrayBuffer): PageColumns {
    const { length } = this
    const numbers = (place: number) => new Float64Array(bytes, place * length * 8, length)
    const rowsAt = 4 * length * 8
    const wholesAt = rowsAt + length * STATS_BYTES
    return {
      sentAt: numbers(0),
      startedAt: numbers(1),
      endedAt: numbers(2),
      dataBytes: numbers(3),
      attempts: new Uint16Array(bytes, wholesAt, length),
      worker: new StatsColumns(
        new DataView(bytes, rowsAt, length * STATS_BYTES),
        new Uint8Array(bytes, wholesAt + 2 * length, length),
        this.#rests,
      ),
    }
  }
}
