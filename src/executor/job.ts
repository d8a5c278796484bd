/** The public face of a job: the future of all its results. */
import type { Certificate } from '../../partitioner/coverage.ts'
import type { Plan } from '../../partitioner/plan.ts'
import { abortable } from '../core/abortable.ts'
import { CancelledError, ValidationError } from '../core/errors.ts'
import { jobKey } from '../core/ids.ts'
import { Future } from '../futures/future.ts'
import type { CallFutures } from './call-futures.ts'
import type { QuarantinedRecord } from './division-journal.ts'
import { type CallFailure, callFailures } from './failures.ts'
import { FuturesList } from './futures-list.ts'
import type { JobRun } from './job-run.ts'
import type { JobStats, Progress } from './job-totals.ts'
import type { ResponseFuture } from './response-future.ts'

/** Makes the job's result of its calls' results, none of which has failed untolerated. */
export type Assemble<T> = (calls: CallFutures) => Promise<T>

/** Ends the wait with the signal's reason; the job goes on. */
export interface Abortable {
  readonly signal?: AbortSignal | undefined
}

export class Job<T, R> extends Future<T> {
  readonly #run: JobRun
  readonly #assemble: Assemble<T>
  #assembled: Promise<T> | undefined

  /** For the executor. */
  constructor(run: JobRun, assemble: Assemble<T>) {
    super()
    this.#run = run
    this.#assemble = assemble
    run.ended.then((error) => this.#settle(error))
  }

  /** `M000` */
  get jobId(): string {
    return this.#run.id
  }

  get executorId(): string {
    return this.#run.executorId
  }

  /** `{executorId}-{jobId}`: what the job is called across programs, as `resume` takes it. */
  get name(): string {
    return jobKey(this.executorId, this.jobId)
  }

  /** True once its journal is kept in a store: from then on it can be resumed by its name. */
  get durable(): boolean {
    return this.#run.durable
  }

  get progress(): Progress {
    const { calls, open, done, failed, cancelled, running, bytes, bytesRead } = this.#run.totals
    return { calls, open, done, failed, cancelled, running, bytes, bytesRead }
  }

  get stats(): JobStats {
    const { requests, ...totals } = this.#run.totals
    const { submittedAt, plannedAt, functionBytes } = this.#run
    return { ...totals, requests: { ...requests }, submittedAt, plannedAt, functionBytes }
  }

  /** Settles when planning has. @throws ValidationError when the job has no plan: its inputs are plain items */
  async planned({ signal }: Abortable = {}): Promise<Plan> {
    const { plan } = await abortable(this.#run.ready, { signal })
    if (plan === undefined)
      throw new ValidationError(`${this.jobId} has no plan: its inputs are items, not objects("…")`)
    return plan
  }

  /** One future per call, in input order, once all are known. Rejects when the source cannot be read or planned. */
  async futures({ signal }: Abortable = {}): Promise<FuturesList<R>> {
    await abortable(this.#run.complete, { signal })
    return FuturesList.fromFutures(this.known)
  }

  /** The futures of its calls as far as they are known: none before it is planned, not all while items are read. */
  get known(): readonly ResponseFuture<R>[] {
    return this.#run.futures as ResponseFuture<R>[]
  }

  /**
   * Resolves when all its calls are known, or `isOver` holds of those that are. Rejects where the job cannot begin.
   * @internal
   */
  async whenKnown(isOver: (progress: Progress) => boolean): Promise<void> {
    const { ready, totals, calls } = this.#run
    await ready
    while (totals.open && !isOver(totals)) await calls.nextEnd()
  }

  /** What was read of every object, once all calls have ended. @throws CoverageError, or what kept the job from being planned */
  async certificate({ signal }: Abortable = {}): Promise<Certificate> {
    await this.planned({ signal })
    const error = await abortable(this.#run.ended, { signal })
    if (this.#run.certificate === undefined) throw error
    return this.#run.certificate
  }

  /** The records on which the function fails (`onFailure: 'bisect'`), in plan order, once all calls have ended. */
  async quarantined({ signal }: Abortable = {}): Promise<QuarantinedRecord[]> {
    const { divisions } = await abortable(this.#run.ready, { signal })
    await abortable(this.#run.ended, { signal })
    return divisions?.quarantinedRecords() ?? []
  }

  /**
   * The calls that failed, tolerated ones included, once all have ended: of a mapReduce its maps', then its own. Rejects
   * only where the job could not begin.
   */
  async failures({ signal }: Abortable = {}): Promise<CallFailure[]> {
    await abortable(this.#run.ready, { signal })
    await abortable(this.#run.ended, { signal })
    return callFailures(this.#run)
  }

  /** Without `running`: true only while none of its calls has been sent. With it, what runs is stopped too. */
  override cancel(options: { readonly running?: boolean } = {}): boolean {
    if (this.done()) return this.cancelled()
    const { done, running, cancelled, endedAt } = this.#run.totals
    // its calls have succeeded, and their outputs are being concluded
    if (endedAt !== undefined && cancelled === 0 && this.#run.launched?.conclude !== undefined) return false
    const began = done > 0 || running > 0
    if (began && options.running !== true) return false
    if (this.#run.launched === undefined) this.#run.fail(new CancelledError(`${this.jobId} was cancelled`))
    else this.#run.cancelCalls(undefined, options.running === true)
    if (!this.done() && this.#run.totals.endedAt !== undefined) this.forceCancel()
    return this.cancelled()
  }

  /** Futures as their calls end. */
  [Symbol.asyncIterator](): AsyncIterableIterator<ResponseFuture<R>> {
    return new Completions<R>(this.#run)
  }

  protected override read(): Promise<T> {
    this.#run.onRead(false)
    if (this.#assembled === undefined) this.#assembled = this.#assemble(this.#run.calls)
    return this.#assembled
  }

  protected override told(error: Error): Error {
    this.#run.onRead(false)
    return error
  }

  protected override cancellation(): CancelledError {
    this.#run.onRead(false)
    return new CancelledError(`${this.jobId} was cancelled`)
  }

  #settle(error: Error | undefined): void {
    if (this.done()) return
    if (error === undefined) this.setResult(undefined as T)
    else if (error instanceof CancelledError) this.forceCancel()
    else this.setException(error)
  }
}

export class MapReduceJob<T, Out, R> extends Job<T, Out> {
  readonly mapJob: Job<R[], R>

  /** For the executor. */
  constructor(run: JobRun, assemble: Assemble<T>, mapJob: Job<R[], R>) {
    super(run, assemble)
    this.mapJob = mapJob
  }

  override planned(options?: Abortable): Promise<Plan> {
    return this.mapJob.planned(options)
  }

  override certificate(options?: Abortable): Promise<Certificate> {
    return this.mapJob.certificate(options)
  }

  override quarantined(options?: Abortable): Promise<QuarantinedRecord[]> {
    return this.mapJob.quarantined(options)
  }

  override async failures(options: Abortable = {}): Promise<CallFailure[]> {
    return [...(await this.mapJob.failures(options)), ...(await super.failures(options))]
  }

  override cancel(options: { readonly running?: boolean } = {}): boolean {
    if (this.done()) return this.cancelled()
    const began = this.mapJob.progress.done > 0 || this.mapJob.progress.running > 0
    if (began && options.running !== true) return false
    // before its maps, whose end would end it too
    const cancelled = super.cancel(options)
    this.mapJob.cancel(options)
    return cancelled
  }
}

/** Hand-written: a generator's `yield` would await the future it yields. */
class Completions<R> implements AsyncIterableIterator<ResponseFuture<R>> {
  readonly #run: JobRun
  readonly #begun: Promise<unknown>
  /** Calls in the order in which they end: those before it were given. */
  #place = 0
  #closed = false
  #turn: Promise<unknown> = Promise.resolve()

  constructor(run: JobRun) {
    this.#run = run
    this.#begun = run.ready
    this.#begun.catch(() => undefined)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  // the iterator's result holds the future in an object, so that awaiting `next()` does not await the future
  next(): Promise<IteratorResult<ResponseFuture<R>>> {
    const turn = this.#turn.then(() => this.#advance())
    this.#turn = turn.catch(() => undefined)
    return turn
  }

  async return(): Promise<IteratorResult<ResponseFuture<R>>> {
    this.#closed = true
    this.#run.calls.wake()
    return { done: true, value: undefined }
  }

  async #advance(): Promise<IteratorResult<ResponseFuture<R>>> {
    await this.#begun
    const { calls } = this.#run
    while (!this.#closed && this.#place === calls.table.ended) {
      // not before: a call that is divided leaves others behind
      if (this.#run.totals.endedAt !== undefined) return { done: true, value: undefined }
      await calls.nextEnd()
    }
    if (this.#closed) return { done: true, value: undefined }
    return { done: false, value: calls.ended<R>(calls.table.ending(this.#place++)) }
  }
}
