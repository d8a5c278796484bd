/** What one call took. */
import { RequestTally } from '../core/tally.ts'
import type { WorkerStats } from '../monitor/monitor.ts'

/** Asking the system for resident memory costs more than a small call: it is asked so often at most. */
const RSS_EVERY_MS = 100

/** What the process has used. One per invocation: its calls follow each other, so where one ends the next begins. */
export class ProcessMeter {
  #cpu = process.cpuUsage()
  #bytes = 0
  #askedAt = Number.NEGATIVE_INFINITY

  /** User + system ms since the last time it was taken. */
  takeCpuMs(): number {
    const before = this.#cpu
    this.#cpu = process.cpuUsage()
    return (this.#cpu.user - before.user + this.#cpu.system - before.system) / 1_000
  }

  rssBytes(nowMs: number): number {
    if (nowMs - this.#askedAt >= RSS_EVERY_MS) {
      this.#askedAt = nowMs
      this.#bytes = process.memoryUsage.rss()
    }
    return this.#bytes
  }
}

/** Started when the call starts; `finish` gives its stats. */
export class CallMeasure {
  bytesRead = 0
  recordsRead = 0
  readonly #meter: ProcessMeter
  readonly #startedAt = Date.now()
  #runSince = 0
  #runMs = 0
  #tally: RequestTally | undefined

  constructor(meter: ProcessMeter) {
    this.#meter = meter
  }

  /** Where the requests of this call are counted. */
  get tally(): RequestTally {
    if (this.#tally === undefined) this.#tally = new RequestTally()
    return this.#tally
  }

  beginRun(): void {
    this.#runSince = performance.now()
  }

  /** `waitedMs`: what of the time went by waiting for inputs. */
  endRun(waitedMs = 0): void {
    this.#runMs = performance.now() - this.#runSince - waitedMs
  }

  finish(resultBytes: number): WorkerStats {
    const requests = this.#tally?.counts()
    return {
      startedAt: this.#startedAt,
      endedAt: Date.now(),
      runMs: this.#runMs,
      cpuMs: this.#meter.takeCpuMs(),
      bytesRead: this.bytesRead,
      recordsRead: this.recordsRead,
      resultBytes,
      rssBytes: this.#meter.rssBytes(performance.now()),
      workerPid: process.pid,
      ...(requests === undefined ? {} : { requests }),
    }
  }
}
