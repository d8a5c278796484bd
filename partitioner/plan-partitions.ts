/** Selected objects and options → Plan. Pure: the same input gives a deeply equal plan. */

import type { CloudObject } from '../src/core/cloud-object.ts'
import { ValidationError } from '../src/core/errors.ts'
import { canOverlap } from './boundary.ts'
import { compressionOf, refuseCompressed } from './compression.ts'
import { type Cutting, nominalRange, rangeCount } from './cut.ts'
import { delimiterOf, partitionOptions } from './options.ts'
import { lookAheadBytes } from './owned.ts'
import type { Partition, PartitionOptions, Plan, PlanOptions, PriceTable, Uncut } from './plan.ts'
import { DEFAULT_PRICES, pricesOf, requestCost, type StorePrices } from './prices.ts'
import { expectedGets } from './ranged.ts'
import type { Selected } from './selected.ts'

const UNCUT_WARNINGS: readonly { readonly why: Uncut; readonly text: string }[] = [
  {
    why: 'no length',
    text: 'objects whose server tells no length, each read by one GET; their bytes are not in the totals, and where the server just closes, an early end passes for the end',
  },
  { why: 'no ranges', text: 'objects whose server serves no ranges, each read by one GET that cannot be resumed' },
]
const MANY_PARTITIONS = 100_000

export interface PlanningPrices {
  /** Default: DEFAULT_PRICES. */
  readonly prices?: PriceTable | undefined
  /** Of some stores, instead of those of the table. */
  readonly storePrices?: StorePrices | undefined
}

/** What is asked of one store. */
type Counts = { get: number; list: number; bytesReceived: number }

/**
 * Cuts the selected objects; partitions in the order of the objects, then of their offsets.
 * @throws ValidationError for a wrong option, a compressed object without `compression: null`, an unpinned object that
 * would be cut without `allowUnpinned`, and one without length or ranges that would be cut at all; where its length is
 * not told, any objChunkSize would cut it
 */
export function planPartitions(
  selected: Selected,
  options: PartitionOptions = {},
  { prices = DEFAULT_PRICES, storePrices = {}, where }: PlanningPrices & { readonly where?: string } = {},
): Plan {
  const read = partitionOptions(options, where)
  const cutting: Cutting = { chunkSize: read.objChunkSize, chunkNumber: read.objChunkNumber }
  const encodings = new Map(selected.encoded.map(({ url, encoding }) => [url, encoding]))
  const partitions: Partition[] = []
  const unpinned: string[] = []
  const uncuts = new Map(selected.uncut?.map(({ url, why }) => [url, why]))
  for (const object of selected.objects) {
    // a look-up would make a flat copy of the url
    refuseCompressed(object, encodings.size === 0 ? undefined : encodings.get(object.url), read.compression)
    const count = rangeCount(object.size, cutting)
    const uncut = uncutOf(object, count, uncuts.size === 0 ? undefined : uncuts.get(object.url), cutting)
    if (uncut !== undefined || object.etag === '') unpinned.push(object.url)
    if (uncut !== undefined) {
      partitions.push({ object, range: { start: 0, end: object.size }, index: 0, count: 1, uncut })
      continue
    }
    if (object.etag === '' && count > 1 && !selected.allowUnpinned) throw uncuttable(object, count)
    for (let index = 0; index < count; index++) {
      partitions.push({ object, range: nominalRange(object.size, cutting, index), index, count })
    }
  }
  const { requests, counts } = expectedRequests(selected, partitions, read)
  return {
    version: 1,
    selection: selected.selection,
    options: read,
    partitions,
    ...totalsOf(partitions),
    ...(unpinned.length === 0 ? {} : { unpinned }),
    skipped: selected.skipped,
    requests,
    cost: costOf(counts, prices, storePrices),
    warnings: warningsOf(selected, partitions, read, encodings),
  }
}

/** @throws ValidationError when the object would be cut, and cannot be */
function uncutOf(
  { url, etag, size }: CloudObject,
  count: number,
  why: Uncut | undefined,
  { chunkSize, chunkNumber }: Cutting,
): Uncut | undefined {
  if (why === undefined) return etag === '' && count === 1 && size > 0 ? 'no validator' : undefined
  const wouldCut = chunkNumber === undefined ? chunkSize !== undefined : chunkNumber > 1
  if (!(why === 'no length' ? wouldCut : count > 1)) return why
  const lacks = why === 'no length' ? 'tells no length' : 'serves no ranges'
  throw new ValidationError(
    `${url} cannot be cut, because its server ${lacks}: leave out objChunkSize and objChunkNumber, or select it in a job of its own`,
  )
}

