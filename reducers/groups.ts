/** Which maps feed which reduce call: one group for the whole job, or one per object in plan order. Pure. */
import { InvalidStateError, ValidationError } from '../src/core/errors.ts'
import type { ReduceGroup } from './scheduler.ts'

/** A group and, where it is one object's, that object. */
export interface ObjectGroup<O> extends ReduceGroup {
  readonly object?: O
}

/** The map `child` has a part of what was the input of `parent`. */
export interface MapDivision {
  readonly parent: number
  readonly child: number
}

/**
 * The reduce calls of a job of `mapCount` maps: a single group of all of them, or with `byKey` one per object, in the
 * order in which the objects first appear; each group's maps are in plan order. `partitions`: those of the plan, one
 * per map; `divisions`: those maps that were divided before, in order, their new maps counted in none of these.
 *
 * @throws ValidationError for `byKey` without partitions
 */
export function groupsOf<O extends { readonly url: string }>(
  partitions: readonly { readonly object: O }[] | undefined,
  mapCount: number,
  byKey: boolean,
  divisions: readonly MapDivision[] = [],
): ObjectGroup<O>[] {
  const groups = plannedGroups(partitions, mapCount, byKey)
  for (const { parent, child } of divisions) {
    const place = groups.findIndex(({ maps }) => maps.includes(parent))
    const group = groups[place]
    if (group === undefined)
      throw new InvalidStateError(`map ${child} was divided from ${parent}, which feeds no group`)
    groups[place] = { ...group, maps: withInserted(group.maps, parent, child) }
  }
  return groups
}

function plannedGroups<O extends { readonly url: string }>(
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

/** The maps of a group with one that was divided from `map`, right behind it. @throws InvalidStateError when `map` is none of them */
export function withInserted(maps: readonly number[], map: number, inserted: number): readonly number[] {
  const place = maps.indexOf(map)
  if (place === -1) throw new InvalidStateError(`map ${map} is not in the group that map ${inserted} is to join`)
  return [...maps.slice(0, place + 1), inserted, ...maps.slice(place + 1)]
}
