/**
 * Jobs whose calls are not all known when they begin: the source of their items is read while they run. Invariant: no call
 * comes to a job that was sealed, by the end of its source or by whoever ended the job.
 */
import type { JobCalls } from './calls.ts'
import type { Deadlines } from './deadlines.ts'
import type { Dispatch } from './dispatch.ts'
import type { SchedulerCommand, SchedulerEvent } from './scheduler-protocol.ts'
import type { Settlements } from './settlements.ts'

export interface Opened {
  /** Jobs with calls that have not ended, and open ones, by id. */
  readonly jobs: ReadonlyMap<string, JobCalls>
  readonly dispatch: Dispatch
  readonly deadlines: Deadlines
  readonly settlements: Settlements
  emit(command: SchedulerCommand): void
}

export class OpenJobs {
  readonly #all: Opened

  constructor(all: Opened) {
    this.#all = all
  }

  extend({ job, added }: Extract<SchedulerEvent, { type: 'extended' }>, nowMs: number): void {
    const calls = this.#all.jobs.get(job)
    if (calls?.open !== true) return
    const first = calls.count
    calls.append(added)
    this.#all.emit({ type: 'extended', job, added })
    for (let call = first; call < calls.count; call++) this.#all.deadlines.queued(calls, call, nowMs)
    this.#all.dispatch.enter(calls)
  }

  seal({ job, error }: Extract<SchedulerEvent, { type: 'sealed' }>): void {
    const calls = this.#all.jobs.get(job)
    if (calls === undefined) return
    const { settlements } = this.#all
    settlements.seal(calls, error)
    // the failure of a source is one
    if (error !== undefined && calls.job.failFast === true) settlements.cancel(calls, undefined, true, error)
  }
}