/** What follows from the partitions alone: objects, their bytes, and the sizes of the nominal ranges. */
export function totalsOf(partitions: readonly Partition[]): Pick<Plan, 'objects' | 'bytes' | 'sizes'> {
  const sizes = new Float64Array(partitions.length)
  let objects = 0
  let bytes = 0
  for (const [i, { range, index }] of partitions.entries()) {
    sizes[i] = range.end - range.start
    bytes += range.end - range.start
    if (index === 0) objects += 1
  }
  sizes.sort()
  const at = (place: number) => sizes[place] ?? 0
  return {
    objects,
    bytes,
    sizes: { min: at(0), median: at((sizes.length - 1) >> 1), max: at(sizes.length - 1) },
  }
}

function expectedRequests(
  selected: Selected,
  partitions: readonly Partition[],
  read: PlanOptions,
): { requests: Plan['requests']; counts: ReadonlyMap<string, Counts> } {
  const delimiter = delimiterOf(read)
  // a boundary of a delimiter that can overlap itself takes a step back and a step on
  const probes = delimiter !== null && canOverlap(delimiter) ? 2 : 0
  const total = { get: 0, list: 0, put: 0 }
  const counts = new Map<string, Counts>()
  const count = (backend: string, what: 'get' | 'list', requests: number, bytes = 0) => {
    total[what] += requests
    const own = counts.get(backend) ?? { get: 0, list: 0, bytesReceived: 0 }
    counts.set(backend, own)
    own[what] += requests
    own.bytesReceived += bytes
  }
  for (const { backend, list, head, get = 0 } of selected.requests) {
    count(backend, 'list', list)
    count(backend, 'get', head + get)
  }
  for (const { object, range, index, uncut } of partitions) {
    if (uncut !== undefined) {
      count(object.backend, 'get', 1, object.size)
      continue
    }
    const past = delimiter === null || range.end === object.size ? 0 : lookAheadBytes(range)
    const bytes = Math.min(object.size, range.end + past) - range.start
    count(object.backend, 'get', expectedGets(bytes) + (index > 0 ? probes : 0), bytes)
  }
  return { requests: total, counts }
}

function costOf(counts: ReadonlyMap<string, Counts>, table: PriceTable, given: StorePrices): Plan['cost'] {
  let amount = 0
  for (const [backend, sent] of counts) {
    const prices = pricesOf(backend, given, table)
    if (prices !== undefined) amount += requestCost(sent, prices)
  }
  const own = [...counts.keys()].filter((backend) => given[backend] !== undefined)
  return { currency: table.currency, amount, assumptions: assumptionsOf(table, own) }
}

/** @param own stores whose prices were given */
function assumptionsOf(prices: PriceTable, own: readonly string[]): string {
  const given = own.length === 0 ? '' : `; for ${own.join(', ')} the prices of the configuration`
  return `${prices.assumptions}${given}. Counted: the LIST and HEAD requests that made the plan (a HEAD as a GET), one GET per 8 MiB, and what finding the edges of an overlapping delimiter takes. Not counted: records that end far behind their partition, csv headers, repeated attempts, results and the journal, stores without a price per request`
}

function warningsOf(
  selected: Selected,
  partitions: readonly Partition[],
  read: PlanOptions,
  encodings: ReadonlyMap<string, string>,
): string[] {
  const warnings: string[] = [...(selected.notes ?? [])]
  const count = partitions.length
  const delimiter = delimiterOf(read)
  const cut = count > selected.objects.length
  if (cut && delimiter !== null && canOverlap(delimiter)) {
    const shown = JSON.stringify(read.objNewline)
    warnings.push(
      `the delimiter ${shown} can overlap itself: the edges of every object are resolved one after another before it is read`,
    )
  }
  // without that option a compressed object was refused
  const compressed = ({ key, url }: CloudObject) => compressionOf(key, encodings.get(url)) !== undefined
  const raw = read.compression === null ? selected.objects.filter(compressed).length : 0
  if (raw > 0) warnings.push(`compressed objects read as the bytes they are: ${raw}`)
  const unpinned = selected.objects.filter(({ etag }) => etag === '').length
  if (unpinned > 0) {
    warnings.push(`objects without a validator, whose change under the running job would go unnoticed: ${unpinned}`)
  }
  for (const { why, text } of UNCUT_WARNINGS) {
    const uncut = selected.uncut?.filter((object) => object.why === why).length ?? 0
    if (uncut > 0) warnings.push(`${text}: ${uncut}`)
  }
  if (count > MANY_PARTITIONS) {
    warnings.push(`${count} partitions: each is a call of its own; a larger objChunkSize makes fewer`)
  }
  return warnings
}

function uncuttable(object: CloudObject, count: number): ValidationError {
  return new ValidationError(
    `${object.url} has no validator to pin its version, and would be cut into ${count} partitions that may see different versions: leave out objChunkSize and objChunkNumber, or select it with allowUnpinned: true`,
  )
}
