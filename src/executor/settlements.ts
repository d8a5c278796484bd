/**
 * The one place where a call ends, and what follows from it: its tries are stopped, its reducers told, and its job is
 * cancelled where no more failures are allowed. Invariant: one `settle` a call, whatever comes twice.
 */
import { CancelledError } from '../core/errors.ts'
import type { JobCalls } from './calls.ts'
import type { Dispatch } from './dispatch.ts'
import { allowedFailures } from './failure-policy.ts'
import type { Invocations, RunningInvocation } from './invocations.ts'
import type { ReduceStarts } from './reduce-starts.ts'
import type {
  CallOutcome,
  FailureReason,
  RestoredCall,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerJob,
} from './scheduler-protocol.ts'

export interface Unsettled {
  /** Jobs with calls that have not ended, by id. */
  readonly jobs: Map<string, JobCalls>
  readonly running: Invocations
  readonly reduces: ReduceStarts
  readonly dispatch: Dispatch
  emit(command: SchedulerCommand): void
}

export class Settlements {
  readonly #all: Unsettled

  constructor(all: Unsettled) {
    this.#all = all
  }

  settle(calls: JobCalls, call: number, outcome: CallOutcome, attempts = this.#attemptsOf(calls, call)): void {
    if (!calls.end(call)) return
    const { job } = calls
    const failed = outcome.type === 'failed'
    if (failed && outcome.quarantined !== true) calls.failed += 1
    const tolerated = failed && (outcome.quarantined === true || calls.failed <= allowed(calls))
    this.#all.emit({ type: 'settle', job: job.id, call, attempts, outcome, tolerated })
    this.#stopTries(calls, call)
    if (calls.ended) this.#forget(job)
    if (job.reduces === undefined) this.#tellReducers(job.id, call, outcome, tolerated)
    if (failed && !tolerated && !calls.ended) this.#failJob(calls, call)
  }

  /** Of a job that has just come: calls that had ended before. */
  restore(calls: JobCalls, restored: readonly RestoredCall[]): void {
    for (const { call, attempts, outcome } of restored) {
      calls.restored += 1
      this.settle(calls, call, outcome, attempts)
    }
  }

  cancelled({ job, calls: only, running, reason }: Extract<SchedulerEvent, { type: 'cancel' }>): void {
    const calls = this.#all.jobs.get(job)
    if (calls !== undefined) this.cancel(calls, only, running, reason)
  }

  /** `only` absent: all, and no more come. `running`: also calls that have been sent. */
  cancel(calls: JobCalls, only: readonly number[] | undefined, running: boolean, reason: Error): void {
    if (only === undefined) this.seal(calls, reason)
    for (const call of only ?? [...calls.unended()]) {
      const waits = calls.isQueued(call) || calls.isDelayed(call)
      if (running || waits) this.settle(calls, call, { type: 'cancelled', reason })
    }
  }

  /** No more calls come to an open job. `reason`: why, where its source did not end by itself; who reduces it fails then. */
  seal(calls: JobCalls, reason?: Error): void {
    if (!calls.open) return
    const { job, count } = calls
    calls.open = false
    this.#all.emit({ type: 'sealed', job: job.id, reason })
    if (calls.ended) this.#forget(job)
    const readers = this.#all.reduces.sealed(job.id, count)
    if (reason === undefined) return
    const outcome: CallOutcome =
      reason instanceof CancelledError
        ? { type: 'cancelled', reason }
        : { type: 'failed', why: { by: 'error', error: reason } }
    for (const reader of readers) for (const call of [...reader.unended()]) this.settle(reader, call, outcome)
  }

  /** Everything fails. */
  break(error: Error): void {
    for (const calls of [...this.#all.jobs.values()]) {
      this.seal(calls, error)
      for (const call of [...calls.unended()]) {
        this.settle(calls, call, { type: 'failed', why: { by: 'error', error } })
      }
    }
  }

  stop(running: RunningInvocation): void {
    if (running.stopping) return
    running.stopping = true
    this.#all.emit({ type: 'stop', invocation: running.id })
  }

  /** Tries of a call, without one that was sent and has not begun. */
  #attemptsOf(calls: JobCalls, call: number): number {
    let attempts = calls.attempts(call)
    for (const id of calls.holders(call)) if (this.#all.running.get(id)?.started?.call !== call) attempts -= 1
    return attempts
  }

  /** Stops what runs the call, and what has nothing else left; what merely holds it goes on with the others. */
  #stopTries(calls: JobCalls, call: number): void {
    for (const id of calls.holders(call)) {
      const running = this.#all.running.get(id)
      if (running === undefined) continue
      running.live -= 1
      if (running.started?.call === call || running.live === 0) this.stop(running)
    }
  }

  #forget({ id, reduces }: SchedulerJob): void {
    const calls = this.#all.jobs.get(id)
    this.#all.jobs.delete(id)
    if (calls !== undefined) this.#all.dispatch.leave(calls)
    if (reduces !== undefined) this.#all.reduces.remove(id, reduces)
  }

  #tellReducers(mapJob: string, call: number, { type }: CallOutcome, tolerated: boolean): void {
    if (type === 'succeeded' || tolerated) {
      return this.#all.reduces.mapEnded(mapJob, call, tolerated ? 'tolerated' : 'succeeded')
    }
    const why: FailureReason = { by: 'input', mapJob, call }
    for (const { calls, group } of this.#all.reduces.mapFailed(mapJob, call)) {
      this.settle(calls, group, { type: 'failed', why })
    }
  }

  /** A failure that is not tolerated ends the job where it says so. */
  #failJob(calls: JobCalls, call: number): void {
    const { id, failFast, maxFailures } = calls.job
    const more = `${calls.failed} calls of ${id} failed and maxFailures allows ${allowed(calls)}`
    if (failFast === true) {
      this.cancel(calls, undefined, true, new CancelledError(`call ${call} of ${id} failed and failFast is set`))
    } else if (maxFailures !== undefined) this.cancel(calls, undefined, true, new CancelledError(more))
  }
}

function allowed({ job, count }: JobCalls): number {
  return job.maxFailures === undefined ? 0 : allowedFailures(job.maxFailures, count)
}
