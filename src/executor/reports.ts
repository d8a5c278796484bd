/**
 * What an executor remembers of its jobs for plots and summaries, and the files it writes of it. Numbers only: results
 * and futures are not held by it. Of very many calls and jobs, the last.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parseUpkeep } from '../config/upkeep-options.ts'
import { type JobSummary, type SummaryRow, summarize, summaryCsv } from '../report/job-summary.ts'
import { type CallTimes, type FigureSize, histogram, timeline } from '../report/plots.ts'
import { type CallFacts, TIMES } from './call-table.ts'
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
  /** By job; of running ones none. */
  #times: PackedTimes[] = []
  #calls = 0
  #rows: SummaryRow[] = []

  add(run: JobRun): void {
    this.#runs.add(run)
    run.ended.then(() => {
      this.#runs.delete(run)
      this.#keep(packedTimes(run))
      this.#rows.push(rowOf(run))
      // now and then only: cutting for each call would cost as much as the call
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
    return last([...this.#times, ...[...this.#runs].map(packedTimes)].flatMap(unpacked), CALLS_KEPT)
  }

  #keep(times: PackedTimes): void {
    this.#times.push(times)
    this.#calls += callsOf(times)
    if (this.#calls <= 2 * CALLS_KEPT) return
    let from = 0
    for (; this.#calls - callsOf(this.#times[from]) >= CALLS_KEPT; from++) this.#calls -= callsOf(this.#times[from])
    this.#times = this.#times.slice(from)
  }
}

/** Of the calls of a job what `CallTable.times` gives: an object for each would cost as much as a call. */
interface PackedTimes {
  readonly submittedAt: number
  readonly numbers: Float64Array
}

function packedTimes({ calls: { table }, submittedAt }: JobRun): PackedTimes {
  return { submittedAt, numbers: table.times(Math.max(0, table.count - CALLS_KEPT)) }
}

function unpacked({ submittedAt, numbers }: PackedTimes): CallTimes[] {
  const known = (at: number) => (Number.isNaN(numbers[at]) ? undefined : numbers[at])
  return Array.from({ length: numbers.length / TIMES }, (_, i) => {
    const at = i * TIMES
    return {
      submittedAt,
      sentAt: known(at),
      startedAt: known(at + 1),
      endedAt: known(at + 2),
      readAt: known(at + 3),
    }
  })
}

function callsOf(times: PackedTimes | undefined): number {
  return (times?.numbers.length ?? 0) / TIMES
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
