/** Public list of `quern/futures`. */

export type { Clock } from '../core/clock.ts'
export * from '../core/errors.ts'
export { registerErrorClass } from '../functions/error-codec.ts'
export { AsyncExecutor, type AsyncExecutorOptions } from '../futures/async-executor.ts'
export { DynamicThreadPoolExecutor, type DynamicThreadPoolOptions } from '../futures/dynamic-thread-pool-executor.ts'
export type {
  Awaitable,
  CheckAndReject,
  Executor,
  ShutdownOptions,
  SubmitOptions,
} from '../futures/executor.ts'
export { Future, type FutureSnapshot, type FutureState, type ResultOptions } from '../futures/future.ts'
export type { Items, MapOptions } from '../futures/map-results.ts'
export { move } from '../futures/move.ts'
export type { ReturnWhen } from '../futures/options.ts'
export { isPeriodic, NeverAgain, type PeriodicFunction, type PeriodicOptions, periodic } from '../futures/periodic.ts'
export type { CallKind } from '../futures/periodic-loop.ts'
export type { PeriodicStrategy } from '../futures/periodic-strategy.ts'
export {
  type CreateOptions,
  type ExecutorFactory,
  existingExecutor,
  type PeriodicCallable,
  PeriodicWorker,
  type PeriodicWorkerOptions,
  type StartOptions,
} from '../futures/periodic-worker.ts'
export type { OutputTarget, PoolExecutorOptions } from '../futures/pool-options.ts'
export { ProcessPoolExecutor } from '../futures/process-pool-executor.ts'
export { rejectWhenReached } from '../futures/rejection.ts'
export {
  getReusableExecutor,
  type ReusableExecutor,
  type ReusableExecutorOptions,
} from '../futures/reusable-executor.ts'
export type { ExecutorStatistics } from '../futures/statistics.ts'
export { SynchronousExecutor, type SynchronousExecutorOptions } from '../futures/synchronous-executor.ts'
export { ThreadPoolExecutor } from '../futures/thread-pool-executor.ts'
export {
  type AsCompletedOptions,
  asCompleted,
  type DoneAndNotDone,
  type WaitOptions,
  wait,
  waitForAll,
  waitForAny,
} from '../futures/waiting.ts'
export type { PeriodicWork, Watcher } from '../futures/watcher.ts'
export type { WatcherColumn } from '../futures/watcher-table.ts'
export { cpuCount } from '../pool/cpu-count.ts'
