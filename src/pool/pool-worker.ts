/**
 * One worker of a pool: what it runs, what lies ahead in it, which shared parts it holds, how far it has come. Decides
 * nothing; the pool does.
 * starting → idle ⇄ busy → (leaving) → gone
 */

import type { EndedBy } from './death.ts'
import type { Accepted, PoolInvocation } from './invocation.ts'
import { toBytes } from './memory-limit.ts'
import {
  DROP,
  END,
  FEED,
  INVOKE,
  MEMORY,
  MESSAGE,
  NEWS,
  NO_BYTES,
  READY,
  RECYCLE,
  SHARED,
  START,
  TELL,
  USE,
} from './protocol.ts'
import type { SpawnProfile, StartWorker, WorkerExit, WorkerLink } from './worker-link.ts'

/** Shared parts a worker keeps; the least recently used is dropped first. */
const SHARED_KEPT = 16

/** A worker as it is now, for people and for tests. */
export interface WorkerInfo {
  /** Counts from 1 within the pool; never used again. */
  readonly id: number
  readonly pid?: number
  readonly threadId?: number
  readonly state: 'starting' | 'idle' | 'busy' | 'leaving' | 'gone'
  /** The invocation it runs. */
  readonly running: number | undefined
}

export interface WorkerEvents {
  onReady(worker: PoolWorker): void
  onMessage(invocation: number, bytes: Uint8Array, direct?: unknown): void
  /** What it ran has ended; it asks to leave where `recycle`. */
  onEnd(worker: PoolWorker, recycle: boolean): void
  onExit(worker: PoolWorker, exit: WorkerExit): void
  onOutput(text: string, stream: 'stdout' | 'stderr'): void
  /** What it says outside any invocation. */
  onNews(worker: PoolWorker, bytes: Uint8Array): void
}

export class PoolWorker {
  readonly id: number
  readonly profile: SpawnProfile
  /** Resolves when it is gone and `onExit` has been called. */
  readonly gone: Promise<void>
  state: WorkerInfo['state'] = 'starting'
  ready = false
  /** Set when we ended it, with why. */
  ended: EndedBy | undefined
  /** Resident when it became ready, bytes; where it is measured. */
  baseBytes: number | undefined
  /** Beyond that, when it was last measured. */
  heldBytes: number | undefined
  /** When it was looked at last, and its processor time then; oldest first. */
  readonly looks: { readonly atMs: number; readonly cpuTicks: number }[] = []
  /** How many times in a row it was seen stopped where it had been. */
  frozenLooks = 0
  /** Let go: its exit is none of its doing. */
  retired = false
  /** What it runs, then what lies ahead. */
  readonly #taken: Accepted[] = []
  #timer: NodeJS.Timeout | undefined
  readonly #link: WorkerLink
  readonly #shared = new Map<string, number>()
  #nextShared = 1
  #inUse = 0

