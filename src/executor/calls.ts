/** The calls of one job as the scheduler sees them: which wait, which run, how often each was tried. */

import { Chunking } from './chunking.ts'
import type { CallTry, SchedulerJob } from './scheduler-protocol.ts'

const QUEUED = 0
const SENT = 1
const STARTED = 2
const ENDED = 3

/** A worker that dies again and again before it starts a call takes the call down with it at the third time. */
const MAX_UNSTARTED_LOSSES = 3

export class JobCalls {
  readonly job: SchedulerJob
  readonly chunking = new Chunking()
  readonly #state: Uint8Array
  readonly #attempts: Uint16Array
  readonly #losses = new Map<number, number>()
  /** Calls from here on were never sent. */
  #next = 0
  /** Put back: lost before they started, or to be tried again; taken before the rest, in order. */
  readonly #again: number[] = []
  readonly #delayed: { readonly call: number; readonly atMs: number }[] = []
  #unended: number
  #cancelledAhead = 0

  constructor(job: SchedulerJob) {
    this.job = job
    this.#state = new Uint8Array(job.calls)
    this.#attempts = new Uint16Array(job.calls)
    this.#unended = job.calls
  }

  get ended(): boolean {
    return this.#unended === 0
  }

  /** Calls that could be sent now. */
  get queued(): number {
    return this.#again.length + (this.job.calls - this.#next - this.#cancelledAhead)
  }

  /** Calls that want a slot now or will want one: queued or waiting to be tried again. */
  get wanting(): number {
    return this.queued + this.#delayed.length
  }

  get nextDelayedMs(): number | undefined {
    return this.#delayed[0]?.atMs
  }

  isQueued(call: number): boolean {
    return this.#state[call] === QUEUED
  }

  isEnded(call: number): boolean {
    return this.#state[call] === ENDED
  }

  attempts(call: number): number {
    return this.#attempts[call] as number
  }

  /** Takes up to `count` queued calls for an invocation. */
  take(count: number): CallTry[] {
    const taken: CallTry[] = []
    while (taken.length < count) {
      const call = this.#again.length > 0 ? (this.#again.shift() as number) : this.#advance()
      if (call === undefined) break
      if (this.#state[call] !== QUEUED) continue
      taken.push(this.send(call))
    }
    return taken
  }

  /** Takes this very call. */
  send(call: number): CallTry {
    this.#state[call] = SENT
    this.#attempts[call] = Math.min(65_535, this.attempts(call) + 1)
    return { call, attempt: this.attempts(call) }
  }

  start(call: number): boolean {
    if (this.#state[call] !== SENT) return false
    this.#state[call] = STARTED
    return true
  }

  end(call: number): boolean {
    if (this.#state[call] === ENDED) return false
    if (this.#state[call] === QUEUED && call >= this.#next) this.#cancelledAhead += 1
    this.#state[call] = ENDED
    this.#unended -= 1
    return true
  }

  /** Puts back a call that was sent and did not start: no try of it. False when it was lost too often, `innocent` losses apart. */
  putBack(call: number, innocent: boolean): boolean {
    const losses = (this.#losses.get(call) ?? 0) + (innocent ? 0 : 1)
    if (losses >= MAX_UNSTARTED_LOSSES) return false
    if (!innocent) this.#losses.set(call, losses)
    this.#attempts[call] = Math.max(0, this.attempts(call) - 1)
    this.#state[call] = QUEUED
    this.#again.push(call)
    return true
  }

  tryAgainAt(call: number, atMs: number): void {
    this.#state[call] = QUEUED
    this.#delayed.push({ call, atMs })
    this.#delayed.sort((a, b) => a.atMs - b.atMs)
  }

  /** Moves what is due to the queue. */
  wake(nowMs: number): void {
    while (this.#delayed.length > 0 && (this.#delayed[0]?.atMs as number) <= nowMs) {
      this.#again.push((this.#delayed.shift() as { call: number }).call)
    }
  }

  *unended(): Iterable<number> {
    for (let call = 0; call < this.job.calls; call++) if (this.#state[call] !== ENDED) yield call
  }

  #advance(): number | undefined {
    while (this.#next < this.job.calls) {
      const call = this.#next++
      if (this.#state[call] === QUEUED) return call
      this.#cancelledAhead -= 1
    }
    return undefined
  }
}
