/**
 * The calls of one job as the scheduler sees them: which wait, which run and where, how often each was tried.
 * Every operation is O(1), amortised, whatever the number of calls.
 */
import { Queue } from '../futures/queue.ts'
import { Chunking } from './chunking.ts'
import type { CallTry, SchedulerJob } from './scheduler-protocol.ts'
import { MedianOf } from './stragglers.ts'
import { Troubles } from './troubles.ts'

const QUEUED = 0
const DELAYED = 1
const SENT = 2
const STARTED = 3
const PARKED = 4
const ENDED = 5

/** A worker that dies again and again before it starts a call takes the call down with it at the third time. */
const MAX_UNSTARTED_LOSSES = 3

const NOBODY: readonly number[] = []

/** Map calls of all jobs that want a slot now or will want one. */
export interface Demand {
  wanting: number
}

export interface Taken {
  readonly tries: readonly CallTry[]
  /** Where it differs from the job's. */
  readonly memoryMiB: number | undefined
}

export class JobCalls {
  readonly job: SchedulerJob
  /** Jobs get slots in this order. */
  readonly order: number
  readonly chunking = new Chunking()
  readonly troubles = new Troubles()
  /** How long calls took that succeeded, ms. */
  readonly took = new MedianOf()
  /** When calls were queued, ms, that were since the job came; kept where `queueTimeoutMs` is set. */
  readonly queuedAtMs = new Map<number, number>()
  /** Retries so far. */
  retriesSpent = 0
  /** Failed calls, quarantined ones apart. */
  failed = 0
  /** Calls that ended without having run here. */
  restored = 0
  /** More calls may come. */
  open: boolean
  readonly #demand: Demand
  #state: Uint8Array
  #attempts: Uint16Array
  /** Invocation that has the call, 0 for none; that of a backup apart. */
  #holder: Uint32Array
  readonly #backups = new Map<number, number>()
  /** Calls from here on were never sent. */
  #next = 0
  /** Put back: lost before they started, or to be tried again; taken before the rest, in order. */
  readonly #again = new Queue<number>()
  #count: number
  #queued: number
  #unended: number

  /** A reduce job's calls are no demand: they take what maps leave. */
  constructor(job: SchedulerJob, order: number, demand: Demand) {
    this.job = job
    this.order = order
    this.open = job.open === true
    this.#demand = job.reduces === undefined ? demand : { wanting: 0 }
    this.#state = new Uint8Array(job.calls)
    this.#attempts = new Uint16Array(job.calls)
    this.#holder = new Uint32Array(job.calls)
    this.#count = job.calls
    this.#queued = job.calls
    this.#unended = job.calls
    this.#demand.wanting += job.calls
  }

  get count(): number {
    return this.#count
  }

  get ended(): boolean {
    return this.#unended === 0 && !this.open
  }

  /** Calls that could be sent now. */
  get queued(): number {
    return this.#queued
  }

  isQueued(call: number): boolean {
    return this.#state[call] === QUEUED
  }

  /** To be tried again after a pause. */
  isDelayed(call: number): boolean {
    return this.#state[call] === DELAYED
  }

  /** Handed out by `divide`. */
  isParked(call: number): boolean {
    return this.#state[call] === PARKED
  }

  isSent(call: number): boolean {
    return this.#state[call] === SENT
  }

  isEnded(call: number): boolean {
    return this.#state[call] === ENDED
  }

  /** The number of its last try. */
  attempts(call: number): number {
    return this.#attempts[call] as number
  }

  /** The invocations that have it: two with a backup. */
  holders(call: number): readonly number[] {
    const holder = this.#holder[call] as number
    const backup = this.#backups.size === 0 ? undefined : this.#backups.get(call)
    if (backup === undefined) return holder === 0 ? NOBODY : [holder]
    return holder === 0 ? [backup] : [holder, backup]
  }

