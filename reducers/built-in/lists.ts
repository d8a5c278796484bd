import { ValidationError } from '../../src/core/errors.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'

/** Every value, in plan order. Of nothing: []. */
export function collect<T = unknown>(): Reducer<T, T[], T[]> {
  return moduleReducer(
    import.meta.url,
    'collect',
    {
      initial: (): T[] => [],
      add: (all: T[], value: T) => {
        all.push(value)
        return all
      },
      merge: append,
      finish: (all: T[]) => all,
    },
    [],
  )
}

/** One list of the elements of all lists, in plan order. Of nothing: []. @throws ValidationError when a value is no array */
export function concat<T = unknown>(): Reducer<readonly T[], T[], T[]> {
  return moduleReducer(
    import.meta.url,
    'concat',
    {
      initial: (): T[] => [],
      add: (all: T[], values: readonly T[]) => {
        if (!Array.isArray(values)) {
          throw new ValidationError(`concat(): expected an array from each call, got ${String(values)}`)
        }
        return append(all, values)
      },
      merge: append,
      finish: (all: T[]) => all,
    },
    [],
  )
}

/** Without spreading: a list may be longer than an argument list. */
function append<T>(all: T[], more: readonly T[]): T[] {
  for (const value of more) all.push(value)
  return all
}
