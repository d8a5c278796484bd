/**
 * Objects that changed since a job was planned, planned anew, where a resume asks for it. An object of which every
 * partition is committed stays as it was read; of one that changed, no partition that was read before counts.
 */

import { delimiterOf } from '../../partitioner/options.ts'
import type { Partition, Plan } from '../../partitioner/plan.ts'
import { planPartitions, totalsOf } from '../../partitioner/plan-partitions.ts'
import { type CloudObject, cloudObject } from '../core/cloud-object.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { InvalidStateError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { planFile } from '../job/keys.ts'
import type { JournalPlace } from '../job/place.ts'
import { encodePlan, type Ids, type StoredPlan } from '../job/stored-inputs.ts'
import type { BackendResolver } from '../storage/backend.ts'

export interface ReplannedJob {
  readonly place: JournalPlace
  readonly name: string
  /** The number of the plan to come. */
  readonly replan: number
  /** Calls of it were divided. */
  readonly divided: boolean
}

export interface ReplannedPlan extends StoredPlan {
  /** The call of the plan before that it was; undefined for one of an object that was planned anew. */
  before(call: number): number | undefined
}

const HEADS_AT_ONCE = 16

/**
 * The new plan, in the journal already; undefined when nothing has changed.
 *
 * @throws NotFoundError when an object is gone
 * @throws InvalidStateError for a job whose calls were divided: its parts are numbered as they were cut of that plan
 */
export async function planAnew(
  job: ReplannedJob,
  { plan, idOf }: StoredPlan,
  committed: ReadonlySet<string>,
  resolve: BackendResolver,
): Promise<ReplannedPlan | undefined> {
  const firsts = plan.partitions.flatMap(({ index }, call) => (index === 0 ? [call] : []))
  const open = firsts.filter((first) => {
    const { count } = plan.partitions[first] as Partition
    return Array.from({ length: count }, (_, i) => idOf(first + i)).some((id) => !committed.has(id))
  })
  const changed = new Map<number, CloudObject>()
  await mapConcurrent(open, HEADS_AT_ONCE, async (first) => {
    const now = await objectNow((plan.partitions[first] as Partition).object, resolve)
    if (now !== undefined) changed.set(first, now)
  })
  if (changed.size === 0) return undefined
  if (job.divided) throw new InvalidStateError(`${job.name} has calls that were divided: it cannot be planned anew`)
  const anew = new Replanned(plan, job.replan)
  for (const first of firsts) {
    const object = changed.get(first)
    if (object === undefined) anew.keep(first, idOf(first))
    else anew.cut(object)
  }
  const { backend, bucket } = job.place
  await backend.put(
    bucket,
    planFile(job.name, job.replan),
    encodePlan(anew.plan, (call) => anew.ids.get(call)),
  )
  return { plan: anew.plan, idOf: anew.idOf, before: anew.before }
}

/** The object as it is now; undefined where it is the planned version, or no version can be told. */
async function objectNow(object: CloudObject, resolve: BackendResolver): Promise<CloudObject | undefined> {
  if (object.etag === '') return undefined
  const { backend, bucket, key } = object
  const { size, etag } = await (await resolve(backend)).head(bucket, key)
  return etag === object.etag ? undefined : cloudObject({ backend, bucket, key, size, etag })
}

class Replanned {
  /** By the first call of an object. */
  readonly ids = new Map<number, Ids>()
  readonly #before: Plan
  readonly #prefix: string
  readonly #partitions: Partition[] = []
  readonly #idOfCall: string[] = []
  readonly #beforeOfCall: (number | undefined)[] = []

  constructor(before: Plan, replan: number) {
    this.#before = before
    this.#prefix = `r${replan}-`
  }

  get plan(): Plan {
    return { ...this.#before, partitions: this.#partitions, ...totalsOf(this.#partitions) }
  }

  readonly idOf = (call: number): string => this.#idOfCall[call] as string

  readonly before = (call: number): number | undefined => this.#beforeOfCall[call]

  /** The object whose first partition this was, as it was. */
  keep(first: number, id: string): void {
    const { count } = this.#before.partitions[first] as Partition
    const [, prefix = '', number = ''] = /^(.*?)(\d+)$/.exec(id) ?? []
    this.#add(this.#before.partitions.slice(first, first + count), { prefix, first: Number(number) }, first)
  }

  cut(object: CloudObject): void {
    const selected = { selection: [], objects: [object], skipped: [], requests: [], encoded: [], allowUnpinned: false }
    const objNewline = delimiterOf(this.#before.options)
    const { partitions } = planPartitions(selected, { ...this.#before.options, objNewline })
    this.#add(partitions, { prefix: this.#prefix, first: this.#partitions.length })
  }

  #add(partitions: readonly Partition[], ids: Ids, before?: number): void {
    this.ids.set(this.#partitions.length, ids)
    partitions.forEach((partition, i) => {
      this.#partitions.push(partition)
      this.#beforeOfCall.push(before === undefined ? undefined : before + i)
      this.#idOfCall.push(`${ids.prefix}${callId(ids.first + i)}`)
    })
  }
}
