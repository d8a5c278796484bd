/**
 * Worker slots: which worker runs what, and what becomes of an invocation whose worker dies. It carries bytes and knows
 * neither calls nor jobs.
 *
 * - Every accepted invocation ends in exactly one `onEnd`; its messages come before.
 * - At most `slots` invocations run, and beside them at most `waitingSlots` of those that wait.
 * - An idle worker is used before one is started; a dead one is replaced when there is work for it.
 * - Workers that die before they are ready, three in a row, break the pool: what is queued ends, nothing is started any
 *   more. What runs in healthy workers goes on.
 * - Waiting work keeps the program alive; idle workers do not.
 */
import { BrokenExecutorError, ShutdownExecutorError, ValidationError } from '../core/errors.ts'
import { classifyDeath, deathFacts, describeExit, type PoolDeath } from './death.ts'
import { MAX_PAYLOAD_BYTES } from './framing.ts'
import { type Guardian, startGuardian } from './guardian.ts'
import { KeepAlive } from './keep-alive.ts'
import { type PoolInvocation, PoolWorker, type WorkerEvents } from './pool-worker.ts'
import type { SpawnProfile, StartWorker, WorkerExit } from './worker-link.ts'

const STARTS_TRIED = 3
const START_TIMEOUT_MS = 120_000

export interface PoolListener {
  onMessage(invocation: number, bytes: Uint8Array): void
  onEnd(invocation: number, death?: PoolDeath): void
  onOutput?(text: string, stream: 'stdout' | 'stderr'): void
}

export interface PoolOptions {
  readonly slots: number
  readonly waitingSlots: number
  /** The first frame of every worker. */
  readonly startup: Uint8Array
  readonly startWorker: StartWorker
  /** A worker idle for so long leaves. Default: it stays. */
  readonly idleTimeoutMs?: number | undefined
  /** A worker that is not ready by then counts as dead. Default two minutes. */
  readonly startTimeoutMs?: number | undefined
}

interface Queued {
  readonly invocation: PoolInvocation
  /** What was sent to it before it ran. */
  readonly fed: Uint8Array[]
}

export class WorkerPool {
  readonly #options: PoolOptions
  readonly #listener: PoolListener
  readonly #workers = new Set<PoolWorker>()
  readonly #queue = new Map<number, Queued>()
  readonly #running = new Map<number, PoolWorker>()
  readonly #keepAlive = new KeepAlive()
  readonly #events: WorkerEvents
  #waiting = 0
  #failedStarts = 0
  #broken: { readonly message: string; readonly death: PoolDeath } | undefined
  #guardian: Guardian | undefined
  #closing = false
  #closed: Promise<void> | undefined

