/**
 * What all executors have in common.
 *
 * - An accepted task's future settles exactly once; a task that is refused throws out of `submit`.
 * - A cancelled task that has not begun never begins, and its cancellation is taken note of at once.
 * - After shutdown nothing more is accepted; what was accepted before still ends.
 * - Nothing that was given or returned is kept once its future is done.
 *
 * Where and when tasks run is left to the subclass: `accept`, `stop`.
 */
import { type Clock, systemClock } from '../core/clock.ts'
import { ShutdownExecutorError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { AbortWatch } from './abort-watch.ts'
import { DelayedTasks } from './delayed-tasks.ts'
import type {
  Awaitable,
  BaseExecutorOptions,
  CheckAndReject,
  Executor,
  ShutdownOptions,
  StopOptions,
  SubmitOptions,
  Task,
} from './executor.ts'
import type { Future } from './future.ts'
import { type Items, type MapOptions, MapResults } from './map-results.ts'
import { parseMapOptions, parseShutdownOptions, parseSubmitOptions, type SubmitSettings } from './options.ts'
import { asError, killedByShutdown } from './outcome.ts'
import { type ExecutorStatistics, Tally } from './statistics.ts'
import { TaskFuture } from './task-future.ts'

export abstract class BaseExecutor implements Executor {
  protected readonly clock: Clock
  readonly #check: CheckAndReject | undefined
  readonly #delayed: DelayedTasks
  readonly #aborts: AbortWatch<Task>
  readonly #whenNoneOpen: (() => void)[] = []
  #tally = new Tally()
  #open = 0
  #refusing = false

  protected constructor({ checkAndReject, clock = systemClock }: BaseExecutorOptions = {}) {
    this.clock = clock
    this.#check = checkAndReject
    this.#delayed = new DelayedTasks(clock, (task) => this.#startLate(task))
    this.#aborts = new AbortWatch((task, reason) => this.#abort(task, reason))
  }

  get alive(): boolean {
    return !this.stopped
  }

  get statistics(): ExecutorStatistics {
    return this.#tally.snapshot()
  }

  get queueSize(): number {
    return this.backlog
  }

  /**
   * Runs `fn(...args)`; the future has its outcome, awaited where it is a promise.
   * @throws ShutdownExecutorError, RejectedSubmission, ValidationError; SerializationError where it cannot travel to a worker
   */
  submit<A extends unknown[], R>(fn: (...args: A) => Awaitable<R>, ...args: A): Future<R> {
    return this.#submit(NO_SETTINGS, fn, args)
  }

  /** `submit` with options. @throws what `submit` does */
  submitWith<A extends unknown[], R>(options: SubmitOptions, fn: (...args: A) => Awaitable<R>, ...args: A): Future<R> {
    return this.#submit(parseSubmitOptions(options), fn, args)
  }

  /** Submits when `delay` (ms, or `"5s"`) is over; a refusal then fails the future. @throws what `submit` does */
  submitAfter<A extends unknown[], R>(delay: number | string, fn: (...args: A) => Awaitable<R>, ...args: A): Future<R> {
    return this.#submit(parseSubmitOptions({ delay }, 'submitAfter'), fn, args)
  }

  /**
   * Results of `fn(item)` in the order of the items. Everything is submitted at once; with `buffersize` no more than that
   * is ahead of what was taken. At the first error, or when the iteration is left, what has not begun is cancelled.
   * @throws ShutdownExecutorError, ValidationError. Its `next` rejects with the error of its item, of the input, TimeoutError
   */
  map<T, R>(fn: (item: T) => Awaitable<R>, items: Items<T>, options?: MapOptions): AsyncIterableIterator<R> {
    return this.#map<T, R>('map', fn, items, options, (item) => [item])
  }

  /** `map` of `fn(...item)`. */
  starmap<A extends unknown[], R>(
    fn: (...args: A) => Awaitable<R>,
    items: Items<A>,
    options?: MapOptions,
  ): AsyncIterableIterator<R> {
    return this.#map<A, R>('starmap', fn, items, options, argumentsOf)
  }

  /** May be called again, to cancel or kill what the first call left to end. */
  shutdown(options?: ShutdownOptions): Promise<void> {
    const { wait = true, cancelFutures = false, killWorkers = false } = parseShutdownOptions(options)
    this.#refusing = true
    if (killWorkers) this.#delayed.endAll(({ future }) => future.setException(killedByShutdown()))
    else if (cancelFutures) this.#delayed.endAll(({ future }) => future.cancel())
    const stop = () => this.stop({ cancelFutures, killWorkers })
    const stopped = this.#delayed.size === 0 ? stop() : this.#delayed.whenEmpty().then(stop)
    return wait ? stopped : Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  /** Takes a task and settles its future, whatever happens. @throws to refuse it; then it must not settle it */
  protected abstract accept(task: Task): void

  /** The items of one chunk of a map, in order; one that cannot be accepted ends its future with the reason. */
  protected acceptChunk(tasks: readonly Task[]): void {
    for (const task of tasks) {
      try {
        this.accept(task)
      } catch (error) {
        failUnlessDone(task.future, error)
      }
    }
  }

  /** A task whose future was cancelled before it began: it may be dropped from the queue. */
  protected withdrawn(_future: TaskFuture<unknown>): void {
    return undefined
  }

  /** A task whose signal aborted while it ran: its future is cancelled already; stop it, if it can be stopped. */
  protected interrupt(_task: Task): void {
    return undefined
  }

  /** Accepted and not begun. */
  protected abstract get backlog(): number

  /**
   * Resolves when everything accepted has ended and nothing is left. Called once nothing more will be accepted; called
   * again when a later shutdown asks for more.
   */
  protected abstract stop(options: StopOptions): Promise<void>

  /** That promise has resolved. */
  protected abstract get stopped(): boolean

  /** Tasks that were accepted and whose future is not done. */
  protected get open(): number {
    return this.#open
  }

  /** Resolves when no task is open. */
  protected whenNoneOpen(): Promise<void> {
    if (this.#open === 0) return Promise.resolve()
    return new Promise((resolve) => this.#whenNoneOpen.push(resolve))
  }

  /** For executors that can be started again after they stopped: statistics begin anew. @throws ShutdownExecutorError */
  protected reopen(): void {
    if (!this.#refusing || this.alive) throw new ShutdownExecutorError('restart: the executor was not shut down')
    this.#tally = new Tally()
    this.#refusing = false
  }

  #submit<R>(settings: SubmitSettings, fn: (...args: never[]) => unknown, args: readonly unknown[]): Future<R> {
    this.#requireOpen()
    requireFunction('submit', fn)
    const task = this.#newTask(settings, fn, args)
    if (task.signal?.aborted) task.future.abort(task.signal.reason)
    else if (settings.delayMs === undefined) this.#start(task)
    else this.#delay(task, settings.delayMs)
    this.#observe(task)
    return task.future as TaskFuture<R>
  }

  #map<T, R>(
    where: string,
    fn: (...args: never[]) => unknown,
    items: Items<T>,
    options: MapOptions | undefined,
    argumentsFor: (item: T) => readonly unknown[],
  ): AsyncIterableIterator<R> {
    this.#requireOpen()
    requireFunction(where, fn)
    const settings = parseMapOptions(options, `${where} options`)
    const submit = (chunk: readonly (readonly unknown[])[]) => this.#submitChunk(settings, fn, chunk)
    return new MapResults<T, R>({ where, items, settings, clock: this.clock, argumentsFor, submit })
  }

  /** A refusal ends the futures: in a map, an error has a place. @throws ShutdownExecutorError */
  #submitChunk(
    settings: SubmitSettings,
    fn: Task['fn'],
    chunk: readonly (readonly unknown[])[],
  ): TaskFuture<unknown>[] {
    this.#requireOpen()
    const tasks = chunk.map((args) => this.#newTask(settings, fn, args))
    try {
      this.#check?.(this, this.backlog)
      this.#open += tasks.length
      for (const { future } of tasks) future.place = 'queue'
      if (tasks.length === 1) this.accept(tasks[0] as Task)
      else this.acceptChunk(tasks)
    } catch (error) {
      for (const { future } of tasks) failUnlessDone(future, error)
    }
    for (const task of tasks) this.#observe(task)
    return tasks.map(({ future }) => future)
  }

  #newTask(settings: SubmitSettings, fn: Task['fn'], args: readonly unknown[]): Task {
    const { priority, signal, transfer } = settings
    return { future: new TaskFuture(this.clock), fn, args, priority, signal, transfer }
  }

  #delay(task: Task, delayMs: number): void {
    task.future.place = 'delay'
    this.#delayed.add(task, delayMs)
  }

  #start(task: Task): void {
    this.#check?.(this, this.backlog)
    task.future.place = 'queue'
    this.#open += 1
    try {
      this.accept(task)
    } catch (error) {
      task.future.place = 'nowhere'
      this.#open -= 1
      throw error
    }
  }

  #startLate(task: Task): void {
    try {
      this.#start(task)
    } catch (error) {
      failUnlessDone(task.future, error)
    }
  }

  #observe(task: Task): void {
    const { future, signal } = task
    future.addDoneCallback(this.#onDone)
    if (signal === undefined || future.done()) return
    this.#aborts.watch(signal, task)
    future.addDoneCallback(() => this.#aborts.forget(signal, task))
  }

  readonly #onDone = (future: TaskFuture<unknown>): void => {
    this.#tally.add(future, this.clock.nowMs())
    if (future.cancelled() && future.startedAtMs === undefined) this.#onWithdrawn(future)
    if (future.place !== 'queue') return
    this.#open -= 1
    if (this.#open === 0) for (const resolve of this.#whenNoneOpen.splice(0)) resolve()
  }

  #onWithdrawn(future: TaskFuture<unknown>): void {
    if (future.place === 'queue') this.withdrawn(future)
    else if (future.place === 'delay') this.#delayed.withdrawn()
    // what waits for the cancellation to be taken note of need not wait until the task's turn would have come
    future.setRunningOrNotifyCancel()
  }

  #abort(task: Task, reason: unknown): void {
    const runs = task.future.running()
    if (task.future.abort(reason) && runs) this.interrupt(task)
  }

  #requireOpen(): void {
    if (this.#refusing) throw new ShutdownExecutorError('cannot schedule new futures after shutdown')
  }
}

const NO_SETTINGS: SubmitSettings = { priority: 0 }

function requireFunction(where: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new ValidationError(`${where}: expected a function, got ${show(fn)}`)
}

function failUnlessDone(future: Future<unknown>, error: unknown): void {
  if (!future.done()) future.setException(asError(error))
}

function argumentsOf(item: Iterable<unknown>): readonly unknown[] {
  const iterable = typeof item === 'object' && item !== null && Symbol.iterator in item
  if (!iterable) throw new ValidationError(`starmap: expected a list of arguments for each call, got ${show(item)}`)
  return [...item]
}
