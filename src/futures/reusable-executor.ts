/**
 * One process executor for the whole program, handed out again and again: reused as it is, resized, or replaced, by
 * loky's rules. Calls are served one after the other, so concurrent callers see one executor at a time.
 *
 * Who still holds a replaced executor may go on submitting to it: what it no longer accepts goes to its replacement.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Fields, field, flag } from '../core/fields.ts'
import { cpuCount } from '../pool/cpu-count.ts'
import type { Awaitable, ShutdownOptions, SubmitOptions } from './executor.ts'
import type { Future } from './future.ts'
import type { Items, MapOptions } from './map-results.ts'
import { POOL_FIELDS, parsePoolOptions } from './pool-options.ts'
import { ProcessPoolExecutor } from './process-pool-executor.ts'

const DEFAULT_TIMEOUT_MS = 10_000

export interface ReusableExecutorOptions {
  /** Default: the size there is with `reuse: true`, else the processors this process may use. */
  readonly maxWorkers?: number | undefined
  /** A worker without work for so many ms, or `"10s"` (default), leaves. */
  readonly timeout?: number | string | undefined
  readonly initializer?: ((...args: never[]) => Awaitable<unknown>) | undefined
  readonly initargs?: readonly unknown[] | undefined
  readonly env?: Readonly<Record<string, string>> | undefined
  /** `auto` (default): reuse it when its options are the same. true: reuse it with the options it has. false: make a new one. */
  readonly reuse?: 'auto' | boolean | undefined
  /** A replaced executor is ended at once, what it runs with ShutdownExecutorError, instead of being waited for. */
  readonly killWorkers?: boolean | undefined
}

/** What an executor was made with; another one is reused by `auto` only when this is the same. */
interface Fixed {
  readonly idleTimeoutMs: number
  readonly initializer: ReusableExecutorOptions['initializer']
  readonly initargs: readonly unknown[]
  readonly env: Readonly<Record<string, string>>
}

interface Wish extends Fixed {
  readonly maxWorkers: number | undefined
  readonly reuse: 'auto' | boolean
  readonly killWorkers: boolean
}

// one a process, as its name says; its only use is to be found again
const shared: { executor?: ReusableExecutor; lastId: number; turn: Promise<unknown> } = {
  lastId: 0,
  turn: Promise.resolve(),
}

/**
 * The executor of this process, made, resized or replaced where the options ask for it. A smaller or larger one waits for
 * its tasks to end first (with a warning); a replaced one is waited for, or ended with `killWorkers`.
 * @throws ValidationError (rejected) for an option that does not fit
 */
export async function getReusableExecutor(options: ReusableExecutorOptions = {}): Promise<ReusableExecutor> {
  const wish = parseWish(options)
  const mine = shared.turn.then(() => grant(wish))
  shared.turn = mine.catch(() => undefined)
  return mine
}

export class ReusableExecutor extends ProcessPoolExecutor {
  /** Higher than that of every one before. */
  readonly executorId: number
  /** How often it was handed out again. */
  reusedTimes = 0
  readonly #fixed: Fixed
  #replacement: ReusableExecutor | undefined
  #shutDown = false

  /** For `getReusableExecutor`. */
  constructor(executorId: number, maxWorkers: number, fixed: Fixed) {
    const { idleTimeoutMs: idleTimeout, initializer, initargs, env } = fixed
    super({ maxWorkers, idleTimeout, initializer, initargs, env })
    this.executorId = executorId
    this.#fixed = fixed
  }

  /** Whether it was made with the same. */
  isMadeOf({ idleTimeoutMs, initializer, initargs, env }: Fixed): boolean {
    const mine = this.#fixed
    return (
      idleTimeoutMs === mine.idleTimeoutMs &&
      initializer === mine.initializer &&
      isDeepStrictEqual(initargs, mine.initargs) &&
      isDeepStrictEqual(env, mine.env)
    )
  }

  /** Neither replaced nor broken nor shut down. */
  get isUsable(): boolean {
    return this.#replacement === undefined && !this.#shutDown && !this.broken
  }

