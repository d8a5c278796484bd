/** Calls periodic functions through an executor (futurist's PeriodicWorker): what is called, from start to stop. When is in periodic-loop.ts. */
import { type Clock, systemClock } from '../core/clock.ts'
import { InvalidStateError, ValidationError } from '../core/errors.ts'
import { duration, flag, oneOf, renamed, show, signal } from '../core/fields.ts'
import type { Executor } from './executor.ts'
import { callable, checked, clock as clockField } from './options.ts'
import { type Period, type PeriodicFunction, periodOf } from './periodic.ts'
import { type CallKind, PeriodicLoop } from './periodic-loop.ts'
import { periodicMembers } from './periodic-members.ts'
import { type PeriodicStrategy, STRATEGIES } from './periodic-strategy.ts'
import { SynchronousExecutor } from './synchronous-executor.ts'
import { CallRecord, type Watcher } from './watcher.ts'
import { formatWatchers, type WatcherColumn } from './watcher-table.ts'

/** Makes the executor of one start of a worker; it is shut down at the end unless `shutdown` is false. */
export type ExecutorFactory = (() => Executor) & { readonly shutdown?: boolean }

export interface PeriodicWorkerOptions {
  /** Default `last_started`. */
  readonly strategy?: PeriodicStrategy | undefined
  /** Default: a new SynchronousExecutor, so that functions run in this thread. */
  readonly executorFactory?: ExecutorFactory | undefined
  /** Called after each call that failed. Default: it is logged. */
  readonly onFailure?: ((fn: PeriodicFunction, kind: CallKind, spacingMs: number, error: Error) => void) | undefined
  /** Told what went wrong. Default `console.error`. */
  readonly log?: ((message: string, error: unknown) => void) | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1). Default `Math.random`. */
  readonly random?: (() => number) | undefined
}

/** A periodic function, alone or with its arguments. */
export type PeriodicCallable = PeriodicFunction | readonly [PeriodicFunction, ...unknown[]]

export interface CreateOptions extends PeriodicWorkerOptions {
  /** What each method is called with. */
  readonly args?: readonly unknown[] | undefined
  /** Pass over methods whose name begins with `_`. Default true. */
  readonly excludeHidden?: boolean | undefined
}

export interface StartOptions {
  /** Start with nothing to call: something may be added. */
  readonly allowEmpty?: boolean | undefined
  /** End when there is nothing to call any more. */
  readonly autoStopWhenEmpty?: boolean | undefined
}

const FIELDS = {
  strategy: oneOf(...STRATEGIES),
  executorFactory: callable,
  onFailure: callable,
  log: callable,
  clock: clockField,
  random: callable,
}

/** An executor that is there already, and stays unless `shutdown` is true. */
export function existingExecutor(executor: Executor, options: { readonly shutdown?: boolean } = {}): ExecutorFactory {
  const { shutdown = false } = checked({ shutdown: flag }, options, 'existingExecutor options')
  return Object.assign(() => executor, { shutdown: shutdown === true })
}

export class PeriodicWorker {
  readonly #records: CallRecord[] = []
  readonly #options: Required<Omit<PeriodicWorkerOptions, 'executorFactory'>>
  readonly #factory: ExecutorFactory
  readonly #whenDead: (() => void)[] = []
  #loop: PeriodicLoop | undefined
  #stopped = false
  #dead = false

  /** @throws ValidationError for an option that does not fit, or a function that is not periodic */
  constructor(callables: Iterable<PeriodicCallable> = [], options: PeriodicWorkerOptions = {}) {
    const settings: PeriodicWorkerOptions = checked(FIELDS, options, 'PeriodicWorker options')
    const { strategy = 'last_started', clock = systemClock, random = Math.random } = settings
    const { log = (message, error) => console.error(message, error) } = settings
    const { onFailure = (fn, _kind, _spacing, error) => log(`periodic ${fn.name} failed:`, error) } = settings
    this.#options = { strategy, clock, random, log, onFailure }
    this.#factory = settings.executorFactory ?? (() => new SynchronousExecutor({ clock }))
    for (const each of callables) {
      const [fn, ...args] = Array.isArray(each)
        ? (each as readonly [PeriodicFunction, ...unknown[]])
        : [each as PeriodicFunction]
      this.#add(fn, args, requirePeriod(fn), fn.name)
    }
  }

