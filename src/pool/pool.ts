/**
 * Worker slots: which worker runs what, and what becomes of an invocation whose worker dies. It carries bytes and knows
 * neither calls nor jobs.
 *
 * - Every accepted invocation ends in exactly one `onEnd`; its messages come before.
 * - At most `slots` invocations run, and beside them at most `waitingSlots` of those that wait.
 * - An idle worker is used before one is started; a dead one is replaced when there is work for it.
 * - Only where every slot is taken, up to `prefetch` invocations are given ahead to a busy worker. A death ends what the
 *   worker ran; what lay ahead had not begun and goes back to the front of the line.
 * - A pool whose workers cannot start is broken: what is queued ends, what runs in healthy workers goes on.
 * - Waiting work keeps the program alive; idle workers do not.
 */
import { BrokenExecutorError, ShutdownExecutorError, ValidationError, type WorkerActivity } from '../core/errors.ts'
import { classifyDeath, type PoolDeath } from './death.ts'
import { Dispatch } from './dispatch.ts'
import { MAX_PAYLOAD_BYTES } from './framing.ts'
import type { PoolInvocation } from './invocation.ts'
import { KeepAlive } from './keep-alive.ts'
import type { PoolWorker, WorkerInfo } from './pool-worker.ts'
import type { WorkerExit } from './worker-link.ts'
import { type Broken, type StartOptions, WorkerSet } from './worker-set.ts'
import { WorkerWatch } from './worker-watch.ts'

export interface PoolListener {
  onMessage(invocation: number, bytes: Uint8Array, direct?: unknown): void
  onEnd(invocation: number, death?: PoolDeath): void
  onOutput?(text: string, stream: 'stdout' | 'stderr'): void
  /** What a worker says outside any invocation. */
  onNews?(worker: number, bytes: Uint8Array): void
  /** A worker is ready. */
  onWorkerStart?(worker: WorkerInfo): void
  /** A worker is gone, after the end of what it ran: also one that was idle, let go, or never ready. */
  onWorkerExit?(worker: WorkerInfo, death: PoolDeath): void
  /** Nothing more can be started; what was queued has ended. */
  onBroken?(error: BrokenExecutorError): void
}

export interface PoolOptions extends StartOptions {
  readonly slots: number
  readonly waitingSlots: number
  /** Invocations given ahead to each busy worker. Default 0. */
  readonly prefetch?: number | undefined
  /** A worker idle for so long leaves. Default: it stays. */
  readonly idleTimeoutMs?: number | undefined
}

export interface PoolCounts {
  /** Those that are there, without those that leave. */
  readonly workers: number
  readonly idle: number
  readonly starting: number
  /** Accepted and not running: in the line, or ahead in a worker. */
  readonly queued: number
  readonly running: number
}

export class WorkerPool {
  readonly #options: PoolOptions
  readonly #listener: PoolListener
  readonly #workers: WorkerSet
  readonly #dispatch: Dispatch
  readonly #watch: WorkerWatch
  readonly #keepAlive = new KeepAlive()
  #broken: Broken | undefined
  /** The submit under way, and what it is to throw. */
  #submitting: { readonly id: number; error?: Error } | undefined
  #closing = false
  #closed: Promise<void> | undefined

