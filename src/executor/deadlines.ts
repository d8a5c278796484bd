/**
 * What is due when: retries after their pause, calls that were queued, ran or were silent for too long. Asks for one
 * wake-up at a time, an earlier one in place of a later one. A wake-up may come when nothing is due; none is missed.
 */
import type { WorkerActivity } from '../core/errors.ts'
import { MinHeap } from '../futures/min-heap.ts'
import type { JobCalls } from './calls.ts'
import type { Invocations, RunningInvocation } from './invocations.ts'
import type { FailureReason } from './scheduler-protocol.ts'

/** `again`: a call may be tried again. `queue`: a call (all that never ran, where absent) has been queued for too long. */
interface Timer {
  readonly atMs: number
  readonly order: number
  readonly type: 'again' | 'queue'
  readonly calls: JobCalls
  readonly call: number | undefined
}

export type Due =
  | { readonly type: 'again' | 'queue'; readonly calls: JobCalls; readonly call: number }
  | {
      readonly running: RunningInvocation
      readonly call: number
      readonly why: Extract<FailureReason, { by: 'timeout' | 'silence' }>
    }

/** What the worker of an invocation does, and did in the last `withinMs`; undefined where that is not known. */
export type ActivityOf = (invocation: number, withinMs: number) => WorkerActivity | undefined

const NEVER = Number.POSITIVE_INFINITY

export class Deadlines {
  readonly #running: Invocations
  readonly #activityOf: ActivityOf | undefined
  readonly #timers = new MinHeap<Timer>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order))
  #order = 0
  #wakeAtMs = NEVER
  #askedMs = NEVER

  constructor(running: Invocations, activityOf?: ActivityOf) {
    this.#running = running
    this.#activityOf = activityOf
  }

  again(calls: JobCalls, call: number, atMs: number): void {
    this.#add('again', calls, call, atMs)
  }

  /** A call, or without it all calls of a new job, are queued now. */
  queued(calls: JobCalls, call: number | undefined, nowMs: number): void {
    const { queueTimeoutMs, reduces } = calls.job
    // a reduce call waits for its maps, however long they take
    if (queueTimeoutMs === undefined || reduces !== undefined) return
    if (call !== undefined) calls.queuedAtMs.set(call, nowMs)
    this.#add('queue', calls, call, nowMs + queueTimeoutMs)
  }

  /** A call has begun to run, or its time has begun to count. */
  watch(running: RunningInvocation): void {
    this.wakeAt(deadlineOf(running)?.atMs ?? NEVER)
  }

  /** Somebody wants to look again then. */
  wakeAt(atMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, atMs)
  }

  /** A wake-up has come: all that is due, each once; the caller acts on it. */
  take(nowMs: number): Due[] {
    this.#askedMs = NEVER
    const due: Due[] = []
    while ((this.#timers.peek()?.atMs ?? NEVER) <= nowMs) {
      const { type, calls, call } = this.#timers.pop() as Timer
      if (type === 'queue') due.push(...queuedTooLong(calls, call, nowMs))
      else if (calls.isDelayed(call as number)) due.push({ type, calls, call: call as number })
    }
    for (const running of this.#running.all()) {
      const deadline = deadlineOf(running)
      if (deadline === undefined) continue
      if (deadline.atMs > nowMs) this.wakeAt(deadline.atMs)
      else due.push({ running, call: deadline.call, why: this.#why(running.id, deadline) })
    }
    return due
  }

  #why(invocation: number, { type: by, timeoutMs }: Deadline) {
    return by === 'timeout' ? { by, timeoutMs } : { by, timeoutMs, activity: this.#activityOf?.(invocation, timeoutMs) }
  }

  /** When to be woken; undefined where that has been asked for, or is not needed. */
  takeWake(): number | undefined {
    const atMs = Math.min(this.#wakeAtMs, this.#timers.peek()?.atMs ?? NEVER)
    this.#wakeAtMs = NEVER
    if (atMs >= this.#askedMs) return undefined
    this.#askedMs = atMs
    return atMs
  }

  #add(type: Timer['type'], calls: JobCalls, call: number | undefined, atMs: number): void {
    this.#timers.push({ type, calls, call, atMs, order: this.#order++ })
  }
}

interface Deadline {
  readonly type: 'timeout' | 'silence'
  readonly call: number
  readonly timeoutMs: number
  readonly atMs: number
}

/** The first deadline of the call that runs; undefined when it has none. */
function deadlineOf({ calls, started, heardAtMs, stopping }: RunningInvocation): Deadline | undefined {
  const { timeoutMs = NEVER, silenceTimeoutMs = NEVER } = calls.job
  if (started?.sinceMs === undefined || stopping) return undefined
  const { call, sinceMs } = started
  const lateMs = sinceMs + timeoutMs
  const silentMs = Math.max(sinceMs, heardAtMs) + silenceTimeoutMs
  const late = lateMs <= silentMs
  if (Math.min(lateMs, silentMs) === NEVER) return undefined
  return late
    ? { type: 'timeout', call, timeoutMs, atMs: lateMs }
    : { type: 'silence', call, timeoutMs: silenceTimeoutMs, atMs: silentMs }
}

function queuedTooLong(calls: JobCalls, only: number | undefined, nowMs: number): Due[] {
  const limitMs = calls.job.queueTimeoutMs as number
  const due: Due[] = []
  for (const call of only === undefined ? calls.unended() : [only]) {
    const sinceMs = calls.queuedAtMs.get(call)
    // queued once more since: a timer of its own
    const isThisTime = only === undefined ? sinceMs === undefined : (sinceMs ?? NEVER) + limitMs <= nowMs
    if (isThisTime && (calls.isQueued(call) || calls.isSent(call))) due.push({ type: 'queue', calls, call })
  }
  return due
}
