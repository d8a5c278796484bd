/**
 * Waiting for several futures (PEP 3148's `wait` and `as_completed`, futurist's waiters).
 *
 * A future counts once; it is done when it is finished, or cancelled and its executor took note of it (quern's executors
 * do at once). A timeout and a signal end the wait and nothing else, and no wait leaves anything on a future behind.
 */
import { TimeoutError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { Endings } from './endings.ts'
import type { Future } from './future.ts'
import { parseAsCompletedOptions, parseWaitOptions, type ReturnWhen } from './options.ts'

export interface AsCompletedOptions {
  /** For the whole wait, counted from the call: ms, or `"30s"`. */
  readonly timeout?: number | string | undefined
  /** Ends the wait: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

export interface WaitOptions extends AsCompletedOptions {
  /** `FIRST_EXCEPTION` without any is `ALL_COMPLETED`; being cancelled is none. Default `ALL_COMPLETED`. */
  readonly returnWhen?: ReturnWhen | undefined
}

/** Both in the order the futures were given in. */
export interface DoneAndNotDone<F> {
  readonly done: Set<F>
  readonly notDone: Set<F>
}

/**
 * Resolves when `returnWhen` holds or the time is over, which is no error.
 * @throws ValidationError, the signal's reason
 */
export async function wait<F extends Future<unknown>>(
  futures: Iterable<F>,
  options?: WaitOptions,
): Promise<DoneAndNotDone<F>> {
  const { returnWhen = 'ALL_COMPLETED', timeoutMs, signal } = parseWaitOptions(options)
  const [notDone, done] = [new Set<F>(), new Set<F>()]
  for (const future of iterable('wait', futures)) notDone.add(requireFuture('wait', future))
  const endings = new Endings<F>(timeoutMs, signal)
  for (const future of notDone) endings.watch(future)
  let failed = false
  const needed = returnWhen === 'FIRST_COMPLETED' ? Math.min(1, notDone.size) : notDone.size
  try {
    for (let more = true; ; more = await endings.next()) {
      for (let future = endings.shift(); future !== undefined; future = endings.shift()) {
        done.add(future)
        failed ||= future.failed()
      }
      if (!more || done.size >= needed || (failed && returnWhen === 'FIRST_EXCEPTION')) break
    }
  } finally {
    endings.close()
  }
  const given = [...notDone]
  for (const future of done) notDone.delete(future)
  return { done: new Set(given.filter((future) => done.has(future))), notDone }
}

/** `wait` until one is done. */
export function waitForAny<F extends Future<unknown>>(
  futures: Iterable<F>,
  options?: AsCompletedOptions,
): Promise<DoneAndNotDone<F>> {
  return wait(futures, { ...options, returnWhen: 'FIRST_COMPLETED' })
}

/** `wait` until all are done. */
export function waitForAll<F extends Future<unknown>>(
  futures: Iterable<F>,
  options?: AsCompletedOptions,
): Promise<DoneAndNotDone<F>> {
  return wait(futures, { ...options, returnWhen: 'ALL_COMPLETED' })
}

/**
 * The futures as they end: those that are done first, in the order given, the others in the order they end. Futures of an
 * async input are watched from when they come (it cannot be an async generator: its `yield` would await them); the
 * input's error comes when what had ended was given out.
 * @throws ValidationError; its `next` rejects with TimeoutError `2 (of 4) futures unfinished`, or the signal's reason
 */
export function asCompleted<F extends Future<unknown>>(
  futures: Iterable<F> | AsyncIterable<F>,
  options?: AsCompletedOptions,
): AsyncIterableIterator<F> {
  const { timeoutMs, signal } = parseAsCompletedOptions(options)
  return new AsCompleted(futures, new Endings<F>(timeoutMs, signal))
}

/** Hand-written: the `yield` of a generator would await the future it yields. */
class AsCompleted<F extends Future<unknown>> implements AsyncIterableIterator<F> {
  readonly #endings: Endings<F>
  /** Weak: what was given out is not kept. */
  readonly #seen = new WeakSet<F>()
  #count = 0
  #inputEnded = false
  #inputError: { readonly error: unknown } | undefined
  #turn: Promise<void> = Promise.resolve()

  constructor(futures: Iterable<F> | AsyncIterable<F>, endings: Endings<F>) {
    this.#endings = endings
    if (isAsyncIterable(futures)) void this.#read(futures)
    else {
      for (const future of iterable('asCompleted', futures)) this.#add(future)
      this.#inputEnded = true
    }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<F>> {
    const turn = this.#turn.then(() => this.#advance())
    // neither a future nor an error is held by what the next one waits for
    this.#turn = turn.then(nothing, nothing)
    return turn
  }

  async return(): Promise<IteratorResult<F>> {
    this.#close()
    return { done: true, value: undefined }
  }

  async #advance(): Promise<IteratorResult<F>> {
    try {
      for (;;) {
        const future = this.#endings.shift()
        if (future !== undefined) return { done: false, value: future }
        if (this.#inputEnded && this.#endings.pending === 0) break
        if (!(await this.#endings.next())) throw this.#timeout()
      }
      if (this.#inputError !== undefined) throw this.#inputError.error
      this.#close()
      return { done: true, value: undefined }
    } catch (error) {
      this.#close()
      throw error
    }
  }

  #timeout(): TimeoutError {
    const notDone = this.#endings.watched()
    return new TimeoutError(`${notDone.length} (of ${this.#count}) futures unfinished`, { notDone })
  }

  #close(): void {
    this.#inputEnded = true
    this.#inputError = undefined
    this.#endings.close()
  }

  #add(given: F): void {
    const future = requireFuture('asCompleted', given)
    if (this.#seen.has(future)) return
    this.#seen.add(future)
    this.#count += 1
    this.#endings.watch(future)
  }

  async #read(futures: AsyncIterable<F>): Promise<void> {
    try {
      for await (const future of futures) {
        if (this.#inputEnded) return
        this.#add(future)
      }
    } catch (error) {
      this.#inputError = { error }
    }
    this.#inputEnded = true
    this.#endings.wake()
  }
}

function isAsyncIterable<F>(value: Iterable<F> | AsyncIterable<F>): value is AsyncIterable<F> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

function iterable<F>(where: string, given: Iterable<F>): Iterable<F> {
  if (typeof given === 'object' && given !== null && Symbol.iterator in given) return given
  throw new ValidationError(`${where}: expected a list of futures, got ${show(given)}`)
}

function requireFuture<F extends Future<unknown>>(where: string, given: F): F {
  // by what it can do: it may come from another copy of this package
  if (typeof (given as Partial<F> | null | undefined)?.addWatcher === 'function') return given
  throw new ValidationError(`${where}: expected futures, got ${show(given)} among them`)
}

function nothing(): void {
  return undefined
}
