/**
 * The bytes a partition owns: from R(start) to R(end) of its nominal range, as boundary.ts defines R, found while they
 * are read in one pass. Reading goes past the nominal end only as far as its last record needs.
 */
import type { ByteRange } from '../src/core/bytes.ts'
import { ObjectChangedError } from '../src/core/errors.ts'
import { BoundaryScanner, canOverlap, scanStart } from './boundary.ts'
import { type EdgeSource, phaseBefore } from './edges.ts'
import type { NominalEnd } from './nominal-end.ts'
import type { Partition } from './plan.ts'
import { rangedBytes } from './ranged.ts'
import { uncutBytes } from './uncut.ts'

/** What a pass over a partition has found out about its edges. */
export interface FoundEdges {
  start?: number
  end?: number
  /** No record begins in the nominal range. */
  empty?: boolean
}

export interface OwnedRead {
  readonly partition: Partition
  /** null: the nominal range as it is. */
  readonly delimiter: Buffer | null
  /** Edges somebody resolved before. */
  readonly edges: Partial<ByteRange>
  /** Set where the nominal end may move while it is read. */
  readonly movable?: NominalEnd | undefined
  readonly source: EdgeSource
}

/** Chunks of the owned bytes in order, none empty, kept by the caller at most until the next with `reuse`; `found` is filled in before the chunk that depends on it. */
export async function* ownedChunks(
  read: OwnedRead,
  found: FoundEdges,
  reuse: boolean,
): AsyncGenerator<Buffer, void, undefined> {
  const { object, range, uncut } = read.partition
  if (uncut !== undefined) return yield* wholeChunks(read, uncut === 'no length', found)
  const { movable } = read
  const start = read.delimiter === null || range.start === 0 ? range.start : read.edges.start
  const end = read.delimiter === null || range.end === object.size ? range.end : read.edges.end
  if (start !== undefined && settleStart(found, start, currentRange(range, movable))) return
  if (movable !== undefined) {
    if (start !== undefined) movable.pass(start)
    if (read.delimiter === null) return yield* exactChunks(read, movable, found, reuse)
    return yield* scan(read, read.delimiter, { start, end: undefined, reuse }, found)
  }
  if (start !== undefined && end !== undefined) {
    found.end = end
    yield* rangedBytes({ ...read.source, object, start, end, reuse })
    return
  }
  yield* scan(read, read.delimiter as Buffer, { start, end, reuse }, found)
}

/** The bytes after a partition that are fetched with it, so that its last record rarely costs a request of its own. */
export function lookAheadBytes({ start, end }: ByteRange): number {
  return Math.min(64 * 1024, Math.max(512, Math.floor((end - start) / 64)))
}

async function* wholeChunks(
  { partition: { object }, source }: OwnedRead,
  sizeUnknown: boolean,
  found: FoundEdges,
): AsyncGenerator<Buffer, void, undefined> {
  found.start = 0
  if (!sizeUnknown) found.end = object.size
  let end = 0
  for await (const chunk of uncutBytes(object, sizeUnknown, source)) {
    end += chunk.length
    yield chunk
  }
  if (found.end !== undefined && found.end !== end) {
    const place = { backend: source.backend.name, operation: 'get', bucket: object.bucket, key: object.key }
    throw new ObjectChangedError(`it had ${found.end} bytes when it was read before, now ${end}`, place)
  }
  found.end = end
}

/** The nominal range as it is, up to where its end is when the bytes come. */
async function* exactChunks(
  { partition: { object, range }, source }: OwnedRead,
  movable: NominalEnd,
  found: FoundEdges,
  reuse: boolean,
): AsyncGenerator<Buffer, void, undefined> {
  let offset = range.start
  for await (const chunk of rangedBytes({ ...source, object, start: offset, end: movable.at, reuse })) {
    const stop = Math.min(chunk.length, movable.at - offset)
    offset += stop
    movable.pass(offset)
    yield stop === chunk.length ? chunk : chunk.subarray(0, stop)
    if (offset >= movable.at) break
  }
  found.end = movable.at
}

async function* scan(
  { partition, source, movable }: OwnedRead,
  delimiter: Buffer,
  known: { readonly start: number | undefined; readonly end: number | undefined; readonly reuse: boolean },
  found: FoundEdges,
): AsyncGenerator<Buffer, void, undefined> {
  const { object } = partition
  let range = currentRange(partition.range, movable)
  const from = known.start ?? (await phaseBefore(object, range.start, 0, delimiter, source))
  const startScanner = new BoundaryScanner(delimiter, range.start, from)
  let endScanner = known.start === undefined ? undefined : scannerOfEnd(delimiter, range.end, known.start)
  let offset = from
  const { reuse } = known
  const reach = reachOf({ ...partition, range }, known.end)
  for await (const chunk of rangedBytes({ ...source, object, start: from, ...reach, reuse })) {
    let begin = 0
    if (movable !== undefined && movable.at !== range.end) {
      range = currentRange(range, movable)
      if (endScanner !== undefined) endScanner = movedScanner(endScanner, delimiter, range.end, found.start as number)
    }
    if (endScanner === undefined) {
      const start = startScanner.feed(chunk, offset)
      if (start !== undefined && settleStart(found, start, range)) return
      if (start === undefined) {
        offset += chunk.length
        if (offset < range.end) continue
        found.empty = true
        return
      }
      begin = start - offset
      endScanner = scannerOfEnd(delimiter, range.end, start)
    }
    const end = known.end ?? endScanner.feed(chunk, offset)
    if (end !== undefined) found.end = end
    const stop = Math.min(chunk.length, (end ?? Number.POSITIVE_INFINITY) - offset)
    movable?.pass(offset + stop)
    if (stop > begin) yield begin === 0 && stop === chunk.length ? chunk : chunk.subarray(begin, stop)
    offset += chunk.length
    if (end !== undefined && offset >= end) return
  }
  found.end = object.size
}

/** Notes where the first owned record begins; true when that is past the nominal range, which then owns none. */
function settleStart(found: FoundEdges, start: number, range: ByteRange): boolean {
  found.start = start
  if (start < range.end || range.start === range.end) return false
  found.empty = true
  found.end = start
  return true
}

/** Matching is in phase at `start`, the end of a match. */
function scannerOfEnd(delimiter: Buffer, cut: number, start: number): BoundaryScanner {
  return new BoundaryScanner(delimiter, cut, canOverlap(delimiter) ? start : Math.max(start, scanStart(delimiter, cut)))
}

/** All bytes that say where the boundary of the new `cut` is are still to be fed (nominal-end.ts). */
function movedScanner(scanner: BoundaryScanner, delimiter: Buffer, cut: number, start: number): BoundaryScanner {
  if (!canOverlap(delimiter)) return scannerOfEnd(delimiter, cut, start)
  scanner.moveCut(cut)
  return scanner
}

function currentRange(range: ByteRange, movable: NominalEnd | undefined): ByteRange {
  return movable === undefined || movable.at === range.end ? range : { start: range.start, end: movable.at }
}

function reachOf({ object, range }: Partition, knownEnd: number | undefined): { end: number; limit: number } {
  if (knownEnd !== undefined) return { end: Math.min(range.end, knownEnd), limit: knownEnd }
  return { end: Math.min(object.size, range.end + lookAheadBytes(range)), limit: object.size }
}