  constructor(options: PoolOptions, listener: PoolListener) {
    this.#options = options
    this.#listener = listener
    this.#events = {
      onReady: (worker) => this.#onReady(worker),
      onMessage: (worker, bytes) => this.#listener.onMessage(invocationOf(worker), bytes),
      onEnd: (worker) => this.#onEnd(worker),
      onExit: (worker, exit) => this.#onExit(worker, exit),
      onOutput: (text, stream) => this.#listener.onOutput?.(text, stream),
    }
  }

  /** Accepts an invocation: it runs at once, or when a slot is free. @throws BrokenExecutorError, ShutdownExecutorError, ValidationError */
  submit(invocation: PoolInvocation): void {
    if (this.#closing) throw new ShutdownExecutorError('invoke: the workers were shut down')
    if (this.#broken !== undefined) throw new BrokenExecutorError(this.#broken.message)
    if (this.#queue.has(invocation.id) || this.#running.has(invocation.id)) {
      throw new ValidationError(`invoke: id ${invocation.id} is in use by an invocation that has not ended`)
    }
    const largest = Math.max(invocation.payload.byteLength, invocation.shared.bytes.byteLength)
    if (largest > MAX_PAYLOAD_BYTES) {
      throw new ValidationError(
        `invoke: payload of ${largest} bytes, at most ${MAX_PAYLOAD_BYTES} can be sent to a worker`,
      )
    }
    this.#queue.set(invocation.id, { invocation, fed: [] })
    this.#pump()
  }

  /** Feeds a running or queued invocation; dropped when it has ended. */
  send(id: number, bytes: Uint8Array): void {
    const queued = this.#queue.get(id)
    if (queued === undefined) this.#running.get(id)?.feed(bytes)
    else queued.fed.push(bytes)
  }

  /** Resolves when it has ended. */
  async stop(id: number): Promise<void> {
    if (this.#queue.delete(id)) {
      this.#listener.onEnd(id, { reason: 'stopped' })
      return this.#settle()
    }
    const worker = this.#running.get(id)
    if (worker === undefined) return
    worker.kill('stopped')
    await worker.gone
  }

  /** Starts workers until there are as many as invocations to come, at most one a slot. */
  warm(memoryMiB?: number, invocations = this.#options.slots): void {
    if (this.#closing || this.#broken !== undefined) return
    const wanted = Math.min(invocations, this.#options.slots)
    while (this.#workers.size < wanted) this.#start({ memoryMiB })
  }

  /** Ends what runs and waits until no worker is left. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    this.#closing = true
    this.#keepAlive.hold()
    for (const id of [...this.#queue.keys()]) this.#fail(id, { reason: 'closed' })
    const gone = [...this.#workers].map((worker) => worker.gone)
    for (const worker of this.#workers) {
      if (worker.state === 'busy') worker.kill('closed')
      else worker.retire()
    }
    await Promise.all(gone)
    await this.#guardian?.close()
    this.#keepAlive.release()
  }

  #fail(id: number, death: PoolDeath): void {
    this.#queue.delete(id)
    this.#listener.onEnd(id, death)
  }

  #pump(): void {
    if (this.#closing) return
    const wanted: PoolInvocation[] = []
    let [free, waitingFree] = [this.#freeSlots(), this.#options.waitingSlots - this.#waiting]
    for (const queued of this.#queue.values()) {
      if (free <= 0 && waitingFree <= 0) break
      const { invocation } = queued
      const waits = this.#isWaiting(invocation)
      if ((waits ? waitingFree : free) <= 0) continue
      if (waits) waitingFree -= 1
      else free -= 1
      const idle = this.#find('idle', invocation.memoryMiB)
      if (idle === undefined) wanted.push(invocation)
      else this.#dispatch(idle, queued)
    }
    this.#startFor(wanted)
    this.#settle()
  }

  #dispatch(worker: PoolWorker, { invocation, fed }: Queued): void {
    this.#queue.delete(invocation.id)
    this.#running.set(invocation.id, worker)
    if (this.#isWaiting(invocation)) this.#waiting += 1
    worker.invoke(invocation)
    for (const bytes of fed) worker.feed(bytes)
  }

  #startFor(wanted: readonly PoolInvocation[]): void {
    const starting = [...this.#workers].filter((worker) => worker.state === 'starting')
    for (const { memoryMiB } of wanted) {
      const coming = starting.findIndex((worker) => worker.profile.memoryMiB === memoryMiB)
      if (coming >= 0) starting.splice(coming, 1)
      else if (this.#makeRoom(memoryMiB)) this.#start({ memoryMiB })
    }
  }

  /** False when every place is taken by a worker that runs or starts: its next change pumps again. */
  #makeRoom(memoryMiB: number | undefined): boolean {
    let present = 0
    for (const worker of this.#workers) if (worker.state !== 'leaving') present += 1
    if (present < this.#options.slots + this.#options.waitingSlots) return true
    const other = [...this.#workers].find((w) => w.state === 'idle' && w.profile.memoryMiB !== memoryMiB)
    other?.retire()
    return other !== undefined
  }

  #start(profile: SpawnProfile): void {
    const worker = new PoolWorker(this.#options.startWorker, profile, this.#options.startup, this.#events)
    this.#workers.add(worker)
    worker.after(this.#options.startTimeoutMs ?? START_TIMEOUT_MS, () => worker.kill(undefined))
  }

  #onReady(worker: PoolWorker): void {
    this.#failedStarts = 0
    if (worker.pid !== undefined) {
      this.#guardian ??= startGuardian(() => this.#busyPids())
      this.#guardian.watch(worker.pid)
    }
    this.#becameIdle(worker)
  }

  #onEnd(worker: PoolWorker): void {
    const id = this.#release(worker)
    // a worker that was told to stop is being killed: its next invocation would die with it
    worker.state = worker.ended === undefined ? 'idle' : 'leaving'
    if (worker.ended === undefined) this.#setIdleTimer(worker)
    this.#listener.onEnd(id)
    this.#pump()
  }

  #busyPids(): number[] {
    return [...this.#running.values()].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
  }

  #becameIdle(worker: PoolWorker): void {
    this.#setIdleTimer(worker)
    this.#pump()
  }

  #setIdleTimer(worker: PoolWorker): void {
    const { idleTimeoutMs } = this.#options
    if (idleTimeoutMs !== undefined && Number.isFinite(idleTimeoutMs))
      worker.after(idleTimeoutMs, () => worker.retire())
  }

  #onExit(worker: PoolWorker, exit: WorkerExit): void {
    this.#workers.delete(worker)
    if (worker.pid !== undefined) this.#guardian?.forget(worker.pid)
    if (worker.invocation !== undefined) {
      const memoryMiB = worker.profile.memoryMiB
      this.#listener.onEnd(this.#release(worker), classifyDeath(exit, { ended: worker.ended, memoryMiB }))
    } else if (!worker.ready && !this.#closing) {
      this.#startFailed(exit)
    }
    this.#pump()
  }

  #startFailed(exit: WorkerExit): void {
    this.#failedStarts += 1
    if (this.#failedStarts < STARTS_TRIED) return
    const death: PoolDeath = { reason: 'neverStarted', ...deathFacts(exit) }
    const said = exit.stderrTail.trim()
    const message = `workers cannot start (${STARTS_TRIED} tries in a row, the last ended with ${describeExit(exit)})`
    this.#broken = { message: said === '' ? message : `${message}:\n${said}`, death }
    for (const id of [...this.#queue.keys()]) this.#fail(id, death)
  }

  #release(worker: PoolWorker): number {
    const invocation = worker.invocation as PoolInvocation
    worker.invocation = undefined
    this.#running.delete(invocation.id)
    if (this.#isWaiting(invocation)) this.#waiting -= 1
    return invocation.id
  }

  /** Only where there are slots for waiting; elsewhere it takes an ordinary one. */
  #isWaiting(invocation: PoolInvocation): boolean {
    return invocation.waits === true && this.#options.waitingSlots > 0
  }

  #freeSlots(): number {
    return this.#options.slots - (this.#running.size - this.#waiting)
  }

  #find(state: PoolWorker['state'], memoryMiB: number | undefined): PoolWorker | undefined {
    for (const worker of this.#workers) {
      if (worker.state === state && worker.profile.memoryMiB === memoryMiB) return worker
    }
    return undefined
  }

  #settle(): void {
    this.#keepAlive.set(this.#queue.size + this.#running.size > 0)
  }
}

function invocationOf(worker: PoolWorker): number {
  return (worker.invocation as PoolInvocation).id
}
