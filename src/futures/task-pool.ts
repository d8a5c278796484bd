/**
 * Runs an executor's tasks in a pool of workers: what waits, what travels together, what becomes of it when a worker
 * dies. It does not know its executor, so that one may be forgotten while its tasks still run.
 *
 * - Every accepted task's future settles once. A death fails the task that ran in that worker; what had not begun goes
 *   back to the front of the line. Where `onCrash` is `break`, it fails everything and nothing more is accepted.
 * - Arguments are encoded when a task is handed to a worker; one that cannot travel fails that task alone.
 */
import { BrokenExecutorError } from '../core/errors.ts'
import type { PoolDeath } from '../pool/death.ts'
import { type PoolCounts, type PoolListener, WorkerPool } from '../pool/pool.ts'
import type { WorkerInfo } from '../pool/pool-worker.ts'
import { NO_BYTES } from '../pool/protocol.ts'
import type { StartWorker } from '../pool/worker-link.ts'
import { type Bundle, settle } from './bundle.ts'
import { BundleMaker } from './bundle-maker.ts'
import { BundleSet } from './bundle-set.ts'
import { mayLeave, observe } from './bundling.ts'
import type { StopOptions, Task } from './executor.ts'
import { killedByShutdown } from './outcome.ts'
import { SharedFunctions } from './shared-functions.ts'
import { StallWatch } from './stall-watch.ts'
import { type Entry, TaskQueue } from './task-queue.ts'
import { deathError, isCrash } from './worker-errors.ts'
import { ENDED, GREW, kindOf, numberOf, outcomeOf, returnedOf, UNFIT, unfitOf } from './worker-messages.ts'

export interface TaskPoolOptions {
  readonly maxWorkers: number
  readonly startWorker: StartWorker
  /** First message of every worker: a TaskStartup. */
  readonly startup: Uint8Array
  readonly idleTimeoutMs: number | undefined
  readonly memoryMiB: number | undefined
  readonly onCrash: 'replace' | 'break'
  readonly onOutput: (text: string, stream: 'stdout' | 'stderr') => void
  /** A worker leaves because it grew by so many bytes. */
  readonly onGrowth: (bytes: number) => void
}

