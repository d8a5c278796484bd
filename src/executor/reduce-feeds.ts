/** The feeds of all reduce calls that run: connects maps as they end with the reducers that read them. */
import { withInserted } from '../../reducers/groups.ts'
import type { JobRun } from './job-run.ts'
import { ReduceFeed } from './reduce-feed.ts'
import type { ReduceSpec } from './scheduler-protocol.ts'

interface Reader {
  readonly run: JobRun
  readonly mapRun: JobRun
  readonly spec: ReduceSpec
  /** The maps of every group, in plan order. */
  readonly groups: (readonly number[])[]
  /** Of how many each reduce call is told when it is sent. */
  readonly planned: number[]
  /** By map call: the group that reads it, the first where there is no other; of inserted calls apart. */
  readonly groupOf: Uint32Array
  readonly groupOfInserted: Map<number, number>
  /** Maps whose failure was tolerated. */
  readonly absent: Set<number>
}

interface OpenFeed {
  readonly invocation: number
  readonly reader: Reader
  readonly group: number
  readonly feed: ReduceFeed
  told: boolean
}

export class ReduceFeeds {
  readonly #send: (invocation: number, bytes: Uint8Array) => void
  readonly #onFed: (invocation: number, call: number) => void
  readonly #readers = new Map<string, Reader>()
  readonly #open = new Map<number, OpenFeed>()

  /** `onFed` hears that a reduce call was sent its last input. */
  constructor(
    send: (invocation: number, bytes: Uint8Array) => void,
    onFed: (invocation: number, call: number) => void,
  ) {
    this.#send = send
    this.#onFed = onFed
  }

  add(run: JobRun, mapRun: JobRun, spec: ReduceSpec): void {
    const groupOf = new Uint32Array(mapRun.totals.calls)
    const groups = spec.groups.map(({ maps }) => maps)
    groups.forEach((maps, group) => {
      for (const map of maps) groupOf[map] = group
    })
    const planned = groups.map(({ length }) => length)
    const inserted = { groupOfInserted: new Map<number, number>(), absent: new Set<number>() }
    this.#readers.set(run.key, { run, mapRun, spec, groups, planned, groupOf, ...inserted })
  }

  /** All maps of an open job are known. */
  sealed(mapJob: string): void {
    for (const { spec, groups, planned, mapRun } of this.#readers.values()) {
      if (spec.mapJob !== mapJob) continue
      groups[0] = Array.from({ length: mapRun.totals.calls }, (_, map) => map)
      planned[0] = mapRun.totals.calls
    }
  }

  /** A call has started; a reduce call is fed from its first input on. */
  open(invocation: number, job: string, call: number): void {
    const reader = this.#readers.get(job)
    if (reader === undefined) return
    const { groups, mapRun, absent, spec, planned } = reader
    const maps = groups[call] ?? []
    const feed = new ReduceFeed(maps, { results: mapRun.results, absent }, spec.anyOrder, planned[call] ?? 0)
    const open = { invocation, reader, group: call, feed, told: false }
    this.#open.set(invocation, open)
    this.#pump(open)
  }

  /** The map has a result. */
  arrived(mapJob: string, call: number): void {
    if (this.#open.size === 0) return
    for (const open of this.#readersOf(mapJob, call)) {
      open.feed.arrived(call)
      this.#pump(open)
    }
  }

  /** The map failed, and that is tolerated. */
  absent(mapJob: string, call: number): void {
    for (const { spec, absent } of this.#readers.values()) if (spec.mapJob === mapJob) absent.add(call)
    this.arrived(mapJob, call)
  }

  /** A map that has not ended gave a part of its input to a new call, whose result stands right behind its own. */
  insert(mapJob: string, map: number, inserted: number): void {
    for (const reader of this.#readers.values()) {
      if (reader.spec.mapJob !== mapJob) continue
      const group = groupOf(reader, map)
      reader.groupOfInserted.set(inserted, group)
      reader.groups[group] = withInserted(reader.groups[group] ?? [], map, inserted)
    }
    for (const open of this.#readersOf(mapJob, inserted)) {
      open.feed.reads(open.reader.groups[open.group] ?? [])
      this.#pump(open)
    }
  }

  consumed(invocation: number, count: number): void {
    const open = this.#open.get(invocation)
    if (open === undefined) return
    open.feed.consumed(count)
    this.#pump(open)
  }

  closed(invocation: number): void {
    this.#open.delete(invocation)
  }

  /** A job has ended: a reduce job needs its maps' results no more. */
  ended(job: string): void {
    this.#readers.delete(job)
  }

  /** The error of a map call, for the reduce call that needed it. */
  inputError(mapJob: string | undefined, map: number): Error {
    const reader = [...this.#readers.values()].find(({ spec }) => spec.mapJob === mapJob)
    return reader?.mapRun.calls.table.error(map) ?? new Error(`call ${map} of ${mapJob} did not succeed`)
  }

  *#readersOf(mapJob: string, call: number): Iterable<OpenFeed> {
    for (const open of this.#open.values()) {
      if (open.reader.spec.mapJob === mapJob && groupOf(open.reader, call) === open.group) yield open
    }
  }

  #pump(open: OpenFeed): void {
    open.feed.pump((bytes) => this.#send(open.invocation, bytes))
    if (open.told || !open.feed.complete) return
    open.told = true
    this.#onFed(open.invocation, open.group)
  }
}

function groupOf({ groupOf: planned, groupOfInserted }: Reader, map: number): number {
  return groupOfInserted.get(map) ?? planned[map] ?? 0
}
