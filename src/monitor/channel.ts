/**
 * The monitor for backends that push what workers report.
 * Invariant: exactly one `succeeded`, `failed` or `lost` per watched attempt, `started` before it, nothing after it.
 * A message that cannot be read ends what the invocation still had as lost: its worker speaks another language.
 */
import type { InvocationDeath } from '../compute/backend.ts'
import type { Report } from '../job/messages.ts'
import { decodeReports } from '../job/report-bytes.ts'
import type { AttemptEvent, Monitor } from './monitor.ts'

const REPORT_TYPES: ReadonlySet<string> = new Set([
  ...['started', 'progress', 'alive', 'consumed', 'divided', 'log', 'succeeded', 'failed'],
])

interface Watched {
  readonly job: string
  /** Attempts that have not ended, in the order in which they run; true: it has started. */
  readonly open: Map<number, boolean>
}

export class ChannelMonitor implements Monitor {
  readonly #watched = new Map<number, Watched>()
  #listener: ((event: AttemptEvent) => void) | undefined

  listen(listener: (event: AttemptEvent) => void): void {
    this.#listener = listener
  }

  watch(invocation: number, job: string, calls: readonly number[]): void {
    const open = new Map<number, boolean>()
    for (const call of calls) open.set(call, false)
    this.#watched.set(invocation, { job, open })
  }

  message(invocation: number, bytes: Uint8Array): void {
    const watched = this.#watched.get(invocation)
    if (watched === undefined) return
    const reports = readReports(bytes)
    if (reports instanceof Error) {
      return this.#lose(invocation, { reason: 'exited', stderrTail: `unreadable report: ${reports.message}` })
    }
    for (const report of reports) this.#report(invocation, watched, report)
  }

  ended(invocation: number, death?: InvocationDeath): void {
    this.#lose(invocation, death)
  }

  #report(invocation: number, { job, open }: Watched, report: Report): void {
    const started = open.get(report.call)
    if (started === undefined) return
    if (report.type === 'started') {
      if (started) return
      open.set(report.call, true)
    } else if (report.type === 'succeeded' || report.type === 'failed') {
      open.delete(report.call)
    }
    // of its own: it was made of the message just now
    const event = report as Report & { job: string; invocation: number }
    event.job = job
    event.invocation = invocation
    this.#listener?.(event)
  }

  #lose(invocation: number, death: InvocationDeath | undefined): void {
    const watched = this.#watched.get(invocation)
    if (watched === undefined) return
    this.#watched.delete(invocation)
    for (const [call, started] of watched.open) {
      this.#listener?.({ type: 'lost', job: watched.job, call, invocation, started, death })
    }
  }
}

function readReports(bytes: Uint8Array): Report[] | Error {
  try {
    const reports = decodeReports(bytes)
    const strange = reports.find(({ type, call }) => !REPORT_TYPES.has(type) || !Number.isInteger(call))
    return strange === undefined ? reports : new Error(`no such report: ${JSON.stringify(strange)?.slice(0, 200)}`)
  } catch (error) {
    return error as Error
  }
}
