/** FunctionExecutor: the user's way in. What it is asked for is done by the rooms beside it. */
import { randomBytes } from 'node:crypto'
import type { PartitionOptions, Plan } from '../../partitioner/plan.ts'
import type { ObjectPartition } from '../../partitioner/read.ts'
import type { ObjectSelection } from '../../partitioner/select.ts'
import type { Reducer } from '../../reducers/reducer.ts'
import { type Composition, compose } from '../backends.ts'
import { parseOptions } from '../config/options.ts'
import { parseUpkeep } from '../config/upkeep-options.ts'
import { abortable } from '../core/abortable.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { ValidationError } from '../core/errors.ts'
import type { Executor } from '../futures/executor.ts'
import { Future } from '../futures/future.ts'
import { type JobInfo, listJobs } from '../job/journal-list.ts'
import type { JobSummary } from '../report/job-summary.ts'
import { createListeners, type Listeners } from '../report/listeners.ts'
import type { Storage } from '../storage/storage.ts'
import { CallExecutor } from './call-executor.ts'
import { Cleaner, type CleanOptions, type CleanReport } from './clean.ts'
import { Engine } from './engine.ts'
import { FuturesList } from './futures-list.ts'
import { resultOf, waitForMade } from './gather.ts'
import type { Job, MapReduceJob } from './job.ts'
import { makePlan } from './launch.ts'
import { Ledger } from './ledger.ts'
import type {
  CallOptions,
  ExecutorOptions,
  GetResultOptions,
  MapOptions,
  MapReduceOptions,
  OutputOptions,
  PlanningOptions,
  ReplayOptions,
  ResumeOptions,
  WaitOptions,
} from './options.ts'
import { type PlotOptions, Reports, type SummaryOptions } from './reports.ts'
import type { ResponseFuture } from './response-future.ts'
import { submitResume } from './resume.ts'
import type { Awaitable, Items, MapFunction, ReduceFunction, Source, Waitable } from './signatures.ts'
import { type AnyReducer, type Submitted, submitCall, submitMap, submitMapReduce } from './submissions.ts'

/** Where the function's values are written instead of being handed out. */
interface WithOutput {
  readonly output: string | OutputOptions
}
// biome-ignore lint/suspicious/noExplicitAny: an accumulator is the reducer's own affair
type AnyReduce<R, Y extends readonly unknown[]> = ReduceFunction<R, unknown, Y> | Reducer<R, any, unknown>

type AnyFunction = (...args: never[]) => unknown

export class FunctionExecutor implements AsyncDisposable {
  /** `{hex}-0`, as Lithops names executors; long enough that no two are the same. */
  readonly executorId = `${randomBytes(6).toString('hex')}-0`
  readonly #composition: Composition
  readonly #listeners: Listeners
  readonly #engine: Engine
  readonly #ledger = new Ledger()
  readonly #reports = new Reports()
  readonly #cleaner: Cleaner

  /** @throws ValidationError for an option, ConfigError for a configuration that cannot work */
  constructor(options: ExecutorOptions = {}) {
    this.#composition = compose(parseOptions('executor', options, 'executor options'), this.executorId)
    this.#listeners = createListeners(this.#composition.config)
    this.#cleaner = new Cleaner(this.executorId, this.storage, this.#ledger)
    this.#engine = new Engine(this.#composition, this.executorId, (event) => this.#listeners.tell(event))
  }

  /** The store of the configuration; also `task.storage` of every call. */
  get storage(): Storage {
    return this.#composition.storage
  }

  /** One call; `data` is one argument whatever it is. */
  callAsync<A, R>(fn: (data: A, ...rest: never[]) => Awaitable<R>, data: A, options?: CallOptions): ResponseFuture<R> {
    return this.#made(submitCall<R>(this.#engine, fn, data, options))
  }

  // with `output` the results are the objects written
  map<R, const X extends readonly unknown[] = []>(
    fn: MapFunction<ObjectPartition, R, X>,
    source: Source,
    options: MapOptions<X> & PartitionOptions & WithOutput,
  ): Job<CloudObject[], CloudObject>
  map<T, R, const X extends readonly unknown[] = []>(
    fn: MapFunction<T, R, X>,
    items: Items<T>,
    options: MapOptions<X> & WithOutput,
  ): Job<CloudObject[], CloudObject>
  map<R, const X extends readonly unknown[] = []>(
    fn: MapFunction<ObjectPartition, R, X>,
    source: Source,
    options?: MapOptions<X> & PartitionOptions,
  ): Job<R[], R>
  map<T, R, const X extends readonly unknown[] = []>(
    fn: MapFunction<T, R, X>,
    items: Items<T>,
    options?: MapOptions<X>,
  ): Job<R[], R>
  map(
    fn: AnyFunction,
    source: unknown,
    options?: MapOptions<readonly unknown[]> & PartitionOptions,
  ): Job<unknown[], unknown> {
    return this.#made(submitMap(this.#engine, fn, source, options))
  }

