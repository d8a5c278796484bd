/** The machinery behind an executor: makes runs, reads their sources, launches them, shuts down. */
import { setMaxListeners } from 'node:events'
import type { PartitionOptions, Plan } from '../../partitioner/plan.ts'
import type { ObjectSelection, SelectingProgress } from '../../partitioner/select.ts'
import type { Composition } from '../backends.ts'
import type { CallSettings } from '../config/options.ts'
import type { OutputSettings } from '../config/output-options.ts'
import { CancelledError, CoverageError, ShutdownExecutorError } from '../core/errors.ts'
import { type JobKind, jobId, jobKey } from '../core/ids.ts'
import type { ShippedFunction } from '../functions/shipped.ts'
import type { ExecutorListener } from '../job/events.ts'
import type { PartRecord } from '../job/journal.ts'
import type { JobHead } from '../job/messages.ts'
import type { JobDivisions } from './divisions.ts'
import type { JobJournal } from './durable.ts'
import { type DurableSettings, journalNeed } from './durable-settings.ts'
import { leadOf } from './item-stream.ts'
import { JobRun, type JobRunSpec } from './job-run.ts'
import { Journals } from './journals.ts'
import {
  type Inputs,
  isCollection,
  itemInputs,
  makePlan,
  planInputs,
  type SourceKind,
  streamedInputs,
} from './launch.ts'
import { Leftovers } from './leftovers.ts'
import type { PreparedOutput } from './output-hooks.ts'
import { type JobSettings, launchRuns, type Part } from './parts.ts'
import type { ResumedRuns } from './resume.ts'
import type { ResumeSettings } from './resumed-job.ts'
import { type Runtime, startRuntime } from './runtime.ts'
import { submittedPart } from './submitted-part.ts'

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
  readonly settings: CallSettings & JobSettings & DurableSettings
  readonly extraArgs: readonly unknown[]
  /** Set where a reduce is a Reducer that folds: whether its order is free. */
  readonly folds?: { readonly commutative: boolean } | undefined
}

export interface ReduceSubmission extends Submission {
  readonly byKey: boolean
  readonly spawnReducer: number | undefined
}

