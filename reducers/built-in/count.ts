import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'

/** How many values came, whatever they are: the calls that succeeded. Of nothing: 0. */
export function count(): Reducer<unknown, number, number> {
  return moduleReducer(
    import.meta.url,
    'count',
    {
      initial: () => 0,
      add: (n: number) => n + 1,
      merge: (a: number, b: number) => a + b,
      finish: (n: number) => n,
      commutative: true,
    },
    [],
  )
}
