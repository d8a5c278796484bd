/** FunctionExecutor: the user's way in. Checks what is given, ships functions, and hands jobs to the run loop. */
import { randomBytes } from 'node:crypto'
import type { PartitionOptions, Plan } from '../../partitioner/plan.ts'
import type { ObjectPartition } from '../../partitioner/read.ts'
import type { ObjectSelection } from '../../partitioner/select.ts'
import { isReducer, type Reducer } from '../../reducers/reducer.ts'
import { type Composition, compose } from '../backends.ts'
import { parseOptions } from '../config/options.ts'
import { ValidationError } from '../core/errors.ts'
import { captureFunction } from '../functions/capture.ts'
import { captureReducer } from '../functions/capture-reducer.ts'
import type { Executor } from '../futures/executor.ts'
import { Future } from '../futures/future.ts'
import { createListeners, type Listeners } from '../report/listeners.ts'
import type { Storage } from '../storage/storage.ts'
import { CallExecutor } from './call-executor.ts'
import { Engine } from './engine.ts'
import { FuturesList } from './futures-list.ts'
import { Job, MapReduceJob } from './job.ts'
import type { JobRun } from './job-run.ts'
import { makePlan, sourceKind } from './launch.ts'
import type {
  CallOptions,
  ExecutorOptions,
  GetResultOptions,
  MapOptions,
  MapReduceOptions,
  WaitOptions,
} from './options.ts'
import { ResponseFuture } from './response-future.ts'
import type { Awaitable, Items, MapFunction, ReduceFunction, Source, Waitable } from './signatures.ts'
import { getResults, waitFor } from './wait.ts'

type AnyFunction = (...args: never[]) => unknown
type AnyReducer = Reducer<unknown, unknown, unknown>

export class FunctionExecutor implements AsyncDisposable {
  /** `{hex}-0`, as Lithops names executors. */
  readonly executorId = `${randomBytes(3).toString('hex')}-0`
  readonly #composition: Composition
  readonly #listeners: Listeners
  readonly #engine: Engine
  /** Jobs and calls whose results nobody has read, in the order they were made. */
  readonly #unread = new Set<Job<unknown, unknown> | ResponseFuture<unknown>>()

  /** @throws ValidationError for an option, ConfigError for a configuration that cannot work */
  constructor(options: ExecutorOptions = {}) {
    this.#composition = compose(parseOptions('executor', options, 'executor options'), this.executorId)
    this.#listeners = createListeners(this.#composition.config)
    this.#engine = new Engine(this.#composition, this.executorId, (event) => this.#listeners.tell(event))
  }

  /** The store of the configuration; also `task.storage` of every call. */
  get storage(): Storage {
    return this.#composition.storage
  }

