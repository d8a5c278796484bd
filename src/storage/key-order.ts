/** UTF-8 byte order of many keys at once: V8's own sort where it gives that order, ours where surrogates are met. */
import { compareUtf8 } from '../core/bytes.ts'

const SURROGATE = /[\ud800-\udfff]/

/** Sorts in place, in UTF-8 byte order; gives the same array. */
export function sortUtf8(keys: string[]): string[] {
  return keys.some((key) => SURROGATE.test(key)) ? keys.sort(compareUtf8) : keys.sort()
}

/** Place of the first key of a sorted array that is at or after `key`. */
export function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareUtf8(sorted[middle] as string, key) < 0) low = middle + 1
    else high = middle
  }
  return low
}