  /** Takes up to `count` queued calls that run with the same memory. */
  take(count: number): Taken {
    const tries: CallTry[] = []
    let memoryMiB: number | undefined
    while (tries.length < count) {
      const call = this.#nextQueued()
      if (call === undefined) break
      const wantsMiB = this.troubles.memoryMiB(call)
      if (tries.length > 0 && wantsMiB !== memoryMiB) {
        this.#again.unshift(call)
        break
      }
      memoryMiB = wantsMiB
      tries.push(this.send(call))
    }
    return { tries, memoryMiB }
  }

  /** Takes this very call, which is queued. */
  send(call: number): CallTry {
    this.#leaveQueue(call)
    this.#state[call] = SENT
    return this.nextTry(call)
  }

  /** A try more, beside the one that runs. */
  nextTry(call: number): CallTry {
    const attempt = Math.min(65_535, this.attempts(call) + 1)
    this.#attempts[call] = attempt
    return { call, attempt }
  }

  held(call: number, invocation: number): void {
    if (this.#holder[call] === 0) this.#holder[call] = invocation
    else this.#backups.set(call, invocation)
  }

  /** The invocation has it no more. */
  released(call: number, invocation: number): void {
    if (this.#holder[call] === invocation) this.#holder[call] = 0
    else if (this.#backups.get(call) === invocation) this.#backups.delete(call)
  }

  /** True for the first of the tries that run at once. */
  start(call: number): boolean {
    if (this.#state[call] !== SENT) return false
    this.#state[call] = STARTED
    return true
  }

  end(call: number): boolean {
    if (this.#state[call] === ENDED) return false
    this.#leaveQueue(call)
    this.#state[call] = ENDED
    this.troubles.forget(call)
    this.#unended -= 1
    return true
  }

  /** A try was sent and did not start: it is none. False when that happened too often, `innocent` losses apart. */
  unsend(call: number, attempt: number, innocent: boolean): boolean {
    if (!innocent) this.troubles.addLoss(call)
    if (this.troubles.losses(call) >= MAX_UNSTARTED_LOSSES) return false
    if (this.attempts(call) === attempt) this.#attempts[call] = attempt - 1
    return true
  }

  /** To the queue, from wherever it is. */
  putBack(call: number): void {
    this.#leaveQueue(call)
    this.#state[call] = QUEUED
    this.#queued += 1
    this.#demand.wanting += 1
    if (this.job.reduces === undefined) this.#again.push(call)
  }

  /** Waits for `putBack`, to be tried again. */
  delay(call: number, memoryMiB: number | undefined): void {
    this.troubles.again(call, memoryMiB)
    this.#state[call] = DELAYED
    this.#demand.wanting += 1
    this.retriesSpent += 1
  }

  /** Has failed for good and waits for `putBack` or its end: it may come to want a slot again. */
  park(call: number): void {
    this.#leaveQueue(call)
    this.#state[call] = PARKED
    this.#demand.wanting += 1
  }

  /** New calls behind all others. */
  append(added: number): void {
    this.#count += added
    this.#queued += added
    this.#unended += added
    this.#demand.wanting += added
    if (this.#count <= this.#state.length) return
    const capacity = Math.max(this.#count, this.#state.length * 2)
    this.#state = grown(new Uint8Array(capacity), this.#state)
    this.#attempts = grown(new Uint16Array(capacity), this.#attempts)
    this.#holder = grown(new Uint32Array(capacity), this.#holder)
  }

  *unended(): Iterable<number> {
    for (let call = 0; call < this.#count; call++) if (this.#state[call] !== ENDED) yield call
  }

  #leaveQueue(call: number): void {
    if (this.#state[call] === QUEUED) this.#queued -= 1
    else if (this.#state[call] !== DELAYED && this.#state[call] !== PARKED) return
    this.#demand.wanting -= 1
  }

  #nextQueued(): number | undefined {
    for (let call = this.#again.shift(); call !== undefined; call = this.#again.shift()) {
      if (this.#state[call] === QUEUED) return call
    }
    while (this.#next < this.#count) {
      const call = this.#next++
      if (this.#state[call] === QUEUED) return call
    }
    return undefined
  }
}

function grown<A extends Uint8Array | Uint16Array | Uint32Array>(into: A, from: A): A {
  into.set(from)
  return into
}
