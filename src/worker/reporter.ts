/** Sends the reports of one invocation. What is deferred leaves with the next report, so that a call costs one write. */
import { encodeReport, type Report } from '../job/messages.ts'

export class Reporter {
  readonly #write: (bytes: Uint8Array) => void
  #deferred: Uint8Array[] = []

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write
  }

  /** In the channel when it returns, after all that was deferred. */
  send(report: Report): void {
    this.#deferred.push(encodeReport(report))
    this.flush()
  }

  defer(report: Report): void {
    this.#deferred.push(encodeReport(report))
  }

  flush(): void {
    if (this.#deferred.length === 0) return
    const reports = this.#deferred
    this.#deferred = []
    this.#write(reports.length === 1 ? (reports[0] as Uint8Array) : Buffer.concat(reports))
  }
}
