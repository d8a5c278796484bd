/**
 * What crosses between driver and worker: bytes, versioned, opaque to compute backends and pools.
 *
 *   driver → worker   shared part of a job (once per worker) · payload of an invocation · feeds to a running one
 *   worker → driver   reports: started, progress, log, succeeded, failed; several may share one message
 *
 * Every part is a frame (frame.ts); what every call costs, its item and its plain reports (report-bytes.ts), has heads of its
 * own.
 */
import type { Partition, PlanOptions } from '../../partitioner/plan.ts'
import { type ByteRange, viewOf } from '../core/bytes.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import { frame, unframe } from './frame.ts'
import type { CallOutput, OutputHead } from './output.ts'

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

/**
 * The calls of an invocation. Where all of them take items, as most do, the head is no JSON but: u32 ITEMS | u32 calls, and
 * for each u32 call | u32 attempt | u32 length.
 */
export function encodeCalls(calls: readonly CallSpec[]): Uint8Array {
  let bytes = 0
  for (const { input, commit, output } of calls) {
    if (input.type !== 'item' || commit !== undefined || output !== undefined) return encodeAnyCalls(calls)
    bytes += input.value.byteLength
  }
  const payload = Buffer.allocUnsafe(8 + ITEM_HEAD_BYTES * calls.length + bytes)
  const view = viewOf(payload)
  view.setUint32(0, ITEMS, true)
  view.setUint32(4, calls.length, true)
  let at = 8
  let from = at + ITEM_HEAD_BYTES * calls.length
  for (const { call, attempt, input } of calls) {
    const body = (input as { readonly value: Uint8Array }).value
    view.setUint32(at, call, true)
    view.setUint32(at + 4, attempt, true)
    view.setUint32(at + 8, body.byteLength, true)
    payload.set(body, from)
    at += ITEM_HEAD_BYTES
    from += body.byteLength
  }
  return payload
}

export function decodeCalls(bytes: Uint8Array): CallSpec[] {
  const view = viewOf(bytes)
  if (view.getUint32(0, true) !== ITEMS) return decodeAnyCalls(bytes)
  const count = view.getUint32(4, true)
  const calls: CallSpec[] = []
  let from = 8 + ITEM_HEAD_BYTES * count
  for (let at = 8; calls.length < count; at += ITEM_HEAD_BYTES) {
    const end = from + view.getUint32(at + 8, true)
    const [call, attempt] = [view.getUint32(at, true), view.getUint32(at + 4, true)]
    calls.push({ call, attempt, input: { type: 'item', value: bytes.subarray(from, end) } })
    from = end
  }
  return calls
}

/** No JSON head is so short. */
const ITEMS = 0
const ITEM_HEAD_BYTES = 12

function encodeAnyCalls(calls: readonly CallSpec[]): Uint8Array {
  const bodies: Uint8Array[] = []
  const head = calls.map(({ input, ...call }) => {
    if (input.type !== 'item') return { ...call, input }
    bodies.push(input.value)
    return { ...call, bytes: input.value.byteLength }
  })
  return frame(head, bodies)
}

function decodeAnyCalls(bytes: Uint8Array): CallSpec[] {
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
