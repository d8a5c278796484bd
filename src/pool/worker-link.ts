/**
 * A line to one worker, whatever carries it: a process or a thread.
 * Invariant: `onFrame` for everything the worker had sent comes before `onExit`, and `onExit` comes exactly once.
 * A link never keeps the program alive by itself: who waits for an answer holds the event loop.
 */
import type { Transferable } from 'node:worker_threads'
import type { FrameHandler } from './framing.ts'

export interface WorkerExit {
  readonly exitCode?: number
  readonly signal?: string
  /** The last 8 KiB the worker wrote to its standard error. */
  readonly stderrTail: string
  /** It could not be started, broke its channel, or ended by an error that nobody caught. */
  readonly error?: Error
}

/** A value that travels as it is, by structured clone, beside an invocation's or a message's bytes: threads only. */
export interface Direct {
  readonly value: unknown
  /** What is moved instead of copied; afterwards the sender no longer has it. */
  readonly transfer: readonly Transferable[]
}

export interface LinkEvents {
  readonly onFrame: FrameHandler
  onOutput(text: string, stream: 'stdout' | 'stderr'): void
  onExit(exit: WorkerExit): void
}

export interface WorkerLink {
  /** Of a worker process that could be started. */
  readonly pid: number | undefined
  /** Of a worker thread. */
  readonly threadId?: number | undefined
  /**
   * Frames of one turn leave together. After the end of the worker they are dropped.
   * @throws ValidationError for a direct value where there are no threads, SerializationError for one that cannot travel
   */
  send(type: number, id: number, payload: Uint8Array, direct?: Direct): void
  /** Ends it now, with what it started itself. */
  kill(): void
  /** Tells an idle worker to leave; killed when it does not. */
  retire(): void
}

/** What a worker is started with; one with another profile is replaced. */
export interface SpawnProfile {
  readonly memoryMiB: number | undefined
}

export type StartWorker = (profile: SpawnProfile, events: LinkEvents) => WorkerLink
