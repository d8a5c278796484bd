/**
 * What workers that were ended while they wrote have left half-written in stores that do not remove it by themselves.
 * Looked for when a job has ended and nothing runs any more that was told to stop, and only where a worker may have been
 * ended: the job failed, was cancelled, ran a call more than once, or is a resumed one.
 */
import type { JobRun } from './job-run.ts'

export class Leftovers {
  readonly #stopped: () => Promise<void>
  readonly #warn: (text: string) => void
  readonly #sweeps = new Set<Promise<void>>()

  /** `stopped` resolves when nothing runs any more of what was told to stop so far; `warn` hears what could not be removed. */
  constructor(stopped: () => Promise<void>, warn: (text: string) => void) {
    this.#stopped = stopped
    this.#warn = warn
  }

  /** Sweeps after the run, unless it does that itself before it concludes. */
  watch(run: JobRun): void {
    run.ended.then((error) => {
      if (error === undefined && run.launched?.conclude !== undefined) return
      const sweep = this.sweep(run, error !== undefined)
      this.#sweeps.add(sweep)
      sweep.then(() => this.#sweeps.delete(sweep))
    })
  }

  /** Of a run all of whose calls have ended. Never rejects. */
  async sweep({ id, totals, spec, journal, launched }: JobRun, hasFailed: boolean): Promise<void> {
    const mayHaveEndedWorkers = hasFailed || totals.attempts > totals.calls || spec.key !== undefined
    if (!mayHaveEndedWorkers || (journal?.sweep ?? launched?.sweep) === undefined) return
    await this.#stopped()
    for (const at of [journal, launched]) {
      await at?.sweep?.().catch((error: Error) => this.#warn(`${id}: ${error.message}`))
    }
  }

  /** Resolves when what was begun is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#sweeps)
  }
}
