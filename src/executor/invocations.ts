/** The invocations under way: which slots they take, which of their calls are open, when they are overdue. */
import type { JobCalls } from './calls.ts'
import type { CallTry, SchedulerLimits } from './scheduler-protocol.ts'

export interface StartedCall {
  readonly call: number
  /** Since when its time counts; undefined for a reduce call that has not been fed. */
  sinceMs: number | undefined
}

export interface RunningInvocation {
  readonly id: number
  readonly calls: JobCalls
  readonly tries: readonly CallTry[]
  readonly waits: boolean
  readonly sentAtMs: number
  /** Its calls that have not ended in it, and the numbers of their tries. */
  readonly open: Map<number, number>
  /** How many of those have not ended elsewhere. */
  live: number
  /** The call that runs. */
  started: StartedCall | undefined
  everStarted: boolean
  /** When something last came from it. */
  heardAtMs: number
  /** We have told it to stop. */
  stopping: boolean
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
    const id = this.#next++
    const open = new Map<number, number>()
    for (const { call, attempt } of tries) {
      open.set(call, attempt)
      calls.held(call, id)
    }
    const invocation: RunningInvocation = {
      id,
      calls,
      tries,
      waits,
      sentAtMs: nowMs,
      open,
      live: open.size,
      started: undefined,
      everStarted: false,
      heardAtMs: nowMs,
      stopping: false,
    }
    this.#running.set(id, invocation)
    if (waits) this.#waiting += 1
    return invocation
  }

  get(id: number): RunningInvocation | undefined {
    return this.#running.get(id)
  }

  /** Something came from it. */
  heard(id: number, nowMs: number): void {
    const running = this.#running.get(id)
    if (running !== undefined) running.heardAtMs = nowMs
  }

  all(): Iterable<RunningInvocation> {
    return this.#running.values()
  }

  /** Whether it runs this call, which has not ended, now. */
  runs(id: number, call: number): boolean {
    const running = this.#running.get(id)
    return running?.started?.call === call && !running.stopping && !running.calls.isEnded(call)
  }

  /** Frees its slot. */
  release(invocation: RunningInvocation): void {
    if (this.#running.delete(invocation.id) && invocation.waits) this.#waiting -= 1
  }

  /** One of its calls has ended in it, however. */
  close(invocation: RunningInvocation, call: number): void {
    const { calls, id } = invocation
    if (!invocation.open.delete(call)) return
    calls.released(call, id)
    if (!calls.isEnded(call)) invocation.live -= 1
    if (invocation.started?.call === call) invocation.started = undefined
  }
}
