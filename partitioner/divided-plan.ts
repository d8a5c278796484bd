/**
 * A plan whose partitions are divided while the job runs. Ownership is by first byte, so any cut of a nominal range is
 * exact: the divided call keeps what lies before it, a call with the next free number gets the rest.
 *
 * Invariant: the ranges of the calls, in `order`, tile every object as those of the plan did.
 */
import type { ByteRange } from '../src/core/bytes.ts'
import { InvalidStateError } from '../src/core/errors.ts'
import type { Partition, Plan } from './plan.ts'

/** What a call reads: its partition, and those of its record edges that are known beforehand. */
export interface PartitionInput {
  readonly partition: Partition
  readonly edges?: Partial<ByteRange> | undefined
}

/** That [at, end of the parent) belongs to the call `child` from now on. Plain JSON. */
export interface Division {
  readonly parent: number
  readonly at: number
  readonly child: number
}

export class DividedPlan {
  readonly #plan: Pick<Plan, 'partitions'>
  readonly #edges: readonly (ByteRange | undefined)[]
  /** What divisions have changed or added, by call. */
  readonly #inputs = new Map<number, PartitionInput>()
  /** Children of a call, the latest, which stands nearest, first. */
  readonly #children = new Map<number, number[]>()
  /** Partitions of an object, by URL; absent: as planned. */
  readonly #counts = new Map<string, number>()
  /** In the order in which they were made. */
  readonly divisions: Division[] = []
  #calls: number

  /** `edges`: resolved beforehand, one for each partition of the plan. */
  constructor(plan: Pick<Plan, 'partitions'>, edges: readonly (ByteRange | undefined)[] = []) {
    this.#plan = plan
    this.#edges = edges
    this.#calls = plan.partitions.length
  }

  /** Number of calls: the partitions of the plan and one for each division. */
  get calls(): number {
    return this.#calls
  }

  /** What the call reads. `index` and `count` of a part are unique within its object; its place is told by its range. */
  inputOf(call: number): PartitionInput {
    const divided = this.#inputs.get(call)
    if (divided !== undefined) return divided
    const partition = this.#plan.partitions[call]
    if (partition === undefined) throw new InvalidStateError(`the divided plan has no call ${call}`)
    return { partition, edges: this.#edges[call] }
  }

  /** Where the call ends by now, if it gave something away. */
  keptEnd(call: number): number | undefined {
    return this.#children.has(call) ? this.inputOf(call).partition.range.end : undefined
  }

  /** Cuts the range of `parent` at `at`, which lies within it. Gives the division with the number of the new call. */
  divide(parent: number, at: number): Division {
    const { partition, edges } = this.inputOf(parent)
    const { object, range, uncut } = partition
    if (uncut !== undefined || !(at > range.start && at < range.end)) {
      const what = uncut === undefined ? `[${range.start}, ${range.end})` : `read whole (${uncut})`
      throw new InvalidStateError(`${object.url}: call ${parent} is ${what} and cannot be divided at ${at}`)
    }
    const child = this.#calls++
    const index = this.#counts.get(object.url) ?? partition.count
    const count = index + 1
    this.#counts.set(object.url, count)
    const { start, end } = edges ?? {}
    const kept = { ...partition, range: { start: range.start, end: at }, count }
    const rest = { ...partition, range: { start: at, end: range.end }, index, count }
    this.#inputs.set(parent, { partition: kept, ...(start === undefined ? {} : { edges: { start } }) })
    this.#inputs.set(child, { partition: rest, ...(end === undefined ? {} : { edges: { end } }) })
    const children = this.#children.get(parent)
    if (children === undefined) this.#children.set(parent, [child])
    else children.unshift(child)
    const division = { parent, at, child }
    this.divisions.push(division)
    return division
  }

  /** All calls in the order of what they read: a child stands after its parent. */
  order(): number[] {
    const order: number[] = []
    const pending: number[] = []
    for (let planned = 0; planned < this.#plan.partitions.length; planned++) {
      pending.push(planned)
      for (let call = pending.pop(); call !== undefined; call = pending.pop()) {
        order.push(call)
        const children = this.#children.get(call)
        if (children !== undefined) pending.push(...children.toReversed())
      }
    }
    return order
  }

  /** The partitions as they are now, in the order of `order()`, numbered within their objects as those of a plan are. */
  partitions(): Partition[] {
    const seen = new Map<string, number>()
    return this.order().map((call) => {
      const { partition } = this.inputOf(call)
      const { url } = partition.object
      const index = seen.get(url) ?? 0
      seen.set(url, index + 1)
      return { ...partition, index, count: this.#counts.get(url) ?? partition.count }
    })
  }
}
