/**
 * What one call took. Asking the system costs as much as a small call: of calls much shorter than CPU_EVERY_MS the
 * processor time is measured together and shared out by how long they took. The sum over an invocation is what was used,
 * or by less than CPU_EVERY_MS more.
 */
import { RequestTally } from '../core/tally.ts'
import type { WorkerStats } from '../monitor/monitor.ts'

/** How often the system is asked at most, while calls are shorter. */
const MEMORY_EVERY_MS = 100
const CPU_EVERY_MS = 1

/** After a call that took as long, memory is asked for always. */
const SHORT_MS = 5

interface CpuTime {
  readonly cpuUserMs: number
  readonly cpuSystemMs: number
}

/** What the process has used. One per invocation: its calls follow each other, so where one ends the next begins. */
export class ProcessMeter {
  /** Calls that have not asked yet: what the last is told makes the sum exact. */
  #calls: number
  readonly #atFirst = process.cpuUsage()
  /** When it was last asked for, what had been used then, and what per ms since the time before. */
  #asked = { at: performance.now(), userMs: 0, systemMs: 0, userRate: Number.NaN, systemRate: Number.NaN }
  #takenAt = this.#asked.at
  #toldUserMs = 0
  #toldSystemMs = 0

  /** `calls`: how many it is for. */
  constructor(calls = 1) {
    this.#calls = calls
  }

  /** CPU since the last time it was taken. */
  takeCpu(nowMs: number): CpuTime {
    this.#calls -= 1
    const tookMs = nowMs - this.#takenAt
    this.#takenAt = nowMs
    const { at, userRate, systemRate } = this.#asked
    const isShort = nowMs - at < CPU_EVERY_MS && !Number.isNaN(userRate) && this.#calls > 0
    const used = isShort ? { cpuUserMs: tookMs * userRate, cpuSystemMs: tookMs * systemRate } : this.#untold(nowMs)
    this.#toldUserMs += used.cpuUserMs
    this.#toldSystemMs += used.cpuSystemMs
    return used
  }

  /** All that was used and that no call was told. */
  #untold(nowMs: number): CpuTime {
    const before = this.#asked
    const { user, system } = process.cpuUsage(this.#atFirst)
    const userMs = user / 1_000
    const systemMs = system / 1_000
    const overMs = nowMs > before.at ? nowMs - before.at : Number.NaN
    const userRate = (userMs - before.userMs) / overMs
    const systemRate = (systemMs - before.systemMs) / overMs
    this.#asked = { at: nowMs, userMs, systemMs, userRate, systemRate }
    // shares may have come to a little more
    return {
      cpuUserMs: Math.max(0, userMs - this.#toldUserMs),
      cpuSystemMs: Math.max(0, systemMs - this.#toldSystemMs),
    }
  }
}

/** What a process holds. One per process: short calls are told what was seen shortly before. */
export class MemoryMeter {
  #seen = { rssBytes: 0, peakRssBytes: 0 }
  #askedAt = Number.NEGATIVE_INFINITY

  /** What is resident, and the most that ever was, after a call that took so long. */
  take(nowMs: number, tookMs: number): { readonly rssBytes: number; readonly peakRssBytes: number } {
    if (tookMs < SHORT_MS && nowMs - this.#askedAt < MEMORY_EVERY_MS) return this.#seen
    this.#askedAt = nowMs
    this.#seen = { rssBytes: process.memoryUsage.rss(), peakRssBytes: process.resourceUsage().maxRSS * 1_024 }
    return this.#seen
  }
}

/** What is measured of more than one call. */
export interface Meters {
  readonly process: ProcessMeter
  readonly memory: MemoryMeter
}

/** Started when the call starts; `finish` gives its stats. */
export class CallMeasure {
  bytesRead = 0
  recordsRead = 0
  readonly #meters: Meters
  readonly #coldStart: boolean
  readonly #startedAt = Date.now()
  #runStartedAt = 0
  #runSince = 0
  #elapsedMs = 0
  #runMs = 0
  #waitedMs = 0
  #tally: RequestTally | undefined

  constructor(meters: Meters, coldStart = false) {
    this.#meters = meters
    this.#coldStart = coldStart
  }

  /** Where the requests of this call are counted. */
  get tally(): RequestTally {
    if (this.#tally === undefined) this.#tally = new RequestTally()
    return this.#tally
  }

  beginRun(): void {
    this.#runStartedAt = Date.now()
    this.#runSince = performance.now()
  }

  /** `waitedMs`: what of the time went by waiting for inputs. Asked again, the run is taken to have lasted until now. */
  endRun(waitedMs = this.#waitedMs): void {
    this.#waitedMs = waitedMs
    this.#elapsedMs = performance.now() - this.#runSince
    this.#runMs = this.#elapsedMs - waitedMs
  }

  finish(resultBytes: number): WorkerStats {
    const requests = this.#tally?.counts()
    const nowMs = performance.now()
    const { cpuUserMs, cpuSystemMs } = this.#meters.process.takeCpu(nowMs)
    const { rssBytes, peakRssBytes } = this.#meters.memory.take(nowMs, this.#elapsedMs)
    const hasRun = this.#runStartedAt !== 0
    const stats: Mutable<WorkerStats> = {
      startedAt: this.#startedAt,
      endedAt: Date.now(),
      runStartedAt: hasRun ? this.#runStartedAt : undefined,
      runEndedAt: hasRun ? this.#runStartedAt + Math.round(this.#elapsedMs) : undefined,
      runMs: this.#runMs,
      cpuUserMs,
      cpuSystemMs,
      cpuMs: cpuUserMs + cpuSystemMs,
      bytesRead: this.bytesRead,
      recordsRead: this.recordsRead,
      resultBytes,
      rssBytes,
      peakRssBytes,
      workerPid: process.pid,
    }
    // these few have them: the others are alike, which is cheap
    if (this.#coldStart) stats.coldStart = true
    if (requests !== undefined) stats.requests = requests
    return stats
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
