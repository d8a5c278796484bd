/** Counts of a job, kept up as its calls end. */
export interface JobTotals {
  calls: number
  done: number
  succeeded: number
  failed: number
  cancelled: number
  running: number
  attempts: number
  /** Bytes of the plan; 0 where inputs are plain items. */
  bytes: number
  bytesRead: number
  recordsRead: number
  resultBytes: number
  runMs: number
  cpuMs: number
  peakRssBytes: number
  startedAt: number | undefined
  endedAt: number | undefined
}

export function emptyTotals(): JobTotals {
  const zero = { calls: 0, done: 0, succeeded: 0, failed: 0, cancelled: 0, running: 0, attempts: 0, bytes: 0 }
  const sums = { bytesRead: 0, recordsRead: 0, resultBytes: 0, runMs: 0, cpuMs: 0, peakRssBytes: 0 }
  return { ...zero, ...sums, startedAt: undefined, endedAt: undefined }
}

export interface Progress {
  readonly calls: number
  readonly done: number
  readonly failed: number
  readonly cancelled: number
  readonly running: number
  readonly bytes: number
  readonly bytesRead: number
}

/** Sums over the calls that have ended. Times are epoch ms of the driver; durations and memory come from the workers. */
export interface JobStats extends Readonly<JobTotals> {
  readonly submittedAt: number
}