export class Engine {
  readonly executorId: string
  readonly #composition: Composition
  readonly #listener: ExecutorListener
  readonly #runs = new Set<JobRun>()
  readonly #journals: Journals
  readonly #leftovers = new Leftovers(
    async () => this.#runtime?.loop.stopped(),
    (text) => this.#listener({ type: 'warning', at: Date.now(), text }),
  )
  #runtime: Runtime | undefined
  #jobCount = 0
  #closing: Promise<void> | undefined

  constructor(composition: Composition, executorId: string, listener: ExecutorListener) {
    this.#composition = composition
    this.executorId = executorId
    this.#listener = listener
    const fence = (runs: readonly JobRun[], error: Error) => {
      // all of them first: the end of a map is no reason for its reduce to fail
      for (const run of runs) run.fail(error)
      for (const run of runs) this.#runtime?.loop.cancel(run.key, undefined, true, error)
    }
    this.#journals = new Journals({ config: composition.config, resolve: composition.resolve, listener, fence })
  }

  /** A run with the next job number, or that of the last job: a map and its reduce share one. */
  newRun(
    letter: JobKind,
    fn: unknown,
    options: { silent: boolean; memoryMiB?: number | undefined; sameNumber?: boolean },
  ): JobRun {
    this.#assertOpen()
    const number = options.sameNumber === true ? this.#jobCount - 1 : this.#jobCount++
    const kind = letter === 'A' ? 'call' : letter === 'M' ? 'map' : 'reduce'
    return this.#newRun({
      executorId: this.executorId,
      id: jobId(letter, number),
      kind,
      name: typeof fn === 'function' && fn.name !== '' ? fn.name : kind,
      silent: options.silent,
      memoryMiB: options.memoryMiB ?? this.#composition.config.runtimeMemoryMiB,
    })
  }

  /** A run of a job that began elsewhere. */
  resumedRun(kind: 'map' | 'reduce', executorId: string, id: string): JobRun {
    this.#assertOpen()
    const key = jobKey(executorId, id)
    return this.#newRun({ executorId, id, key, kind, name: kind, silent: false })
  }

  /** Starts workers, so that they come up while a function is looked at: all, or as many as there are calls. */
  warm(memoryMiB = this.#composition.config.runtimeMemoryMiB, calls?: number): void {
    if (this.#closing === undefined) this.#start().compute.warm?.(memoryMiB, calls)
  }

  /** Reads the source and runs the job; what goes wrong on the way fails the runs. */
  submit(source: Source, map: Submission, reduce?: ReduceSubmission): void {
    const runs = reduce === undefined ? [map.run] : [map.run, reduce.run]
    this.#begin(runs, (signal) => this.#launch(source, map, reduce, signal))
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

  #begin(runs: readonly JobRun[], launch: (signal: AbortSignal) => Promise<void>): void {
    const [map, reduce] = runs as readonly [JobRun, JobRun | undefined]
    const abort = new AbortController()
    // each request of the selection listens, and dozens are under way at once
    setMaxListeners(0, abort.signal)
    // a run that is cancelled while the source is read takes the other with it, however long the source takes
    for (const run of runs) run.ended.then(() => abort.abort())
    const early = new CancelledError(`${map.id} was cancelled before it began`)
    const failUnlaunched = () => {
      for (const run of runs) if (run.launched === undefined) run.fail(early)
    }
    abort.signal.addEventListener('abort', failUnlaunched, { once: true })
    // what was reduced from bytes that do not tile is no result
    map.ended.then((error) => error instanceof CoverageError && reduce?.fail(error))
    launch(abort.signal).catch((error) => {
      for (const run of runs) run.fail(error)
    })
  }

  /** Reads the journal of a job and goes on with it; what goes wrong on the way fails the runs. */
  resume(name: string, settings: ResumeSettings, runs: ResumedRuns): void {
    const known = runs.reduce === undefined ? [runs.map] : [runs.map, runs.reduce]
    this.#begin(known, (signal) => this.#relaunch(name, settings, runs, signal))
  }

  cancelAll(): void {
    for (const run of [...this.#runs]) this.#cancel(run, undefined, true)
  }

  /** Settles when everything submitted has ended and no worker is left; `tidy` is done while the stores are still open. */
  close(tidy: () => Promise<void> = async () => undefined): Promise<void> {
    if (this.#closing === undefined) this.#closing = this.#close(tidy)
    return this.#closing
  }

  async #launch(
    source: Source,
    map: Submission,
    reduce: ReduceSubmission | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { config } = this.#composition
    const runtime = this.#start()
    const inputs = await this.#read(source, runtime, map, signal)
    const parts = await Promise.all([
      submittedPart(map, inputs.plan, config),
      reduce === undefined ? undefined : submittedPart(reduce, undefined, config, reduce),
    ])
    signal.throwIfAborted()
    const output = await this.#output(map.settings.output, parts, inputs, runtime)
    const [mapPart, reducePart] = output?.parts ?? parts
    const beginning = { kind: source.kind, settings: map.settings, inputs, outputs: output?.plan }
    const { reach, capabilities } = runtime.compute
    const journal = await this.#journals.begin({ ...beginning, parts: [mapPart, reducePart] }, reach)
    signal.throwIfAborted()
    const journalOf = (jobId: string) => journal && { head: journal.headOf(jobId), epoch: journal.epoch }
    const divisions = await this.#divisions(map, mapPart.head, inputs, runtime, journal)
    const launch = { inputs, map: mapPart, reduce: reducePart, divisions, journalOf, hookOutputs: output?.hook }
    runtime.loop.submit(launchRuns(launch, config, capabilities))
  }

  async #read(
    { kind, value, partition, where }: Source,
    runtime: Runtime,
    { run, settings }: Submission,
    signal: AbortSignal,
  ): Promise<Inputs> {
    const { resolve, config, prices } = this.#composition
    if (kind === 'items') {
      const { dataLimitBytes: limitBytes, chunksize } = config
      // a journal holds all inputs before the first call begins
      const isWhole = isCollection(value) || journalNeed(settings, kind, config.storage) !== 'no'
      if (isWhole) return itemInputs(value as Iterable<unknown>, limitBytes)
      const lead = leadOf(runtime.compute.capabilities.slots, settings.chunksize ?? chunksize)
      return streamedInputs(value as Iterable<unknown>, { jobId: run.id, ended: run.ended, lead, limitBytes })
    }
    const onProgress = (progress: SelectingProgress) =>
      this.#listener({ type: 'job-selecting', at: Date.now(), jobId: run.id, ...progress })
    const how = { signal, onProgress, prices }
    const plan = await makePlan(value as ObjectSelection | Plan, partition, resolve, where, how)
    return planInputs(plan, resolve, runtime.compute.reach, signal)
  }

  async #divisions(
    { run, settings }: Submission,
    { output }: JobHead,
    inputs: Inputs,
    { compute }: Runtime,
    journal: JobJournal | undefined,
  ): Promise<JobDivisions | undefined> {
    if (settings.onFailure === undefined && settings.splittable === undefined) return undefined
    const [{ divisionsOf }, { divisionsJournal }] = await Promise.all([
      import('./divisions.ts'),
      import('./division-journal.ts'),
    ])
    const { resolve } = this.#composition
    const kept = journal && divisionsJournal(journal, { jobId: run.id, output }, resolve)
    return divisionsOf({ run, settings, inputs, feeds: compute.capabilities.feeds, resolve, journal: kept })
  }

  async #output(
    settings: OutputSettings | undefined,
    parts: readonly [Part, Part | undefined],
    inputs: Inputs,
    { compute }: Runtime,
  ): Promise<PreparedOutput | undefined> {
    if (settings === undefined) return undefined
    const { preparedOutput } = await import('./output-hooks.ts')
    return preparedOutput(settings, parts, inputs, { resolve: this.#composition.resolve, reach: compute.reach })
  }

  async #relaunch(name: string, settings: ResumeSettings, runs: ResumedRuns, signal: AbortSignal): Promise<void> {
    const { config, resolve } = this.#composition
    const { loop, compute } = this.#start()
    const { reach, capabilities } = compute
    const [{ takeJob }, { relaunched }] = await Promise.all([import('./resumed-job.ts'), import('./relaunch.ts')])
    const taken = await takeJob(name, settings, this.#journals.stores(reach))
    const { record, journal } = taken
    const [{ memoryMiB }, reduce] = record.parts as readonly [PartRecord, PartRecord | undefined]
    runs.map.memoryMiB = memoryMiB
    if (reduce !== undefined) {
      runs.map.keepsResults = true
      runs.reduce ??= this.resumedRun('reduce', record.executorId, reduce.jobId)
      runs.reduce.memoryMiB = reduce.memoryMiB
      runs.byKey = reduce.reduce?.byKey === true
    }
    const all = runs.reduce === undefined ? [runs.map] : [runs.map, runs.reduce]
    if (taken.isFinished) for (const run of all) run.journal = journal
    else this.#journals.follow(journal as JobJournal, all)
    const launch = await relaunched(taken, runs, { resolve, feeds: capabilities.feeds })
    signal.throwIfAborted()
    loop.submit(launchRuns(launch, config, capabilities))
  }

  #newRun(spec: Omit<JobRunSpec, 'listener' | 'cancelCalls' | 'tidy'>): JobRun {
    const cancelCalls: JobRunSpec['cancelCalls'] = (target, calls, running) => this.#cancel(target, calls, running)
    const tidy = (target: JobRun) => this.#leftovers.sweep(target, false)
    const run = new JobRun({ ...spec, prices: this.#composition.prices, listener: this.#listener, cancelCalls, tidy })
    this.#runs.add(run)
    this.#leftovers.watch(run)
    run.ended.then(() => this.#runs.delete(run))
    return run
  }

  #assertOpen(): void {
    if (this.#closing === undefined) return
    throw new ShutdownExecutorError(`executor ${this.executorId} is shut down: it takes no new jobs`)
  }

  #start(): Runtime {
    if (this.#runtime === undefined) this.#runtime = startRuntime(this.#composition.createCompute(), this.#listener)
    return this.#runtime
  }

  #cancel(run: JobRun, calls: readonly number[] | undefined, running: boolean): void {
    const reason = new CancelledError(`${run.id} was cancelled`)
    if (run.launched === undefined) return run.fail(reason)
    this.#runtime?.loop.cancel(run.key, calls, running, reason)
  }

  async #close(tidy: () => Promise<void>): Promise<void> {
    await Promise.all([...this.#runs].map((run) => run.ended))
    await this.#journals.settled()
    this.#runtime?.loop.dispose()
    await this.#runtime?.compute.close()
    await this.#leftovers.settled()
    await tidy()
    await this.#composition.close()
  }
}
