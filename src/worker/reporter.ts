/**
 * Sends the reports of one invocation. What is deferred leaves with the next report, so that a call costs one write; but
 * not where it is large: results must not pile up in the worker.
 */
import type { Report } from '../job/messages.ts'
import { encodeReport, encodeReports } from '../job/report-bytes.ts'

const DEFERRED_BYTES = 1_048_576

export class Reporter {
  readonly #write: (bytes: Uint8Array) => void
  #deferred: Report[] = []
  #deferredBytes = 0

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write
  }

  /** In the channel when it returns, after all that was deferred. */
  send(report: Report): void {
    this.#add(report)
    this.flush()
  }

  defer(report: Report): void {
    this.#add(report)
    if (this.#deferredBytes >= DEFERRED_BYTES) this.flush()
  }

  flush(): void {
    if (this.#deferred.length === 0) return
    const reports = this.#deferred
    this.#deferred = []
    const large = this.#deferredBytes >= DEFERRED_BYTES
    this.#deferredBytes = 0
    if (!large) return this.#write(encodeReports(reports))
    // not all in memory once more
    for (const report of reports) this.#write(encodeReport(report))
  }

  #add(report: Report): void {
    this.#deferred.push(report)
    if (report.type === 'succeeded') this.#deferredBytes += report.result.byteLength
    else if (report.type === 'failed') this.#deferredBytes += report.error.byteLength
    else if (report.type === 'log') this.#deferredBytes += report.text.length
  }
}
