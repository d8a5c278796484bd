import type { WorkerStats } from '../../src/monitor/monitor.ts'

/** Of a call that took nothing. */
export const NO_STATS: WorkerStats = {
  startedAt: 0,
  endedAt: 0,
  runMs: 0,
  cpuMs: 0,
  bytesRead: 0,
  recordsRead: 0,
  resultBytes: 0,
  rssBytes: 0,
  workerPid: 0,
}
