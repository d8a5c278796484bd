import { ValidationError } from '../../src/core/errors.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'

/**
 * The sum of numbers, or of bigints (`sum<bigint>()`; not mixed): added in plan order, so that a floating-point sum is the same on every
 * run. Of nothing: 0. NaN makes NaN.
 *
 * @throws ValidationError in the reduce call, when a value is neither
 */
export function sum(): Reducer<number, number | undefined, number>
export function sum<T extends number | bigint>(): Reducer<T, T | undefined, T>
export function sum<T extends number | bigint>(): Reducer<T, T | undefined, T> {
  const plus = (a: T | undefined, b: T | undefined): T | undefined => {
    if (a === undefined || b === undefined) return a ?? b
    if (typeof a !== typeof b) throw new ValidationError(`sum(): expected numbers or bigints, got both: ${a} and ${b}`)
    return ((a as number) + (b as number)) as T
  }
  return moduleReducer(
    import.meta.url,
    'sum',
    {
      initial: () => undefined,
      add: (total: T | undefined, value: T) => plus(total, addend(value, 'sum')),
      merge: plus,
      finish: (total: T | undefined) => total ?? (0 as T),
    },
    [],
  )
}

/** `value`, if it is a number or a bigint. @throws ValidationError naming the reducer */
export function addend<T>(value: T, reducer: string): T {
  if (typeof value === 'number' || typeof value === 'bigint') return value
  throw new ValidationError(`${reducer}(): expected a number or a bigint from each call, got ${typeOf(value)}`)
}

function typeOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'an array' : typeof value
}
