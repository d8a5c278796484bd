/**
 * Cleaning up behind an executor: the journals of its jobs (function, plan, results) and the CloudObjects that its calls
 * stored under default keys.
 *
 * Invariant: nothing goes that somebody may need. A job that runs is never touched; one that failed, was cancelled or has
 * results that nobody has read only with `force`; and no CloudObject while a job that may read it runs or is unread. What
 * is cleaned lies under the names of this executor's own jobs, so another executor's is never met.
 */
import { parseUpkeep } from '../config/upkeep-options.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { NotFoundError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { jobKey } from '../core/ids.ts'
import { Future } from '../futures/future.ts'
import type { Storage } from '../storage/storage.ts'
import { Job } from './job.ts'
import type { Entry, Ledger, Standing } from './ledger.ts'
import { ResponseFuture } from './response-future.ts'
import type { Waitable } from './signatures.ts'

export interface CleanOptions {
  /** Clean behind these; default: behind every job of the executor. */
  readonly fs?: Waitable | undefined
  /** CloudObjects to delete, wherever they lie. */
  readonly cs?: CloudObject | Iterable<CloudObject> | undefined
  /** Delete the CloudObjects that calls stored under default keys; default true. */
  readonly cleanCloudobjects?: boolean | undefined
  /** Delete what is kept of the jobs themselves: functions, plans, results; default true. */
  readonly cleanFn?: boolean | undefined
  /** Jobs that failed, were cancelled, or whose results nobody has read, too. */
  readonly force?: boolean | undefined
}

export interface CleanReport {
  /** Names of the jobs whose journals were deleted. */
  readonly jobs: readonly string[]
  /** What was left, and why. */
  readonly kept: readonly { readonly name: string; readonly why: string }[]
  /** CloudObjects deleted, those in `cs` included. */
  readonly cloudobjects: number
}

const WHY: Readonly<Record<Exclude<Standing, 'free'>, string>> = {
  running: 'it runs',
  unread: 'nobody has read all of its results',
  failed: 'it failed or was cancelled, and may be resumed',
}
/** What stores delete in one request. */
const BATCH_KEYS = 1_000
const CLOUD_OBJECTS = 'quern.jobs/tmp/'

export class Cleaner {
  readonly #executorId: string
  readonly #storage: Storage
  readonly #ledger: Ledger

  constructor(executorId: string, storage: Storage, ledger: Ledger) {
    this.#executorId = executorId
    this.#storage = storage
    this.#ledger = ledger
  }

