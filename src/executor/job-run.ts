/**
 * One job while it runs: its futures, the inputs of its calls, their results, what the workers read. The run loop
 * drives it; `Job` is its public face. Every call's future is settled once, by `settle`.
 */
import type { Certificate } from '../../partitioner/coverage.ts'
import type { ReadReport } from '../../partitioner/read.ts'
import { CancelledError } from '../core/errors.ts'
import type { ExecutorEvent, ExecutorListener } from '../job/events.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import { CallFutures, type CallsOwner } from './call-futures.ts'
import { certificateOf } from './certified.ts'
import { failuresOf } from './failures.ts'
import { addStats, emptyTotals, type JobTotals } from './job-totals.ts'
import type { LaunchedJob } from './launched-job.ts'
import { errorOf } from './outcome-error.ts'
import type { ResponseFuture } from './response-future.ts'
import type { CallOutcome } from './scheduler-protocol.ts'

export interface JobRunSpec {
  readonly executorId: string
  readonly id: string
  /** Where another job of this executor may have the same id. */
  readonly key?: string | undefined
  readonly kind: 'call' | 'map' | 'reduce'
  readonly name: string
  readonly silent: boolean
  readonly memoryMiB?: number | undefined
  readonly prices?: Parameters<typeof addStats>[2]
  readonly listener: ExecutorListener
  cancelCalls(run: JobRun, calls: readonly number[] | undefined, running: boolean): void
  /** Removes what workers that were ended left half-written. Never rejects. */
  tidy(run: JobRun): Promise<void>
}

export class JobRun implements CallsOwner {
  readonly spec: JobRunSpec
  readonly submittedAt = Date.now()
  readonly calls: CallFutures = new CallFutures(this)
  readonly totals: JobTotals = emptyTotals()
  /** Settles when the source has been read and planned; rejects when it cannot be. */
  readonly ready: Promise<LaunchedJob>
  /** Settles when all its calls are known; rejects when they never will be. */
  readonly complete: Promise<void>
  /** Settles when every call has ended; the error of the job as a whole, if it failed. */
  readonly ended: Promise<Error | undefined>
  /** Reduce jobs read the results of their maps until they have ended: results stay encoded and are kept. */
  keepsResults = false
  /** Heap of the workers that run its calls, MiB. */
  memoryMiB: number | undefined
  /** Set where it is durable: it can be resumed by the name of its journal. */
  journal: JournalHandle | undefined
  launched: LaunchedJob | undefined
  plannedAt: number | undefined
  certificate: Certificate | undefined
  /** By call; of partitions only. */
  readonly #reads = new Map<number, ReadReport>()
  #onReady: ((launched: LaunchedJob) => void) | undefined
  #onUnready: ((error: Error) => void) | undefined
  #onComplete: ((error?: Error) => void) | undefined
  #onEnded: ((error: Error | undefined) => void) | undefined
  /** Why there are no more calls, where the source did not end by itself. */
  #reason: Error | undefined
  #reading: Reading | undefined
  #readCalls = 0

