/**
 * The encoded results of a job's calls. Up to a limit they stay in memory; what comes after lies in a temporary file, or
 * in memory as well where that cannot be written.
 *
 * Small ones are copied into slabs: a view of its own for each would cost more than itself, and would keep the message
 * it came in.
 */
import { SpillFile } from './spill-file.ts'

/** The first ones are smaller: many jobs have one call. */
const FIRST_SLAB_BYTES = 256
const SLAB_BYTES = 1_048_576
/** Longer ones stay what they came as. */
const SMALL_BYTES = 4_096

/** Where a result is, by call. */
const NOWHERE = 0
const IN_SLAB = 1
const APART = 2
const IN_FILE = 3

export class ResultStore {
  readonly #limitBytes: number
  #where = new Uint8Array(0)
  /** Slab and place within it as one number; or the place in the file. */
  #at = new Float64Array(0)
  #length = new Float64Array(0)
  /** By number; one is forgotten when nothing is left in it. */
  readonly #slabs = new Map<number, Slab>()
  readonly #apart = new Map<number, Uint8Array>()
  #lastSlab = -1
  #memoryBytes = 0
  readonly #file = new SpillFile()

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  /** Keeps it instead of what was there. */
  put(call: number, bytes: Uint8Array): void {
    this.drop(call)
    const length = bytes.byteLength
    this.#reach(call)
    this.#length[call] = length
    const at = this.#memoryBytes + length > this.#limitBytes ? this.#file.write(bytes) : undefined
    if (at !== undefined) {
      this.#where[call] = IN_FILE
      this.#at[call] = at
      return
    }
    this.#memoryBytes += length
    if (length <= SMALL_BYTES) {
      this.#where[call] = IN_SLAB
      this.#at[call] = this.#intoSlab(bytes)
    } else {
      this.#where[call] = APART
      this.#apart.set(call, bytes)
    }
  }

  has(call: number): boolean {
    return (this.#where[call] ?? NOWHERE) !== NOWHERE
  }

  /** It lies in the file: asking for it again costs reading it again, keeping it costs no memory. */
  isSpilled(call: number): boolean {
    return this.#where[call] === IN_FILE
  }

  /** @throws RangeError when there is none */
  get(call: number): Uint8Array {
    const [at, length] = [this.#at[call] as number, this.#length[call] as number]
    switch (this.#where[call]) {
      case IN_SLAB:
        return this.#slabOf(at).bytes.subarray(at % SLAB_BYTES, (at % SLAB_BYTES) + length)
      case APART:
        return this.#apart.get(call) as Uint8Array
      case IN_FILE:
        return this.#file.read(at, length)
      default:
        throw new RangeError(`no result of call ${call}`)
    }
  }

  /** It is held as it came: whoever gets it may take it over. */
  isApart(call: number): boolean {
    return this.#where[call] === APART
  }

  /** Somebody holds the bytes that lay apart in place of the store: they count as if they were here. */
  handOver(call: number): void {
    if (this.#apart.delete(call)) this.#where[call] = NOWHERE
  }

  /** Forgets a result that nobody will ask for again. */
  drop(call: number): void {
    const where = this.#where[call] ?? NOWHERE
    if (where === NOWHERE) return
    this.#where[call] = NOWHERE
    if (where === IN_FILE) return
    this.#memoryBytes -= this.#length[call] as number
    if (where === APART) this.#apart.delete(call)
    else this.#leaveSlab(this.#at[call] as number)
  }

  #intoSlab(bytes: Uint8Array): number {
    let slab = this.#slabs.get(this.#lastSlab)
    if (slab === undefined || slab.used + bytes.byteLength > slab.bytes.byteLength) {
      const size = Math.min(SLAB_BYTES, FIRST_SLAB_BYTES * 2 ** ++this.#lastSlab)
      slab = { bytes: Buffer.allocUnsafeSlow(Math.max(size, bytes.byteLength)), used: 0, results: 0 }
      this.#slabs.set(this.#lastSlab, slab)
    }
    const at = slab.used
    slab.bytes.set(bytes, at)
    slab.used += bytes.byteLength
    slab.results += 1
    return this.#lastSlab * SLAB_BYTES + at
  }

  #leaveSlab(at: number): void {
    const slab = this.#slabOf(at)
    slab.results -= 1
    if (slab.results === 0) this.#slabs.delete(Math.floor(at / SLAB_BYTES))
  }

  #slabOf(at: number): Slab {
    return this.#slabs.get(Math.floor(at / SLAB_BYTES)) as Slab
  }

  #reach(call: number): void {
    if (call < this.#where.length) return
    const capacity = Math.max(call + 1, 2 * this.#where.length)
    const [where, at, length] = [new Uint8Array(capacity), new Float64Array(capacity), new Float64Array(capacity)]
    where.set(this.#where)
    at.set(this.#at)
    length.set(this.#length)
    this.#where = where
    this.#at = at
    this.#length = length
  }
}

interface Slab {
  readonly bytes: Uint8Array
  used: number
  results: number
}
