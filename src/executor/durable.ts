/**
 * The journal of a job from the driver's side: whether and where one is kept, its beginning, the renewal of its lease
 * while the job runs, the word on how it ended, and its removal. A driver whose job was taken over fails its runs.
 *
 * Workers commit (src/worker/committed-call.ts): the driver sends no request per call.
 */

import type { Division } from '../../partitioner/divided-plan.ts'
import type { Config } from '../config/config.ts'
import type { JournalStorage } from '../config/options.ts'
import { CancelledError, ConfigError, FencedError, QuernError } from '../core/errors.ts'
import { functionIdentity } from '../functions/identity.ts'
import { DivisionLog, takeDivisions } from '../job/division-log.ts'
import { createJournal, type NewJournal, type PartRecord, type StoredFunction } from '../job/journal.ts'
import { deleteJob } from '../job/journal-list.ts'
import { seriesOf } from '../job/keys.ts'
import {
  type DriverLease,
  type DriverVersion,
  FIRST,
  type Generations,
  LEASE_RENEW_MS,
  readDriver,
} from '../job/lease.ts'
import { encodeJob, type JournalHead } from '../job/messages.ts'
import type { JournalPlace } from '../job/place.ts'
import { type BackendResolver, isSeenBy, type Reach } from '../storage/backend.ts'
import { probeConditionalPuts } from '../storage/probe.ts'
import { MAKES_ITS_BUCKETS } from '../storage/storage.ts'
import type { JobRun, JournalHandle } from './job-run.ts'
import { keptSettings } from './kept-settings.ts'
import type { Inputs } from './launch.ts'
import type { Part } from './parts.ts'

export interface Stores {
  readonly config: Pick<Config, 'storage' | 'storageBucket'>
  readonly resolve: BackendResolver
  /** Of the workers. */
  readonly reach: Reach
  warn(text: string): void
}

/**
 * Where the journal of a job is to lie; undefined where nobody asked for one and the storage cannot hold it, which is
 * told by `warn`. `at`: absent where the executor's storage is meant.
 * @throws ConfigError when it was asked for
 */
export async function journalPlace(
  need: 'must' | 'may',
  at: JournalStorage | undefined,
  stores: Stores,
): Promise<JournalPlace | undefined> {
  const { storage, storageBucket = '' } = stores.config
  const found = await openPlace(at ?? { backend: storage, bucket: storageBucket }, stores)
  if (typeof found !== 'string') return found
  const instead = `journalStorage: 's3://bucket' names one that can`
  if (need === 'must') throw new ConfigError(`a durable job needs a store for its journal: ${found}; ${instead}`)
  stores.warn(`jobs are not durable: ${found}; ${instead}, durable: false says that none is wanted`)
  return undefined
}

/** The place, or why it holds no journal. */
async function openPlace(at: JournalStorage, { resolve, reach }: Stores): Promise<JournalPlace | string> {
  const { bucket } = at
  if (bucket === '') return `no bucket is configured for storage ${at.backend} (storageBucket)`
  const backend = await resolve(at.backend)
  if (!isSeenBy(backend.reach, reach)) {
    return `${at.backend} storage is seen by this ${backend.reach} only, and the workers run beyond it`
  }
  try {
    if (MAKES_ITS_BUCKETS.has(at.backend)) await backend.createBucket(bucket)
    const refusal = await probeConditionalPuts(backend, bucket)
    return refusal === undefined ? { backend, bucket } : `${at.backend} bucket ${bucket} was probed, and ${refusal}`
  } catch (error) {
    if (!(error instanceof QuernError)) throw error
    return error.message
  }
}

/** The journal a driver keeps of its job. */
export class JobJournal implements JournalHandle {
  readonly name: string
  readonly place: JournalPlace
  readonly generations: Generations
  readonly #lease: DriverLease
  #divisions: DivisionLog
  #ended: Promise<boolean> | undefined
  #removed: Promise<void> | undefined

  constructor(name: string, place: JournalPlace, lease: DriverLease, generations: Generations = FIRST) {
    this.name = name
    this.place = place
    this.generations = generations
    this.#lease = lease
    this.#divisions = new DivisionLog(place, { name, epoch: lease.epoch })
  }

  get epoch(): number {
    return this.#lease.epoch
  }

  /** False once another driver was seen to have taken the job. */
  get held(): boolean {
    return this.#lease.held
  }

  /** @throws FencedError when another driver divides the job's calls now */
  recordDivision(division: Division): Promise<void> {
    return this.#divisions.record(division)
  }

  /** What drivers before have divided, in order; they divide no more. @throws FencedError */
  async takeDivisions(): Promise<Division[]> {
    const { log, divisions } = await takeDivisions(this.place, this)
    this.#divisions = log
    return divisions
  }

  headOf(jobId: string): JournalHead {
    return headOf(this, jobId)
  }

