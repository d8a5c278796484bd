/**
 * Many tasks at once on this program's own event loop (futurist's green pool): for functions that wait, not for those
 * that compute.
 *
 * At most `maxWorkers` are under way; the others wait by priority. A task starts after `submit` has returned, in the
 * async context it was submitted in. What a function has begun cannot be stopped: when its signal aborts, or the
 * executor is shut down with `killWorkers`, its future ends at once and its outcome is dropped, but its place among
 * `maxWorkers` is free only when its promise has settled.
 */
import { AsyncResource } from 'node:async_hooks'
import type { Clock } from '../core/clock.ts'
import { wholeNumber } from '../core/fields.ts'
import { BaseExecutor } from './base-executor.ts'
import type { CheckAndReject, StopOptions, Task } from './executor.ts'
import { callable, checked, clock, requirePositiveWorkers } from './options.ts'
import { killedByShutdown, requireNoTransfer, settleWith } from './outcome.ts'
import { PriorityQueue } from './priority-queue.ts'
import type { TaskFuture } from './task-future.ts'

const DEFAULT_MAX_WORKERS = 1_000

/** Tasks started in one turn of the event loop, so that functions that never wait do not keep it from its other work. */
const STARTS_PER_TURN = 1_000

export interface AsyncExecutorOptions {
  /** Tasks under way at once. Default 1,000. */
  readonly maxWorkers?: number | undefined
  readonly checkAndReject?: CheckAndReject | undefined
  readonly clock?: Clock | undefined
}

interface Waiting {
  readonly task: Task
  readonly context: AsyncResource
}

export class AsyncExecutor extends BaseExecutor {
  readonly maxWorkers: number
  readonly #queue = new PriorityQueue<Waiting>()
  readonly #running = new Set<TaskFuture<unknown>>()
  #withdrawn = 0
  #underWay = 0
  #pumping = false
  #stopping = false

  /** @throws ValidationError for an option that does not fit */
  constructor(options: AsyncExecutorOptions = {}) {
    const where = 'AsyncExecutor options'
    requirePositiveWorkers(where, options)
    const fields = { maxWorkers: wholeNumber(1), checkAndReject: callable, clock }
    const settings: AsyncExecutorOptions = checked(fields, options, where)
    super(settings)
    this.maxWorkers = settings.maxWorkers ?? DEFAULT_MAX_WORKERS
  }

  /** Functions whose promise has not settled. */
  get numWorkers(): number {
    return this.#underWay
  }

  protected override accept(task: Task): void {
    requireNoTransfer(task)
    this.#queue.push({ task, context: new AsyncResource('QuernTask') }, task.priority)
    this.#pumpSoon(queueMicrotask)
  }

  protected override withdrawn(): void {
    this.#withdrawn += 1
    if (this.#withdrawn * 2 < this.#queue.size) return
    this.#queue.keep(({ task }) => !task.future.done())
    this.#withdrawn = 0
  }

  protected override get backlog(): number {
    return this.#queue.size - this.#withdrawn
  }

  protected override async stop({ cancelFutures, killWorkers }: StopOptions): Promise<void> {
    this.#stopping = true
    if (killWorkers) for (const future of this.#running) future.setException(killedByShutdown())
    if (cancelFutures || killWorkers) this.#endQueued(killWorkers)
    await this.whenNoneOpen()
  }

  protected override get stopped(): boolean {
    return this.#stopping && this.open === 0
  }

  #endQueued(killWorkers: boolean): void {
    const futures: TaskFuture<unknown>[] = []
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) futures.push(next.task.future)
    for (const future of futures) {
      if (future.done()) continue
      if (killWorkers) future.setException(killedByShutdown())
      else future.cancel()
    }
    this.#withdrawn = 0
  }

  #pumpSoon(schedule: (pump: () => void) => void): void {
    if (this.#pumping || this.#underWay >= this.maxWorkers || this.#queue.size === 0) return
    this.#pumping = true
    schedule(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  #pump(): void {
    for (let started = 0; started < STARTS_PER_TURN && this.#underWay < this.maxWorkers; started++) {
      const next = this.#queue.shift()
      if (next === undefined) return
      if (next.task.future.setRunningOrNotifyCancel()) this.#run(next)
      else this.#withdrawn = Math.max(0, this.#withdrawn - 1)
    }
    this.#pumpSoon(setImmediate)
  }

  #run({ task, context }: Waiting): void {
    const { future, fn, args } = task
    this.#underWay += 1
    const settled = context.runInAsyncScope(settleWith, undefined, future, () => fn(...(args as never[])))
    if (settled === undefined) {
      this.#underWay -= 1
      return
    }
    this.#running.add(future)
    future.addDoneCallback(() => this.#running.delete(future))
    void settled.then(() => {
      this.#underWay -= 1
      this.#pumpSoon(queueMicrotask)
    })
  }
}
