/**
 * Sends the reports of one invocation. What is deferred leaves with the next report, so that a call costs one write; but
 * not where it is large: results must not pile up in the worker.
 */
import { encodeReport, type Report } from '../job/messages.ts'

const DEFERRED_BYTES = 1_048_576

export class Reporter {
  readonly #write: (bytes: Uint8Array) => void
  #deferred: Uint8Array[] = []
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
    // large ones are not copied once more
    if (large || reports.length === 1) for (const bytes of reports) this.#write(bytes)
    else this.#write(Buffer.concat(reports))
  }

  #add(report: Report): void {
    const bytes = encodeReport(report)
    this.#deferred.push(bytes)
    this.#deferredBytes += bytes.byteLength
  }
}