  /**
   * Renews the lease until the runs have ended, and then says how. `onFenced` hears when the job was taken over; runs
   * have `journal` from here on.
   */
  follow(runs: readonly JobRun[], onFenced: (error: FencedError) => void): void {
    for (const run of runs) run.journal = this
    const fence = () =>
      onFenced(new FencedError(`${this.name} was taken over by another driver: this one has stopped its workers`))
    const timer = setInterval(() => {
      // a store that is away for a while costs nothing but the proof of life; the next renewal tells
      this.#lease.renew(Date.now()).then(
        (held) => held || fence(),
        () => undefined,
      )
    }, LEASE_RENEW_MS)
    timer.unref()
    this.#ended = Promise.all(runs.map((run) => run.ended)).then((errors) => {
      clearInterval(timer)
      const quarantined = runs[0]?.launched?.divisions?.quarantined.size
      return this.#end(
        errors.find((error) => error !== undefined),
        quarantined,
      )
    })
  }

  /** Settles when the journal says how the job ended, or the store could not be told. */
  async settled(): Promise<void> {
    await this.#ended
    await this.#removed
  }

  remove(): Promise<void> {
    this.#removed ??= this.#remove()
    return this.#removed
  }

  async sweep(): Promise<void> {
    await this.place.backend.sweep?.(this.place.bucket, [])
  }

  /** Whether this driver had the last word. */
  async #end(error: Error | undefined, quarantined: number | undefined): Promise<boolean> {
    const state = error === undefined ? 'succeeded' : error instanceof CancelledError ? 'interrupted' : 'failed'
    try {
      return await this.#lease.end(state, Date.now(), error?.message, quarantined)
    } catch (problem) {
      // results are delivered all the same; whoever looks sees a driver that stopped, and all commits
      if (problem instanceof QuernError) return false
      throw problem
    }
  }

  async #remove(): Promise<void> {
    if ((await this.#ended) === true) await deleteJob(this.place, this.name)
  }
}

/** The journal of a job that succeeded under another driver, for who reads its results now. */
export class FinishedJournal implements JournalHandle {
  readonly name: string
  readonly place: JournalPlace
  readonly generations: Generations
  readonly #driver: DriverVersion
  #removed: Promise<void> | undefined

  constructor(name: string, place: JournalPlace, driver: DriverVersion) {
    this.name = name
    this.place = place
    this.generations = driver.record
    this.#driver = driver
  }

  headOf(jobId: string): JournalHead {
    return headOf(this, jobId)
  }

  remove(): Promise<void> {
    this.#removed ??= this.#remove()
    return this.#removed
  }

  async #remove(): Promise<void> {
    const now = await readDriver(this.place, this.name)
    if (now?.record.nonce === this.#driver.record.nonce) await deleteJob(this.place, this.name)
  }
}

interface Kept {
  readonly name: string
  readonly place: JournalPlace
  readonly generations: Generations
}

function headOf({ name, place, generations }: Kept, jobId: string): JournalHead {
  return { backend: place.backend.name, bucket: place.bucket, name, series: seriesOf(jobId, generations.code) }
}

/**
 * Writes the journal of a job that was submitted; its lease is held from here on.
 * @throws SerializationError when an option cannot be kept: nothing has been written then
 */
export async function beginJournal(
  place: JournalPlace,
  parts: readonly Part[],
  inputs: Inputs,
  outputs?: unknown,
): Promise<JobJournal> {
  const functions = new Map<string, StoredFunction>()
  for (const part of parts) functions.set(part.run.id, await storedFunction(part))
  const [{ run }] = parts as readonly [Part, ...Part[]]
  const job: NewJournal = {
    executorId: run.executorId,
    parts: parts.map((part) => recordOf(part, inputs)),
    functions,
    inputs: inputs.plan === undefined ? itemsOf(inputs) : { plan: inputs.plan },
    outputs,
  }
  const lease = await createJournal(place, job, Date.now())
  return new JobJournal(`${run.executorId}-${(parts.at(-1) as Part).run.id}`, place, lease)
}

export async function storedFunction({ head, extraArgs }: Pick<Part, 'head' | 'extraArgs'>): Promise<StoredFunction> {
  return { identity: await functionIdentity(head.fn), bytes: encodeJob(head, extraArgs) }
}

function recordOf({ run, settings, reduce }: Part, inputs: Inputs): PartRecord {
  const { id: jobId, kind, name: title, memoryMiB } = run.spec
  const calls = reduce === undefined ? inputs.count : reduceCalls(reduce.byKey, inputs)
  const common = { jobId, title, calls, memoryMiB, settings: keptSettings(settings) }
  return reduce === undefined ? { ...common, kind: 'map' } : { ...common, kind: kind as 'reduce', reduce }
}

function reduceCalls(byKey: boolean, { plan }: Inputs): number {
  return byKey && plan !== undefined ? new Set(plan.partitions.map(({ object }) => object.url)).size : 1
}

function itemsOf({ count, inputOf }: Inputs) {
  const itemOf = (index: number) => {
    const input = inputOf(index)
    if (input.type === 'item') return input.value
    throw new TypeError(`a ${input.type} input is no item`)
  }
  return { count, itemOf }
}
