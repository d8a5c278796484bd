/**
 * What an executor remembers of its jobs for plots and summaries, and the files it writes of it. Numbers only: results
 * and futures are not held by it. Of very many calls and jobs, the last.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseUpkeep } from '../config/upkeep-options.ts'
import { type JobSummary, type SummaryRow, summarize, summaryCsv } from '../report/job-summary.ts'
import { type CallTimes, type FigureSize, histogram, timeline } from '../report/plots.ts'
import type { CallFacts } from './call-table.ts'
import type { JobRun } from './job-run.ts'
import type { ResponseFuture } from './response-future.ts'

export interface PlotOptions {
  /** Where the files go: `{dst}_timeline.svg` and `{dst}_histogram.svg`; default `./plots/{epoch seconds}`. */
  readonly dst?: string | undefined
  /** Width and height in inches of 100 pixels; default [10, 6]. */
  readonly figsize?: FigureSize | undefined
}

export interface SummaryOptions {
  /** Also write the summary there, as CSV. */
  readonly dst?: string | undefined
}

const CALLS_KEPT = 100_000
const JOBS_KEPT = 10_000

export class Reports {
  readonly #runs = new Set<JobRun>()
  #times: CallTimes[] = []
  #rows: SummaryRow[] = []

  add(run: JobRun): void {
    this.#runs.add(run)
    run.ended.then(() => {
      this.#runs.delete(run)
      for (const times of timesOfRun(run)) this.#times.push(times)
      this.#rows.push(rowOf(run))
      // now and then only: cutting for each call would cost as much as the call
      if (this.#times.length > 2 * CALLS_KEPT) this.#times = last(this.#times, CALLS_KEPT)
      if (this.#rows.length > 2 * JOBS_KEPT) this.#rows = last(this.#rows, JOBS_KEPT)
    })
  }

  /** Writes both pictures, of the calls given or of all. Gives their paths. @throws ValidationError */
  plot(calls: readonly ResponseFuture<unknown>[] | undefined, options: PlotOptions | undefined): string[] {
    const { dst = `./plots/${Math.floor(Date.now() / 1_000)}`, figsize = [10, 6] } = parseUpkeep('plot', options)
    const times = calls === undefined ? this.#allTimes() : calls.map(({ stats }) => timesOf(stats.submittedAt, stats))
    mkdirSync(dirname(dst), { recursive: true })
    const files = [
      { path: `${dst}_timeline.svg`, svg: timeline(times, figsize) },
      { path: `${dst}_histogram.svg`, svg: histogram(times, figsize) },
    ]
    for (const { path, svg } of files) writeFileSync(path, svg)
    return files.map(({ path }) => path)
  }

  /** What the jobs took, those that run included. @throws ValidationError */
  summary(options: SummaryOptions | undefined): JobSummary {
    const { dst } = parseUpkeep('jobSummary', options)
    const summary = summarize([...this.#rows, ...[...this.#runs].map(rowOf)])
    if (dst !== undefined) {
      mkdirSync(dirname(dst), { recursive: true })
      writeFileSync(dst, summaryCsv(summary))
    }
    return summary
  }

  #allTimes(): CallTimes[] {
    return last([...this.#times, ...[...this.#runs].flatMap(timesOfRun)], CALLS_KEPT)
  }
}

function timesOfRun({ calls, submittedAt }: JobRun): CallTimes[] {
  const { count } = calls.table
  const from = Math.max(0, count - CALLS_KEPT)
  return Array.from({ length: count - from }, (_, i) => {
    const { sentAt, startedAt, endedAt, readAt, workerStartedAt, workerEndedAt } = calls.table.moments(from + i)
    const [begun, over] = [workerStartedAt ?? startedAt, workerEndedAt ?? endedAt]
    return { submittedAt, sentAt, startedAt: begun, endedAt: over, readAt }
  })
}

function timesOf(submittedAt: number, { sentAt, startedAt, endedAt, readAt, worker }: CallFacts): CallTimes {
  return {
    submittedAt,
    sentAt,
    startedAt: worker?.startedAt ?? startedAt,
    endedAt: worker?.endedAt ?? endedAt,
    readAt,
  }
}

function rowOf({ id, spec, totals }: JobRun): SummaryRow {
  const { calls, succeeded, failed, cancelled, attempts, runMs, cpuMs, bytesRead, resultBytes } = totals
  const ended = succeeded + failed
  return {
    ...{ jobId: id, name: spec.name, calls, succeeded, failed, cancelled, attempts, memoryMiB: spec.memoryMiB },
    ...{ runMs, averageRunMs: ended === 0 ? 0 : runMs / ended, cpuMs, bytesRead, resultBytes },
    peakRssBytes: totals.peakRssBytes,
    requestCost: totals.requestCost,
  }
}

function last<T>(list: readonly T[], count: number): T[] {
  return list.slice(Math.max(0, list.length - count))
}
