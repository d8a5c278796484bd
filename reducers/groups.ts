/** Which maps feed which reduce call: one group for the whole job, or one per object in plan order. Pure. */
import { InvalidStateError, ValidationError } from '../src/core/errors.ts'
import type { ReduceGroup } from './scheduler.ts'

/** A group and, where it is one object's, that object. */
export interface ObjectGroup<O> extends ReduceGroup {
  readonly object?: O
}

/**
 * The reduce calls of a job of `mapCount` maps: a single group of all of them, or with `byKey` one per object, in the
 * order in which the objects first appear; each group's maps ascend. `partitions`: those of the plan, one per map.
 *
 * @throws ValidationError for `byKey` without partitions
 */
export function groupsOf<O extends { readonly url: string }>(
  partitions: readonly { readonly object: O }[] | undefined,
  mapCount: number,
  byKey: boolean,
): ObjectGroup<O>[] {
  if (!byKey) return [{ maps: Array.from({ length: mapCount }, (_, map) => map) }]
  if (partitions === undefined) {
    throw new ValidationError('objReduceByKey: expected objects to map over (objects("…") or a plan), got plain items')
  }
  if (partitions.length !== mapCount) {
    throw new InvalidStateError(`${partitions.length} partitions for ${mapCount} maps`)
  }
  const groups = new Map<string, { object: O; maps: number[] }>()
  partitions.forEach(({ object }, map) => {
    const group = groups.get(object.url)
    if (group === undefined) groups.set(object.url, { object, maps: [map] })
    else group.maps.push(map)
  })
  return [...groups.values()]
}
