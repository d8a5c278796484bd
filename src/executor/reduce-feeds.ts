/** The feeds of all reduce calls that run: connects map results as they settle with the reducers that read them. */
import type { JobRun } from './job-run.ts'
import { ReduceFeed } from './reduce-feed.ts'
import type { ReduceSpec } from './scheduler-protocol.ts'

interface Reader {
  readonly run: JobRun
  readonly mapRun: JobRun
  readonly spec: ReduceSpec
  /** By map call: the group that reads it, and its place within the group. */
  readonly groupOf: Uint32Array
  readonly placeOf: Uint32Array
}

interface OpenFeed {
  readonly reader: Reader
  readonly group: number
  readonly feed: ReduceFeed
  told: boolean
}

export class ReduceFeeds {
  readonly #send: (invocation: number, bytes: Uint8Array) => void
  readonly #onFed: (job: string, call: number) => void
  readonly #readers = new Map<string, Reader>()
  readonly #open = new Map<number, OpenFeed>()

  constructor(send: (invocation: number, bytes: Uint8Array) => void, onFed: (job: string, call: number) => void) {
    this.#send = send
    this.#onFed = onFed
  }

  add(run: JobRun, mapRun: JobRun, spec: ReduceSpec): void {
    const groupOf = new Uint32Array(mapRun.totals.calls)
    const placeOf = new Uint32Array(mapRun.totals.calls)
    spec.groups.forEach(({ maps }, group) => {
      maps.forEach((map, place) => {
        groupOf[map] = group
        placeOf[map] = place
      })
    })
    this.#readers.set(run.id, { run, mapRun, spec, groupOf, placeOf })
  }

  /** A call has started; a reduce call is fed from its first input on. */
  open(invocation: number, job: string, call: number): void {
    const reader = this.#readers.get(job)
    if (reader === undefined) return
    const maps = reader.spec.groups[call]?.maps ?? []
    const feed = new ReduceFeed(maps, reader.mapRun.results, reader.spec.anyOrder)
    const open = { reader, group: call, feed, told: false }
    this.#open.set(invocation, open)
    this.#pump(invocation, open)
  }

  arrived(mapJob: string, call: number): void {
    for (const [invocation, open] of this.#open) {
      if (open.reader.spec.mapJob !== mapJob) continue
      if (open.reader.groupOf[call] !== open.group) continue
      open.feed.arrived(open.reader.placeOf[call] as number)
      this.#pump(invocation, open)
    }
  }

  consumed(invocation: number, count: number): void {
    const open = this.#open.get(invocation)
    if (open === undefined) return
    open.feed.consumed(count)
    this.#pump(invocation, open)
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
    return reader?.mapRun.futures[map]?.snapshot().exception ?? new Error(`call ${map} of ${mapJob} did not succeed`)
  }

  #pump(invocation: number, open: OpenFeed): void {
    open.feed.pump((bytes) => this.#send(invocation, bytes))
    if (open.told || !open.feed.complete) return
    open.told = true
    this.#onFed(open.reader.run.id, open.group)
  }
}