  constructor(options: PoolOptions, listener: PoolListener) {
    this.#options = options
    this.#listener = listener
    this.#workers = new WorkerSet(options, {
      onReady: (worker) => this.#onReady(worker),
      onMessage: (id, bytes, direct) => this.#listener.onMessage(id, bytes, direct),
      onEnd: (worker, recycle) => this.#onEnd(worker, recycle),
      onExit: (worker, exit) => this.#onExit(worker, exit),
      onOutput: (text, stream) => this.#listener.onOutput?.(text, stream),
      onNews: (worker, bytes) => this.#listener.onNews?.(worker.id, bytes),
    })
    this.#dispatch = new Dispatch(options, this.#workers)
    this.#watch = new WorkerWatch(this.#workers, options)
  }

  /**
   * Accepts an invocation: it runs at once, or when a slot is free.
   * @throws BrokenExecutorError, ShutdownExecutorError, ValidationError, SerializationError (a direct value that cannot
   * travel; where it has to wait first, it ends as `unsendable` instead)
   */
  submit(invocation: PoolInvocation): void {
    if (this.#closing) throw new ShutdownExecutorError('invoke: the workers were shut down')
    if (this.#broken !== undefined) throw new BrokenExecutorError(this.#broken.message)
    if (this.#dispatch.has(invocation.id)) {
      throw new ValidationError(`invoke: id ${invocation.id} is in use by an invocation that has not ended`)
    }
    const largest = Math.max(invocation.payload.byteLength, invocation.shared.bytes.byteLength)
    if (largest > MAX_PAYLOAD_BYTES) {
      throw new ValidationError(
        `invoke: payload of ${largest} bytes, at most ${MAX_PAYLOAD_BYTES} can be sent to a worker`,
      )
    }
    this.#dispatch.accept(invocation)
    const submitting: { readonly id: number; error?: Error } = { id: invocation.id }
    this.#submitting = submitting
    this.#pump()
    this.#submitting = undefined
    if (submitting.error !== undefined) throw submitting.error
  }

  /** Feeds an invocation that has not ended; dropped when it has. */
  send(id: number, bytes: Uint8Array): void {
    this.#dispatch.feed(id, bytes)
  }

  /** Says something that belongs to no invocation, to one worker or to all that are ready. */
  tell(bytes: Uint8Array, worker?: number): void {
    for (const each of this.#workers) if (worker === undefined || each.id === worker) each.tell(bytes)
  }

  /** Resolves when it has ended; at once for one that lies ahead in a worker, which ends when its turn comes. */
  async stop(id: number): Promise<void> {
    if (this.#dispatch.withdraw(id)) {
      this.#listener.onEnd(id, { reason: 'stopped' })
      return this.#settle()
    }
    await this.#dispatch.holder(id)?.stop(id)
  }

  /** What the worker does that runs it, by the system; undefined where that does not tell. */
  activityOf(id: number, withinMs: number): WorkerActivity | undefined {
    const worker = this.#dispatch.holder(id)
    return worker?.running?.id === id ? this.#watch.activityOf(worker, withinMs) : undefined
  }

  /** Starts workers until there are as many as invocations to come, at most one a slot. */
  warm(memoryMiB?: number, invocations = this.#dispatch.slots): void {
    if (this.#closing || this.#broken !== undefined) return
    const wanted = Math.min(invocations, this.#dispatch.slots)
    for (let present = this.#workers.present; present < wanted; present++) this.#workers.start({ memoryMiB })
  }

  /** Changes the slots. Idle workers beyond them leave now, busy ones when they have ended what they have. @throws ValidationError */
  resize(slots: number): void {
    if (!Number.isInteger(slots) || slots < 1) {
      throw new ValidationError(`pool slots: expected a whole number from 1, got ${slots}`)
    }
    this.#dispatch.slots = slots
    for (const worker of this.#workers) if (worker.state === 'idle' && this.#isSurplus()) worker.retire()
    this.#pump()
  }

  /** Every worker that is not gone, oldest first. */
  workers(): readonly WorkerInfo[] {
    return [...this.#workers].map(({ info }) => info)
  }

  get counts(): PoolCounts {
    return {
      workers: this.#workers.present,
      idle: this.#workers.count('idle'),
      starting: this.#workers.count('starting'),
      queued: this.#dispatch.queued,
      running: this.#dispatch.running,
    }
  }

  /** Ends what runs and waits until no worker is left. `kill`: idle workers too are ended, not let go. Idempotent. */
  close({ kill = false }: { readonly kill?: boolean } = {}): Promise<void> {
    this.#closed ??= this.#closeAll()
    if (kill) for (const worker of this.#workers) worker.kill('closed')
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    this.#closing = true
    this.#keepAlive.hold()
    this.#endAll(this.#dispatch.withdrawAll(), { reason: 'closed' })
    for (const worker of this.#workers) {
      if (worker.state === 'busy') worker.kill('closed')
      else worker.retire()
    }
    await this.#workers.gone()
    this.#watch.close()
    this.#keepAlive.release()
  }

  #pump(): void {
    if (this.#closing) return
    const { wanted, refused } = this.#dispatch.handOut()
    if (wanted.length > 0) this.#startFor(wanted)
    this.#settle()
    for (const { id, error } of refused) {
      if (this.#submitting?.id === id) this.#submitting.error = error
      else this.#listener.onEnd(id, { reason: 'unsendable', error })
    }
    if (refused.length > 0) this.#pump()
  }

  #startFor(wanted: readonly PoolInvocation[]): void {
    const starting = [...this.#workers].filter((worker) => worker.state === 'starting')
    for (const { memoryMiB } of wanted) {
      const coming = starting.findIndex((worker) => worker.profile.memoryMiB === memoryMiB)
      if (coming >= 0) starting.splice(coming, 1)
      else if (this.#makeRoom(memoryMiB)) this.#workers.start({ memoryMiB })
    }
  }

  /** False when every place is taken by a worker that runs or starts: its next change pumps again. */
  #makeRoom(memoryMiB: number | undefined): boolean {
    if (this.#workers.present < this.#places) return true
    const other = [...this.#workers].find((w) => w.state === 'idle' && w.profile.memoryMiB !== memoryMiB)
    other?.retire()
    return other !== undefined
  }

  get #places(): number {
    return this.#dispatch.slots + this.#options.waitingSlots
  }

  #isSurplus(): boolean {
    return this.#workers.present > this.#places
  }

  #onReady(worker: PoolWorker): void {
    this.#workers.started()
    this.#watch.ready(worker)
    this.#listener.onWorkerStart?.(worker.info)
    this.#becameIdle(worker)
    this.#pump()
  }

  #onEnd(worker: PoolWorker, recycle: boolean): void {
    const stopped = recycle ? this.#dispatch.takeBack(worker) : []
    const { invocation } = this.#dispatch.release(worker)
    if (recycle) worker.retire()
    else if (worker.running === undefined) this.#becameIdle(worker)
    this.#listener.onEnd(invocation.id)
    this.#endAll(stopped, { reason: 'stopped' })
    this.#pump()
  }

  #becameIdle(worker: PoolWorker): void {
    // one that was told to stop is being killed: its next invocation would die with it
    worker.state = worker.ended === undefined ? 'idle' : 'leaving'
    if (worker.ended !== undefined) return
    if (this.#isSurplus()) return worker.retire()
    const { idleTimeoutMs } = this.#options
    if (idleTimeoutMs !== undefined && Number.isFinite(idleTimeoutMs)) {
      worker.after(idleTimeoutMs, () => worker.retire())
    }
  }

  #onExit(worker: PoolWorker, exit: WorkerExit): void {
    const stopped = this.#dispatch.takeBack(worker)
    const accepted = worker.running === undefined ? undefined : this.#dispatch.release(worker)
    // a stop that came too late for its own invocation took the next one with it
    const ended = worker.ended === 'stopped' && accepted?.stopped === false ? undefined : worker.ended
    const letGo = worker.retired ? 'closed' : undefined
    const { profile, heldBytes } = worker
    const known = { ended: ended ?? letGo, memoryMiB: profile.memoryMiB, heldBytes }
    const death = classifyDeath(exit, { ...known, kernelKilled: exit.signal !== undefined && this.#watch.kernelKilled })
    const broken = this.#workers.remove(worker, exit)
    if (accepted !== undefined) this.#listener.onEnd(accepted.invocation.id, death)
    this.#endAll(stopped, { reason: 'stopped' })
    this.#listener.onWorkerExit?.(worker.info, death)
    if (this.#closing) return this.#endAll(this.#dispatch.withdrawAll(), { reason: 'closed' })
    if (broken !== undefined) this.#break(broken)
    else if (this.#broken !== undefined) this.#endAll(this.#dispatch.withdrawAll(), this.#broken.death)
    this.#pump()
  }

  #break(broken: Broken): void {
    const first = this.#broken === undefined
    this.#broken ??= broken
    this.#endAll(this.#dispatch.withdrawAll(), this.#broken.death)
    if (first) this.#listener.onBroken?.(new BrokenExecutorError(broken.message))
  }

  #endAll(ids: readonly number[], death: PoolDeath): void {
    for (const id of ids) this.#listener.onEnd(id, death)
  }

  #settle(): void {
    const { running } = this.#dispatch
    this.#keepAlive.set(this.#dispatch.queued + running > 0)
    if (running > 0) this.#watch.wake()
  }
}