  /** @throws ValidationError for what may not be cleaned although it was named */
  async clean(options: CleanOptions | undefined): Promise<CleanReport> {
    const { fs, cs, cleanCloudobjects = true, cleanFn = true, force = false } = parseUpkeep('clean', options)
    const named = fs === undefined ? undefined : this.#named(fs, force)
    const objects = cs === undefined ? [] : cloudObjectsOf(cs)
    const prefixes = this.#cloudObjectPrefixes(named, force)
    const jobs: string[] = []
    const kept: { name: string; why: string }[] = []
    for (const entry of this.#ledger.entries) {
      if (named !== undefined && !named.has(entry.name)) continue
      if (!mayGo(entry, force)) kept.push({ name: entry.name, why: WHY[entry.standing as keyof typeof WHY] })
      else if (cleanFn && entry.journal !== undefined) jobs.push(await this.#remove(entry))
    }
    if (objects.length > 0) await this.#storage.deleteCloudObjects(objects)
    let cloudobjects = objects.length
    if (cleanCloudobjects) {
      const reader = this.#readerBeside(named, force)
      if (reader === undefined) {
        for (const prefix of prefixes) cloudobjects += await removeUnder(this.#storage, prefix)
      } else
        kept.push({ name: 'CloudObjects', why: `${reader.name} may need them: ${WHY[reader.standing as 'running']}` })
    }
    return { jobs, kept, cloudobjects }
  }

  /** What succeeded and was read to its end needs nothing any more. Gives why what could not be cleaned could not. */
  async cleanFree(): Promise<string[]> {
    const failures: string[] = []
    for (const entry of this.#ledger.entries) {
      if (entry.standing !== 'free' || entry.journal === undefined) continue
      await this.#remove(entry).catch((error: Error) => failures.push(`${entry.name}: ${error.message}`))
    }
    return failures
  }

  async #remove({ name, journal }: Readonly<Entry>): Promise<string> {
    await journal?.remove()
    this.#ledger.forget(name)
    return name
  }

  /** Names of the jobs that are meant. @throws ValidationError */
  #named(fs: unknown, force: boolean): Set<string> {
    const names = new Set<string>()
    for (const made of fs instanceof Future ? [fs] : [...(fs as Iterable<unknown>)]) {
      if (!(made instanceof Job || made instanceof ResponseFuture)) {
        throw new ValidationError(`clean options.fs: expected futures of an executor or its jobs, got ${show(made)}`)
      }
      const own = jobKey(made.executorId, made.jobId)
      // the maps of a map-reduce are kept under the name of its reduce
      const reduce = jobKey(made.executorId, made.jobId.replace(/^M/, 'R'))
      const name = this.#ledger.standingOf(own) === undefined && this.#ledger.standingOf(reduce) ? reduce : own
      const standing = this.#ledger.standingOf(name)
      if (standing === 'running' || (standing !== undefined && standing !== 'free' && !force)) {
        const way = standing === 'running' ? 'cancel it first' : 'clean it with force: true'
        throw new ValidationError(`clean options.fs: ${name} is needed, as ${WHY[standing]}; ${way}`)
      }
      if (standing === undefined && made.executorId !== this.#executorId) {
        throw new ValidationError(`clean options.fs: ${name} is a job of another executor; expected jobs of this one`)
      }
      names.add(name)
    }
    return names
  }

  /** A job that is not cleaned and may read CloudObjects of those that are. */
  #readerBeside(named: ReadonlySet<string> | undefined, force: boolean): Readonly<Entry> | undefined {
    return this.#ledger.entries.find((entry) => {
      const isCleaned = (named === undefined || named.has(entry.name)) && mayGo(entry, force)
      if (isCleaned || entry.standing === 'free') return false
      return entry.standing === 'running' || !force
    })
  }

  #cloudObjectPrefixes(named: ReadonlySet<string> | undefined, force: boolean): Set<string> {
    const own = [`${this.#executorId}/`, `${this.#executorId}-`]
    // jobs that were resumed here keep the name they were given elsewhere
    const resumed = this.#ledger.entries.filter((entry) => entry.executorId !== this.#executorId && mayGo(entry, force))
    const names = named === undefined ? resumed.map(({ name }) => name) : [...named]
    const sessions = names.flatMap((name) => [`${name}-`, `${name.replace(/-R(\d+)$/, '-M$1')}-`])
    return new Set([...(named === undefined ? own : []), ...sessions].map((session) => `${CLOUD_OBJECTS}${session}`))
  }
}

function mayGo({ standing }: Readonly<Entry>, force: boolean): boolean {
  return standing === 'free' || (force && standing !== 'running')
}

/** Deletes every object whose key begins so; how many there were. None where the bucket is not there. */
export async function removeUnder(storage: Storage, prefix: string): Promise<number> {
  let removed = 0
  let keys: string[] = []
  const flush = async () => {
    if (keys.length > 0) await storage.deleteObjects(storage.bucket, keys)
    removed += keys.length
    keys = []
  }
  try {
    for await (const key of storage.listKeys(storage.bucket, { prefix })) {
      if (keys.push(key) === BATCH_KEYS) await flush()
    }
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
  }
  await flush()
  return removed
}

function cloudObjectsOf(given: unknown): CloudObject[] {
  const list = Symbol.iterator in Object(given) ? [...(given as Iterable<CloudObject>)] : [given as CloudObject]
  for (const each of list) {
    const { backend, bucket, key } = Object(each) as Partial<CloudObject>
    if (typeof backend !== 'string' || typeof bucket !== 'string' || typeof key !== 'string') {
      throw new ValidationError(`clean options.cs: expected CloudObjects, got ${show(each)} among them`)
    }
  }
  return list
}
