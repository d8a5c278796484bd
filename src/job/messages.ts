/**
 * What crosses between driver and worker: bytes, versioned, opaque to compute backends and pools.
 *
 *   driver → worker   shared part of a job (once per worker) · payload of an invocation · feeds to a running one
 *   worker → driver   reports: started, progress, log, succeeded, failed; several may share one message
 *
 * Every part is a frame (frame.ts).
 */
import type { Partition, PlanOptions } from '../../partitioner/plan.ts'
import { asBuffer, type ByteRange } from '../core/bytes.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import { frame, unframe } from './frame.ts'
import type { CallOutput, OutputHead } from './output.ts'
import { decodeStats, encodeStats, STATS_BYTES } from './stats-bytes.ts'

/** Version of this protocol; a worker refuses another. */
export const PROTOCOL = 1

/** An encoded result may be as large; with what stands beside it in its report it fits one frame of a pool. */
export const MAX_RESULT_BYTES = 2 ** 30 - 2 ** 20

/** What all calls of a job have in common. */
export interface JobHead {
  readonly protocol: typeof PROTOCOL
  readonly executorId: string
  readonly jobId: string
  readonly kind: 'call' | 'map' | 'reduce'
  readonly fn: ShippedFunction | ShippedBlob
  readonly extraEnv: Readonly<Record<string, string>>
  /** Delimiter and compression of the partitions; absent where inputs are plain items. */
  readonly read?: PlanOptions | undefined
  /** Reference of the store behind `task.storage`, and what else a worker needs to open it (no secrets). */
  readonly storage: { readonly backend: string; readonly bucket: string }
  /** Partitions may be ended early while they are read (`end-at`). */
  readonly splittable?: boolean | undefined
  /** `reducer`: `fn` gives a Reducer that folds what is fed; otherwise `fn` takes the list of results. */
  readonly reducer?: boolean | undefined
  /** Where calls are committed before they are reported; absent where the job is not durable. */
  readonly journal?: JournalHead | undefined
  /** What calls give becomes objects of their own; only where there is a journal. */
  readonly output?: OutputHead | undefined
}

/** The journal of a job as its workers know it: the store and bucket it lies in, its name and series (keys.ts). */
export interface JournalHead {
  readonly backend: string
  readonly bucket: string
  readonly name: string
  readonly series: string
}

export type CallInput =
  | { readonly type: 'item'; readonly value: Uint8Array }
  | { readonly type: 'partition'; readonly partition: Partition; readonly edges?: Partial<ByteRange> | undefined }
  /** Inputs come by `feed`, `count` of them. */
  | { readonly type: 'results'; readonly count: number; readonly object?: Partition['object'] | undefined }

export interface CallSpec {
  /** Place in the job, from 0. */
  readonly call: number
  /** 1 for the first try. */
  readonly attempt: number
  readonly input: CallInput
  /** Under which id it is committed, where that is not its call id. */
  readonly commit?: string | undefined
  /** Where the job has outputs: this call's. */
  readonly output?: CallOutput | undefined
}

/** Fed to a reduce call: results in the order given; `absent` inputs failed and were tolerated. */
export type Feed =
  | { readonly type: 'result'; readonly index: number; readonly value: Uint8Array }
  | { readonly type: 'absent'; readonly index: number; readonly callId: string }
  /** There are so many inputs now: one of the maps was divided. */
  | { readonly type: 'inputs'; readonly count: number }
  /** The call is to read its partition up to `at` only; answered by `divided`. */
  | { readonly type: 'end-at'; readonly call: number; readonly at: number }
  /** Results consumed up to here will not be sent again; ends a running call cooperatively. */
  | { readonly type: 'abort'; readonly reason: string }

export type Report =
  | { readonly type: 'started'; readonly call: number }
  | { readonly type: 'progress'; readonly call: number; readonly bytesRead: number }
  /** The worker's event loop turns while the call runs; sent about once a second, so never for short calls. */
  | { readonly type: 'alive'; readonly call: number }
  /** A reduce call has taken its inputs below `consumed`: more may be fed. */
  | { readonly type: 'consumed'; readonly call: number; readonly consumed: number }
  /** The partition of the call ends at `end` from now on, wherever it was asked to; what lies behind it is not read. */
  | { readonly type: 'divided'; readonly call: number; readonly end: number }
  | { readonly type: 'log'; readonly call: number; readonly text: string; readonly stream: 'stdout' | 'stderr' }
  | {
      readonly type: 'succeeded'
      readonly call: number
      readonly result: Uint8Array
      readonly stats: WorkerStats
      readonly read?: unknown
    }
  | {
      readonly type: 'failed'
      readonly call: number
      readonly error: Uint8Array
      readonly stats?: WorkerStats | undefined
    }