  /** One call; `data` is one argument whatever it is. */
  callAsync<A, R>(fn: (data: A, ...rest: never[]) => Awaitable<R>, data: A, options?: CallOptions): ResponseFuture<R> {
    const settings = parseOptions('call', options, 'callAsync options')
    this.#engine.warm(settings.runtimeMemoryMiB, 1)
    const shipped = captureFunction(fn, 'callAsync function')
    const run = this.#engine.newRun('A', fn, { silent: true, memoryMiB: settings.runtimeMemoryMiB })
    const future = new ResponseFuture<R>(run, 0)
    run.futures.push(future as ResponseFuture<unknown>)
    this.#engine.submit(items([data]), { run, shipped, settings, extraArgs: [] })
    this.#remember(run, future as ResponseFuture<unknown>)
    return future
  }

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
    const settings = parseOptions('map', options, 'map options')
    const from = readableSource(source, 'map', settings.partition)
    this.#engine.warm(settings.runtimeMemoryMiB)
    const shipped = captureFunction(fn, 'map function')
    const silent = settings.showProgressbar === false
    const run = this.#engine.newRun('M', fn, { silent, memoryMiB: settings.runtimeMemoryMiB })
    const job = new Job<unknown[], unknown>(run, allResults)
    this.#engine.submit(from, { run, shipped, settings, extraArgs: settings.extraArgs ?? [] })
    this.#remember(run, job)
    return job
  }

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
    const settings = parseOptions('mapReduce', options, 'mapReduce options')
    const from = readableSource(source, 'mapReduce', settings.partition)
    const { objReduceByKey: byKey = false, spawnReducer, runtimeMemoryMiB } = settings
    if (byKey && from.kind === 'items') {
      throw new ValidationError(
        'mapReduce options.objReduceByKey: needs objects("…") or a plan as the source, got items',
      )
    }
    this.#engine.warm(settings.mapRuntimeMemoryMiB ?? runtimeMemoryMiB)
    const shippedMap = captureFunction(map, 'mapReduce map function')
    const folds = isReducer(reduce) ? { commutative: reduce.commutative === true } : undefined
    const capture = isReducer(reduce) ? captureReducer : captureFunction
    const shippedReduce = capture(reduce as never, 'mapReduce reduce function')
    const silent = settings.showProgressbar === false
    const mapMemory = settings.mapRuntimeMemoryMiB ?? runtimeMemoryMiB
    const mapRun = this.#engine.newRun('M', map, { silent, memoryMiB: mapMemory })
    mapRun.keepsResults = true
    const reduceMemory = settings.reduceRuntimeMemoryMiB ?? runtimeMemoryMiB
    const reduceRun = this.#engine.newRun('R', reduce, { silent, memoryMiB: reduceMemory, sameNumber: true })
    const mapJob = new Job<unknown[], unknown>(mapRun, allResults)
    const assemble = async (futures: readonly ResponseFuture<unknown>[]) =>
      byKey ? valuesByUrl(await mapJob.planned(), futures) : futures[0]?.result()
    const job = new MapReduceJob<unknown, unknown, unknown>(reduceRun, assemble, mapJob)
    this.#engine.submit(
      from,
      { run: mapRun, shipped: shippedMap, settings, extraArgs: settings.extraArgs ?? [] },
      {
        run: reduceRun,
        shipped: shippedReduce,
        settings,
        extraArgs: settings.extraArgsReduce ?? [],
        byKey,
        spawnReducer,
        folds,
      },
    )
    this.#remember(reduceRun, job)
    return job
  }

  /** What a job over this source would read, in how many partitions, at what cost; nothing is run. */
  async plan(source: ObjectSelection, options: PartitionOptions = {}): Promise<Plan> {
    const { partition } = parseOptions('map', options, 'plan options')
    return makePlan(source, partition, this.#composition.resolve, 'plan options')
  }

  /** Splits futures by whether they are done once `returnWhen` holds; without `fs`, those whose results nobody has read. */
  async wait(
    fs?: Waitable,
    options?: WaitOptions,
  ): Promise<{ done: FuturesList<unknown>; notDone: FuturesList<unknown> }> {
    const { done, notDone } = await waitFor(await this.#futuresOf(fs), options, 'wait options')
    return { done: FuturesList.fromFutures(done), notDone: FuturesList.fromFutures(notDone) }
  }

  getResult<R>(
    fs: FuturesList<R>,
    options: GetResultOptions & { throwExcept: false },
  ): Promise<PromiseSettledResult<R>[]>
  getResult<R>(fs: FuturesList<R>, options?: GetResultOptions): Promise<R[]>
  getResult<T>(future: Future<T>, options?: GetResultOptions): Promise<T>
  getResult(): Promise<unknown[]>
  async getResult(
    fs?: Future<unknown> | readonly ResponseFuture<unknown>[],
    options?: GetResultOptions,
  ): Promise<unknown> {
    if (fs instanceof Future) {
      const { timeoutMs, signal } = parseOptions('getResult', options, 'getResult options')
      return fs.result({ timeout: timeoutMs, signal })
    }
    if (fs !== undefined) return getResults(fs, options, 'getResult options')
    return Promise.all([...this.#unread].map((each) => each.result()))
  }

  /** PEP 3148's interface over this executor's backend: each task is a call. Shutting it down leaves this one as it is. */
  asExecutor(): Executor {
    return new CallExecutor(this)
  }

  /** Takes no more work. What was submitted is finished unless `cancelFutures`; no worker is left when it resolves. */
  async shutdown(options: { readonly wait?: boolean; readonly cancelFutures?: boolean } = {}): Promise<void> {
    const { wait = true, cancelFutures = false } = parseOptions('shutdown', options, 'shutdown options')
    const closed = this.#engine.close().finally(() => this.#listeners.close())
    if (cancelFutures) this.#engine.cancelAll()
    if (wait) await closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  #remember(run: JobRun, result: Job<unknown, unknown> | ResponseFuture<unknown>): void {
    this.#unread.add(result)
    run.onFirstRead = () => this.#unread.delete(result)
  }

  async #futuresOf(fs: Waitable | undefined): Promise<ResponseFuture<unknown>[]> {
    const given = fs === undefined ? [...this.#unread] : fs instanceof Future ? [fs] : fs
    const lists = await Promise.all(
      given.map(async (each) => {
        if (each instanceof Job) return each.futures()
        if (each instanceof ResponseFuture) return [each]
        throw new ValidationError('wait: expected futures of an executor or its jobs')
      }),
    )
    return lists.flat()
  }
}

function items(value: readonly unknown[]) {
  return { kind: 'items' as const, value, partition: {}, where: '' }
}

/** @throws ValidationError for no source, and for partition options on what is not partitioned */
function readableSource(value: unknown, method: string, partition: PartitionOptions) {
  const kind = sourceKind(value, `${method} source`)
  const [option] = Object.keys(partition)
  if (kind === 'items' && option !== undefined) {
    throw new ValidationError(
      `${method} options.${option}: only objects("…") and plans are partitioned, the source is items`,
    )
  }
  return { kind, value, partition, where: `${method} options` }
}

function allResults(futures: readonly ResponseFuture<unknown>[]): Promise<unknown[]> {
  return Promise.all(futures.map((future) => future.result()))
}

/** Reduce calls stand in the order in which their objects first appear in the plan. */
async function valuesByUrl(plan: Plan, futures: readonly ResponseFuture<unknown>[]): Promise<Map<string, unknown>> {
  const urls = new Set(plan.partitions.map(({ object }) => object.url))
  const values = await allResults(futures)
  return new Map([...urls].map((url, i) => [url, values[i]]))
}
