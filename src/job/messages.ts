/**
 * What crosses between driver and worker: bytes, versioned, opaque to compute backends and pools.
 *
 *   driver → worker   shared part of a job (once per worker) · payload of an invocation · feeds to a running one
 *   worker → driver   reports: started, progress, log, succeeded, failed; several may share one message
 *
 * Every part is a frame: u32 length of a JSON head, the head, then raw bytes whose lengths the head gives.
 */
import type { Partition, PlanOptions } from '../../partitioner/plan.ts'
import { asBuffer, type ByteRange } from '../core/bytes.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import type { WorkerStats } from '../monitor/monitor.ts'

/** Version of this protocol; a worker refuses another. */
export const PROTOCOL = 1

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
  /** `reducer`: `fn` gives a Reducer that folds what is fed; otherwise `fn` takes the list of results. */
  readonly reducer?: boolean | undefined
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
}

/** Fed to a reduce call: results in the order given; `absent` inputs failed and were tolerated. */
export type Feed =
  | { readonly type: 'result'; readonly index: number; readonly value: Uint8Array }
  | { readonly type: 'absent'; readonly index: number; readonly callId: string }
  /** Results consumed up to here will not be sent again; ends a running call cooperatively. */
  | { readonly type: 'abort'; readonly reason: string }

export type Report =
  | { readonly type: 'started'; readonly call: number }
  | { readonly type: 'progress'; readonly call: number; readonly bytesRead: number }
  /** A reduce call has taken its inputs below `consumed`: more may be fed. */
  | { readonly type: 'consumed'; readonly call: number; readonly consumed: number }
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
  type Head = { call: number; attempt: number; bytes?: number; input?: CallInput }
  const { head, rest } = unframe<Head[]>(bytes, 0)
  let at = rest
  return head.map(({ call, attempt, input, bytes: length }) => {
    if (input !== undefined) return { call, attempt, input }
    const value = bytes.subarray(at, at + (length as number))
    at += length as number
    return { call, attempt, input: { type: 'item', value } }
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

/** One report as bytes; concatenations of them are what `decodeReports` reads. */
export function encodeReport(report: Report): Uint8Array {
  if (report.type === 'succeeded') {
    const { result, ...head } = report
    return frame({ ...head, bytes: result.byteLength }, [result])
  }
  if (report.type === 'failed') {
    const { error, ...head } = report
    return frame({ ...head, bytes: error.byteLength }, [error])
  }
  return frame(report, [])
}

export function decodeReports(bytes: Uint8Array): Report[] {
  const reports: Report[] = []
  let at = 0
  while (at < bytes.byteLength) {
    const { head, rest } = unframe<Report & { bytes?: number }>(bytes, at)
    const { bytes: length, ...report } = head
    at = rest + (length ?? 0)
    if (at > bytes.byteLength) throw new Error(`a report of ${at} bytes was cut short at ${bytes.byteLength}`)
    const body = bytes.subarray(rest, at)
    if (report.type === 'succeeded') reports.push({ ...report, result: body })
    else if (report.type === 'failed') reports.push({ ...report, error: body })
    else reports.push(report)
  }
  return reports
}

function frame(head: unknown, bodies: readonly Uint8Array[]): Uint8Array {
  const json = JSON.stringify(head)
  const jsonBytes = Buffer.byteLength(json)
  let total = 4 + jsonBytes
  for (const body of bodies) total += body.byteLength
  const bytes = Buffer.allocUnsafe(total)
  bytes.writeUInt32LE(jsonBytes, 0)
  bytes.write(json, 4)
  let at = 4 + jsonBytes
  for (const body of bodies) {
    bytes.set(body, at)
    at += body.byteLength
  }
  return bytes
}

function unframe<Head>(bytes: Uint8Array, at: number): { head: Head; rest: number } {
  const buffer = asBuffer(bytes)
  const rest = at + 4 + buffer.readUInt32LE(at)
  return { head: JSON.parse(buffer.toString('utf8', at + 4, rest)) as Head, rest }
}
