/** What the run loop tells the scheduler, and what it answers. Plain data: any schedule can be replayed in a test. */

import type { InvocationDeath } from '../compute/backend.ts'
import type { WorkerActivity } from '../core/errors.ts'
import type { AttemptEvent, WorkerStats } from '../monitor/monitor.ts'
import type { CallRetries, FailureTolerance } from './failure-policy.ts'
import type { SpeculationPolicy } from './stragglers.ts'

export interface SchedulerJob {
  /** `M000` */
  readonly id: string
  /** Number of calls; of an open job, so far. */
  readonly calls: number
  /** More calls may come (`extended`), until it is sealed. */
  readonly open?: boolean | undefined
  /** Calls per invocation; absent: the scheduler decides. */
  readonly chunksize?: number | undefined
  /** Memory of the workers that run it, MiB; what a retry after an out-of-memory multiplies. */
  readonly memoryMiB?: number | undefined
  /** Longest a call may run; counted from its start, a reduce call's from its last input. */
  readonly timeoutMs?: number | undefined
  /** Longest a map call may stay queued, from each time it is until it starts. */
  readonly queueTimeoutMs?: number | undefined
  /** Longest a call that runs may stay without a report or a heartbeat. */
  readonly silenceTimeoutMs?: number | undefined
  /** Tries again after a failure. */
  readonly retries?: CallRetries | undefined
  /** Backup attempts of calls that take much longer than the others. */
  readonly speculate?: SpeculationPolicy | undefined
  readonly failFast?: boolean | undefined
  /** Failures that the job survives. Absent: none fails the job's other calls, and a reduce that needs one fails. */
  readonly maxFailures?: FailureTolerance | undefined
  /** A call that failed for good is handed out by `divide` where this says so, and not settled. */
  divides?(call: number, why: FailureReason): boolean
  /** Calls that ended before: settled at once, and never run. */
  readonly restored?: readonly RestoredCall[] | undefined
  /** Set for a reduce job: its calls read these groups of map calls. */
  readonly reduces?: ReduceSpec | undefined
}

export interface RestoredCall {
  readonly call: number
  readonly attempts: number
  readonly outcome: CallOutcome
}

export interface ReduceSpec {
  readonly mapJob: string
  /** Percent of a group's maps, 0 to 100. */
  readonly spawnReducer: number
  /** One group a reduce call: the map calls it reads. */
  readonly groups: readonly { readonly maps: readonly number[] }[]
  /** Results may be fed as they arrive instead of in plan order. */
  readonly anyOrder: boolean
  /** Its maps are those of an open job: the only group gets all of them when that is sealed, and starts no sooner. */
  readonly open?: boolean | undefined
}

export type SchedulerEvent =
  /** A map job stands before the reduce job that reads it. */
  | { readonly type: 'submitted'; readonly jobs: readonly SchedulerJob[] }
  | { readonly type: 'attempt'; readonly event: AttemptEvent }
  /** Something came from a running call: it is not silent. */
  | { readonly type: 'heard'; readonly invocation: number }
  /** The invocation is over and its slot is free. */
  | { readonly type: 'ended'; readonly invocation: number }
  /** The backend did not take it. */
  | { readonly type: 'refused'; readonly invocation: number; readonly error: Error }
  /** The input of a call cannot be made or sent: it fails without a try. */
  | { readonly type: 'unsendable'; readonly job: string; readonly call: number; readonly error: Error }
  /** All inputs of a reduce call have been fed to this invocation: its time starts. */
  | { readonly type: 'fed'; readonly invocation: number; readonly call: number }
  /** What a call did elsewhere is known now: it ends with it, whatever runs of it. */
  | ({ readonly type: 'restore'; readonly job: string } & RestoredCall)
  /**
   * A call gave away a part of its input: `added` new calls, with the next places of the job, have it (`appended`).
   * Without `keeps` it is the answer to `divide`: the call is queued again, its failures forgotten. With it, the call
   * goes on in that invocation. Nothing happens where the call is not handed out, or not in that invocation, any more.
   */
  | {
      readonly type: 'divided'
      readonly job: string
      readonly call: number
      readonly added: number
      readonly keeps?: number | undefined
    }
  /** `added` new calls of an open job, behind all others; those of one that was sealed meanwhile are not taken. */
  | { readonly type: 'extended'; readonly job: string; readonly added: number }
  /** All calls of an open job are known; with `error`, because its source failed: the others run to their end. */
  | { readonly type: 'sealed'; readonly job: string; readonly error?: Error | undefined }
  /** Ends a call that was handed out by `divide`; nothing happens where it is not any more. */
  | { readonly type: 'resolve'; readonly job: string; readonly call: number; readonly outcome: CallOutcome }
  /** `calls` absent: all of the job. `running`: also what runs. */
  | {
      readonly type: 'cancel'
      readonly job: string
      readonly calls?: readonly number[]
      readonly running: boolean
      readonly reason: Error
    }
  /** Everything that has not ended fails with this. */
  | { readonly type: 'broken'; readonly error: Error }
  | { readonly type: 'time' }

