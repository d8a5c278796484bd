import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'
import { addend } from './sum.ts'

/** Sum and count, so that means of parts join exactly as their values would. */
export interface MeanParts {
  readonly sum: number
  readonly count: number
}

/** The arithmetic mean of numbers (bigints are taken as numbers), summed in plan order. Of nothing: undefined. */
export function mean(): Reducer<number | bigint, MeanParts, number | undefined> {
  return moduleReducer(
    import.meta.url,
    'mean',
    {
      initial: (): MeanParts => ({ sum: 0, count: 0 }),
      add: (acc: MeanParts, value: number | bigint) => ({
        sum: acc.sum + Number(addend(value, 'mean')),
        count: acc.count + 1,
      }),
      merge: (a: MeanParts, b: MeanParts) => ({ sum: a.sum + b.sum, count: a.count + b.count }),
      finish: ({ sum, count }: MeanParts) => (count === 0 ? undefined : sum / count),
    },
    [],
  )
}
