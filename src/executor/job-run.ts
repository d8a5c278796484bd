/**
 * One job while it runs: its futures, the inputs of its calls, their results, what the workers read. The run loop
 * drives it; `Job` is its public face. Every call's future is settled once, by `settle`.
 */
import { type Certificate, certify } from '../../partitioner/coverage.ts'
import type { Plan } from '../../partitioner/plan.ts'
import type { ReadReport } from '../../partitioner/read.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { CancelledError } from '../core/errors.ts'
import { decodeValue } from '../functions/codec.ts'
import type { ExecutorEvent, ExecutorListener } from '../job/events.ts'
import type { CallInput } from '../job/messages.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import type { Pin } from '../storage/backend.ts'
import { failuresOf } from './failures.ts'
import { addStats, emptyTotals, type JobTotals } from './job-totals.ts'
import { errorOf } from './outcome-error.ts'
import { type CallOwner, ResponseFuture } from './response-future.ts'
import { ResultStore } from './result-store.ts'
import type { CallOutcome, SchedulerJob } from './scheduler-protocol.ts'

const RESULTS_IN_MEMORY_BYTES = 256 * 1024 * 1024

export interface JobRunSpec {
  readonly executorId: string
  readonly id: string
  readonly kind: 'call' | 'map' | 'reduce'
  readonly name: string
  readonly silent: boolean
  readonly memoryMiB?: number | undefined
  readonly listener: ExecutorListener
  cancelCalls(run: JobRun, calls: readonly number[] | undefined, running: boolean): void
}

/** What a job becomes once its source is known: how many calls, and the input of each. */
export interface LaunchedJob {
  readonly scheduler: SchedulerJob
  readonly shared: { readonly id: string; readonly bytes: Uint8Array }
  readonly plan?: Plan | undefined
  pinOf?(object: CloudObject): Pin
  /** @throws SerializationError when the call's item cannot travel */
  inputOf(call: number): CallInput
}

export class JobRun implements CallOwner {
  readonly spec: JobRunSpec
  readonly submittedAt = Date.now()
  readonly futures: ResponseFuture<unknown>[] = []
  readonly results = new ResultStore(RESULTS_IN_MEMORY_BYTES)
  readonly totals: JobTotals = emptyTotals()
  /** Settles when the source has been read and planned; rejects when it cannot be. */
  readonly ready: Promise<LaunchedJob>
  /** Settles when every call has ended; the error of the job as a whole, if it failed. */
  readonly ended: Promise<Error | undefined>
  /** Reduce jobs read the results of their maps until they have ended: results stay encoded and are kept. */
  keepsResults = false
  launched: LaunchedJob | undefined
  certificate: Certificate | undefined
  #reads: (ReadReport | undefined)[] = []
  #onReady: ((launched: LaunchedJob) => void) | undefined
  #onUnready: ((error: Error) => void) | undefined
  #onEnded: ((error: Error | undefined) => void) | undefined
  #onRead: (() => void) | undefined

  constructor(spec: JobRunSpec) {
    this.spec = spec
    this.ready = new Promise((resolve, reject) => {
      this.#onReady = resolve
      this.#onUnready = reject
    })
    this.ready.catch(() => undefined)
    this.ended = new Promise((resolve) => {
      this.#onEnded = resolve
    })
    this.emit({ type: 'job-created', kind: spec.kind, name: spec.name, silent: spec.silent })
  }

  get id(): string {
    return this.spec.id
  }

  get executorId(): string {
    return this.spec.executorId
  }

  launch(launched: LaunchedJob): void {
    this.launched = launched
    const { plan, scheduler } = launched
    const missing = scheduler.calls - this.futures.length
    for (let i = 0; i < missing; i++) this.futures.push(new ResponseFuture(this, this.futures.length))
    this.totals.calls = scheduler.calls
    this.totals.bytes = plan?.bytes ?? 0
    this.emit({ type: 'job-planned', callCount: scheduler.calls, bytes: plan?.bytes ?? 0, plan })
    this.#onReady?.(launched)
    if (scheduler.calls === 0) this.#end()
  }

