/**
 * Where a range whose call fails is cut, so that after O(log bytes) cuts the failing part owns a single record.
 *
 * A cut is the beginning of a record near the middle of the bytes, so that each side owns at least one. Where a long
 * record covers the middle, the last beginning before it is looked for by halving what lies before; so a record longer
 * than the rest of the range is cut off by itself too.
 */
import { type ByteRange, collectBytes } from '../src/core/bytes.ts'
import { BoundaryScanner } from './boundary.ts'
import { type EdgeSource, phaseBefore } from './edges.ts'
import type { Partition } from './plan.ts'
import { rangedBytes } from './ranged.ts'

/** R(cut) of boundary.ts. Where that is at or past `limit`, any offset from `limit` on may be given. */
export type BoundaryOf = (cut: number, limit: number) => Promise<number>

export type Halving =
  /** Records begin on both sides of the cut, and at it. */
  | { readonly type: 'cut'; readonly at: number }
  /** One record begins in the range: these are its bytes, which may reach past it. */
  | { readonly type: 'record'; readonly range: ByteRange }
  /** None begins in it: no record makes its call fail. */
  | { readonly type: 'none' }

const PROBE_BYTES = 4 * 1024

/** How to cut a nominal range of an object of `size` bytes. Asks O(log) boundaries, and reads each byte about once. */
export async function halve({ start, end }: ByteRange, size: number, boundaryOf: BoundaryOf): Promise<Halving> {
  const first = await boundaryOf(start, end)
  if (first >= end) return { type: 'none' }
  const second = await boundaryOf(first + 1, end)
  if (second >= end) return { type: 'record', range: { start: first, end: await boundaryOf(first + 1, size) } }
  let high = end
  for (;;) {
    const middle = second + Math.floor((high - second) / 2)
    const at = await boundaryOf(middle, high)
    if (at < high) return { type: 'cut', at }
    // no record begins from the middle on; one does at `second`, so this ends
    high = middle
  }
}

/** The boundaries of one object version, found by small reads that carry its pin. @throws ObjectChangedError, StorageError */
export function boundariesOf(object: Partition['object'], delimiter: Buffer, source: EdgeSource): BoundaryOf {
  return async (cut, limit) => {
    if (cut === 0) return 0
    if (cut >= object.size) return object.size
    const from = await phaseBefore(object, cut, 0, delimiter, source)
    const scanner = new BoundaryScanner(delimiter, cut, from)
    let offset = from
    const end = Math.min(Math.max(limit, cut), cut + PROBE_BYTES, object.size)
    for await (const chunk of rangedBytes({ ...source, object, start: from, end, limit: object.size })) {
      const found = scanner.feed(chunk, offset)
      if (found !== undefined) return found
      offset += chunk.length
      if (offset >= limit) return offset
    }
    return object.size
  }
}

/** The first `atMost` bytes of a range, under the pin of its object. @throws ObjectChangedError, StorageError */
export function bytesAt(
  object: Partition['object'],
  { start, end }: ByteRange,
  atMost: number,
  source: EdgeSource,
): Promise<Uint8Array> {
  return collectBytes(rangedBytes({ ...source, object, start, end: Math.min(end, start + atMost) }))
}
