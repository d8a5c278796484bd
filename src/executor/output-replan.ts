/**
 * The outputs of a job some of whose objects were planned anew: the calls of those are named as any, and may replace what
 * calls of the plan before have published of them; all others keep their names. Names that no call has any more are
 * removed when the job concludes, if they are still the version that this job has published.
 */
import { ValidationError } from '../core/errors.ts'
import type { CallOutput, OutputPlan } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { assertApart, outputNames } from './output-names.ts'
import { alreadyThere, assertUsable, type OutputSubject, placesOf, replaceable, versionsOf } from './output-plan.ts'

export interface ReplannedCalls {
  /** Of the new plan. */
  readonly subject: OutputSubject
  /** The call of the plan before that it was; undefined for a call of an object that was planned anew. */
  before(call: number): number | undefined
}

/**
 * @throws ValidationError for names that collide or were given by a function; StorageError ALREADY_EXISTS where a new
 * name is taken and nothing is to be replaced
 */
export async function outputsReplanned(
  plan: OutputPlan,
  { subject, before }: ReplannedCalls,
  resolve: BackendResolver,
): Promise<OutputPlan> {
  const { head, prefix, naming } = plan
  // what reducers have written is made of what has changed
  if (subject.kind === 'reduce') return replaceable(plan, [...plan.calls.keys()], resolve)
  if (naming === 'function') {
    throw new ValidationError(
      `output.name of this job is a function, which no journal keeps, and objects that changed need new names: submit it again`,
    )
  }
  const store = await resolve(head.backend)
  const rules = { ...naming, kind: subject.kind, compress: head.compress, anyKey: store.capabilities.anyKey }
  const places = placesOf(subject)
  const fresh = places.filter(({ call }) => before(call) === undefined)
  const nameOf = new Map(outputNames(fresh, rules).map((name, i) => [(fresh[i] as { call: number }).call, name]))
  const kept = (call: number) => plan.calls[before(call) as number] as CallOutput
  const names = places.map(({ call }) => nameOf.get(call) ?? kept(call).key.slice(prefix.length))
  assertApart(names, places, rules)
  const keys = [...nameOf.values()].map((name) => prefix + name)
  assertUsable(keys, { head, subject, store })
  const stay = new Set(places.flatMap(({ call }) => before(call) ?? []))
  const gone = plan.calls.filter((_, call) => !stay.has(call))
  const own = new Set(gone.map(({ key }) => key))
  const found = await versionsOf(store, head.bucket, prefix, [...new Set([...keys, ...own])])
  const taken = plan.ifExists === 'refuse' ? keys.find((key) => found.has(key) && !own.has(key)) : undefined
  if (taken !== undefined) throw alreadyThere(head, taken)
  const outputOf = (call: number): CallOutput => {
    const name = nameOf.get(call)
    return name === undefined ? kept(call) : { key: prefix + name, expect: found.get(prefix + name) ?? null }
  }
  const published = gone.flatMap(({ key, expect }) => {
    const etag = found.get(key)
    return etag === undefined || etag === expect ? [] : [{ key, etag }]
  })
  return { ...plan, calls: places.map(({ call }) => outputOf(call)), previous: [...plan.previous, ...published] }
}