  /** The job cannot begin, or its result is not to be trusted: futures that are not done fail with the error. */
  fail(error: Error): void {
    if (this.totals.endedAt !== undefined) return
    this.#onUnready?.(error)
    for (const future of this.futures) {
      if (future.done()) continue
      if (error instanceof CancelledError) future.markCancelled()
      else future.setException(error)
    }
    this.#end(error)
  }

  running(call: number): void {
    const future = this.futures[call]
    // a call that is tried again has been counted
    if (future?.running() === false) this.totals.running += 1
    future?.markRunning(Date.now())
    this.totals.startedAt ??= Date.now()
    this.emit({ type: 'call-started', call })
  }

  log(call: number, text: string, stream: 'stdout' | 'stderr'): void {
    this.futures[call]?.addLog(text)
    this.emit({ type: 'call-log', call, text, stream })
  }

  progress(call: number, bytesRead: number): void {
    this.emit({ type: 'call-progress', call, bytesRead })
  }

  settle(call: number, attempts: number, outcome: CallOutcome, inputError: (map: number) => Error): void {
    const future = this.futures[call]
    if (future === undefined || future.done()) return
    const stats = outcome.type === 'cancelled' ? undefined : outcome.stats
    if (future.running()) this.totals.running -= 1
    future.end(attempts, Date.now(), stats)
    this.#count(outcome.type, attempts, stats)
    if (outcome.type === 'succeeded') {
      this.results.put(call, outcome.result)
      this.#reads[call] = outcome.read as ReadReport | undefined
      future.setResult(undefined)
    } else if (outcome.type === 'cancelled') future.markCancelled()
    else future.setException(errorOf(this.id, call, outcome.why, inputError))
    const { bytesRead = 0, runMs = 0 } = stats ?? {}
    this.emit({ type: 'call-ended', call, outcome: outcome.type, bytesRead, runMs })
    if (this.totals.done === this.totals.calls) this.#end()
  }

  decodeResult(call: number): unknown {
    // a result that a reducer may be fed with again stays as it came
    const value = decodeValue(this.results.get(call), { adopt: !this.keepsResults })
    if (!this.keepsResults) this.results.drop(call)
    return value
  }

  cancelCalls(calls: readonly number[] | undefined, running: boolean): void {
    this.spec.cancelCalls(this, calls, running)
  }

  /** Calls back when somebody reads a result of it. */
  set onFirstRead(callback: () => void) {
    this.#onRead = callback
  }

  onRead(): void {
    this.#onRead?.()
    this.#onRead = undefined
  }

  emit(event: DistributiveOmit<Extract<ExecutorEvent, { jobId: string }>, 'at' | 'jobId'>): void {
    this.spec.listener({ ...event, at: Date.now(), jobId: this.id } as ExecutorEvent)
  }

  #count(outcome: 'succeeded' | 'failed' | 'cancelled', attempts: number, stats: WorkerStats | undefined): void {
    const totals = this.totals
    totals.done += 1
    totals[outcome] += 1
    totals.attempts += attempts
    if (stats === undefined) return
    addStats(totals, stats)
  }

  #end(failure?: Error): void {
    if (this.totals.endedAt !== undefined) return
    this.totals.endedAt = Date.now()
    const error = failure ?? this.#certify() ?? failuresOf(this.id, this.futures)
    const outcome = error === undefined ? 'succeeded' : error instanceof CancelledError ? 'cancelled' : 'failed'
    this.emit({ type: 'job-ended', outcome, certificate: this.certificate })
    this.#onEnded?.(error)
  }

  /** Proves that the bytes the calls were given tile every object. */
  #certify(): Error | undefined {
    const plan = this.launched?.plan
    if (plan === undefined) return undefined
    try {
      this.certificate = certify(
        plan,
        this.futures.map((future, call) => {
          const report = this.#reads[call]
          if (report !== undefined) return { state: 'committed' as const, report }
          const error = future.snapshot().exception
          return { state: 'failed' as const, error: error?.message ?? 'cancelled' }
        }),
        (object) => this.launched?.pinOf?.(object) ?? 'none',
      )
      return undefined
    } catch (error) {
      return error as Error
    }
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
