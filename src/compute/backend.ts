/**
 * THE compute contract: a place that runs workers. It carries opaque bytes and never looks inside; what they mean is
 * between src/job and src/worker. Orchestration (what to run, when, again?) is the scheduler's.
 *
 * - An invocation runs at most once; trying again is a new invocation.
 * - Messages of one invocation arrive in the order they were sent, all of them before its `onEnd`.
 * - Every accepted invocation ends in exactly one `onEnd`; a death takes down no other invocation.
 * - `stop` is idempotent; unknown and ended invocations are ignored.
 */
import type { WorkerActivity, WorkerDeath } from '../core/errors.ts'
import type { Reach } from '../storage/backend.ts'

export interface Invocation {
  /** Unique within the backend's life. */
  readonly id: number
  /** The part that many invocations have in common, delivered to a worker before the first payload that needs it. */
  readonly shared: { readonly id: string; readonly bytes: Uint8Array }
  readonly payload: Uint8Array
  /** Memory of the worker (src/pool/memory-limit.ts says what counts); a worker with another limit is replaced. */
  readonly memoryMiB?: number | undefined
  /** It will mostly wait for `send`: where `waitingSlots` is above 0 it takes none of `slots`. */
  readonly waits?: boolean | undefined
}

export interface ComputeCapabilities {
  /** Invocations that run at once; the scheduler never has more under way. */
  readonly slots: number
  /** Beside those, invocations with `waits`. */
  readonly waitingSlots: number
  /** `send` reaches a running invocation. */
  readonly feeds: boolean
  /** `stop` ends a running invocation; where false it only keeps one from starting. */
  readonly stopsRunning: boolean
  /** Whether time spent waiting costs money: decides the default of `spawnReducer`. */
  readonly idleCost: 'free' | 'billed'
  readonly maxPayloadBytes: number
}

/** How an invocation ended: by itself (`undefined`), or with its worker. */
export interface InvocationDeath extends WorkerDeath {
  /** `frozen`: its worker was stopped from outside and did not go on. */
  readonly reason: 'exited' | 'outOfMemory' | 'frozen' | 'stopped' | 'neverStarted' | 'closed'
  readonly memoryLimitMiB?: number | undefined
  /** What the worker held of its limit, where it was measured. */
  readonly heldBytes?: number | undefined
  /** It was killed from outside, and all that is known points to memory. */
  readonly probably?: true | undefined
}

export interface ComputeListener {
  onMessage(invocation: number, bytes: Uint8Array): void
  onEnd(invocation: number, death?: InvocationDeath): void
  /** What a worker printed outside any message: native output, crashes. For people. */
  onOutput?(text: string, stream: 'stdout' | 'stderr'): void
}

export interface ComputeBackend {
  /** Lithops' name: `localhost`, … */
  readonly name: string
  readonly capabilities: ComputeCapabilities
  /** The storage its workers can see. */
  readonly reach: Reach

  /** Before the first `invoke`; once. */
  listen(listener: ComputeListener): void
  /** Starts workers of this heap ahead of need, for so many invocations or for all slots; optional in every sense. */
  warm?(memoryMiB?: number, invocations?: number): void
  /** Resolves when accepted. @throws BrokenExecutorError, ShutdownExecutorError, ValidationError (payload too large) */
  invoke(invocation: Invocation): Promise<void>
  /** Feeds a running invocation; messages to one that has ended are dropped. */
  send(invocation: number, bytes: Uint8Array): void
  /** Resolves when what ran of it is gone; at once where it waits for its turn, which ends it. */
  stop(invocation: number): Promise<void>
  /** What the worker that runs it does and did in the last `withinMs`; undefined where that is not known. */
  activityOf?(invocation: number, withinMs: number): WorkerActivity | undefined
  /** Ends what still runs; no process is left when it resolves. Idempotent. */
  close(): Promise<void>
}
