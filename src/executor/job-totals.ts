/** Counts of a job, kept up as its calls end. */
import { pricesOf, requestCost, type StorePrices } from '../../partitioner/prices.ts'
import { addCounts, emptyCounts, type RequestCounts } from '../core/tally.ts'
import type { WorkerStats } from '../monitor/monitor.ts'

export interface JobTotals {
  /** So far, while it is `open`. */
  calls: number
  /** Its items are still being read: more calls may come. */
  open: boolean
  done: number
  succeeded: number
  failed: number
  /** Of those that failed: which the job survives. */
  tolerated: number
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
  cpuUserMs: number
  cpuSystemMs: number
  /** The most that any worker had resident. */
  peakRssBytes: number
  /** Sent for the calls that ended, over all stores; what a worker that died had sent is not known. */
  readonly requests: RequestCounts
  /** Estimate of what they cost, in USD at list prices (partitioner/prices.ts) or those of the configuration. */
  requestCost: number
  startedAt: number | undefined
  endedAt: number | undefined
}

export function emptyTotals(): JobTotals {
  const zero = { calls: 0, done: 0, succeeded: 0, failed: 0, cancelled: 0, running: 0, attempts: 0, bytes: 0 }
  const sums = {
    tolerated: 0,
    bytesRead: 0,
    recordsRead: 0,
    resultBytes: 0,
    runMs: 0,
    cpuMs: 0,
    cpuUserMs: 0,
    cpuSystemMs: 0,
    peakRssBytes: 0,
    requestCost: 0,
  }
  return { ...zero, ...sums, open: false, requests: emptyCounts(), startedAt: undefined, endedAt: undefined }
}

export interface Progress {
  /** So far, while the job is `open`. */
  readonly calls: number
  /** Items are still being read: how many calls there will be is not known. */
  readonly open: boolean
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
  /** When the job was ready to run: source read, function shipped. */
  readonly plannedAt: number | undefined
  /** What all its calls have in common, function included; encoded. */
  readonly functionBytes: number | undefined
}

/** Adds what one call took. */
export function addStats(totals: JobTotals, stats: WorkerStats, prices?: StorePrices): void {
  totals.bytesRead += stats.bytesRead
  totals.recordsRead += stats.recordsRead
  totals.resultBytes += stats.resultBytes
  totals.runMs += stats.runMs
  totals.cpuMs += stats.cpuMs
  totals.cpuUserMs += stats.cpuUserMs ?? 0
  totals.cpuSystemMs += stats.cpuSystemMs ?? 0
  totals.peakRssBytes = Math.max(totals.peakRssBytes, stats.peakRssBytes ?? stats.rssBytes)
  if (stats.requests === undefined) return
  for (const counts of Object.values(stats.requests)) addCounts(totals.requests, counts)
  totals.requestCost += costOf(stats, prices)
}

/** Estimate of what the requests of a call cost, in USD. */
export function costOf({ requests = {} }: Pick<WorkerStats, 'requests'>, given?: StorePrices): number {
  let cost = 0
  for (const [backend, counts] of Object.entries(requests)) {
    const prices = pricesOf(backend, given)
    if (prices !== undefined) cost += requestCost(counts, prices)
  }
  return cost
}
