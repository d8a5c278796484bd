/**
 * What a worker measured, as it travels and as it is kept: numbers as they lie in memory, for every call has a dozen of
 * them; what is no number, or is not known here, as it is.
 */
import type { WorkerStats } from '../monitor/monitor.ts'

type Numbers = Omit<WorkerStats, 'coldStart' | 'requests'>

/** Their places, those that every call brings first; appended to only. */
const REQUIRED = [
  ...(['startedAt', 'endedAt', 'runMs', 'cpuMs', 'bytesRead', 'recordsRead', 'resultBytes', 'rssBytes'] as const),
  'workerPid' as const,
]
const OPTIONAL = ['runStartedAt', 'runEndedAt', 'cpuUserMs', 'cpuSystemMs', 'peakRssBytes'] as const
const NUMBERS: readonly (keyof Numbers)[] = [...REQUIRED, ...OPTIONAL]
const KNOWN: ReadonlySet<string> = new Set(NUMBERS)

export const STATS_BYTES = 8 * NUMBERS.length

/** Writes the numbers. Written out, as is their reading: every call is written and read, and kept, once. */
export function writeStats(view: DataView, at: number, stats: WorkerStats): void {
  view.setFloat64(at, stats.startedAt, true)
  view.setFloat64(at + 8, stats.endedAt, true)
  view.setFloat64(at + 16, stats.runMs, true)
  view.setFloat64(at + 24, stats.cpuMs, true)
  view.setFloat64(at + 32, stats.bytesRead, true)
  view.setFloat64(at + 40, stats.recordsRead, true)
  view.setFloat64(at + 48, stats.resultBytes, true)
  view.setFloat64(at + 56, stats.rssBytes, true)
  view.setFloat64(at + 64, stats.workerPid, true)
  view.setFloat64(at + 72, stats.runStartedAt ?? Number.NaN, true)
  view.setFloat64(at + 80, stats.runEndedAt ?? Number.NaN, true)
  view.setFloat64(at + 88, stats.cpuUserMs ?? Number.NaN, true)
  view.setFloat64(at + 96, stats.cpuSystemMs ?? Number.NaN, true)
  view.setFloat64(at + 104, stats.peakRssBytes ?? Number.NaN, true)
}

/** What `writeStats` does not write; undefined where there is none. */
export function restOf(stats: WorkerStats): Record<string, unknown> | undefined {
  const fields = stats as unknown as Readonly<Record<string, unknown>>
  let count = 0
  for (const _ in fields) count += 1
  if (count === NUMBERS.length && hasAll(stats)) return undefined
  let rest: Record<string, unknown> | undefined
  for (const name in fields) {
    if (KNOWN.has(name) || fields[name] === undefined) continue
    rest ??= {}
    rest[name] = fields[name]
  }
  return rest
}

/** Whether all numbers are there that may be, as they are for most calls. */
function hasAll(stats: WorkerStats): boolean {
  const { runStartedAt, runEndedAt, cpuUserMs, cpuSystemMs, peakRssBytes } = stats
  const times = runStartedAt !== undefined && runEndedAt !== undefined
  return times && cpuUserMs !== undefined && cpuSystemMs !== undefined && peakRssBytes !== undefined
}

/** What was written, with the rest. @throws RangeError when it is cut short */
export function readStats(view: DataView, at: number, rest?: Record<string, unknown> | undefined): WorkerStats {
  const stats = {
    startedAt: view.getFloat64(at, true),
    endedAt: view.getFloat64(at + 8, true),
    runMs: view.getFloat64(at + 16, true),
    cpuMs: view.getFloat64(at + 24, true),
    bytesRead: view.getFloat64(at + 32, true),
    recordsRead: view.getFloat64(at + 40, true),
    resultBytes: view.getFloat64(at + 48, true),
    rssBytes: view.getFloat64(at + 56, true),
    workerPid: view.getFloat64(at + 64, true),
    runStartedAt: view.getFloat64(at + 72, true),
    runEndedAt: view.getFloat64(at + 80, true),
    cpuUserMs: view.getFloat64(at + 88, true),
    cpuSystemMs: view.getFloat64(at + 96, true),
    peakRssBytes: view.getFloat64(at + 104, true),
  }
  const optional: Partial<typeof stats> = stats
  for (const name of OPTIONAL) if (Number.isNaN(optional[name])) delete optional[name]
  return rest === undefined ? stats : Object.assign(stats, rest)
}

/** One of the numbers of what was written; undefined where it was not brought. */
export function readNumber(view: DataView, at: number, name: keyof Numbers): number | undefined {
  const value = view.getFloat64(at + 8 * NUMBERS.indexOf(name), true)
  return Number.isNaN(value) ? undefined : value
}
