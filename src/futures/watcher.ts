/** What became of one periodic function's calls. */
import type { Period, PeriodicFunction } from './periodic.ts'

/** What is called, and how often. */
export interface PeriodicWork {
  readonly fn: PeriodicFunction
  readonly args: readonly unknown[]
  readonly spacingMs: number
  readonly name: string
}

/** Live and read-only. Times in ms. */
export interface Watcher {
  readonly work: PeriodicWork
  readonly runs: number
  readonly successes: number
  readonly failures: number
  /** Sum of the times the calls took. */
  readonly elapsed: number
  /** Sum of the times between submitting a call and its start. */
  readonly elapsedWaiting: number
  /** Undefined before the first call has ended. */
  readonly averageElapsed: number | undefined
  readonly averageElapsedWaiting: number | undefined
  /** It threw NeverAgain. */
  readonly requestedStop: boolean
}

/** The Watcher as its worker has it. */
export class CallRecord implements Watcher {
  readonly work: PeriodicWork
  readonly runImmediately: boolean
  runs = 0
  failures = 0
  elapsed = 0
  elapsedWaiting = 0
  requestedStop = false

  constructor(fn: PeriodicFunction, args: readonly unknown[], { spacingMs, runImmediately }: Period, name: string) {
    this.work = Object.freeze({ fn, args, spacingMs, name })
    this.runImmediately = runImmediately
  }

  get successes(): number {
    return this.runs - this.failures
  }

  get averageElapsed(): number | undefined {
    return this.runs === 0 ? undefined : this.elapsed / this.runs
  }

  get averageElapsedWaiting(): number | undefined {
    return this.runs === 0 ? undefined : this.elapsedWaiting / this.runs
  }

  reset(): void {
    this.runs = 0
    this.failures = 0
    this.elapsed = 0
    this.elapsedWaiting = 0
    this.requestedStop = false
  }
}
