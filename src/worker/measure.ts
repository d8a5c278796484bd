/** What one call took. */
import { RequestTally } from '../core/tally.ts'
import type { WorkerStats } from '../monitor/monitor.ts'

/** Asking the system for memory costs more than a small call: it is asked so often at most. */
const MEMORY_EVERY_MS = 100

/** What the process has used. One per invocation: its calls follow each other, so where one ends the next begins. */
export class ProcessMeter {
  #cpu = process.cpuUsage()
  #memory = { rssBytes: 0, peakRssBytes: 0 }
  #askedAt = Number.NEGATIVE_INFINITY

  /** CPU since the last time it was taken. */
  takeCpu(): { cpuUserMs: number; cpuSystemMs: number } {
    const before = this.#cpu
    this.#cpu = process.cpuUsage()
    const { user, system } = this.#cpu
    return { cpuUserMs: (user - before.user) / 1_000, cpuSystemMs: (system - before.system) / 1_000 }
  }

  /** What is resident, and the most that ever was. */
  memory(nowMs: number): { rssBytes: number; peakRssBytes: number } {
    if (nowMs - this.#askedAt >= MEMORY_EVERY_MS) {
      this.#askedAt = nowMs
      this.#memory = { rssBytes: process.memoryUsage.rss(), peakRssBytes: process.resourceUsage().maxRSS * 1_024 }
    }
    return this.#memory
  }
}

/** Started when the call starts; `finish` gives its stats. */
export class CallMeasure {
  bytesRead = 0
  recordsRead = 0
  readonly #meter: ProcessMeter
  readonly #coldStart: boolean
  readonly #startedAt = Date.now()
  #runStartedAt = 0
  #runSince = 0
  #elapsedMs = 0
  #runMs = 0
  #waitedMs = 0
  #tally: RequestTally | undefined

  constructor(meter: ProcessMeter, coldStart = false) {
    this.#meter = meter
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
    const { cpuUserMs, cpuSystemMs } = this.#meter.takeCpu()
    const { rssBytes, peakRssBytes } = this.#meter.memory(performance.now())
    const [runStartedAt, runEndedAt] = [this.#runStartedAt, this.#runStartedAt + Math.round(this.#elapsedMs)]
    return {
      startedAt: this.#startedAt,
      endedAt: Date.now(),
      ...(runStartedAt === 0 ? {} : { runStartedAt, runEndedAt }),
      runMs: this.#runMs,
      cpuUserMs,
      cpuSystemMs,
      cpuMs: cpuUserMs + cpuSystemMs,
      bytesRead: this.bytesRead,
      recordsRead: this.recordsRead,
      resultBytes,
      rssBytes,
      peakRssBytes,
      ...(this.#coldStart ? { coldStart: true as const } : {}),
      workerPid: process.pid,
      ...(requests === undefined ? {} : { requests }),
    }
  }
}