  /**
   * A worker of the periodic methods of these objects, bound to them; names that begin with `_` are passed over.
   * `args`: what each is called with.
   */
  static create(objects: Iterable<object>, options: CreateOptions = {}): PeriodicWorker {
    const { args = [], excludeHidden = true, ...workerOptions } = options
    const worker = new PeriodicWorker([], workerOptions)
    for (const object of objects) {
      for (const { fn, bound, name } of periodicMembers(object, excludeHidden)) {
        worker.#add(bound, args, periodOf(fn) as Period, name)
      }
    }
    return worker
  }

  /** Functions it calls; disabled ones are not among them. */
  get length(): number {
    return this.#records.length
  }

  /** In the order the functions were added. */
  get watchers(): readonly Watcher[] {
    return [...this.#records]
  }

  /** Whether it was started and has not ended. */
  get active(): boolean {
    return this.#loop !== undefined
  }

  /**
   * Also while it runs. Undefined for a function that is disabled.
   * @throws ValidationError for what is not periodic
   */
  add<A extends unknown[]>(fn: (...args: A) => unknown, ...args: A): Watcher | undefined {
    return this.#add(fn, args, requirePeriod(fn), fn.name)
  }

  /**
   * Calls what is due until `stop`; resolves when the last call has ended and its executor was shut down.
   * @throws InvalidStateError when it is active, or has nothing to call and `allowEmpty` is not set
   */
  async start(options: StartOptions = {}): Promise<void> {
    const settings: StartOptions = checked({ allowEmpty: flag, autoStopWhenEmpty: flag }, options, 'start options')
    if (this.active) throw new InvalidStateError('a PeriodicWorker cannot be started twice')
    if (this.length === 0 && settings.allowEmpty !== true) {
      throw new InvalidStateError('a PeriodicWorker without functions is only started with allowEmpty')
    }
    const executor = this.#factory()
    this.#loop = new PeriodicLoop(executor, this.#options, settings.autoStopWhenEmpty === true)
    for (const record of this.#records) this.#loop.plan(record)
    if (this.#stopped) this.#loop.stop()
    try {
      await this.#loop.run()
      if (this.#factory.shutdown !== false) await executor.shutdown()
    } finally {
      this.#loop = undefined
      this.#dead = true
      for (const resolve of this.#whenDead.splice(0)) resolve()
    }
  }

  /** Calls nothing any more; what runs goes on, and `start` resolves when it has ended. */
  stop(): void {
    this.#stopped = true
    this.#loop?.stop()
  }

  /** True when it has ended, false when the time is over before. @throws the signal's reason */
  async wait(options: { readonly timeout?: number | string; readonly signal?: AbortSignal } = {}): Promise<boolean> {
    const fields = { timeout: renamed(duration({ zero: true }), 'timeoutMs'), signal }
    const settings: { timeoutMs?: number; signal?: AbortSignal } = checked(fields, options, 'wait options')
    settings.signal?.throwIfAborted()
    if (this.#dead) return true
    const over = new AbortController()
    const waits: Promise<boolean>[] = [
      new Promise((resolve, reject) => {
        this.#whenDead.push(() => resolve(true))
        settings.signal?.addEventListener('abort', () => reject(settings.signal?.reason), { signal: over.signal })
      }),
    ]
    if (settings.timeoutMs !== undefined) {
      waits.push(this.#options.clock.sleep(settings.timeoutMs, over.signal).then(isFalse, isFalse))
    }
    return Promise.race(waits).finally(() => over.abort())
  }

  /** Ready to be started again, with all it ever was given, and watchers that begin at 0. @throws InvalidStateError while it is active */
  reset(): void {
    if (this.active) throw new InvalidStateError('a PeriodicWorker is reset when it has ended: stop it first')
    this.#stopped = false
    this.#dead = false
    for (const record of this.#records) record.reset()
  }

  /** A table of what it calls, for people. @throws ValidationError for a column that does not exist, or none */
  pformat(columns?: readonly WatcherColumn[]): string {
    const nowMs = this.#options.clock.nowMs()
    const rows = this.#records.map((watcher) => ({ watcher, dueInMs: this.#loop?.dueMs(watcher, nowMs) }))
    return formatWatchers(rows, columns)
  }

  #add(fn: PeriodicFunction, args: readonly unknown[], period: Period, name: string): Watcher | undefined {
    if (!period.enabled) return undefined
    const record = new CallRecord(fn, args, period, name || '(anonymous)')
    this.#records.push(record)
    this.#loop?.plan(record)
    return record
  }
}

function requirePeriod(fn: unknown): Period {
  const period = periodOf(fn)
  if (period !== undefined) return period
  throw new ValidationError(`PeriodicWorker: expected a function that periodic() was applied to, got ${show(fn)}`)
}

function isFalse(): boolean {
  return false
}