export type CallOutcome =
  | { readonly type: 'succeeded'; readonly result: Uint8Array; readonly stats: WorkerStats; readonly read?: unknown }
  /** `quarantined`: its input is set aside; tolerated, and not counted by `maxFailures`. */
  | {
      readonly type: 'failed'
      readonly why: FailureReason
      readonly stats?: WorkerStats | undefined
      readonly quarantined?: true
    }
  | { readonly type: 'cancelled'; readonly reason: Error }

export type FailureReason =
  /** The user's function threw, or its result cannot travel: an encoded error. */
  | { readonly by: 'function'; readonly error: Uint8Array }
  | { readonly by: 'death'; readonly death: InvocationDeath | undefined }
  | { readonly by: 'timeout'; readonly timeoutMs: number }
  | { readonly by: 'queue'; readonly timeoutMs: number }
  | { readonly by: 'silence'; readonly timeoutMs: number; readonly activity?: WorkerActivity | undefined }
  /** An input that a reduce call needs has failed: which map call. */
  | { readonly by: 'input'; readonly mapJob: string; readonly call: number }
  | { readonly by: 'error'; readonly error: Error }

export interface CallTry {
  readonly call: number
  /** 1 for the first. */
  readonly attempt: number
}

export type SchedulerCommand =
  | {
      readonly type: 'invoke'
      readonly invocation: number
      readonly job: string
      readonly calls: readonly CallTry[]
      readonly waits: boolean
      /** Where it differs from the job's. */
      readonly memoryMiB?: number | undefined
    }
  | { readonly type: 'stop'; readonly invocation: number }
  | { readonly type: 'running'; readonly job: string; readonly call: number }
  | {
      readonly type: 'settle'
      readonly job: string
      readonly call: number
      /** Tries that began, or were lost with their worker. */
      readonly attempts: number
      readonly outcome: CallOutcome
      /** A failure that the job survives. */
      readonly tolerated: boolean
    }
  /** The call failed for good and `divides` wants it: to be answered by `divided` or `resolve`. */
  | { readonly type: 'divide'; readonly job: string; readonly call: number; readonly outcome: CallOutcome }
  /** A `divided` that was taken: the calls from `first` on have what `call` gave away. */
  | {
      readonly type: 'appended'
      readonly job: string
      readonly call: number
      readonly first: number
      readonly added: number
    }
  /** An `extended` that was taken. */
  | { readonly type: 'extended'; readonly job: string; readonly added: number }
  /** No more calls come to an open job. `reason`: why there are no more, where its source did not end by itself. */
  | { readonly type: 'sealed'; readonly job: string; readonly reason?: Error | undefined }
  /** Come back with a `time` event at this time. */
  | { readonly type: 'wake'; readonly atMs: number }

export interface SchedulerLimits {
  readonly slots: number
  readonly waitingSlots: number
}