  mapReduce<R, const X extends readonly unknown[] = [], const Y extends readonly unknown[] = []>(
    map: MapFunction<ObjectPartition, R, X>,
    source: Source,
    reduce: AnyReduce<NoInfer<R>, Y>,
    options: MapReduceOptions<X, Y> & PartitionOptions & WithOutput & { objReduceByKey: true },
  ): MapReduceJob<Map<string, CloudObject>, CloudObject, R>
  mapReduce<R, const X extends readonly unknown[] = [], const Y extends readonly unknown[] = []>(
    map: MapFunction<ObjectPartition, R, X>,
    source: Source,
    reduce: AnyReduce<NoInfer<R>, Y>,
    options: MapReduceOptions<X, Y> & PartitionOptions & WithOutput & { objReduceByKey?: false },
  ): MapReduceJob<CloudObject, CloudObject, R>
  mapReduce<T, R, const X extends readonly unknown[] = [], const Y extends readonly unknown[] = []>(
    map: MapFunction<T, R, X>,
    items: Items<T>,
    reduce: AnyReduce<NoInfer<R>, Y>,
    options: MapReduceOptions<X, Y> & WithOutput,
  ): MapReduceJob<CloudObject, CloudObject, R>
  // a Map from object URL to its value, in plan order
  mapReduce<R, Out, const X extends readonly unknown[] = [], const Y extends readonly unknown[] = []>(
    map: MapFunction<ObjectPartition, R, X>,
    source: Source,
    // biome-ignore lint/suspicious/noExplicitAny: an accumulator is the reducer's own affair
    reduce: ReduceFunction<NoInfer<R>, Out, Y> | Reducer<NoInfer<R>, any, Out>,
    options: MapReduceOptions<X, Y> & PartitionOptions & { objReduceByKey: true },
  ): MapReduceJob<Map<string, Out>, Out, R>
  mapReduce<R, Out, const X extends readonly unknown[] = [], const Y extends readonly unknown[] = []>(
    map: MapFunction<ObjectPartition, R, X>,
    source: Source,
    // biome-ignore lint/suspicious/noExplicitAny: an accumulator is the reducer's own affair
    reduce: ReduceFunction<NoInfer<R>, Out, Y> | Reducer<NoInfer<R>, any, Out>,
    options?: MapReduceOptions<X, Y> & PartitionOptions & { objReduceByKey?: false },
  ): MapReduceJob<Out, Out, R>
  mapReduce<T, R, Out, const X extends readonly unknown[] = [], const Y extends readonly unknown[] = []>(
    map: MapFunction<T, R, X>,
    items: Items<T>,
    // biome-ignore lint/suspicious/noExplicitAny: an accumulator is the reducer's own affair
    reduce: ReduceFunction<NoInfer<R>, Out, Y> | Reducer<NoInfer<R>, any, Out>,
    options?: MapReduceOptions<X, Y>,
  ): MapReduceJob<Out, Out, R>
  mapReduce(
    map: AnyFunction,
    source: unknown,
    reduce: AnyFunction | AnyReducer,
    options?: MapReduceOptions<readonly unknown[], readonly unknown[]> & PartitionOptions,
  ): MapReduceJob<unknown, unknown, unknown> {
    return this.#made(submitMapReduce(this.#engine, map, source, reduce, options))
  }

  /** What a job over this source would read, in how many partitions, at what cost; nothing is run. */
  async plan(source: ObjectSelection, options: PartitionOptions & PlanningOptions = {}): Promise<Plan> {
    const { onProgress, ...others } = options
    if (onProgress !== undefined && typeof onProgress !== 'function') {
      throw new ValidationError(`plan options.onProgress: expected a function, got ${typeof onProgress}`)
    }
    const { partition, signal } = parseOptions('map', others, 'plan options')
    const { resolve, prices } = this.#composition
    return makePlan(source, partition, resolve, 'plan options', { signal, onProgress, prices })
  }

