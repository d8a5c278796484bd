/** The public face of a job: the future of all its results. */
import type { Certificate } from '../../partitioner/coverage.ts'
import type { Plan } from '../../partitioner/plan.ts'
import { CancelledError, ValidationError } from '../core/errors.ts'
import { Future, type ResultOptions } from '../futures/future.ts'
import { FuturesList } from './futures-list.ts'
import type { JobRun } from './job-run.ts'
import type { JobStats, Progress } from './job-totals.ts'
import type { ResponseFuture } from './response-future.ts'

/** Makes the job's result of its calls' results. */
export type Assemble<T, R> = (futures: readonly ResponseFuture<R>[]) => Promise<T>

export class Job<T, R> extends Future<T> {
  readonly #run: JobRun
  readonly #assemble: Assemble<T, R>
  #assembled: Promise<T> | undefined

  /** For the executor. */
  constructor(run: JobRun, assemble: Assemble<T, R>) {
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

  get progress(): Progress {
    const { calls, done, failed, cancelled, running, bytes, bytesRead } = this.#run.totals
    return { calls, done, failed, cancelled, running, bytes, bytesRead }
  }

  get stats(): JobStats {
    const { requests, ...totals } = this.#run.totals
    return { ...totals, requests: { ...requests }, submittedAt: this.#run.submittedAt }
  }

  /** Settles when planning has. @throws ValidationError when the job has no plan: its inputs are plain items */
  async planned(): Promise<Plan> {
    const { plan } = await this.#run.ready
    if (plan === undefined)
      throw new ValidationError(`${this.jobId} has no plan: its inputs are items, not objects("…")`)
    return plan
  }

  /** One future per call, in input order. Rejects when the source cannot be read or planned. */
  async futures(): Promise<FuturesList<R>> {
    await this.#run.ready
    return FuturesList.fromFutures(this.#run.futures as ResponseFuture<R>[])
  }

  /** What was read of every object, once all calls have ended. @throws CoverageError, or what kept the job from being planned */
  async certificate(): Promise<Certificate> {
    await this.planned()
    const error = await this.#run.ended
    if (this.#run.certificate === undefined) throw error
    return this.#run.certificate
  }

  /** Without `running`: true only while none of its calls has been sent. With it, what runs is stopped too. */
  override cancel(options: { readonly running?: boolean } = {}): boolean {
    if (this.done()) return this.cancelled()
    const { done, running } = this.#run.totals
    const began = done > 0 || running > 0
    if (began && options.running !== true) return false
    if (this.#run.launched === undefined) this.#run.fail(new CancelledError(`${this.jobId} was cancelled`))
    else this.#run.cancelCalls(undefined, options.running === true)
    if (!this.done() && this.#run.totals.endedAt !== undefined) this.forceCancel()
    return this.cancelled()
  }

  /** Futures as their calls end. */
  [Symbol.asyncIterator](): AsyncIterator<ResponseFuture<R>> {
    return new Completions<R>(this.#run)
  }

  protected override read(): Promise<T> {
    this.#run.onRead()
    if (this.#assembled === undefined) this.#assembled = this.#assemble(this.#run.futures as ResponseFuture<R>[])
    return this.#assembled
  }

  protected override cancellation(): CancelledError {
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
  constructor(run: JobRun, assemble: Assemble<T, Out>, mapJob: Job<R[], R>) {
    super(run, assemble)
    this.mapJob = mapJob
  }

  override planned(): Promise<Plan> {
    return this.mapJob.planned()
  }

  override certificate(): Promise<Certificate> {
    return this.mapJob.certificate()
  }

  override cancel(options: { readonly running?: boolean } = {}): boolean {
    if (this.done()) return this.cancelled()
    const began = this.mapJob.progress.done > 0 || this.mapJob.progress.running > 0
    if (began && options.running !== true) return false
    this.mapJob.cancel(options)
    return super.cancel(options)
  }
}

/** Hand-written: a generator's `yield` would await the future it yields. */
class Completions<R> implements AsyncIterator<ResponseFuture<R>> {
  readonly #ended: ResponseFuture<R>[] = []
  readonly #started: Promise<void>
  #left = 0
  #wake: (() => void) | undefined

  constructor(run: JobRun) {
    this.#started = run.ready.then(() => {
      this.#left = run.futures.length
      for (const future of run.futures as ResponseFuture<R>[]) {
        future.addDoneCallback(() => {
          this.#ended.push(future)
          this.#wake?.()
        })
      }
    })
    this.#started.catch(() => undefined)
  }

  // the iterator's result holds the future in an object, so that awaiting `next()` does not await the future
  async next(): Promise<IteratorResult<ResponseFuture<R>>> {
    await this.#started
    if (this.#left === 0) return { done: true, value: undefined }
    while (this.#ended.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#left -= 1
    return { done: false, value: this.#ended.shift() as ResponseFuture<R> }
  }
}

export type { ResultOptions }
