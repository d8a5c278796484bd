/** The machinery behind an executor: makes runs, reads their sources, launches them, shuts down. */
import { setMaxListeners } from 'node:events'
import type { PartitionOptions, Plan } from '../../partitioner/plan.ts'
import type { ObjectSelection } from '../../partitioner/select.ts'
import { groupsOf } from '../../reducers/groups.ts'
import type { Composition } from '../backends.ts'
import type { CallSettings, MapSettings } from '../config/options.ts'
import { CancelledError, CoverageError, ShutdownExecutorError } from '../core/errors.ts'
import { type JobKind, jobId, jobKey } from '../core/ids.ts'
import { shippingFunctions } from '../functions/capture.ts'
import { encodeValue } from '../functions/codec.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import type { ExecutorListener } from '../job/events.ts'
import { encodeJob, PROTOCOL } from '../job/messages.ts'
import { JobRun } from './job-run.ts'
import { type Inputs, itemInputs, makePlan, planInputs, type SourceKind } from './launch.ts'
import { type Runtime, startRuntime } from './runtime.ts'
import type { ReduceSpec, SchedulerJob } from './scheduler-protocol.ts'

export interface Source {
  readonly kind: SourceKind
  readonly value: unknown
  readonly partition: PartitionOptions
  /** Names the options in messages. */
  readonly where: string
}

export interface Submission {
  readonly run: JobRun
  readonly shipped: ShippedFunction
  readonly settings: CallSettings & Pick<MapSettings, 'chunksize' | 'failFast'>
  readonly extraArgs: readonly unknown[]
  /** Set where a reduce is a Reducer that folds: whether its order is free. */
  readonly folds?: { readonly commutative: boolean } | undefined
}

export interface ReduceSubmission extends Submission {
  readonly byKey: boolean
  readonly spawnReducer: number | undefined
}

/** Percent of the maps after which a reducer starts where waiting costs nothing (Lithops' default). */
const SPAWN_REDUCER = 20

const RETRY_PAUSES = { baseMs: 100, maxMs: 10_000 }

export class Engine {
  readonly executorId: string
  readonly #composition: Composition
  readonly #listener: ExecutorListener
  readonly #runs = new Set<JobRun>()
  #runtime: Runtime | undefined
  #jobCount = 0
  #closing: Promise<void> | undefined

  constructor(composition: Composition, executorId: string, listener: ExecutorListener) {
    this.#composition = composition
    this.executorId = executorId
    this.#listener = listener
  }

