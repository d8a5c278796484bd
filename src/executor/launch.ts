/** From a source to the calls of a job: items as they are, or objects selected, planned and, where needed, edge-resolved. */
import { canOverlap } from '../../partitioner/boundary.ts'
import { resolveEdges } from '../../partitioner/edges.ts'
import { delimiterOf } from '../../partitioner/options.ts'
import type { Partition, PartitionOptions, Plan } from '../../partitioner/plan.ts'
import { planPartitions } from '../../partitioner/plan-partitions.ts'
import type { StorePrices } from '../../partitioner/prices.ts'
import {
  isObjectSelection,
  type ObjectSelection,
  type SelectingOptions,
  selectObjects,
} from '../../partitioner/select.ts'
import { validatePlan } from '../../partitioner/validate-plan.ts'
import type { ByteRange } from '../core/bytes.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { ConfigError, ValidationError } from '../core/errors.ts'
import { shippingFunctions } from '../functions/capture.ts'
import { encodeValue } from '../functions/codec.ts'
import type { CallInput } from '../job/messages.ts'
import { type BackendResolver, isSeenBy, type Pin, type Reach } from '../storage/backend.ts'
import { ItemStream, type ItemStreamOptions, tooLarge } from './item-stream.ts'

/** What a job maps over, once read; or, where `items` goes on with it, begun. */
export interface Inputs {
  readonly count: number
  readonly items?: ItemStream | undefined
  readonly plan?: Plan | undefined
  /** Record edges of its partitions, where they had to be resolved beforehand. */
  readonly edges?: readonly (ByteRange | undefined)[] | undefined
  /** How reads of an object are pinned, for the certificate. */
  pinOf?(object: CloudObject): Pin
  inputOf(call: number): CallInput
}

export type SourceKind = 'objects' | 'plan' | 'items'

/** @throws ValidationError for what is neither objects, a plan nor an iterable; a string is taken for a forgotten objects("…") */
export function sourceKind(source: unknown, where: string): SourceKind {
  if (isObjectSelection(source)) return 'objects'
  if (typeof source === 'string') {
    throw new ValidationError(
      `${where}: expected items, objects(…) or a plan, got a string; did you mean objects(${JSON.stringify(source)})?`,
    )
  }
  if (typeof source === 'object' && source !== null) {
    if (Symbol.iterator in source || Symbol.asyncIterator in source) return 'items'
    if ('partitions' in source && 'version' in source) return 'plan'
  }
  throw new ValidationError(`${where}: expected an iterable of items, objects(…) or a plan, got ${describe(source)}`)
}

/** Reads all items, a collection as it is now. @throws ValidationError when, encoded, they are larger than `limitBytes` in all */
export async function itemInputs(
  items: Iterable<unknown> | AsyncIterable<unknown>,
  limitBytes = Number.POSITIVE_INFINITY,
): Promise<Inputs> {
  const list: unknown[] = []
  let bytes = 0
  for await (const item of isCollection(items) ? [...(items as Iterable<unknown>)] : items) {
    list.push(item)
    if (limitBytes === Number.POSITIVE_INFINITY) continue
    bytes += encodeValue(item, `item ${list.length - 1}`, shippingFunctions).byteLength
    if (bytes > limitBytes) throw tooLarge(limitBytes)
  }
  return {
    count: list.length,
    inputOf: (call) => ({ type: 'item', value: encodeValue(list[call], 'item', shippingFunctions) }),
  }
}

/** Of what is in memory already all is read at once: it might change while the job runs. */
export function isCollection(items: unknown): boolean {
  return Array.isArray(items) || ArrayBuffer.isView(items) || items instanceof Set || items instanceof Map
}

/** Begins to read the items, and stops when the job has `ended`; those that come without waiting are there when it resolves. */
export async function streamedInputs(
  source: Iterable<unknown> | AsyncIterable<unknown>,
  { ended, ...options }: ItemStreamOptions & { readonly ended: Promise<unknown> },
): Promise<Inputs> {
  const items = new ItemStream(source, options)
  ended.then(() => items.stop())
  const { count, open } = await items.begin()
  return { count, items: open ? items : undefined, inputOf: (call) => items.inputOf(call) }
}

/** Selects and plans. @throws NotFoundError, ValidationError, ConfigError as selecting and planning do */
export async function makePlan(
  source: ObjectSelection | Plan,
  options: PartitionOptions,
  resolve: BackendResolver,
  where: string,
  { prices: storePrices, ...how }: SelectingOptions & { readonly prices?: StorePrices | undefined } = {},
): Promise<Plan> {
  if (isObjectSelection(source)) {
    return planPartitions(await selectObjects(source, resolve, how), options, { where, storePrices })
  }
  const given = Object.keys(options)
  if (given.length > 0) {
    throw new ValidationError(`${where}.${given[0]}: a plan has its own partition options; expected none beside it`)
  }
  return validatePlan(source)
}

/** The partitions of a plan as inputs, checked to be within the reach of the workers. @throws ConfigError */
export async function planInputs(
  plan: Plan,
  resolve: BackendResolver,
  reach: Reach,
  signal?: AbortSignal,
): Promise<Inputs> {
  const pins = await checkReach(plan, resolve, reach)
  const edges = await overlappingEdges(plan, resolve, signal)
  return {
    count: plan.partitions.length,
    plan,
    edges,
    pinOf: ({ backend, etag }) => (etag === '' ? 'none' : (pins.get(backend) ?? 'none')),
    inputOf: (call) => ({ type: 'partition', partition: plan.partitions[call] as Partition, edges: edges?.[call] }),
  }
}

async function checkReach(plan: Plan, resolve: BackendResolver, reach: Reach): Promise<Map<string, Pin>> {
  const pins = new Map<string, Pin>()
  for (const name of new Set(plan.partitions.map(({ object }) => object.backend))) {
    const backend = await resolve(name)
    pins.set(name, backend.capabilities.pin)
    if (isSeenBy(backend.reach, reach)) continue
    throw new ConfigError(
      `objects in ${name} storage are seen by this ${backend.reach} only, but the workers of this executor run beyond it: ` +
        `use backend: 'inline', or put the objects where workers can read them`,
    )
  }
  return pins
}

/** For a delimiter that can overlap itself: the edges of every partition, each object's chain resolved once. */
async function overlappingEdges(
  { partitions, options }: Plan,
  resolve: BackendResolver,
  signal: AbortSignal | undefined,
): Promise<(ByteRange | undefined)[] | undefined> {
  const delimiter = delimiterOf(options)
  if (delimiter === null || !canOverlap(delimiter)) return undefined
  const edges: (ByteRange | undefined)[] = []
  const firsts = partitions.flatMap(({ index, count }, call) => (index === 0 && count > 1 ? [call] : []))
  await mapConcurrent(firsts, 8, async (first) => {
    const { object, count } = partitions[first] as Partition
    const cuts = partitions.slice(first, first + count).map(({ range }) => range.start)
    const source = { backend: await resolve(object.backend), signal }
    const boundaries = await resolveEdges(object, [...cuts, object.size], delimiter, source)
    for (let i = 0; i < count; i++)
      edges[first + i] = { start: boundaries[i] as number, end: boundaries[i + 1] as number }
  })
  return edges
}

function describe(value: unknown): string {
  return value === null || typeof value !== 'object' ? String(value) : `a ${value.constructor?.name ?? 'object'}`
}
