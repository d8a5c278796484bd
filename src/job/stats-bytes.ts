/**
 * What a worker measured, as it travels: numbers as they lie in memory, for every call sends a dozen of them; what is no
 * number, or is not known here, as it is.
 */
import type { WorkerStats } from '../monitor/monitor.ts'

type Numbers = Omit<WorkerStats, 'coldStart' | 'requests'>

/** Their places; appended to only. */
const NUMBERS: readonly (keyof Numbers)[] = [
  ...(['startedAt', 'endedAt', 'runMs', 'cpuMs', 'bytesRead', 'recordsRead', 'resultBytes', 'rssBytes'] as const),
  ...(['workerPid', 'runStartedAt', 'runEndedAt', 'cpuUserMs', 'cpuSystemMs', 'peakRssBytes'] as const),
]
const KNOWN: ReadonlySet<string> = new Set(NUMBERS)

export const STATS_BYTES = 8 * NUMBERS.length

/** The numbers, and the rest where there is any. */
export function encodeStats(stats: WorkerStats): { bytes: Uint8Array; rest?: Record<string, unknown> | undefined } {
  const numbers = new Float64Array(NUMBERS.length)
  for (let place = 0; place < NUMBERS.length; place++) {
    numbers[place] = stats[NUMBERS[place] as keyof Numbers] ?? Number.NaN
  }
  let rest: Record<string, unknown> | undefined
  for (const name in stats) {
    if (KNOWN.has(name)) continue
    rest ??= {}
    rest[name] = stats[name as keyof WorkerStats]
  }
  return { bytes: new Uint8Array(numbers.buffer), rest }
}

/** @throws RangeError when they are cut short */
export function decodeStats(bytes: Buffer, at: number, rest: Record<string, unknown> | undefined): WorkerStats {
  const number = (place: number) => bytes.readDoubleLE(at + 8 * place)
  // written out: every call has one, and objects that are made alike are cheap
  const stats = {
    startedAt: number(0),
    endedAt: number(1),
    runMs: number(2),
    cpuMs: number(3),
    bytesRead: number(4),
    recordsRead: number(5),
    resultBytes: number(6),
    rssBytes: number(7),
    workerPid: number(8),
  }
  const optional: Record<string, unknown> = stats
  for (let place = 9; place < NUMBERS.length; place++) {
    const value = number(place)
    if (!Number.isNaN(value)) optional[NUMBERS[place] as string] = value
  }
  return rest === undefined ? stats : Object.assign(stats, rest)
}
