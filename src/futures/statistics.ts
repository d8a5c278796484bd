/** What an executor has done so far, counted as its futures end (futurist's ExecutorStatistics). */
import type { TaskFuture } from './task-future.ts'

/** A snapshot: it never changes. */
export interface ExecutorStatistics {
  /** Tasks that ended, well or not; cancelled ones are not among them. */
  readonly executed: number
  /** Of those, the ones that ended with an error. */
  readonly failures: number
  readonly cancelled: number
  /** Sum over the executed ones of the ms from their start to their end; waiting in the queue is not part of it. */
  readonly runtime: number
  /** `runtime / executed`, ms; undefined when nothing was executed. */
  readonly averageRuntime: number | undefined
}

export class Tally {
  #executed = 0
  #failures = 0
  #cancelled = 0
  #runtimeMs = 0

  /** Counts a future that is done. */
  add(future: TaskFuture<unknown>, nowMs: number): void {
    if (future.cancelled()) {
      this.#cancelled += 1
      return
    }
    this.#executed += 1
    if (future.failed()) this.#failures += 1
    this.#runtimeMs += Math.max(0, nowMs - (future.startedAtMs ?? nowMs))
  }

  snapshot(): ExecutorStatistics {
    const [executed, failures, cancelled, runtime] = [this.#executed, this.#failures, this.#cancelled, this.#runtimeMs]
    const averageRuntime = executed === 0 ? undefined : runtime / executed
    return Object.freeze({ executed, failures, cancelled, runtime, averageRuntime })
  }
}
