import { ValidationError } from '../../src/core/errors.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'

/** Counts by key: a Map, a plain object, or (for topK) entries. */
export type Counts = ReadonlyMap<string, number> | Readonly<Record<string, number>>
export type CountEntries = readonly (readonly [string, number])[]

/**
 * Adds up counts by key: Maps or plain objects in, one Map out, keys in order of first appearance in plan order. What
 * comes in is not changed. Of nothing: an empty Map.
 *
 * @throws ValidationError in the reduce call, when a count is no number
 */
export function mergeCounts(): Reducer<Counts, Map<string, number>, Map<string, number>> {
  return moduleReducer(
    import.meta.url,
    'mergeCounts',
    {
      initial: () => new Map<string, number>(),
      add: (totals: Map<string, number>, counts: Counts) => addCounts(totals, counts, 'mergeCounts'),
      merge: (a: Map<string, number>, b: Map<string, number>) => addCounts(a, b, 'mergeCounts'),
      finish: (totals: Map<string, number>) => totals,
    },
    [],
  )
}

/**
 * The `k` keys with the highest total counts, as [key, count] from the highest down; equal counts in code unit order of
 * their keys. Counts come as Maps, plain objects or lists of [key, count], and are added up by key first, so memory is
 * that of all keys.
 *
 * @throws ValidationError when `k` is no positive whole number
 */
export function topK(k: number): Reducer<Counts | CountEntries, Map<string, number>, [string, number][]> {
  if (!Number.isSafeInteger(k) || k < 1) {
    throw new ValidationError(`topK(k): expected a whole number from 1, got ${String(k)}`)
  }
  return moduleReducer(
    import.meta.url,
    'topK',
    {
      initial: () => new Map<string, number>(),
      add: (totals: Map<string, number>, counts: Counts | CountEntries) => addCounts(totals, counts, 'topK'),
      merge: (a: Map<string, number>, b: Map<string, number>) => addCounts(a, b, 'topK'),
      finish: (totals: Map<string, number>) => [...totals].sort(byCount).slice(0, k),
    },
    [k],
  )
}

function byCount(a: readonly [string, number], b: readonly [string, number]): number {
  if (a[1] !== b[1]) return b[1] - a[1]
  return a[0] < b[0] ? -1 : 1
}

/** Adds to `totals`, which is the fold's own. */
function addCounts(totals: Map<string, number>, counts: Counts | CountEntries, reducer: string): Map<string, number> {
  for (const [key, n] of entriesOf(counts, reducer)) {
    if (typeof n !== 'number' || Number.isNaN(n)) {
      throw new ValidationError(`${reducer}(): expected a number for '${String(key)}', got ${String(n)}`)
    }
    totals.set(key, (totals.get(key) ?? 0) + n)
  }
  return totals
}

function entriesOf(counts: unknown, reducer: string): Iterable<readonly [string, number]> {
  if (counts instanceof Map) return counts
  if (Array.isArray(counts)) {
    if (reducer === 'topK' && counts.every((entry) => Array.isArray(entry) && entry.length === 2)) return counts
  } else if (typeof counts === 'object' && counts !== null && isPlain(counts)) {
    return Object.entries(counts)
  }
  const forms = reducer === 'topK' ? 'a Map, a plain object or a list of [key, count]' : 'a Map or a plain object'
  throw new ValidationError(`${reducer}(): expected counts by key from each call (${forms}), got ${nameOf(counts)}`)
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

function nameOf(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' && value !== null ? `an instance of ${value.constructor?.name}` : String(value)
}
