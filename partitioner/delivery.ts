/** What was read of a partition and handed to its function, over all passes: the evidence of the certificate. */
import type { ByteRange } from '../src/core/bytes.ts'
import type { FoundEdges } from './owned.ts'

/** Plain JSON. */
export interface ReadReport {
  /** Where the first owned record begins; absent when it was not resolved. */
  readonly start?: number
  /** Where the last owned record ends; absent when reading stopped before it was known. */
  readonly end?: number
  /** No record begins in the nominal range. */
  readonly empty?: boolean
  /** End of the contiguous bytes that were handed to the function, from `start`. */
  readonly deliveredEnd: number
  /** Records handed over; absent where they were not counted (bytes, text, stream). */
  readonly records?: number
}

/** Keeps what every pass found, and the pass that got furthest. */
export class Delivery {
  readonly found: FoundEdges = {}
  readonly #range: ByteRange
  #deliveredEnd = -1
  #records: number | undefined

  constructor(range: ByteRange) {
    this.#range = range
  }

  /** A new pass from the first owned byte; `counts`: it knows how many records it hands over. */
  begin(counts: boolean): Pass {
    return new Pass(this, counts)
  }

  advance(end: number, records: number | undefined): void {
    if (end < this.#deliveredEnd || (end === this.#deliveredEnd && records === undefined)) return
    this.#deliveredEnd = end
    this.#records = records
  }

  report(): ReadReport {
    const records = this.#records === undefined ? {} : { records: this.#records }
    const deliveredEnd = this.#deliveredEnd === -1 ? (this.found.start ?? this.#range.start) : this.#deliveredEnd
    return { ...this.found, deliveredEnd, ...records }
  }
}

/** One pass over a partition. */
export class Pass {
  readonly #delivery: Delivery
  #end: number | undefined
  #records: number | undefined

  constructor(delivery: Delivery, counts: boolean) {
    this.#delivery = delivery
    this.#records = counts ? 0 : undefined
  }

  get found(): FoundEdges {
    return this.#delivery.found
  }

  /** Bytes from where the pass stands were handed over, and `records` of them. */
  deliver(bytes: number, records = 0): void {
    this.#end = (this.#end ?? this.found.start ?? 0) + bytes
    if (this.#records !== undefined) this.#records += records
    this.#delivery.advance(this.#end, this.#records)
  }

  /** The reader's end was reached: an empty partition has been delivered too. */
  complete(): void {
    if (this.found.start !== undefined) this.deliver(0)
  }
}
