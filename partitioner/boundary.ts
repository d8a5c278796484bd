/**
 * THE ownership rule, once for both edges of every partition.
 *
 * Delimiters are matched leftmost, without overlap, from offset 0. For a cut c > 0
 *
 *     R(c) = the smallest end of a match that is >= c, else the object's size;   R(0) = 0
 *
 * and the partition of [c, d) owns the bytes [R(c), R(d)): the records whose first byte lies in [c, d). As neighbours
 * use the same function of the same cut, partitions tile by construction.
 *
 * Scanning may begin at any offset from which matching is in phase. A delimiter without a border (no proper prefix is
 * also its suffix) is in phase everywhere, so c - length is early enough. One that can overlap itself is in phase
 * only at a safe point: an offset that no occurrence straddles.
 *
 * Rule after Hadoop's LineRecordReader, restated so that the delimiter that ends at the cut belongs to the left.
 */
import { asBuffer, type ByteRange } from '../src/core/bytes.ts'

const BACKUP_BYTES = 64 * 1024

/** Whether two occurrences can overlap ("++", "abab", "\n\n"): some proper prefix is also a suffix. */
export function canOverlap(delimiter: Uint8Array): boolean {
  const d = asBuffer(delimiter)
  for (let shift = 1; shift < d.length; shift++) {
    if (d.subarray(shift).equals(d.subarray(0, d.length - shift))) return true
  }
  return false
}

/** Finds R(cut) in bytes that are fed in order, however they are chunked, holding at most a delimiter of them. */
export class BoundaryScanner {
  readonly #delimiter: Buffer
  #cut: number
  /** No match that starts before this counts. */
  #next: number
  /** The last bytes fed, one fewer than a delimiter has: a match may have begun in them. */
  #tail: Buffer = Buffer.alloc(0)

  /** `from`: where matching is in phase, at most `cut` - length unless it is 0 or the end of a match. */
  constructor(delimiter: Uint8Array, cut: number, from: number) {
    this.#delimiter = asBuffer(delimiter)
    this.#cut = cut
    this.#next = from
  }

  /**
   * The smallest end of a match that is at least `cut`, once the chunk that completes it is fed; else undefined.
   * `offset` is the chunk's place in the object; it continues the chunk before.
   */
  feed(chunk: Buffer, offset: number): number | undefined {
    const end = offset + chunk.length
    const found = this.#acrossSeam(chunk, offset) ?? this.#within(chunk, offset)
    if (found === undefined && end > this.#next - this.#delimiter.length) this.#keepTail(chunk)
    return found
  }

  /** Looks for another cut from now on, which lies past all matches that were fed. */
  moveCut(cut: number): void {
    this.#cut = cut
  }

  #acrossSeam(chunk: Buffer, offset: number): number | undefined {
    if (this.#tail.length === 0) return undefined
    const seamStart = offset - this.#tail.length
    const seam = Buffer.concat([this.#tail, chunk.subarray(0, this.#delimiter.length - 1)])
    const at = seam.indexOf(this.#delimiter, Math.max(0, this.#next - seamStart))
    return at === -1 ? undefined : this.#matched(seamStart + at)
  }

  #within(chunk: Buffer, offset: number): number | undefined {
    let at = Math.max(0, this.#next - offset)
    while (at < chunk.length) {
      const hit = chunk.indexOf(this.#delimiter, at)
      if (hit === -1) return undefined
      const found = this.#matched(offset + hit)
      if (found !== undefined) return found
      at = this.#next - offset
    }
    return undefined
  }

  #matched(start: number): number | undefined {
    this.#next = start + this.#delimiter.length
    return this.#next >= this.#cut ? this.#next : undefined
  }

  #keepTail(chunk: Buffer): void {
    const keep = this.#delimiter.length - 1
    if (keep === 0) return
    const joined = chunk.length >= keep ? chunk : Buffer.concat([this.#tail, chunk])
    this.#tail = Buffer.from(joined.subarray(Math.max(0, joined.length - keep)))
  }
}

/**
 * The largest offset in [floor, at] that no occurrence of the delimiter straddles; `floor` must be in phase (0, or the
 * end of a match). Reads backwards block by block, one block in memory.
 */
export async function safePoint(
  read: (range: ByteRange) => Promise<Uint8Array>,
  delimiter: Uint8Array,
  at: number,
  floor: number,
  size: number,
): Promise<number> {
  const reach = delimiter.length - 1
  let point = at
  while (point > floor) {
    const low = Math.max(floor, point - BACKUP_BYTES)
    const start = Math.max(floor, low - reach)
    const bytes = await read({ start, end: Math.min(size, point + reach) })
    const safe = unstraddled(bytes, delimiter, point - start) + start
    if (safe > low) return safe
    point = Math.max(floor, safe)
  }
  return floor
}

/** Scanning for R(cut) may begin here when the delimiter cannot overlap itself. */
export function scanStart(delimiter: Uint8Array, cut: number): number {
  return Math.max(0, cut - delimiter.length)
}

function unstraddled(bytes: Uint8Array, delimiter: Uint8Array, from: number): number {
  let point = from
  for (let start = point - 1; start >= 0 && start > point - delimiter.length; start--) {
    // everything between the start and the end of an occurrence is straddled by it
    if (occursAt(bytes, delimiter, start)) point = start
  }
  return point
}

function occursAt(bytes: Uint8Array, delimiter: Uint8Array, at: number): boolean {
  for (let i = 0; i < delimiter.length; i++) if (bytes[at + i] !== delimiter[i]) return false
  return true
}
