/**
 * The certificate: proof that a job read every byte of every object once. Each committed partition reports the edges
 * it resolved by itself; as neighbours must find the same boundary for the cut between them, and what was delivered
 * must reach from edge to edge, the delivered spans tile [0, size) or the job is not to be trusted.
 *
 * A partition in whose range no record begins says that both its edges are one boundary, wherever that is.
 */
import type { ByteRange } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { CoverageError } from '../src/core/errors.ts'
import type { Pin } from '../src/storage/backend.ts'
import type { ReadReport } from './delivery.ts'
import type { Partition, Plan } from './plan.ts'

/** How the call of a partition ended; aligned with `plan.partitions`. */
export type PartitionOutcome =
  | { readonly state: 'committed'; readonly report: ReadReport }
  | { readonly state: 'failed'; readonly error: string }
  /** It owns one record, `range`, which was set aside because the function fails on it. */
  | { readonly state: 'quarantined'; readonly error: string; readonly range: ByteRange }

export interface CertifiedSpan {
  /** Partition within the object. */
  readonly index: number
  readonly start: number
  readonly end: number
  readonly state: 'delivered' | 'unread' | 'failed' | 'quarantined'
}

export interface CertifiedObject {
  readonly url: string
  readonly etag: string
  readonly pin: Pin
  /** What was planned; where the store told no length, what the one GET delivered. */
  readonly sizeBytes: number
  /** The store told no length, and nobody read to the end: `sizeBytes` is what is known of it. */
  readonly sizeUnknown?: true
  readonly deliveredBytes: number
  /** Present when every partition counted its records. */
  readonly records?: number
  /** In offset order, from 0 to `sizeBytes` without gap. */
  readonly spans: readonly CertifiedSpan[]
}

export interface Certificate {
  /** Every byte was delivered. */
  readonly complete: boolean
  readonly objects: readonly CertifiedObject[]
  /** Spans that no function read, as `url [start, end)`. */
  readonly unread: readonly { readonly url: string; readonly start: number; readonly end: number }[]
  readonly failed: readonly FailedSpan[]
  /** Records on which the function fails, set aside one by one (`onFailure: "bisect"`). */
  readonly quarantined: readonly FailedSpan[]
}

export interface FailedSpan {
  readonly url: string
  readonly index: number
  readonly start: number
  readonly end: number
  readonly error: string
}

/**
 * The certificate of a job whose calls ended as `outcomes` say. What was left unread or failed is listed, and is no
 * error; a call that never read its partition left it unread.
 * @throws CoverageError when edges disagree, or delivered bytes do not lie between them; it names object and offsets
 */
export function certify(
  plan: Pick<Plan, 'partitions'>,
  outcomes: readonly PartitionOutcome[],
  pinOf: (object: CloudObject) => Pin,
): Certificate {
  const { partitions } = plan
  if (outcomes.length !== partitions.length) {
    throw new CoverageError(`${outcomes.length} outcomes for ${partitions.length} partitions`)
  }
  const objects: CertifiedObject[] = []
  const unread: { url: string; start: number; end: number }[] = []
  const failed: FailedSpan[] = []
  const quarantined: FailedSpan[] = []
  for (let first = 0; first < partitions.length; ) {
    const { object, count, uncut } = partitions[first] as Partition
    const own = outcomes.slice(first, first + count)
    const pin = uncut === undefined ? pinOf(object) : 'none'
    const certified =
      uncut === 'no length'
        ? certifyUnmeasured(partitions[first] as Partition, own[0] as PartitionOutcome, pin)
        : certifyObject(object, partitions.slice(first, first + count), own, pin)
    objects.push(certified)
    for (const { index, start, end, state } of certified.spans) {
      const outcome = own[index] as PartitionOutcome
      if (state === 'unread') unread.push({ url: object.url, start, end })
      if (outcome.state === 'committed') continue
      const list = outcome.state === 'failed' ? failed : quarantined
      list.push({ url: object.url, index, start, end, error: outcome.error })
    }
    first += count
  }
  const complete = unread.length + failed.length + quarantined.length === 0
  return { complete, objects, unread, failed, quarantined }
}

/** An object whose size is where its one GET ended. */
function certifyUnmeasured(partition: Partition, outcome: PartitionOutcome, pin: Pin): CertifiedObject {
  const report = outcome.state === 'committed' ? outcome.report : undefined
  const size = report?.end ?? report?.deliveredEnd ?? 0
  const object = { ...partition.object, size }
  const certified = certifyObject(object, [{ ...partition, object, range: { start: 0, end: size } }], [outcome], pin)
  if (report?.end !== undefined) return certified
  const { records: _, ...rest } = certified
  const unread: CertifiedSpan = { index: 0, start: size, end: size, state: 'unread' }
  const spans = report === undefined ? rest.spans : [...rest.spans.filter(({ end }) => end > 0), unread]
  return { ...rest, sizeUnknown: true, spans }
}

