/**
 * THE monitor contract: tells what became of attempts.
 *
 * Liveness: every watched attempt ends in exactly one `succeeded`, `failed` or `lost`, in bounded time after its
 * invocation ended, whatever happened to its worker; `started` comes before it, nothing after.
 */
import type { InvocationDeath } from '../compute/backend.ts'
import type { RequestCounts } from '../core/tally.ts'

/** One attempt: a call of a job, tried once by an invocation. */
export interface AttemptRef {
  /** Id of the job in its executor: `M000`. */
  readonly job: string
  /** Place of the call in its job, from 0. */
  readonly call: number
  readonly invocation: number
}

/** What one call took, measured in the worker. Times are epoch ms of the worker's clock; never subtract a host's from it. */
export interface WorkerStats {
  readonly startedAt: number
  readonly endedAt: number
  /** When the user's function was entered and left; absent where it was not reached. */
  readonly runStartedAt?: number
  readonly runEndedAt?: number
  /** The user's function alone, ms. */
  readonly runMs: number
  /** CPU of the worker process while the call ran, ms: user and system, and their sum. */
  readonly cpuUserMs?: number
  readonly cpuSystemMs?: number
  readonly cpuMs: number
  readonly bytesRead: number
  readonly recordsRead: number
  readonly resultBytes: number
  /** Resident memory of the worker after the call, bytes. */
  readonly rssBytes: number
  /** The most that was resident in the worker up to the end of the call, bytes. */
  readonly peakRssBytes?: number
  /** It was the first call of its worker. */
  readonly coldStart?: true
  readonly workerPid: number
  /** What was asked of each store, by the backend's name; absent where nothing was. */
  readonly requests?: Readonly<Record<string, Readonly<RequestCounts>>>
}

export type AttemptEvent =
  | (AttemptRef & { readonly type: 'started' })
  | (AttemptRef & { readonly type: 'progress'; readonly bytesRead: number })
  /**
   * Its worker's event loop turns: about once a second while it runs. A worker that computes without a pause, and one that
   * is frozen, send none.
   */
  | (AttemptRef & { readonly type: 'alive' })
  /** A reduce call has taken its inputs below `consumed`: more may be fed. */
  | (AttemptRef & { readonly type: 'consumed'; readonly consumed: number })
  /** Asked to end its partition earlier, it ends it at `end`; what lies behind that is not read by it. */
  | (AttemptRef & { readonly type: 'divided'; readonly end: number })
  | (AttemptRef & { readonly type: 'log'; readonly text: string; readonly stream: 'stdout' | 'stderr' })
  /** `result` is what src/functions/codec decodes; `read` is the partition's ReadReport, plain JSON. */
  | (AttemptRef & {
      readonly type: 'succeeded'
      readonly result: Uint8Array
      readonly stats: WorkerStats
      readonly read?: unknown
    })
  /** `error` is what src/functions/error-codec decodes. */
  | (AttemptRef & { readonly type: 'failed'; readonly error: Uint8Array; readonly stats?: WorkerStats | undefined })
  /** Ended without telling; `started` says whether the user's function may have begun. */
  | (AttemptRef & { readonly type: 'lost'; readonly started: boolean; readonly death?: InvocationDeath | undefined })

export interface Monitor {
  /** `calls`: places within their job, in the order in which the invocation runs them. */
  watch(invocation: number, job: string, calls: readonly number[]): void
  /** What a worker reported (src/job/messages.ts). */
  message(invocation: number, bytes: Uint8Array): void
  /** The invocation is over; what has not ended is lost. */
  ended(invocation: number, death?: InvocationDeath): void
  /** One consumer; called synchronously, in order. */
  listen(listener: (event: AttemptEvent) => void): void
}
