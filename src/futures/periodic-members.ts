import { isPeriodic, type PeriodicFunction } from './periodic.ts'

export interface PeriodicMember {
  readonly name: string
  /** As `periodic` marked it. */
  readonly fn: PeriodicFunction
  /** As a call on its object. */
  readonly bound: PeriodicFunction
}

/** The periodic methods of an object, its own and inherited ones, by name. Getters are not called. */
export function periodicMembers(object: object, excludeHidden: boolean): PeriodicMember[] {
  const members = new Map<string, PeriodicMember>()
  const seen = new Set<string>()
  for (let owner: object | null = object; owner !== null; owner = Object.getPrototypeOf(owner) as object | null) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      // what is nearer hides what it overrides, periodic or not
      if (seen.has(name)) continue
      seen.add(name)
      if (!isPeriodic(value) || (excludeHidden && name.startsWith('_'))) continue
      members.set(name, { name, fn: value, bound: value.bind(object) })
    }
  }
  return [...members.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
