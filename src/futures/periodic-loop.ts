/**
 * When periodic functions are called, from the start of a worker to its end.
 *
 * - A function never runs beside itself: its next call is planned when this one has ended.
 * - One that fails is called again all the same; one that throws NeverAgain is not.
 * - Of what is due at the same time, the function that was added first is called first.
 * - A call that the executor refuses is tried again after about a second.
 */
import type { Clock } from '../core/clock.ts'
import { Alarm } from './alarm.ts'
import type { Executor } from './executor.ts'
import type { Future } from './future.ts'
import { MinHeap } from './min-heap.ts'
import { isNeverAgain, type PeriodicFunction } from './periodic.ts'
import { nextCallMs, type PeriodicStrategy } from './periodic-strategy.ts'
import { TaskFuture } from './task-future.ts'
import type { CallRecord } from './watcher.ts'

/** A refused call is tried again after 0.9 to 1.1 s, so that many do not come back in step. */
const RETRY_MS = 900
const RETRY_SPREAD_MS = 200

export type CallKind = 'IMMEDIATE' | 'PERIODIC'

export interface LoopOptions {
  readonly clock: Clock
  readonly strategy: PeriodicStrategy
  readonly random: () => number
  readonly onFailure: (fn: PeriodicFunction, kind: CallKind, spacingMs: number, error: Error) => void
  readonly log: (message: string, error: unknown) => void
}

interface Planned {
  readonly atMs: number
  readonly index: number
  readonly record: CallRecord
  readonly kind: CallKind
}

export class PeriodicLoop {
  readonly #executor: Executor
  readonly #options: LoopOptions
  readonly #autoStop: boolean
  readonly #alarm: Alarm
  readonly #planned = new MinHeap<Planned>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.index < b.index))
  readonly #indexes = new Map<CallRecord, number>()
  #inFlight = 0
  #turning = true
  #stopping = false
  #end: (() => void) | undefined

  constructor(executor: Executor, options: LoopOptions, autoStop: boolean) {
    this.#executor = executor
    this.#options = options
    this.#autoStop = autoStop
    this.#alarm = new Alarm(options.clock, () => this.#turn())
  }

  /** Plans its first call. Those planned earlier come first among equals. */
  plan(record: CallRecord): void {
    const { runImmediately, work } = record
    this.#indexes.set(record, this.#indexes.size)
    const nowMs = this.#options.clock.nowMs()
    this.#push(record, runImmediately ? nowMs : nowMs + work.spacingMs, runImmediately ? 'IMMEDIATE' : 'PERIODIC')
    this.#settle()
  }

  /** In how many ms it will be called, from 0; undefined while it runs, and when it will not be. */
  dueMs(record: unknown, nowMs: number): number | undefined {
    const planned = this.#planned.find((each) => each.record === record)
    return planned === undefined ? undefined : Math.max(0, planned.atMs - nowMs)
  }

  /** Resolves when it was stopped and the last call has ended. */
  run(): Promise<void> {
    return new Promise((resolve) => {
      this.#end = resolve
      this.#turn()
    })
  }

  stop(): void {
    this.#stopping = true
    this.#settle()
  }

  /** Calls what is due now; what becomes due by that waits for the next turn, so that other work has its own. */
  #turn(): void {
    this.#turning = true
    const nowMs = this.#options.clock.nowMs()
    const due: Planned[] = []
    for (let next = this.#planned.peek(); next !== undefined && next.atMs <= nowMs; next = this.#planned.peek()) {
      this.#planned.pop()
      due.push(next)
    }
    for (const planned of due) if (!this.#stopping) this.#call(planned)
    this.#turning = false
    this.#settle()
  }

  #settle(): void {
    if (this.#turning) return
    if (this.#autoStop && this.#planned.size === 0 && this.#inFlight === 0) this.#stopping = true
    this.#alarm.set(this.#stopping ? undefined : this.#planned.peek()?.atMs)
    if (this.#stopping && this.#inFlight === 0) this.#end?.()
  }

  #call({ record, kind }: Planned): void {
    const { fn, args } = record.work
    const submittedMs = this.#options.clock.nowMs()
    let future: Future<unknown>
    try {
      future = this.#executor.submit(fn, ...(args as never[]))
    } catch (error) {
      this.#options.log(`periodic ${record.work.name} was refused and will be tried again:`, error)
      this.#push(record, submittedMs + RETRY_MS + this.#options.random() * RETRY_SPREAD_MS, kind)
      return
    }
    this.#inFlight += 1
    future.addDoneCallback(() => this.#onDone(record, kind, submittedMs, future))
  }

  #onDone(record: CallRecord, kind: CallKind, submittedMs: number, future: Future<unknown>): void {
    const { strategy, clock, random } = this.#options
    const finishedMs = clock.nowMs()
    const startedMs = startOf(future, submittedMs, finishedMs)
    const error = future.snapshot().exception
    if (!future.cancelled()) this.#record(record, { submittedMs, startedMs, finishedMs }, error)
    if (error !== undefined && !record.requestedStop) this.#tellFailure(record, kind, error)
    this.#inFlight -= 1
    if (!record.requestedStop) {
      const times = { startedMs, finishedMs }
      this.#push(record, nextCallMs(strategy, record.work.spacingMs, times, random()), 'PERIODIC')
    }
    this.#settle()
  }

  #record(
    record: CallRecord,
    times: { readonly submittedMs: number; readonly startedMs: number; readonly finishedMs: number },
    error: Error | undefined,
  ): void {
    record.requestedStop = isNeverAgain(error)
    record.runs += 1
    if (error !== undefined && !record.requestedStop) record.failures += 1
    record.elapsed += Math.max(0, times.finishedMs - times.startedMs)
    record.elapsedWaiting += Math.max(0, times.startedMs - times.submittedMs)
  }

  #tellFailure({ work }: CallRecord, kind: CallKind, error: Error): void {
    try {
      this.#options.onFailure(work.fn, kind, work.spacingMs, error)
    } catch (thrown) {
      this.#options.log(`onFailure of periodic ${work.name} threw:`, thrown)
    }
  }

  #push(record: CallRecord, atMs: number, kind: CallKind): void {
    this.#planned.push({ atMs, index: this.#indexes.get(record) ?? 0, record, kind })
  }
}

/** When it began, where the executor knows; its clock may be another than ours. */
function startOf(future: Future<unknown>, submittedMs: number, finishedMs: number): number {
  const startedAtMs = future instanceof TaskFuture ? future.startedAtMs : undefined
  return Math.min(Math.max(startedAtMs ?? submittedMs, submittedMs), finishedMs)
}