  /**
   * Splits calls by whether they are done once `returnWhen` holds or the time is over; without `fs`, those of all jobs and
   * calls whose results nobody has read. A job that is not planned by then has no calls yet.
   */
  async wait(
    fs?: Waitable,
    options?: WaitOptions,
  ): Promise<{ done: FuturesList<unknown>; notDone: FuturesList<unknown> }> {
    const given = fs === undefined ? this.#ledger.unread : fs instanceof Future ? [fs] : [...fs]
    const { done, notDone } = await waitForMade(given, options)
    return { done: FuturesList.fromFutures(done), notDone: FuturesList.fromFutures(notDone) }
  }

  getResult<R>(
    fs: FuturesList<R>,
    options: GetResultOptions & { throwExcept: false },
  ): Promise<PromiseSettledResult<R>[]>
  getResult<R>(fs: FuturesList<R>, options?: GetResultOptions): Promise<R[]>
  getResult<T>(future: Future<T>, options: GetResultOptions & { throwExcept: false }): Promise<PromiseSettledResult<T>>
  getResult<T>(future: Future<T>, options?: GetResultOptions): Promise<T>
  // of every job and call not handed out yet, in the order they were made
  getResult(fs?: undefined, options?: GetResultOptions): Promise<unknown[]>
  getResult(fs?: Future<unknown> | readonly ResponseFuture<unknown>[], options?: GetResultOptions): Promise<unknown> {
    return resultOf(fs, options, this.#ledger.unread)
  }

  /**
   * Draws when the calls ran, of those given or of all: a timeline and a histogram, SVG. Gives the paths written.
   * @throws ValidationError
   */
  async plot(fs?: Waitable, options?: PlotOptions): Promise<string[]> {
    if (fs === undefined) return this.#reports.plot(undefined, options)
    const { done, notDone } = await this.wait(fs, { returnWhen: 'ALWAYS' })
    return this.#reports.plot([...done, ...notDone], options)
  }

  /** What each job took, and all of them; with `dst` also written as CSV. */
  async jobSummary(options?: SummaryOptions): Promise<JobSummary> {
    return this.#reports.summary(options)
  }

  /**
   * Goes on with a job by its name, in this or another program: the calls that have no result are run, with the function
   * that was stored. Refused where the code has changed since (`useNewCode` takes it, and discards what the old one did),
   * and where objects have (`replan` plans those anew).
   */
  resume(job: string, options?: ResumeOptions): Job<unknown, unknown> {
    return this.#made(submitResume(this.#engine, job, options))
  }

  /**
   * Runs one call of a kept job once more, in this process and on the same pinned bytes; nothing is kept of it. A call of
   * a map-reduce's map is named by the map. @throws what the function throws, NotFoundError, ObjectChangedError
   */
  async replay(job: string, call: string | number, options?: ReplayOptions): Promise<unknown> {
    const { replayCall } = await import('./replay.ts')
    return replayCall(this.#composition, job, call, options)
  }

  /** The jobs whose journals are kept in this executor's storage, whoever made them: name, state, age, calls, size. */
  async jobs(options?: { readonly signal?: AbortSignal | undefined }): Promise<JobInfo[]> {
    const { signal } = parseUpkeep('jobs', options)
    const { config, resolve } = this.#composition
    const backend = await resolve(config.storage)
    return abortable(listJobs({ backend, bucket: this.storage.bucket }), { signal })
  }

  /**
   * Deletes what is kept of jobs in stores, and the CloudObjects of their calls; never what may still be needed. What
   * succeeded and was read is cleaned by `shutdown` too, but for CloudObjects. @throws ValidationError
   */
  clean(options?: CleanOptions): Promise<CleanReport> {
    return this.#cleaner.clean(options)
  }

  /** PEP 3148's interface over this executor's backend: each task is a call. Shutting it down leaves this one as it is. */
  asExecutor(): Executor {
    return new CallExecutor(this)
  }

  /** Takes no more work. What was submitted is finished unless `cancelFutures`; no worker is left when it resolves. */
  async shutdown(options: { readonly wait?: boolean; readonly cancelFutures?: boolean } = {}): Promise<void> {
    const { wait = true, cancelFutures = false } = parseOptions('shutdown', options, 'shutdown options')
    const closed = this.#engine.close(() => this.#tidy()).finally(() => this.#listeners.close())
    if (cancelFutures) this.#engine.cancelAll()
    if (wait) await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  async #tidy(): Promise<void> {
    for (const failure of await this.#cleaner.cleanFree()) {
      this.#listeners.tell({ type: 'warning', at: Date.now(), text: `could not clean ${failure}` })
    }
  }

  #made<F extends Job<unknown, unknown> | ResponseFuture<unknown>>({ run, future }: Submitted<F>): F {
    this.#ledger.add(run, future)
    this.#reports.add(run)
    return future
  }
}
