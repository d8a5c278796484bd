/**
 * What an executor has made: whose results nobody has read yet, and what may be cleaned. Invariant: a job is free only
 * when it succeeded and every result of it was read; one that failed or was cancelled may have to be resumed.
 */
import type { Job } from './job.ts'
import type { JobRun } from './job-run.ts'
import type { ResponseFuture } from './response-future.ts'

export type Made = Job<unknown, unknown> | ResponseFuture<unknown>

/** `free`: nobody needs its temporaries any more. */
export type Standing = 'running' | 'unread' | 'failed' | 'free'

export interface Entry {
  readonly name: string
  readonly executorId: string
  readonly jobId: string
  /** Where the job is durable: what is kept of it in a store. */
  journal: JobRun['journal']
  standing: Standing
}

export class Ledger {
  readonly #unread = new Set<Made>()
  /** By name. Of what is over and free, only durable jobs are kept in mind: nothing is left of the others. */
  readonly #entries = new Map<string, Entry>()

  add(run: JobRun, made: Made): void {
    const { executorId, id: jobId } = run
    const entry: Entry = { name: `${executorId}-${jobId}`, executorId, jobId, journal: undefined, standing: 'running' }
    this.#unread.add(made)
    this.#entries.set(entry.name, entry)
    run.watchReading({
      onFirst: () => this.#unread.delete(made),
      onLast: () => entry.standing === 'unread' && this.#settle(entry, 'free'),
    })
    run.ended.then((error) => {
      // the maps of a map-reduce, resumed alone, do not free what its reduce is kept by
      entry.journal = run.journal?.name === entry.name ? run.journal : undefined
      this.#settle(entry, error !== undefined ? 'failed' : run.isReadToEnd ? 'free' : 'unread')
    })
  }

  /** What nobody has read a result of, in the order it was made. */
  get unread(): Made[] {
    return [...this.#unread]
  }

  /** Jobs that may have temporaries, in the order they were made. */
  get entries(): readonly Readonly<Entry>[] {
    return [...this.#entries.values()]
  }

  /** Undefined for a job that left nothing, or that is not of this executor. */
  standingOf(name: string): Standing | undefined {
    return this.#entries.get(name)?.standing
  }

  /** Its temporaries are gone. */
  forget(name: string): void {
    this.#entries.delete(name)
  }

  #settle(entry: Entry, standing: Standing): void {
    entry.standing = standing
    const isDropped = entry.journal === undefined && standing !== 'unread'
    if (isDropped) this.#entries.delete(entry.name)
  }
}
