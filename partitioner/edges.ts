/**
 * The record edges of all partitions of an object, for delimiters that can overlap themselves. A chain of overlapping
 * occurrences has to be followed from where it begins; done once per object, ascending, and never backing up past the
 * boundary found before, this reads O(size) even when the object is one long chain.
 */
import { type ByteRange, collectBytes } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { BoundaryScanner, canOverlap, safePoint, scanStart } from './boundary.ts'
import { type RangedOptions, rangedBytes } from './ranged.ts'

export type EdgeSource = Omit<RangedOptions, 'object' | 'start' | 'end' | 'limit'>

/**
 * R(cut) for every cut: `cuts` ascending from 0 to the object's size, as many boundaries in the same order. Partition
 * i is then read with `edges: { start: boundaries[i], end: boundaries[i + 1] }`.
 */
export async function resolveEdges(
  object: CloudObject,
  cuts: readonly number[],
  delimiter: Uint8Array,
  source: EdgeSource,
): Promise<number[]> {
  const boundaries: number[] = []
  let previous = 0
  for (const cut of cuts) {
    // nothing matches between the cut before and its boundary, so the boundary serves this cut too
    if (cut > previous) previous = await boundaryAfter(object, cut, previous, delimiter, source)
    boundaries.push(previous)
  }
  return boundaries
}

/** Where matching is in phase, at or before `cut` - length of the delimiter; `floor`: an earlier offset in phase. */
export async function phaseBefore(
  object: CloudObject,
  cut: number,
  floor: number,
  delimiter: Uint8Array,
  source: EdgeSource,
): Promise<number> {
  const at = Math.max(floor, scanStart(delimiter, cut))
  if (!canOverlap(delimiter)) return at
  const read = (range: ByteRange) => collectBytes(rangedBytes({ ...source, object, ...range }))
  return safePoint(read, delimiter, at, floor, object.size)
}

async function boundaryAfter(
  object: CloudObject,
  cut: number,
  floor: number,
  delimiter: Uint8Array,
  source: EdgeSource,
): Promise<number> {
  if (cut >= object.size) return object.size
  const from = await phaseBefore(object, cut, floor, delimiter, source)
  const scanner = new BoundaryScanner(delimiter, cut, from)
  let offset = from
  for await (const chunk of rangedBytes({ ...source, object, start: from, end: cut, limit: object.size })) {
    const found = scanner.feed(chunk, offset)
    if (found !== undefined) return found
    offset += chunk.length
  }
  return object.size
}