  /** From now on whatever is submitted here is submitted there. */
  replaceWith(replacement: ReusableExecutor): void {
    this.#replacement = replacement
  }

  /** Resolves when the workers that there are to be are there. */
  async resize(maxWorkers: number): Promise<void> {
    if (maxWorkers === this.maxWorkers) return
    if (this.pool.isBusy) {
      process.emitWarning(
        'Trying to resize an executor with running jobs: waiting for jobs completion before resizing.',
        { code: 'QUERN_RESIZE' },
      )
      await this.pool.whenIdle()
    }
    this.pool.resize(maxWorkers)
  }

  override shutdown(options?: ShutdownOptions): Promise<void> {
    const done = super.shutdown(options)
    this.#shutDown = true
    return done
  }

  override map<T, R>(fn: (item: T) => Awaitable<R>, items: Items<T>, options?: MapOptions): AsyncIterableIterator<R> {
    const other = this.#replacement
    return other === undefined ? super.map(fn, items, options) : other.map(fn, items, options)
  }

  override starmap<A extends unknown[], R>(
    fn: (...args: A) => Awaitable<R>,
    items: Items<A>,
    options?: MapOptions,
  ): AsyncIterableIterator<R> {
    const other = this.#replacement
    return other === undefined ? super.starmap(fn, items, options) : other.starmap(fn, items, options)
  }

  override submitAfter<A extends unknown[], R>(
    delay: number | string,
    fn: (...args: A) => Awaitable<R>,
    ...args: A
  ): Future<R> {
    const other = this.#replacement
    return other === undefined ? super.submitAfter(delay, fn, ...args) : other.submitAfter(delay, fn, ...args)
  }

  override submit<A extends unknown[], R>(fn: (...args: A) => Awaitable<R>, ...args: A): Future<R> {
    return this.#replacement === undefined ? super.submit(fn, ...args) : this.#replacement.submit(fn, ...args)
  }

  override submitWith<A extends unknown[], R>(
    options: SubmitOptions,
    fn: (...args: A) => Awaitable<R>,
    ...args: A
  ): Future<R> {
    const other = this.#replacement
    return other === undefined ? super.submitWith(options, fn, ...args) : other.submitWith(options, fn, ...args)
  }
}

const { maxWorkers, initializer, initargs, env, idleTimeout } = POOL_FIELDS
const FIELDS = {
  maxWorkers,
  initializer,
  initargs,
  env,
  timeout: idleTimeout,
  reuse: field("'auto', true or false", (v): v is 'auto' | boolean => v === 'auto' || typeof v === 'boolean'),
  killWorkers: flag,
} as Fields

function parseWish(options: unknown): Wish {
  const given: Partial<Wish> & Record<string, unknown> = parsePoolOptions('getReusableExecutor', options, FIELDS)
  const { idleTimeoutMs = DEFAULT_TIMEOUT_MS, initializer, initargs = [], env = {} } = given
  return {
    idleTimeoutMs,
    initializer,
    initargs,
    env,
    maxWorkers: given.maxWorkers,
    reuse: given.reuse ?? 'auto',
    killWorkers: given.killWorkers ?? false,
  }
}

async function grant(wish: Wish): Promise<ReusableExecutor> {
  const { executor } = shared
  const maxWorkers = wish.maxWorkers ?? (wish.reuse === true ? executor?.maxWorkers : undefined) ?? cpuCount()
  const fits = wish.reuse === true || (wish.reuse === 'auto' && executor?.isMadeOf(wish) === true)
  if (executor?.isUsable === true && fits) {
    await executor.resize(maxWorkers)
    if (executor.isUsable) {
      executor.reusedTimes += 1
      return executor
    }
  }
  return replace(executor, new ReusableExecutor(shared.lastId + 1, maxWorkers, wish), wish.killWorkers)
}

async function replace(
  old: ReusableExecutor | undefined,
  made: ReusableExecutor,
  killWorkers: boolean,
): Promise<ReusableExecutor> {
  shared.lastId = made.executorId
  shared.executor = made
  old?.replaceWith(made)
  await old?.shutdown({ wait: true, killWorkers })
  return made
}