export class TaskPool {
  readonly #options: TaskPoolOptions
  readonly #functions = new SharedFunctions()
  readonly #queue = new TaskQueue()
  readonly #bundles = new BundleSet()
  readonly #maker = new BundleMaker(this.#queue)
  readonly #stalls = new StallWatch(
    this.#bundles,
    () => this.#queue.size === 0 && this.#pool.counts.running < this.#slots,
    (bundle) => this.#pool.send(bundle.id, NO_BYTES),
  )
  readonly #pool: WorkerPool
  #slots: number
  #lastChunk = 0
  #scheduled = false
  #broken: (() => Error) | undefined
  readonly #waiting: (() => void)[] = []
  #finish: (() => void) | undefined
  #stopped: Promise<void> | undefined
  #isStopped = false

  constructor(options: TaskPoolOptions) {
    const { maxWorkers: slots, startWorker, startup, idleTimeoutMs } = options
    this.#options = options
    this.#slots = slots
    const pool = { slots, waitingSlots: 0, prefetch: 1, startup, startWorker, idleTimeoutMs }
    this.#pool = new WorkerPool(pool, this.#listener())
  }

  /** Queues a task. @throws BrokenExecutorError, and what capturing its function throws */
  accept(task: Task): void {
    this.#queue.push(this.#entry(task, undefined))
    this.#schedule()
  }

  /** Queues tasks that travel together; one whose function cannot travel throws before any is queued. */
  acceptChunk(tasks: readonly Task[]): void {
    const chunk = ++this.#lastChunk
    for (const entry of tasks.map((task) => this.#entry(task, chunk))) this.#queue.push(entry)
    this.#schedule()
  }

  /** A queued task was cancelled. */
  withdrawn(): void {
    this.#queue.withdrawn()
    if (this.#queue.size === 0) this.#schedule()
  }

  /** Ends the worker that runs the task, whose future is done already. */
  interrupt(task: Task): void {
    const bundle = this.#bundles.with(task)
    if (bundle !== undefined) void this.#pool.stop(bundle.id)
  }

  get backlog(): number {
    return this.#queue.size
  }

  /** Some accepted task is not done. */
  get isBusy(): boolean {
    return this.#queue.size > 0 || this.#bundles.load.taken > 0
  }

  /** Workers taken by tasks that are not done, and the tasks that wait, wherever they do. */
  get load(): { readonly running: number; readonly queued: number } {
    const { taken, waiting } = this.#bundles.load
    const running = Math.min(taken, this.#slots)
    return { running, queued: this.#queue.size + waiting + taken - running }
  }

  get counts(): PoolCounts {
    return this.#pool.counts
  }

  get workers(): readonly WorkerInfo[] {
    return this.#pool.workers()
  }

  get isBroken(): boolean {
    return this.#broken !== undefined
  }

  get slots(): number {
    return this.#slots
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  resize(slots: number): void {
    this.#slots = slots
    this.#pool.resize(slots)
    this.#schedule()
  }

  /** Starts workers until there are so many. */
  warm(workers: number): void {
    this.#pool.warm(this.#options.memoryMiB, workers)
  }

  /** Resolves when nothing is queued and nothing runs. */
  whenIdle(): Promise<void> {
    return this.#isIdle ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Resolves when everything accepted has ended and no worker is left. */
  stop({ cancelFutures, killWorkers }: StopOptions): Promise<void> {
    this.#stopped ??= new Promise((resolve) => {
      this.#finish = resolve
    })
    if (killWorkers) this.#kill(killedByShutdown)
    else if (cancelFutures) this.#cancelQueued()
    this.#finishWhenIdle()
    return this.#stopped
  }

  /** Those that ran once and were given back are not cancelled: they count as running. */
  #cancelQueued(): void {
    const entries = this.#queue.drain()
    // back in the queue: each that is cancelled there is told to it as withdrawn
    this.#queue.unshift(entries)
    for (const { task, begun } of entries) if (!begun) task.future.cancel()
  }

  #entry(task: Task, chunk: number | undefined): Entry {
    if (this.#broken !== undefined) throw this.#broken()
    return { task, shared: this.#functions.of(task.fn), chunk, begun: false }
  }

  /** Once a turn, so that what is submitted in one turn travels together. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      this.#pump()
    })
  }

  #pump(): void {
    const { size } = this.#queue
    // a worker is about to be free for all that waits: the end of its bundle comes here again
    if (size > 0 && size <= this.#bundles.ending && this.#pool.counts.idle === 0) return
    for (let next = this.#queue.peek(); next !== undefined; next = this.#queue.peek()) {
      const out = { out: this.#bundles.size, short: this.#bundles.short }
      if (!mayLeave(out, this.#slots, next.shared.pace)) break
      this.#dispatch(next)
    }
    this.#finishWhenIdle()
  }

  #dispatch(first: Entry): void {
    const made = this.#maker.make(first, this.#slots)
    if (made === undefined) return
    const { bundle, invocation } = made
    this.#bundles.add(bundle)
    if (bundle.short || bundle.waiting > 0) this.#stalls.watch()
    try {
      this.#pool.submit({ ...invocation, memoryMiB: this.#options.memoryMiB })
    } catch (error) {
      this.#bundles.take(bundle.id)
      for (const { task } of bundle.takeRest()) settle(task, { error: error as Error })
    }
  }

  #listener(): PoolListener {
    return {
      onMessage: (id, bytes, direct) => this.#onMessage(id, bytes, direct),
      onEnd: (id, death) => this.#onEnd(id, death),
      onOutput: this.#options.onOutput,
      onWorkerExit: (_, death) => {
        if (isCrash(death)) this.#onCrash(death, 'while it was idle')
      },
      onBroken: ({ message }) => this.#refuse(() => new BrokenExecutorError(message)),
    }
  }

  #onMessage(id: number, bytes: Uint8Array, direct: unknown): void {
    const bundle = this.#bundles.get(id)
    if (bundle === undefined) return
    switch (kindOf(bytes)) {
      case ENDED:
        return bundle.settle(outcomeOf(bytes, direct), numberOf(bytes))
      case UNFIT:
        return this.#onUnfit(unfitOf(bytes))
      case GREW:
        return this.#options.onGrowth(numberOf(bytes))
      default:
        this.#takeBack(bundle, returnedOf(bytes))
    }
  }

  #takeBack(bundle: Bundle, { running, behind }: { readonly running: boolean; readonly behind: readonly number[] }) {
    bundle.behind = behind
    const others = behind.flatMap((id) => this.#bundles.get(id)?.giveBack(false) ?? [])
    this.#queue.unshift([...bundle.giveBack(running), ...others])
    this.#schedule()
  }

  #onEnd(id: number, death: PoolDeath | undefined): void {
    const bundle = this.#bundles.take(id)
    if (bundle === undefined) return
    const { shared } = bundle
    shared.pace = observe(shared.pace, bundle.measured)
    const { running, waiting } = bundle.split()
    this.#queue.unshift(waiting)
    if (running !== undefined) {
      const during = `while it ran task '${shared.name}'`
      const how: PoolDeath = death ?? { reason: 'exited', stderrTail: 'the worker ended a bundle before its tasks' }
      settle(running.task, { error: deathError(how, during) })
    }
    if (death !== undefined) {
      // given back already: whoever runs them now must not have company
      for (const other of bundle.behind) void this.#pool.stop(other)
      if (isCrash(death)) this.#onCrash(death, 'while another task ran in it')
    }
    this.#pump()
  }

  #onCrash(death: PoolDeath, during: string): void {
    if (this.#options.onCrash === 'break') this.#kill(() => deathError(death, during))
  }

  #onUnfit(cause: Error): void {
    this.#kill(() => new BrokenExecutorError(`the initializer of a worker failed: ${cause.message}`, { cause }))
  }

  /** Nothing more is accepted; what waits fails, and what comes back finds no worker; what runs goes on. */
  #refuse(error: () => Error): void {
    this.#broken ??= error
    for (const { task } of this.#queue.drain()) settle(task, { error: this.#broken() })
    this.#finishWhenIdle()
  }

  /** Everything fails, and the workers with it. */
  #kill(error: () => Error): void {
    this.#refuse(error)
    for (const bundle of this.#bundles) {
      for (const { task } of bundle.takeRest()) settle(task, { error: error() })
    }
    void this.#pool.close({ kill: true })
  }

  get #isIdle(): boolean {
    return this.#queue.size + this.#bundles.size === 0
  }

  #finishWhenIdle(): void {
    if (!this.#isIdle) return
    for (const resolve of this.#waiting.splice(0)) resolve()
    if (this.#finish === undefined) return
    const finish = this.#finish
    this.#finish = undefined
    void this.#pool.close().then(() => {
      this.#isStopped = true
      finish()
    })
  }
}
