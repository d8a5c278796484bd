/**
 * What workers report, as bytes. Concatenations of reports are read as all of them. What every call sends, its start and a
 * plain success, has a head of its own instead of a frame's JSON: u32 STARTED | u32 call, and u32 SUCCEEDED | u32 call |
 * u32 length of the result | stats | result.
 */
import { asBuffer, viewOf } from '../core/bytes.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import { frame, unframe } from './frame.ts'
import type { Report } from './messages.ts'
import { readStats, restOf, STATS_BYTES, writeStats } from './stats-bytes.ts'

/** One of them. */
export function encodeReport(report: Report): Uint8Array {
  return encodeReports([report])
}

/** Several, one behind the other. */
export function encodeReports(reports: readonly Report[]): Uint8Array {
  let size = 0
  for (const report of reports) {
    const plain = plainBytes(report)
    if (plain === undefined) return encodeAnyReports(reports)
    size += plain
  }
  const bytes = Buffer.allocUnsafe(size)
  const view = viewOf(bytes)
  let at = 0
  for (const report of reports) {
    view.setUint32(at + 4, report.call, true)
    if (report.type !== 'succeeded') {
      view.setUint32(at, STARTED, true)
      at += START_BYTES
      continue
    }
    view.setUint32(at, SUCCEEDED, true)
    view.setUint32(at + 8, report.result.byteLength, true)
    writeStats(view, at + 12, report.stats)
    bytes.set(report.result, at + SUCCESS_BYTES)
    at += SUCCESS_BYTES + report.result.byteLength
  }
  return bytes
}

/** No JSON head is so short. */
const STARTED = 0
const SUCCEEDED = 1
const START_BYTES = 8
const SUCCESS_BYTES = 12 + STATS_BYTES

/** Of a report with a head of its own; undefined for others. */
function plainBytes(report: Report): number | undefined {
  if (report.type === 'started') return START_BYTES
  if (report.type !== 'succeeded' || report.read !== undefined || restOf(report.stats) !== undefined) return undefined
  return SUCCESS_BYTES + report.result.byteLength
}

function encodeAnyReports(reports: readonly Report[]): Uint8Array {
  if (reports.length > 1) return Buffer.concat(reports.map(encodeReport))
  const report = reports[0] as Report
  if (report.type !== 'succeeded' && report.type !== 'failed') return frame(report, [])
  const { type, call, stats } = report
  const body = type === 'succeeded' ? report.result : report.error
  const read = type === 'succeeded' ? report.read : undefined
  const rest = stats === undefined ? undefined : restOf(stats)
  const head: EndHead = { type, call, bytes: body.byteLength, measured: stats !== undefined, stats: rest, read }
  if (stats === undefined) return frame(head, [body])
  const numbers = new Uint8Array(STATS_BYTES)
  writeStats(viewOf(numbers), 0, stats)
  return frame(head, [numbers, body])
}

/** Of an end: the numbers of its stats come first where it was `measured`, then its result or error. */
interface EndHead {
  readonly type: 'succeeded' | 'failed'
  readonly call: number
  readonly bytes: number
  readonly measured: boolean
  readonly stats?: Record<string, unknown> | undefined
  readonly read?: unknown
}

/** @throws Error when one is cut short, RangeError and SyntaxError when it is none */
export function decodeReports(bytes: Uint8Array): Report[] {
  const buffer = asBuffer(bytes)
  const view = viewOf(bytes)
  const reports: Report[] = []
  for (let at = 0; at < bytes.byteLength; ) {
    const { report, end } = reportAt(buffer, view, at)
    if (!(end <= bytes.byteLength)) throw new Error(`a report of ${end} bytes was cut short at ${bytes.byteLength}`)
    reports.push(report)
    at = end
  }
  return reports
}

function reportAt(buffer: Buffer, view: DataView, at: number): { report: Report; end: number } {
  const kind = view.getUint32(at, true)
  if (kind === STARTED)
    return { report: { type: 'started', call: view.getUint32(at + 4, true) }, end: at + START_BYTES }
  if (kind === SUCCEEDED) {
    const call = view.getUint32(at + 4, true)
    const from = at + SUCCESS_BYTES
    const end = from + view.getUint32(at + 8, true)
    const stats = readStats(view, at + 12)
    return { report: { type: 'succeeded', call, result: buffer.subarray(from, end), stats }, end }
  }
  const { head, rest } = unframe<Exclude<Report, { type: 'succeeded' } | { type: 'failed' }> | EndHead>(buffer, at)
  if (!isEnd(head)) return { report: head, end: rest }
  const from = rest + (head.measured ? STATS_BYTES : 0)
  const end = from + head.bytes
  const stats = head.measured ? readStats(view, rest, head.stats) : undefined
  return { report: endOf(head, stats, buffer.subarray(from, end)), end }
}

function isEnd(head: Report | EndHead): head is EndHead {
  return head.type === 'succeeded' || head.type === 'failed'
}

function endOf({ type, call, read }: EndHead, stats: WorkerStats | undefined, body: Uint8Array): Report {
  if (type === 'failed') return { type, call, error: body, stats }
  const end = { type, call, result: body, stats: stats as WorkerStats }
  return read === undefined ? end : { ...end, read }
}
