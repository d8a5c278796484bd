/**
 * Nominal cuts: where an object is divided before its records are looked at.
 *
 * Invariant: the ranges of an object tile [0, size) in order, none is empty except the one of an empty object.
 * Integer-exact for every size up to 2^53: no product of a size and an index is ever formed.
 */
import type { ByteRange } from '../src/core/bytes.ts'

export interface Cutting {
  /** Bytes per range; the last is shorter. */
  readonly chunkSize?: number | undefined
  /** Exactly min(n, size) ranges whose sizes differ by at most one byte; wins over `chunkSize`. */
  readonly chunkNumber?: number | undefined
}

/** How many ranges an object of `size` bytes is cut into; at least 1. */
export function rangeCount(size: number, { chunkSize, chunkNumber }: Cutting): number {
  if (size === 0) return 1
  if (chunkNumber !== undefined) return Math.min(chunkNumber, size)
  if (chunkSize === undefined) return 1
  const rest = size % chunkSize
  return (size - rest) / chunkSize + (rest > 0 ? 1 : 0)
}

/** Range `index` of those `rangeCount` promises. */
export function nominalRange(size: number, cutting: Cutting, index: number): ByteRange {
  return { start: cutAt(size, cutting, index), end: cutAt(size, cutting, index + 1) }
}

/** All nominal ranges of an object, in order. */
export function nominalRanges(size: number, cutting: Cutting): ByteRange[] {
  return Array.from({ length: rangeCount(size, cutting) }, (_, index) => nominalRange(size, cutting, index))
}

function cutAt(size: number, cutting: Cutting, index: number): number {
  const count = rangeCount(size, cutting)
  if (index >= count) return size
  if (cutting.chunkNumber === undefined) return index * (cutting.chunkSize ?? size)
  const rest = size % count
  return index * ((size - rest) / count) + Math.min(index, rest)
}