function certifyObject(
  object: CloudObject,
  partitions: readonly Partition[],
  outcomes: readonly PartitionOutcome[],
  pin: Pin,
): CertifiedObject {
  const known = agreedEdges(object, partitions, outcomes)
  const spans: CertifiedSpan[] = []
  let at = 0
  for (const [index, outcome] of outcomes.entries()) {
    const { range } = partitions[index] as Partition
    const edge = known[index + 1]
    if (outcome.state !== 'committed') {
      const end = edge ?? Math.max(at, range.end)
      spans.push({ index, start: at, end, state: outcome.state })
      at = end
      continue
    }
    const delivered = deliveredEnd(object, index, at, edge, outcome.report)
    const end = edge ?? (outcome.report.empty === true ? at : Math.max(delivered, range.end))
    // a partition that owns nothing has its span too, so that every index is accounted for
    if (delivered > at || delivered === end) spans.push({ index, start: at, end: delivered, state: 'delivered' })
    if (delivered < end) spans.push({ index, start: delivered, end, state: 'unread' })
    at = end
  }
  const deliveredBytes = spans.reduce(
    (sum, { start, end, state }) => sum + (state === 'delivered' ? end - start : 0),
    0,
  )
  const complete = spans.every(({ state }) => state === 'delivered')
  if (at !== object.size || (complete && deliveredBytes !== object.size)) {
    throw disagreement(object, `${deliveredBytes} bytes delivered of ${object.size}, spans end at ${at}`)
  }
  const records = complete ? recordCount(outcomes) : undefined
  const { url, etag, size } = object
  return { url, etag, pin, sizeBytes: size, deliveredBytes, ...(records === undefined ? {} : { records }), spans }
}

/** Boundary of every cut, 0 and size included; undefined where nobody resolved it. */
function agreedEdges(
  object: CloudObject,
  partitions: readonly Partition[],
  outcomes: readonly PartitionOutcome[],
): (number | undefined)[] {
  const edges: (number | undefined)[] = new Array(partitions.length + 1).fill(undefined)
  const claim = (cut: number, offset: number | undefined, who: string) => {
    if (offset === undefined) return
    if (edges[cut] !== undefined && edges[cut] !== offset) {
      throw disagreement(object, `the boundary before partition ${cut} is ${edges[cut]}, but ${who} found ${offset}`)
    }
    edges[cut] = offset
  }
  claim(0, 0, 'the object')
  claim(partitions.length, object.size, 'the object')
  for (const [index, outcome] of outcomes.entries()) {
    if (outcome.state === 'failed') continue
    const { start, end, empty }: Partial<ReadReport> = outcome.state === 'quarantined' ? outcome.range : outcome.report
    checkRange(object, index, (partitions[index] as Partition).range, { start, end, empty })
    claim(index, start, `partition ${index}`)
    claim(index + 1, end, `partition ${index}`)
    if (empty === true) claim(index + 1, edges[index], `partition ${index}`)
  }
  for (let index = partitions.length - 1; index >= 0; index--) {
    const outcome = outcomes[index] as PartitionOutcome
    if (outcome.state === 'committed' && outcome.report.empty === true) {
      claim(index, edges[index + 1], `partition ${index}`)
    }
  }
  checkOrder(object, partitions, edges)
  return edges
}

interface Edges {
  readonly start: number | undefined
  readonly end: number | undefined
  readonly empty: boolean | undefined
}

function checkRange(object: CloudObject, index: number, range: Partition['range'], report: Edges): void {
  const { start, end, empty } = report
  const outside =
    (start !== undefined && start < range.start) ||
    (start !== undefined && empty !== true && start >= range.end && range.end > range.start) ||
    (end !== undefined && end < range.end)
  if (!outside) return
  const edges = `[${start}, ${end})`
  throw disagreement(object, `partition ${index} of nominal [${range.start}, ${range.end}) resolved ${edges}`)
}

function checkOrder(
  object: CloudObject,
  partitions: readonly Partition[],
  edges: readonly (number | undefined)[],
): void {
  let last = 0
  for (const [cut, edge] of edges.entries()) {
    if (edge === undefined) continue
    const nominal = partitions[cut]?.range.start ?? object.size
    if (edge < last || edge < nominal) {
      throw disagreement(
        object,
        `the boundary before partition ${cut} is ${edge}, at or after ${Math.max(last, nominal)} expected`,
      )
    }
    last = edge
  }
}

function deliveredEnd(
  object: CloudObject,
  index: number,
  start: number,
  end: number | undefined,
  report: ReadReport,
): number {
  if (report.empty === true) return end ?? start
  if (report.start === undefined) return start
  const { deliveredEnd: delivered } = report
  if (report.start !== start || delivered < start || (end !== undefined && delivered > end)) {
    const owned = `[${start}, ${end ?? '?'})`
    throw disagreement(object, `partition ${index} owns ${owned}, but delivered [${report.start}, ${delivered})`)
  }
  return delivered
}

function recordCount(outcomes: readonly PartitionOutcome[]): number | undefined {
  let sum = 0
  for (const outcome of outcomes) {
    if (outcome.state !== 'committed') return undefined
    if (outcome.report.records === undefined && outcome.report.empty !== true) return undefined
    sum += outcome.report.records ?? 0
  }
  return sum
}

function disagreement(object: CloudObject, what: string): CoverageError {
  return new CoverageError(`${object.url} (${object.size} bytes): ${what}`)
}
