/**
 * Owned bytes into records, without copying: records stay where they arrived, and only one that lies across two
 * chunks is put together. The input begins where matching is in phase (owned.ts sees to that).
 */
import { BoundaryScanner, canOverlap } from './boundary.ts'
import { ByteScan, SCAN_LIMIT } from './byte-scan.ts'

/**
 * Records of one stretch of bytes: record i is `bytes.subarray(starts[i], ends[i])`, its delimiter outside, i below
 * `count`. Valid until the next iteration: the arrays are used again.
 */
export interface RecordBlock {
  readonly bytes: Uint8Array
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  readonly count: number
}

/** Whole records, delimiters included; only the last of all may lack one. `offset` is their place in the object. */
export interface AlignedBlock {
  readonly bytes: Buffer
  readonly offset: number
}

/**
 * Chunks that begin at `offset` as blocks of whole records, in order; a record longer than a chunk is joined. With
 * `reuse` the memory of chunks and blocks may be written again after the next iteration.
 */
export async function* alignedBlocks(
  chunks: AsyncIterable<Buffer>,
  startOf: () => number,
  delimiter: Buffer,
  reuse: boolean,
): AsyncGenerator<AlignedBlock, void, undefined> {
  const lastEnd = canOverlap(delimiter) ? lastEndForward : lastEndBackward
  let torn: TornRecord | undefined
  let offset: number | undefined
  for await (const chunk of chunks) {
    offset ??= startOf()
    let begin = 0
    if (torn !== undefined) {
      const end = torn.add(chunk, offset)
      if (end === undefined) {
        offset += chunk.length
        continue
      }
      begin = end - offset
      yield torn.joined(chunk.subarray(0, begin))
      torn = undefined
    }
    const stop = lastEnd(chunk, delimiter, begin)
    if (stop > begin) yield { bytes: chunk.subarray(begin, stop), offset: offset + begin }
    if (stop < chunk.length) torn = new TornRecord(delimiter, chunk.subarray(stop), offset + stop, reuse)
    offset += chunk.length
  }
  if (torn !== undefined) yield torn.joined(undefined)
}

/** Finds the records of aligned blocks, using its two arrays again for every block. */
export class RecordSplitter {
  readonly #delimiter: Buffer
  #starts: Uint32Array = new Uint32Array(4096)
  #ends: Uint32Array = new Uint32Array(4096)

  constructor(delimiter: Buffer) {
    this.#delimiter = delimiter
  }

  split({ bytes }: AlignedBlock): RecordBlock {
    const scan = this.#delimiter.length === 1 && bytes.length <= SCAN_LIMIT ? ByteScan.ready : undefined
    const count = scan === undefined ? this.#splitByBytes(bytes) : this.#splitByScan(bytes, scan)
    return { bytes, starts: this.#starts, ends: this.#ends, count }
  }

  #splitByScan(bytes: Buffer, scan: ByteScan): number {
    const count = scan.scan(bytes, this.#delimiter[0] as number)
    while (this.#starts.length <= count) this.#grow()
    scan.copyInto(this.#starts, this.#ends, count)
    if (this.#starts[count] === bytes.length) return count
    this.#ends[count] = bytes.length
    return count + 1
  }

  #splitByBytes(bytes: Buffer): number {
    const { length } = bytes
    let count = 0
    for (let at = 0; at < length; count++) {
      if (count === this.#starts.length) this.#grow()
      const found = bytes.indexOf(this.#delimiter, at)
      const end = found === -1 ? length : found
      this.#starts[count] = at
      this.#ends[count] = end
      at = end + this.#delimiter.length
    }
    return count
  }

  #grow(): void {
    const grown = (old: Uint32Array) => {
      const array = new Uint32Array(old.length * 4)
      array.set(old)
      return array
    }
    this.#starts = grown(this.#starts)
    this.#ends = grown(this.#ends)
  }
}

/** A record whose end has not arrived yet: chunks are kept until it has, as copies where their memory is used again. */
class TornRecord {
  readonly #parts: Buffer[]
  readonly #scanner: BoundaryScanner
  readonly #offset: number
  readonly #reuse: boolean

  constructor(delimiter: Buffer, part: Buffer, offset: number, reuse: boolean) {
    this.#reuse = reuse
    this.#parts = [this.#kept(part)]
    this.#offset = offset
    this.#scanner = new BoundaryScanner(delimiter, offset, offset)
    this.#scanner.feed(part, offset)
  }

  /** Where the record ends in the object, once that is in `chunk`; else the chunk is kept. */
  add(chunk: Buffer, offset: number): number | undefined {
    const end = this.#scanner.feed(chunk, offset)
    if (end === undefined) this.#parts.push(this.#kept(chunk))
    return end
  }

  #kept(part: Buffer): Buffer {
    return this.#reuse ? Buffer.from(part) : part
  }

  joined(last: Buffer | undefined): AlignedBlock {
    if (last !== undefined) this.#parts.push(last)
    return {
      bytes: this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts),
      offset: this.#offset,
    }
  }
}

function lastEndBackward(chunk: Buffer, delimiter: Buffer, begin: number): number {
  const at = delimiter.length === 1 ? chunk.lastIndexOf(delimiter[0] as number) : chunk.lastIndexOf(delimiter)
  return at < begin ? begin : at + delimiter.length
}

/** For a delimiter that can overlap itself only matching from the front says which occurrences are matches. */
function lastEndForward(chunk: Buffer, delimiter: Buffer, begin: number): number {
  let end = begin
  for (let at = chunk.indexOf(delimiter, end); at !== -1; at = chunk.indexOf(delimiter, end))
    end = at + delimiter.length
  return end
}
