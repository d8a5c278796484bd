import { ValidationError } from '../../src/core/errors.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'

/** What `min` and `max` compare: numbers (and bigints), or strings by UTF-16 code unit: `min<string>()`. */
export type Comparable = number | bigint | string

/** The least value. Of nothing: undefined. A NaN among numbers makes NaN; -0 is less than 0. */
export function min(): Reducer<number, number | undefined, number | undefined>
export function min<T extends Comparable>(): Reducer<T, T | undefined, T | undefined>
export function min<T extends Comparable>(): Reducer<T, T | undefined, T | undefined> {
  return extreme<T>('min', -1)
}

/** The greatest value. Of nothing: undefined. A NaN among numbers makes NaN; 0 is greater than -0. */
export function max(): Reducer<number, number | undefined, number | undefined>
export function max<T extends Comparable>(): Reducer<T, T | undefined, T | undefined>
export function max<T extends Comparable>(): Reducer<T, T | undefined, T | undefined> {
  return extreme<T>('max', 1)
}

function extreme<T extends Comparable>(name: 'min' | 'max', sign: number): Reducer<T, T | undefined, T | undefined> {
  const pick = (a: T | undefined, b: T | undefined): T | undefined => {
    if (a === undefined || b === undefined) return a ?? b
    if ((typeof a === 'string') !== (typeof b === 'string')) {
      throw new ValidationError(`${name}(): expected all strings or all numbers, got a ${typeof a} and a ${typeof b}`)
    }
    return order(a, b) * sign >= 0 ? a : b
  }
  return moduleReducer(
    import.meta.url,
    name,
    {
      initial: () => undefined,
      add: (best: T | undefined, value: T) => pick(best, comparable(value, name)),
      merge: pick,
      finish: (best: T | undefined) => best,
      commutative: true,
    },
    [],
  )

  /** Positive when `a` is greater; NaN is beyond everything on the side that is wanted. */
  function order(a: T, b: T): number {
    if (Number.isNaN(a)) return sign
    if (Number.isNaN(b)) return -sign
    if (a === b) return Number(Object.is(b, -0)) - Number(Object.is(a, -0))
    return a > b ? 1 : -1
  }
}

function comparable<T>(value: T, name: string): T {
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'string') return value
  const got = value === null ? 'null' : typeof value
  throw new ValidationError(`${name}(): expected a number, bigint or string from each call, got ${got}`)
}
