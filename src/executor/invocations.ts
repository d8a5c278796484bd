/** The invocations under way: which slots they take, which of their calls are open, when they are overdue. */
import type { JobCalls } from './calls.ts'
import type { CallTry, SchedulerLimits } from './scheduler-protocol.ts'

export interface RunningInvocation {
  readonly id: number
  readonly calls: JobCalls
  readonly tries: readonly CallTry[]
  readonly waits: boolean
  readonly sentAtMs: number
  /** Its calls that have not ended in it. */
  readonly open: Set<number>
  /** The call that runs, and since when its time counts. */
  started: { readonly call: number; sinceMs: number | undefined } | undefined
  everStarted: boolean
}

export class Invocations {
  readonly #limits: SchedulerLimits
  readonly #running = new Map<number, RunningInvocation>()
  #waiting = 0
  #next = 1

  constructor(limits: SchedulerLimits) {
    this.#limits = limits
  }

  get freeSlots(): number {
    return this.#limits.slots - (this.#running.size - this.#waiting)
  }

  get freeWaitingSlots(): number {
    return this.#limits.waitingSlots - this.#waiting
  }

  add(calls: JobCalls, tries: readonly CallTry[], waits: boolean, nowMs: number): RunningInvocation {
    const open = new Set(tries.map(({ call }) => call))
    const id = this.#next++
    const invocation = { id, calls, tries, waits, sentAtMs: nowMs, open, started: undefined, everStarted: false }
    this.#running.set(id, invocation)
    if (waits) this.#waiting += 1
    return invocation
  }

  get(id: number): RunningInvocation | undefined {
    return this.#running.get(id)
  }

  /** Frees its slot. */
  release(invocation: RunningInvocation): void {
    if (this.#running.delete(invocation.id) && invocation.waits) this.#waiting -= 1
  }

  /** One of its calls has ended, however. */
  close(invocation: RunningInvocation, call: number): void {
    invocation.open.delete(call)
    if (invocation.started?.call === call) invocation.started = undefined
  }

  /** Those of a job with an open call that `hit` names. */
  holding(calls: JobCalls, hit: (call: number) => boolean): RunningInvocation[] {
    return [...this.#running.values()].filter(
      (each) => each.calls === calls && [...each.open].some((call) => hit(call) && !calls.isEnded(call)),
    )
  }

  overdue(nowMs: number): RunningInvocation[] {
    return [...this.#running.values()].filter((each) => (deadlineOf(each) ?? Number.POSITIVE_INFINITY) <= nowMs)
  }

  /** The earliest deadline; Infinity when there is none. */
  get nextDeadlineMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const each of this.#running.values()) next = Math.min(next, deadlineOf(each) ?? next)
    return next
  }
}

function deadlineOf({ calls, started }: RunningInvocation): number | undefined {
  const { timeoutMs } = calls.job
  if (timeoutMs === undefined || started?.sinceMs === undefined) return undefined
  return started.sinceMs + timeoutMs
}
