/** The contract of every executor: PEP 3148, with futurist's statistics and refusals. What all have in common is in base-executor.ts. */
import type { Transferable } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import type { Future } from './future.ts'
import type { Items, MapOptions } from './map-results.ts'
import type { ExecutorStatistics } from './statistics.ts'
import type { TaskFuture } from './task-future.ts'

export type Awaitable<T> = T | PromiseLike<T>

export interface SubmitOptions {
  /** Cancels the task: one that waits never runs; one that runs is stopped where the executor can stop it. */
  readonly signal?: AbortSignal | undefined
  /** Higher runs first; equal ones in order of submission. Default 0. */
  readonly priority?: number | undefined
  /** What is moved to the worker instead of copied; threads only. */
  readonly transfer?: readonly Transferable[] | undefined
  /** The task is submitted so many ms later, or after `"5s"`. */
  readonly delay?: number | string | undefined
}

export interface ShutdownOptions {
  /** Resolve when everything accepted has ended and no worker is left (default), or at once. */
  readonly wait?: boolean | undefined
  /** Cancels what has not begun. */
  readonly cancelFutures?: boolean | undefined
  /** Ends what runs or waits with ShutdownExecutorError. */
  readonly killWorkers?: boolean | undefined
}

export interface Executor extends AsyncDisposable {
  submit<A extends unknown[], R>(fn: (...args: A) => Awaitable<R>, ...args: A): Future<R>
  submitWith<A extends unknown[], R>(options: SubmitOptions, fn: (...args: A) => Awaitable<R>, ...args: A): Future<R>
  submitAfter<A extends unknown[], R>(delay: number | string, fn: (...args: A) => Awaitable<R>, ...args: A): Future<R>
  map<T, R>(fn: (item: T) => Awaitable<R>, items: Items<T>, options?: MapOptions): AsyncIterableIterator<R>
  starmap<A extends unknown[], R>(
    fn: (...args: A) => Awaitable<R>,
    items: Items<A>,
    options?: MapOptions,
  ): AsyncIterableIterator<R>
  shutdown(options?: ShutdownOptions): Promise<void>
  /** Until it is shut down and everything it accepted has ended. */
  readonly alive: boolean
  readonly statistics: ExecutorStatistics
  /** Tasks that were accepted and have not begun; those that wait for their delay are not counted. */
  readonly queueSize: number
}

/** Throws to refuse a task, before it is queued; `backlog` is `queueSize`. */
export type CheckAndReject = (executor: Executor, backlog: number) => void

/** What an executor is given to run. */
export interface Task {
  /** `setRunningOrNotifyCancel()` before it runs: false means skip it. It may be done before the task is: cancelled by its signal. */
  readonly future: TaskFuture<unknown>
  readonly fn: (...args: never[]) => unknown
  readonly args: readonly unknown[]
  readonly priority: number
  readonly signal?: AbortSignal | undefined
  readonly transfer?: readonly Transferable[] | undefined
}

export interface StopOptions {
  readonly cancelFutures: boolean
  readonly killWorkers: boolean
}

export interface BaseExecutorOptions {
  readonly checkAndReject?: CheckAndReject | undefined
  readonly clock?: Clock | undefined
}