  constructor(id: number, start: StartWorker, profile: SpawnProfile, startup: Uint8Array, events: WorkerEvents) {
    this.id = id
    this.profile = profile
    let left: () => void
    this.gone = new Promise((resolve) => {
      left = resolve
    })
    this.#link = start(profile, {
      onFrame: (type, invocation, payload, direct) => this.#onFrame(events, type, invocation, payload, direct),
      onOutput: (text, stream) => events.onOutput(text, stream),
      onExit: (exit) => {
        this.state = 'gone'
        this.cancelTimer()
        events.onExit(this, exit)
        left()
      },
    })
    this.#link.send(START, profile.memoryMiB ?? 0, startup)
  }

  get pid(): number | undefined {
    return this.#link.pid
  }

  get info(): WorkerInfo {
    const { id, pid, state } = this
    const { threadId } = this.#link
    return {
      id,
      ...(pid === undefined ? {} : { pid }),
      ...(threadId === undefined ? {} : { threadId }),
      state,
      running: this.running?.id,
    }
  }

  get running(): PoolInvocation | undefined {
    return this.#taken[0]?.invocation
  }

  /** How many lie ahead of it, not yet begun. */
  get ahead(): number {
    return Math.max(0, this.#taken.length - 1)
  }

  /** Runs it next. @throws what the link throws; then nothing has changed */
  invoke(accepted: Accepted): void {
    const { invocation } = accepted
    this.#use(invocation.shared)
    this.#link.send(INVOKE, invocation.id >>> 0, invocation.payload, invocation.direct)
    this.cancelTimer()
    this.state = 'busy'
    if (this.#taken.push(accepted) === 1) this.#begin(accepted)
  }

  /** For what it runs, or what lies ahead in it. */
  feed(id: number, bytes: Uint8Array): void {
    if (this.running?.id === id) this.#link.send(FEED, id >>> 0, bytes)
    else this.#taken.find(({ invocation }) => invocation.id === id)?.fed.push(bytes)
  }

  /** Says something that belongs to no invocation; nothing to one that is not ready or leaves. */
  tell(bytes: Uint8Array): void {
    if (this.state === 'idle' || this.state === 'busy') this.#link.send(TELL, 0, bytes)
  }

  /** Ends what it runs, with the worker, and waits for that; what lies ahead ends when its turn comes. */
  async stop(id: number): Promise<void> {
    const accepted = this.#taken.find(({ invocation }) => invocation.id === id)
    if (accepted === undefined) return
    accepted.stopped = true
    if (accepted !== this.#taken[0]) return
    this.kill('stopped')
    await this.gone
  }

  /** Takes off it what it ran, which has ended. What lay ahead has begun. */
  finish(): Accepted {
    const ended = this.#taken.shift() as Accepted
    const [next] = this.#taken
    if (next !== undefined) this.#begin(next)
    return ended
  }

  /** Takes off it what lies ahead: it will not begin. */
  takeBack(): Accepted[] {
    return this.#taken.splice(1)
  }

  /** Ends it now; what it runs ends with it. */
  kill(why: EndedBy | undefined): void {
    this.ended ??= why
    if (this.state !== 'gone') this.#link.kill()
  }

  /** Lets a worker go that runs nothing. */
  retire(): void {
    if (this.state === 'gone' || this.state === 'leaving') return
    this.cancelTimer()
    const started = this.state !== 'starting'
    this.retired = true
    this.state = 'leaving'
    if (started) this.#link.retire()
    else this.#link.kill()
  }

  /** One timer at a time: for its start, or for idleness. */
  after(ms: number, then: () => void): void {
    this.cancelTimer()
    this.#timer = setTimeout(then, Math.min(ms, 2 ** 31 - 1))
    this.#timer.unref()
  }

  cancelTimer(): void {
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #begin(accepted: Accepted): void {
    const { invocation, fed } = accepted
    if (accepted.stopped) this.kill('stopped')
    for (const bytes of fed.splice(0)) this.#link.send(FEED, invocation.id >>> 0, bytes)
  }

  #use(shared: PoolInvocation['shared']): void {
    const known = this.#shared.get(shared.id)
    if (known !== undefined && known === this.#inUse) return
    const number = known ?? this.#nextShared++
    this.#shared.delete(shared.id)
    this.#shared.set(shared.id, number)
    this.#inUse = number
    if (known !== undefined) return this.#link.send(USE, number, NO_BYTES)
    this.#link.send(SHARED, number, shared.bytes)
    if (this.#shared.size <= SHARED_KEPT) return
    const [oldest, dropped] = this.#shared.entries().next().value as [string, number]
    this.#shared.delete(oldest)
    this.#link.send(DROP, dropped, NO_BYTES)
  }

  #onFrame(events: WorkerEvents, type: number, id: number, payload: Uint8Array, direct: unknown): void {
    if (type === READY && this.state === 'starting') {
      this.cancelTimer()
      this.ready = true
      this.state = 'idle'
      return events.onReady(this)
    }
    if (type === MEMORY) {
      this.heldBytes = toBytes(id)
      return this.kill('outOfMemory')
    }
    if (type === NEWS) return events.onNews(this, payload)
    const { running } = this
    if (running === undefined || running.id >>> 0 !== id) return
    if (type === MESSAGE) events.onMessage(running.id, payload, direct)
    else if (type === END) events.onEnd(this, payload.byteLength > 0 && payload[0] === RECYCLE[0])
  }
}
