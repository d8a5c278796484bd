import { ValidationError } from '../../src/core/errors.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import { isReducer, type Reducer } from '../reducer.ts'

/** What a value is grouped by; compared as Map keys are. */
export type GroupKey = string | number | bigint | boolean | null | undefined

/**
 * Folds the values of each key with a reducer of its own: a Map from key to outcome, keys in order of first appearance
 * in plan order. `key` travels like a map function: it may close over nothing, or be an export of a module. Of nothing:
 * an empty Map.
 *
 * @throws ValidationError when `key` is no function or `reducer` no Reducer
 */
export function groupBy<In, K extends GroupKey, Acc, Out>(
  key: (value: In) => K,
  reducer: Reducer<NoInfer<In>, Acc, Out>,
): Reducer<In, Map<K, Acc>, Map<K, Out>> {
  if (typeof key !== 'function')
    throw new ValidationError(`groupBy(key, reducer): key: expected a function, got ${key}`)
  if (!isReducer(reducer))
    throw new ValidationError('groupBy(key, reducer): reducer: expected a Reducer, such as sum()')
  return moduleReducer(
    import.meta.url,
    'groupBy',
    {
      initial: () => new Map<K, Acc>(),
      add: async (groups: Map<K, Acc>, value: In) => {
        const group = key(value)
        groups.set(group, await reducer.add(groups.has(group) ? (groups.get(group) as Acc) : reducer.initial(), value))
        return groups
      },
      merge: async (a: Map<K, Acc>, b: Map<K, Acc>) => {
        for (const [group, acc] of b) a.set(group, a.has(group) ? await reducer.merge(a.get(group) as Acc, acc) : acc)
        return a
      },
      finish: async (groups: Map<K, Acc>) => {
        const done = new Map<K, Out>()
        for (const [group, acc] of groups) done.set(group, await reducer.finish(acc))
        return done
      },
    },
    [key, reducer],
  )
}
