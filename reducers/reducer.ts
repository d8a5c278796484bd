/**
 * The Reducer contract: folds results as they arrive, in memory of its accumulator. `merge` joins two accumulators of
 * neighbouring ranges, left before right. Unless `commutative`, values are added in plan order, so that a
 * floating-point sum is the same on every run.
 */
export { SHIPPED, type ShippedReducer } from '../src/functions/shipped.ts'

export type Awaitable<T> = T | PromiseLike<T>

export interface Reducer<In, Acc, Out> {
  /** A fresh accumulator; never shared between folds. */
  initial(): Acc
  add(acc: Acc, value: In): Awaitable<Acc>
  merge(a: Acc, b: Acc): Awaitable<Acc>
  finish(acc: Acc): Awaitable<Out>
  /** Order does not matter: values are added as they arrive. */
  readonly commutative?: boolean
}

/** Whether a value has the four methods of a Reducer. */
export function isReducer(value: unknown): value is Reducer<unknown, unknown, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const r = value as Partial<Reducer<unknown, unknown, unknown>>
  return [r.initial, r.add, r.merge, r.finish].every((method) => typeof method === 'function')
}