  /** A run with the next job number, or that of the last job: a map and its reduce share one. */
  newRun(
    letter: JobKind,
    fn: unknown,
    options: { silent: boolean; memoryMiB?: number | undefined; sameNumber?: boolean },
  ): JobRun {
    if (this.#closing !== undefined) {
      throw new ShutdownExecutorError(`executor ${this.executorId} is shut down: it takes no new jobs`)
    }
    const number = options.sameNumber === true ? this.#jobCount - 1 : this.#jobCount++
    const kind = letter === 'A' ? 'call' : letter === 'M' ? 'map' : 'reduce'
    const run = new JobRun({
      executorId: this.executorId,
      id: jobId(letter, number),
      kind,
      name: typeof fn === 'function' && fn.name !== '' ? fn.name : kind,
      silent: options.silent,
      memoryMiB: options.memoryMiB ?? this.#composition.config.runtimeMemoryMiB,
      listener: this.#listener,
      cancelCalls: (target, calls, running) => this.#cancel(target, calls, running),
    })
    this.#runs.add(run)
    run.ended.then(() => this.#runs.delete(run))
    return run
  }

  /** Starts workers, so that they come up while a function is looked at: all, or as many as there are calls. */
  warm(memoryMiB = this.#composition.config.runtimeMemoryMiB, calls?: number): void {
    if (this.#closing === undefined) this.#start().compute.warm?.(memoryMiB, calls)
  }

  /** Reads the source and runs the job; what goes wrong on the way fails the runs. */
  submit(source: Source, map: Submission, reduce?: ReduceSubmission): void {
    const runs = reduce === undefined ? [map.run] : [map.run, reduce.run]
    const abort = new AbortController()
    // each request of the selection listens, and dozens are under way at once
    setMaxListeners(0, abort.signal)
    // a run that is cancelled while the source is read takes the other with it, however long the source takes
    for (const run of runs) run.ended.then(() => abort.abort())
    const early = new CancelledError(`${map.run.id} was cancelled before it began`)
    const failUnlaunched = () => {
      for (const run of runs) if (run.launched === undefined) run.fail(early)
    }
    abort.signal.addEventListener('abort', failUnlaunched, { once: true })
    // what was reduced from bytes that do not tile is no result
    map.run.ended.then((error) => {
      if (error instanceof CoverageError) reduce?.run.fail(error)
    })
    this.#launch(source, map, reduce, abort.signal).catch((error) => {
      for (const run of runs) run.fail(error)
    })
    const { signal } = map.settings
    if (signal === undefined) return
    const onAbort = () => {
      for (const run of runs) this.#cancel(run, undefined, true)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    const ended = Promise.all(runs.map((run) => run.ended))
    ended.then(() => signal.removeEventListener('abort', onAbort))
  }

  cancelAll(): void {
    for (const run of [...this.#runs]) this.#cancel(run, undefined, true)
  }

  /** Settles when everything submitted has ended and no worker is left. */
  close(): Promise<void> {
    if (this.#closing === undefined) this.#closing = this.#close()
    return this.#closing
  }

  async #launch(
    source: Source,
    map: Submission,
    reduce: ReduceSubmission | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const runtime = this.#start()
    const inputs = await this.#read(source, runtime, signal)
    const [mapFn, reduceFn] = await Promise.all([
      travelling(map),
      reduce === undefined ? undefined : travelling(reduce),
    ])
    signal.throwIfAborted()
    map.run.launch({
      scheduler: this.#schedulerJob(map, inputs.count),
      shared: this.#shared(map, mapFn, inputs.plan),
      plan: inputs.plan,
      pinOf: inputs.pinOf,
      inputOf: inputs.inputOf,
    })
    if (reduce === undefined || reduceFn === undefined) return runtime.loop.submit([map.run])
    const groups = groupsOf(inputs.plan?.partitions, inputs.count, reduce.byKey)
    const billed = runtime.compute.capabilities.idleCost === 'billed'
    const reduces: ReduceSpec = {
      mapJob: map.run.id,
      spawnReducer: reduce.spawnReducer ?? (billed ? 100 : SPAWN_REDUCER),
      groups,
      anyOrder: reduce.folds?.commutative === true,
    }
    reduce.run.launch({
      scheduler: { ...this.#schedulerJob(reduce, groups.length), reduces },
      shared: this.#shared(reduce, reduceFn, undefined),
      inputOf: (call) => ({ type: 'results', count: groups[call]?.maps.length ?? 0, object: groups[call]?.object }),
    })
    runtime.loop.submit([map.run, reduce.run])
  }

  async #read({ kind, value, partition, where }: Source, runtime: Runtime, signal: AbortSignal): Promise<Inputs> {
    const { resolve, config } = this.#composition
    if (kind === 'items') return itemInputs(value as Iterable<unknown>, config.dataLimitBytes)
    const plan = await makePlan(value as ObjectSelection | Plan, partition, resolve, where, signal)
    return planInputs(plan, resolve, runtime.compute.reach, signal)
  }

  #shared({ run, settings, extraArgs, folds }: Submission, fn: ShippedFunction | ShippedBlob, plan: Plan | undefined) {
    const { config } = this.#composition
    const bytes = encodeJob(
      {
        protocol: PROTOCOL,
        executorId: this.executorId,
        jobId: run.id,
        kind: run.spec.kind,
        fn,
        extraEnv: settings.extraEnv ?? {},
        read: plan?.options,
        storage: { backend: config.storage, bucket: config.storageBucket ?? '' },
        reducer: folds !== undefined,
      },
      encodeValue(extraArgs, 'extraArgs', shippingFunctions),
    )
    return { id: jobKey(this.executorId, run.id), bytes }
  }

  #schedulerJob({ run, settings }: Submission, calls: number): SchedulerJob {
    const { config } = this.#composition
    const { chunksize = config.chunksize, timeoutMs = config.timeoutMs, retries = 0, failFast } = settings
    const policy = retries === 0 ? undefined : { attempts: retries + 1, ...RETRY_PAUSES }
    return { id: run.id, calls, chunksize, timeoutMs, retries: policy, failFast }
  }

  #start(): Runtime {
    if (this.#runtime === undefined) this.#runtime = startRuntime(this.#composition.createCompute(), this.#listener)
    return this.#runtime
  }

  #cancel(run: JobRun, calls: readonly number[] | undefined, running: boolean): void {
    const reason = new CancelledError(`${run.id} was cancelled`)
    if (run.launched === undefined) return run.fail(reason)
    this.#runtime?.loop.cancel(run.id, calls, running, reason)
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#runs].map((run) => run.ended))
    this.#runtime?.loop.dispose()
    await this.#runtime?.compute.close()
    await this.#composition.close()
  }
}

/** The function as it goes to the workers: with its modules, where the settings say so. */
async function travelling({ shipped, settings }: Submission): Promise<ShippedFunction | ShippedBlob> {
  const { includeModules, excludeModules = [] } = settings
  const alone = includeModules === undefined ? excludeModules.length === 0 : (includeModules?.length ?? 0) === 0
  if (alone) return shipped
  const { bundleFunction } = await import('../functions/bundle.ts')
  const { hash, bytes } = await bundleFunction(shipped, { includeModules, excludeModules })
  return { kind: 'blob', hash, bytes: Buffer.from(bytes).toString('base64') }
}
