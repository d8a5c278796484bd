/**
 * Runs each task inside `submit` (futurist's SynchronousExecutor): for tests, and to turn concurrency off. The future is
 * done when `submit` returns; that of an async function runs on, and the next task does not wait for it.
 */
import type { Clock } from '../core/clock.ts'
import { BaseExecutor } from './base-executor.ts'
import type { CheckAndReject, StopOptions, Task } from './executor.ts'
import { callable, checked, clock } from './options.ts'
import { asError, killedByShutdown, requireNoTransfer, settleWith } from './outcome.ts'
import type { TaskFuture } from './task-future.ts'

export interface SynchronousExecutorOptions {
  /** Is given each task's work, to call it once: at once (default), or later. */
  readonly runWorkFunc?: ((work: () => void) => void) | undefined
  readonly checkAndReject?: CheckAndReject | undefined
  readonly clock?: Clock | undefined
}

export class SynchronousExecutor extends BaseExecutor {
  readonly #runWork: (work: () => void) => void
  readonly #waiting = new Set<TaskFuture<unknown>>()
  readonly #running = new Set<TaskFuture<unknown>>()
  #stopping = false

  /** @throws ValidationError for an option that does not fit */
  constructor(options: SynchronousExecutorOptions = {}) {
    const fields = { runWorkFunc: callable, checkAndReject: callable, clock }
    const settings: SynchronousExecutorOptions = checked(fields, options, 'SynchronousExecutor options')
    super(settings)
    this.#runWork = settings.runWorkFunc ?? runNow
  }

  /** Accepts tasks again, with statistics from 0. @throws ShutdownExecutorError unless it was shut down and has ended */
  restart(): void {
    this.reopen()
    this.#stopping = false
  }

  protected override accept(task: Task): void {
    requireNoTransfer(task)
    const { future } = task
    this.#waiting.add(future)
    try {
      this.#runWork(() => this.#run(task))
    } catch (error) {
      this.#waiting.delete(future)
      if (!future.done()) future.setException(asError(error))
    }
  }

  protected override withdrawn(future: TaskFuture<unknown>): void {
    this.#waiting.delete(future)
  }

  protected override get backlog(): number {
    return this.#waiting.size
  }

  protected override async stop({ cancelFutures, killWorkers }: StopOptions): Promise<void> {
    this.#stopping = true
    if (killWorkers) for (const future of [...this.#waiting, ...this.#running]) future.setException(killedByShutdown())
    if (killWorkers) this.#waiting.clear()
    if (cancelFutures) for (const future of this.#waiting) future.cancel()
    await this.whenNoneOpen()
  }

  protected override get stopped(): boolean {
    return this.#stopping && this.open === 0
  }

  #run({ future, fn, args }: Task): void {
    if (!this.#waiting.delete(future) || !future.setRunningOrNotifyCancel()) return
    const settled = settleWith(future, () => fn(...(args as never[])))
    if (settled === undefined) return
    this.#running.add(future)
    future.addDoneCallback(() => this.#running.delete(future))
  }
}

function runNow(work: () => void): void {
  work()
}