/** `extraArgs` is a list encoded by the codec: it may hold what JSON cannot. */
export function encodeJob(head: JobHead, extraArgs: Uint8Array): Uint8Array {
  return frame(head, [extraArgs])
}

export function decodeJob(bytes: Uint8Array): { head: JobHead; extraArgs: Uint8Array } {
  const { head, rest } = unframe<JobHead>(bytes, 0)
  if (head.protocol !== PROTOCOL) {
    throw new Error(
      `this worker speaks protocol ${PROTOCOL}, the job protocol ${head.protocol}: install the same quern on both sides`,
    )
  }
  return { head, extraArgs: bytes.subarray(rest) }
}

export function encodeCalls(calls: readonly CallSpec[]): Uint8Array {
  const bodies: Uint8Array[] = []
  const head = calls.map(({ input, ...call }) => {
    if (input.type !== 'item') return { ...call, input }
    bodies.push(input.value)
    return { ...call, bytes: input.value.byteLength }
  })
  return frame(head, bodies)
}

export function decodeCalls(bytes: Uint8Array): CallSpec[] {
  type Head = Omit<CallSpec, 'input'> & { readonly bytes?: number; readonly input?: CallInput }
  const { head, rest } = unframe<Head[]>(bytes, 0)
  let at = rest
  return head.map(({ input, bytes: length, ...call }) => {
    if (input !== undefined) return { ...call, input }
    const value = bytes.subarray(at, at + (length as number))
    at += length as number
    return { ...call, input: { type: 'item', value } }
  })
}

export function encodeFeed(feed: Feed): Uint8Array {
  if (feed.type !== 'result') return frame(feed, [])
  return frame({ type: feed.type, index: feed.index }, [feed.value])
}

export function decodeFeed(bytes: Uint8Array): Feed {
  const { head, rest } = unframe<Feed>(bytes, 0)
  return head.type === 'result' ? { ...head, value: bytes.subarray(rest) } : head
}

/**
 * One report as bytes; concatenations of them are what `decodeReports` reads. What every call sends, its start and a plain
 * success, has a head of its own instead of JSON: u32 STARTED | u32 call, and u32 SUCCEEDED | u32 call | u32 length.
 */
export function encodeReport(report: Report): Uint8Array {
  if (report.type === 'started') return words(STARTED, report.call, 0)
  if (report.type !== 'succeeded' && report.type !== 'failed') return frame(report, [])
  const body = report.type === 'succeeded' ? report.result : report.error
  const stats = report.stats === undefined ? undefined : encodeStats(report.stats)
  const read = report.type === 'succeeded' ? report.read : undefined
  if (report.type === 'succeeded' && stats !== undefined && stats.rest === undefined && read === undefined) {
    const bytes = words(SUCCEEDED, report.call, 4 + STATS_BYTES + body.byteLength)
    bytes.writeUInt32LE(body.byteLength, 8)
    bytes.set(stats.bytes, 12)
    bytes.set(body, 12 + STATS_BYTES)
    return bytes
  }
  const { type, call } = report
  const head: EndHead = { type, call, bytes: body.byteLength, measured: stats !== undefined, stats: stats?.rest, read }
  return frame(head, stats === undefined ? [body] : [stats.bytes, body])
}

/** No JSON head is so short. */
const STARTED = 0
const SUCCEEDED = 1

function words(kind: number, call: number, more: number): Buffer {
  const bytes = Buffer.allocUnsafe(8 + more)
  bytes.writeUInt32LE(kind, 0)
  bytes.writeUInt32LE(call, 4)
  return bytes
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
  const reports: Report[] = []
  for (let at = 0; at < bytes.byteLength; ) {
    const { report, end } = reportAt(buffer, at)
    if (!(end <= bytes.byteLength)) throw new Error(`a report of ${end} bytes was cut short at ${bytes.byteLength}`)
    reports.push(report)
    at = end
  }
  return reports
}

function reportAt(buffer: Buffer, at: number): { report: Report; end: number } {
  const kind = buffer.readUInt32LE(at)
  if (kind === STARTED) return { report: { type: 'started', call: buffer.readUInt32LE(at + 4) }, end: at + 8 }
  if (kind === SUCCEEDED) {
    const [call, from] = [buffer.readUInt32LE(at + 4), at + 12 + STATS_BYTES]
    const end = from + buffer.readUInt32LE(at + 8)
    const stats = decodeStats(buffer, at + 12, undefined)
    return { report: { type: 'succeeded', call, result: buffer.subarray(from, end), stats }, end }
  }
  const { head, rest } = unframe<Exclude<Report, { type: 'succeeded' } | { type: 'failed' }> | EndHead>(buffer, at)
  if (!isEnd(head)) return { report: head, end: rest }
  const from = rest + (head.measured ? STATS_BYTES : 0)
  const end = from + head.bytes
  const stats = head.measured ? decodeStats(buffer, rest, head.stats) : undefined
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