  constructor(spec: JobRunSpec) {
    this.spec = spec
    this.memoryMiB = spec.memoryMiB
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve
      this.#onUnready = reject
    })
    this.ready.catch(() => undefined)
    this.complete = new Promise((resolve, reject) => {
      this.#onComplete = (error) => (error === undefined ? resolve() : reject(error))
    })
    this.complete.catch(() => undefined)
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve
    })
    this.emit({ type: 'job-created', kind: spec.kind, name: spec.name, silent: spec.silent })
  }

  get id(): string {
    return this.spec.id
  }

  /** Its id among the jobs of this executor; one resumed here keeps the id it had in another. */
  get key(): string {
    return this.spec.key ?? this.spec.id
  }

  get executorId(): string {
    return this.spec.executorId
  }

  /** Its journal is claimed: it can be resumed by its name. */
  get durable(): boolean {
    return this.journal !== undefined
  }

  get functionBytes(): number | undefined {
    return this.launched?.shared.bytes.byteLength
  }

  launch(launched: LaunchedJob): void {
    this.launched = launched
    this.plannedAt = Date.now()
    const { plan, scheduler } = launched
    this.calls.table.append(scheduler.calls - this.calls.table.count)
    this.totals.calls = scheduler.calls
    this.totals.bytes = plan?.bytes ?? 0
    this.totals.open = scheduler.open === true
    const { calls, bytes, open } = this.totals
    this.emit({ type: 'job-planned', callCount: calls, bytes, plan, open })
    for (const { parent, child } of launched.divisions?.plan.divisions ?? []) this.calls.appended(parent, child, 1)
    this.#onReady?.(launched)
    if (open) return
    this.#onComplete?.()
    if (calls === 0) this.#end()
  }

  /** New calls of an open job. */
  extended(added: number): void {
    this.calls.table.append(added)
    this.totals.calls += added
    this.emit({ type: 'job-extended', callCount: this.totals.calls, open: true })
  }

  /** No more calls come. `reason`: why, where the source did not end by itself. */
  sealed(reason?: Error): void {
    this.totals.open = false
    this.#reason = reason
    this.#onComplete?.(reason)
    this.emit({ type: 'job-extended', callCount: this.totals.calls, open: false })
    this.calls.wake()
    if (this.totals.done === this.totals.calls) this.#end()
  }

  /** The job cannot begin, or its result is not to be trusted: futures that are not done fail with the error. */
  fail(error: Error): void {
    if (this.totals.endedAt !== undefined) return
    this.#onUnready?.(error)
    this.#onComplete?.(error)
    this.calls.endAll(error)
    this.#end(error)
  }

  /** Of every call, in the order in which their results stand. */
  get futures(): ResponseFuture<unknown>[] {
    return Array.from(this.calls.order(), (call) => this.calls.future(call))
  }

  get results(): CallFutures['results'] {
    return this.calls.results
  }

  /** An attempt goes to the backend; `dataBytes`: its encoded item, where it has one. */
  sent(call: number, dataBytes: number | undefined): void {
    this.calls.table.sent(call, Date.now(), dataBytes)
  }

  running(call: number): void {
    // a call that is tried again has been counted
    if (this.calls.started(call)) this.totals.running += 1
    this.totals.startedAt ??= Date.now()
    this.spec.listener({ type: 'call-started', at: Date.now(), jobId: this.key, call })
  }

  log(call: number, text: string, stream: 'stdout' | 'stderr'): void {
    this.calls.table.addLog(call, text)
    this.emit({ type: 'call-log', call, text, stream })
  }

  progress(call: number, bytesRead: number): void {
    this.emit({ type: 'call-progress', call, bytesRead })
  }

  settle(call: number, attempts: number, outcome: CallOutcome, inputError: (map: number) => Error): void {
    const { table } = this.calls
    if (call >= table.count || table.isDone(call)) return
    const stats = outcome.type === 'cancelled' ? undefined : outcome.stats
    if (table.standing(call) === 'running') this.totals.running -= 1
    table.measured(call, attempts, stats)
    this.#count(outcome.type, attempts, stats)
    this.calls.end(call, outcome.type, this.#take(call, outcome, inputError))
    const { bytesRead = 0, runMs = 0 } = stats ?? {}
    const [at, jobId] = [Date.now(), this.key]
    this.spec.listener({ type: 'call-ended', at, jobId, call, outcome: outcome.type, bytesRead, runMs })
    if (this.totals.done === this.totals.calls && !this.totals.open) this.#end()
  }

  /** New calls, behind all others. */
  appended(parent: number, first: number, added: number): void {
    this.calls.appended(parent, first, added)
    this.totals.calls += added
    this.emit({ type: 'call-divided', call: parent, callCount: this.totals.calls })
  }

  cancelCalls(calls: readonly number[] | undefined, running: boolean): void {
    this.spec.cancelCalls(this, calls, running)
  }

  /** Calls back when somebody reads a result of it, and when the last one was read. */
  watchReading(reading: Reading): void {
    this.#reading = reading
  }

  /** Every call that succeeded has had its result read. */
  get isReadToEnd(): boolean {
    return this.totals.endedAt !== undefined && this.#readCalls >= this.totals.succeeded
  }

  /** `first`: this call's result was not read before. */
  onRead(first: boolean): void {
    if (first) this.#readCalls += 1
    this.#reading?.onFirst()
    if (this.isReadToEnd) this.#reading?.onLast()
  }

  emit(event: DistributiveOmit<Extract<ExecutorEvent, { jobId: string }>, 'at' | 'jobId'>): void {
    this.spec.listener({ ...event, at: Date.now(), jobId: this.key } as ExecutorEvent)
  }

  /** Keeps what a call gave; its error, where it failed. */
  #take(call: number, outcome: CallOutcome, inputError: (map: number) => Error): Error | undefined {
    if (outcome.type === 'failed') return errorOf(this.id, call, outcome.why, inputError)
    if (outcome.type === 'cancelled') return undefined
    // a restored one is there already
    if (!this.results.has(call)) this.results.put(call, outcome.result)
    if (outcome.read !== undefined) this.#reads.set(call, outcome.read as ReadReport)
    return undefined
  }

  #count(outcome: 'succeeded' | 'failed' | 'cancelled', attempts: number, stats: WorkerStats | undefined): void {
    const totals = this.totals
    totals.done += 1
    totals[outcome] += 1
    totals.attempts += attempts
    if (stats !== undefined) addStats(totals, stats, this.spec.prices)
  }

  #end(failure?: Error): void {
    if (this.totals.endedAt !== undefined) return
    this.totals.endedAt = Date.now()
    const error = failure ?? this.#certify() ?? this.#failures()
    const conclude = error === undefined ? this.launched?.conclude : undefined
    if (conclude === undefined) return this.#finish(error)
    const finish = (problem: unknown) => this.#finish(problem as Error | undefined)
    this.spec.tidy(this).then(conclude).then(finish, finish)
  }

  #finish(error: Error | undefined): void {
    const outcome = error === undefined ? 'succeeded' : error instanceof CancelledError ? 'cancelled' : 'failed'
    this.emit({ type: 'job-ended', outcome, certificate: this.certificate })
    this.#onEnded?.(error)
    this.calls.wake()
  }

  /** Undefined where every failure is tolerated. */
  #failures(): Error | undefined {
    const { failed, tolerated, cancelled, calls } = this.totals
    if (this.#reason !== undefined && !(this.#reason instanceof CancelledError)) return this.#reason
    if (cancelled === 0 && failed === tolerated) return this.#reason
    const futures = Array.from(this.calls.table.unsuccessful(), (call) => this.calls.future(call))
    return failuresOf(this.id, futures, calls)
  }

  /** Proves that the bytes the calls were given tile every object. */
  #certify(): Error | undefined {
    if (this.launched?.plan === undefined) return undefined
    try {
      const errorOf = (call: number) => this.calls.table.error(call)?.message ?? 'cancelled'
      this.certificate = certificateOf(this.launched, this.#reads, errorOf)
      return undefined
    } catch (error) {
      return error as Error
    }
  }
}

/** What a durable job leaves in its storage. */
export interface JournalHandle {
  /** `{executorId}-{jobId}`; of a map-reduce, of its reduce. */
  readonly name: string
  /**
   * Removes it, once it says how the job ended. Nothing is done where another driver has taken the job over.
   * Repeating it is no error.
   */
  remove(): Promise<void>
  /** Removes what workers that are gone left half-written in its store. */
  sweep?(): Promise<void>
}

interface Reading {
  onFirst(): void
  onLast(): void
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
