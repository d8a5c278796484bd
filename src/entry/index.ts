/** Public list of `quern`. */
export type { Certificate, CertifiedObject, CertifiedSpan, FailedSpan } from '../../partitioner/coverage.ts'
export type { ObjectPartition } from '../../partitioner/partition.ts'
export type { Partition, PartitionOptions, Plan } from '../../partitioner/plan.ts'
export type { RecordBlock } from '../../partitioner/records.ts'
export {
  type InventoryOptions,
  inventory,
  type KeyListOptions,
  keyList,
  type ObjectReference,
  type ObjectSelection,
  objects,
  type SelectingProgress,
} from '../../partitioner/select.ts'
export { job } from '../cli/job-file.ts'
export type { CloudObject } from '../core/cloud-object.ts'
export * from '../core/errors.ts'
export type { CleanOptions, CleanReport } from '../executor/clean.ts'
export type { QuarantinedRecord } from '../executor/division-journal.ts'
export { LocalhostExecutor } from '../executor/executors.ts'
export type { CallFailure } from '../executor/failures.ts'
export { FunctionExecutor } from '../executor/function-executor.ts'
export { FuturesList } from '../executor/futures-list.ts'
export { Job, MapReduceJob } from '../executor/job.ts'
export type { JobStats, Progress } from '../executor/job-totals.ts'
export type {
  CallOptions,
  ExecutorOptions,
  GetResultOptions,
  LogLevel,
  MapOptions,
  MapReduceOptions,
  OutputOptions,
  ReplayOptions,
  ResumeOptions,
  RetryPolicy,
  SpeculationOptions,
  WaitOptions,
} from '../executor/options.ts'
export type { OutputName, OutputPlace } from '../executor/output-names.ts'
export type { PlotOptions, SummaryOptions } from '../executor/reports.ts'
export { type CallState, type CallStats, type CallStatus, ResponseFuture } from '../executor/response-future.ts'
export { RetryingFunctionExecutor } from '../executor/retrying.ts'
export type { Items, MapFunction, ReduceFunction, Source, Waitable } from '../executor/signatures.ts'
export {
  type AnyClass,
  type ClassForm,
  ClassTable,
  type KnownClass,
  registerClass,
  SERIALIZE,
} from '../functions/class-registry.ts'
export { registerErrorClass } from '../functions/error-codec.ts'
export { moduleFunction } from '../functions/module-function.ts'
export { Future } from '../futures/future.ts'
export type { ExecutorEvent, ExecutorListener } from '../job/events.ts'
export type { JobInfo, JobState } from '../job/journal-list.ts'
export type { WorkerStats } from '../monitor/monitor.ts'
export type { JobSummary, SummaryRow } from '../report/job-summary.ts'
export type { Logger, TaskContext } from '../worker/task-context.ts'
export { Storage } from './storage.ts'
