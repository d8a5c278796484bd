/** The journals of an executor's jobs: begun where a job wants one, followed until it has ended. */
import type { Config } from '../config/config.ts'
import { SerializationError } from '../core/errors.ts'
import type { ExecutorListener } from '../job/events.ts'
import type { BackendResolver, Reach } from '../storage/backend.ts'
import type { JobJournal, Stores } from './durable.ts'
import { type DurableSettings, journalNeed } from './durable-settings.ts'
import type { JobRun } from './job-run.ts'
import type { Inputs, SourceKind } from './launch.ts'
import type { Part } from './parts.ts'

export interface JournalsHost {
  readonly config: Config
  readonly resolve: BackendResolver
  readonly listener: ExecutorListener
  /** Fails the runs of a job that was taken over, and stops their workers. */
  fence(runs: readonly JobRun[], error: Error): void
}

/** What a journal is begun with. */
export interface Beginning {
  readonly kind: SourceKind
  readonly settings: DurableSettings
  readonly parts: readonly [Part, Part | undefined]
  readonly inputs: Inputs
  readonly outputs: unknown
}

export class Journals {
  readonly #host: JournalsHost
  readonly #followed = new Set<JobJournal>()
  readonly #beginning = new Set<Promise<void>>()
  readonly #warned = new Set<string>()

  constructor(host: JournalsHost) {
    this.#host = host
  }

  /** The journal of a job, written before anything of it runs; undefined where it has none. @throws ConfigError */
  async begin(beginning: Beginning, reach: Reach): Promise<JobJournal | undefined> {
    const begun = this.#begin(beginning, reach)
    const over = begun.then(
      () => undefined,
      () => undefined,
    )
    this.#beginning.add(over)
    over.then(() => this.#beginning.delete(over))
    return begun
  }

  async #begin({ kind, settings, parts, inputs, outputs }: Beginning, reach: Reach): Promise<JobJournal | undefined> {
    const given = parts.filter((part) => part !== undefined)
    // calls are cheap to make again, and pay for no look at what a journal is
    if (parts[0].run.spec.kind === 'call') return undefined
    const need = journalNeed(settings, kind, this.#host.config.storage)
    if (need === 'no') return undefined
    const { beginJournal, journalPlace } = await import('./durable.ts')
    const place = await journalPlace(need, settings.journalStorage, this.stores(reach))
    // one that was cancelled meanwhile needs none
    if (place === undefined || parts[0].run.totals.endedAt !== undefined) return undefined
    let journal: JobJournal
    try {
      journal = await beginJournal(place, given, inputs, outputs)
    } catch (error) {
      if (need === 'must' || !(error instanceof SerializationError)) throw error
      this.#warn(`${parts[0].run.id} is not durable: ${error.message}; durable: false says that it need not be`)
      return undefined
    }
    this.follow(
      journal,
      given.map(({ run }) => run),
    )
    return journal
  }

  follow(journal: JobJournal, runs: readonly JobRun[]): void {
    this.#followed.add(journal)
    journal.follow(runs, (error) => this.#host.fence(runs, error))
  }

  /** `reach`: of the workers. */
  stores(reach: Reach): Stores {
    const { config, resolve } = this.#host
    return { config, resolve, reach, warn: (text) => this.#warn(text) }
  }

  /** Settles when every journal says how its job ended, or could not be told; one that is being written is written first. */
  async settled(): Promise<void> {
    await Promise.all(this.#beginning)
    await Promise.all([...this.#followed].map((journal) => journal.settled()))
  }

  /** Once each: what is wrong with a store is wrong for every job. */
  #warn(text: string): void {
    if (this.#warned.has(text)) return
    this.#warned.add(text)
    this.#host.listener({ type: 'warning', at: Date.now(), text })
  }
}
