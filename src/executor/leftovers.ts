/**
 * What workers that were ended while they wrote have left half-written in stores that do not remove it by themselves.
 * Looked for once no worker is left, and only where one may have been ended: a job failed, was cancelled, ran a call more
 * than once, or is a resumed one.
 */
import type { JobRun } from './job-run.ts'

export class Leftovers {
  readonly #runs: JobRun[] = []

  /** Remembers the run where it may leave something. */
  watch(run: JobRun): void {
    run.ended.then((error) => {
      const { attempts, calls } = run.totals
      const isSuspect = error !== undefined || attempts > calls || run.spec.key !== undefined
      if (isSuspect && (run.journal !== undefined || run.launched?.sweep !== undefined)) this.#runs.push(run)
    })
  }

  /** Gives why what could not be removed could not. */
  async sweep(): Promise<string[]> {
    const failures: string[] = []
    for (const { id, journal, launched } of this.#runs.splice(0)) {
      for (const at of [journal, launched]) {
        await at?.sweep?.().catch((error: Error) => failures.push(`${id}: ${error.message}`))
      }
    }
    return failures
  }
}
