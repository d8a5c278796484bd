/** What the run loop tells the scheduler, and what it answers. Plain data: any schedule can be replayed in a test. */

import type { InvocationDeath } from '../compute/backend.ts'
import type { RetryPolicy } from '../core/backoff.ts'
import type { AttemptEvent, WorkerStats } from '../monitor/monitor.ts'

export interface SchedulerJob {
  /** `M000` */
  readonly id: string
  /** Number of calls. */
  readonly calls: number
  /** Calls per invocation; absent: the scheduler decides. */
  readonly chunksize?: number | undefined
  /** Longest a call may run; counted from its start, a reduce call's from its last input. */
  readonly timeoutMs?: number | undefined
  /** Tries again after a failure. */
  readonly retries?: RetryPolicy | undefined
  readonly failFast?: boolean | undefined
  /** Set for a reduce job: its calls read these groups of map calls. */
  readonly reduces?: ReduceSpec | undefined
}

export interface ReduceSpec {
  readonly mapJob: string
  /** Percent of a group's maps, 0 to 100. */
  readonly spawnReducer: number
  /** One group a reduce call: the map calls it reads. */
  readonly groups: readonly { readonly maps: readonly number[] }[]
  /** Results may be fed as they arrive instead of in plan order. */
  readonly anyOrder: boolean
}

export type SchedulerEvent =
  /** A map job stands before the reduce job that reads it. */
  | { readonly type: 'submitted'; readonly jobs: readonly SchedulerJob[] }
  | { readonly type: 'attempt'; readonly event: AttemptEvent }
  /** The invocation is over and its slot is free. */
  | { readonly type: 'ended'; readonly invocation: number }
  /** The backend did not take it. */
  | { readonly type: 'refused'; readonly invocation: number; readonly error: Error }
  /** The input of a call cannot be made or sent: it fails without a try. */
  | { readonly type: 'unsendable'; readonly job: string; readonly call: number; readonly error: Error }
  /** All inputs of a reduce call have been fed: its time starts. */
  | { readonly type: 'fed'; readonly job: string; readonly call: number }
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
  | { readonly type: 'failed'; readonly why: FailureReason; readonly stats?: WorkerStats | undefined }
  | { readonly type: 'cancelled'; readonly reason: Error }

export type FailureReason =
  /** The user's function threw, or its result cannot travel: an encoded error. */
  | { readonly by: 'function'; readonly error: Uint8Array }
  | { readonly by: 'death'; readonly death: InvocationDeath | undefined }
  | { readonly by: 'timeout'; readonly timeoutMs: number }
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
    }
  | { readonly type: 'stop'; readonly invocation: number }
  | { readonly type: 'running'; readonly job: string; readonly call: number }
  | {
      readonly type: 'settle'
      readonly job: string
      readonly call: number
      readonly attempts: number
      readonly outcome: CallOutcome
    }
  /** Come back with a `time` event at this time. */
  | { readonly type: 'wake'; readonly atMs: number }

export interface SchedulerLimits {
  readonly slots: number
  readonly waitingSlots: number
}
