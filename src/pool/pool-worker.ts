/**
 * One worker of a pool: what it runs, which shared parts it holds, how far it has come. Decides nothing; the pool does.
 * starting → idle ⇄ busy → (leaving) → gone
 */

import { DROP, END, FEED, INVOKE, MESSAGE, NO_BYTES, READY, SHARED, START, USE } from './protocol.ts'
import type { SpawnProfile, StartWorker, WorkerExit, WorkerLink } from './worker-link.ts'

/** Shared parts a worker keeps; the least recently used is dropped first. */
const SHARED_KEPT = 16

export interface PoolInvocation {
  readonly id: number
  readonly shared: { readonly id: string; readonly bytes: Uint8Array }
  readonly payload: Uint8Array
  readonly memoryMiB?: number | undefined
  readonly waits?: boolean | undefined
}

export interface WorkerEvents {
  onReady(worker: PoolWorker): void
  onMessage(worker: PoolWorker, bytes: Uint8Array): void
  onEnd(worker: PoolWorker): void
  onExit(worker: PoolWorker, exit: WorkerExit): void
  onOutput(text: string, stream: 'stdout' | 'stderr'): void
}

export class PoolWorker {
  readonly profile: SpawnProfile
  /** Resolves when it is gone and `onExit` has been called. */
  readonly gone: Promise<void>
  state: 'starting' | 'idle' | 'busy' | 'leaving' | 'gone' = 'starting'
  ready = false
  invocation: PoolInvocation | undefined
  /** Set when we ended it, with why. */
  ended: 'stopped' | 'closed' | undefined
  #timer: NodeJS.Timeout | undefined
  readonly #link: WorkerLink
  readonly #shared = new Map<string, number>()
  #nextShared = 1
  #inUse = 0

  constructor(start: StartWorker, profile: SpawnProfile, startup: Uint8Array, events: WorkerEvents) {
    this.profile = profile
    let left: () => void
    this.gone = new Promise((resolve) => {
      left = resolve
    })
    this.#link = start(profile, {
      onFrame: (type, id, payload) => this.#onFrame(events, type, id, payload),
      onOutput: events.onOutput,
      onExit: (exit) => {
        this.state = 'gone'
        this.cancelTimer()
        events.onExit(this, exit)
        left()
      },
    })
    this.#link.send(START, 0, startup)
  }

  get pid(): number | undefined {
    return this.#link.pid
  }

  invoke(invocation: PoolInvocation): void {
    this.cancelTimer()
    this.state = 'busy'
    this.invocation = invocation
    this.#use(invocation.shared)
    this.#link.send(INVOKE, invocation.id >>> 0, invocation.payload)
  }

  feed(bytes: Uint8Array): void {
    if (this.invocation !== undefined) this.#link.send(FEED, this.invocation.id >>> 0, bytes)
  }

  /** Ends it now; what it runs ends with it. */
  kill(why: 'stopped' | 'closed' | undefined): void {
    this.ended ??= why
    if (this.state !== 'gone') this.#link.kill()
  }

  /** Lets an idle or starting worker go. */
  retire(): void {
    if (this.state === 'gone' || this.state === 'leaving') return
    this.cancelTimer()
    const started = this.state !== 'starting'
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
    clearTimeout(this.#timer)
  }

  #use(shared: PoolInvocation['shared']): void {
    const known = this.#shared.get(shared.id)
    if (known === this.#inUse) return
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

  #onFrame(events: WorkerEvents, type: number, id: number, payload: Uint8Array): void {
    if (type === READY && this.state === 'starting') {
      this.cancelTimer()
      this.ready = true
      this.state = 'idle'
      return events.onReady(this)
    }
    if (this.invocation === undefined || this.invocation.id >>> 0 !== id) return
    if (type === MESSAGE) events.onMessage(this, payload)
    else if (type === END) events.onEnd(this)
  }
}
