/**
 * A line to one worker, whatever carries it: a process today, a thread by the same interface.
 * Invariant: `onFrame` for everything the worker had sent comes before `onExit`, and `onExit` comes exactly once.
 * A link never keeps the program alive by itself: who waits for an answer holds the event loop.
 */
export interface WorkerExit {
  readonly exitCode?: number
  readonly signal?: string
  /** The last 8 KiB the worker wrote to its standard error. */
  readonly stderrTail: string
  /** It could not be started, or broke its channel. */
  readonly error?: Error
}

export interface LinkEvents {
  onFrame(type: number, id: number, payload: Uint8Array): void
  onOutput(text: string, stream: 'stdout' | 'stderr'): void
  onExit(exit: WorkerExit): void
}

export interface WorkerLink {
  /** Undefined when it could not be started. */
  readonly pid: number | undefined
  /** Frames of one turn leave in one write. After the end of the worker they are dropped. */
  send(type: number, id: number, payload: Uint8Array): void
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
