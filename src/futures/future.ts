/**
 * Future: the outcome of something that runs elsewhere, with the state machine of PEP 3148:
 *
 *   PENDING → RUNNING → FINISHED       PENDING → CANCELLED → CANCELLED_AND_NOTIFIED
 *
 * It settles once; a second settle throws InvalidStateError and changes nothing. It can be awaited; one that fails and
 * that nobody awaits raises no unhandledRejection. Callbacks run in the order they were added, at once when it is done.
 */
import { CancelledError, InvalidStateError, TimeoutError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { parseDuration } from '../core/sizes.ts'

export type FutureState = 'PENDING' | 'RUNNING' | 'CANCELLED' | 'CANCELLED_AND_NOTIFIED' | 'FINISHED'

export interface ResultOptions {
  /** Milliseconds, or `"30s"`. The wait ends with TimeoutError; the future goes on. */
  readonly timeout?: number | string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface FutureSnapshot<T> {
  readonly done: boolean
  readonly cancelled: boolean
  readonly result: T | undefined
  readonly exception: Error | undefined
}

type Callback = (future: Future<unknown>) => void

interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

export class Future<T> implements PromiseLike<T> {
  #state: FutureState = 'PENDING'
  #value: T | undefined
  #error: Error | undefined
  /** One alone, as most futures have, or several. */
  #callbacks: Callback | Callback[] | undefined
  #watchers: Callback[] | undefined
  /** What they await who asked while it was not done. */
  #deferred: Deferred<T> | undefined

  get state(): FutureState {
    return this.#state
  }

  /** True when cancelled or finished. */
  done(): boolean {
    return this.#state !== 'PENDING' && this.#state !== 'RUNNING'
  }

  running(): boolean {
    return this.#state === 'RUNNING'
  }

  cancelled(): boolean {
    return this.#state === 'CANCELLED' || this.#state === 'CANCELLED_AND_NOTIFIED'
  }

  /** True when it finished with an error. */
  failed(): boolean {
    return this.#error !== undefined
  }

  /** True when it is cancelled now or was before; false when it runs or has finished, which changes nothing. */
  cancel(): boolean {
    if (this.#state === 'RUNNING' || this.#state === 'FINISHED') return false
    if (this.#state === 'PENDING') {
      this.#state = 'CANCELLED'
      this.#settled()
    }
    return true
  }

  /**
   * @throws the error it failed with; CancelledError; TimeoutError and the signal's reason, which end only this wait;
   * ValidationError for a timeout that is none
   */
  result(options?: ResultOptions): Promise<T> {
    return options === undefined ? this.#promise() : this.#resultWithin(options)
  }

  /** The error it failed with, or null. @throws CancelledError, TimeoutError */
  async exception(options: ResultOptions = {}): Promise<Error | null> {
    await this.#whenDone(options)
    if (this.cancelled()) throw this.cancellation()
    return this.#error === undefined ? null : this.told(this.#error)
  }

  /** Called with the future when it is done: in order of adding, at once if it is. One that throws is logged and hinders nothing. */
  addDoneCallback(callback: (future: this) => void): void {
    const each = callback as Callback
    if (this.done()) this.#call(each)
    else if (this.#callbacks === undefined) this.#callbacks = each
    else if (typeof this.#callbacks === 'function') this.#callbacks = [this.#callbacks, each]
    else this.#callbacks.push(each)
  }

  removeDoneCallback(callback: (future: this) => void): void {
    if (this.#callbacks === callback) this.#callbacks = undefined
    else if (Array.isArray(this.#callbacks)) this.#callbacks = this.#callbacks.filter((each) => each !== callback)
  }

  // biome-ignore lint/suspicious/noThenProperty: a future is awaitable, by design
  then<A = T, B = never>(
    onFulfilled?: ((value: T) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#promise().then(onFulfilled, onRejected)
  }

  catch<B = never>(onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.#promise().catch(onRejected)
  }

  finally(onFinally?: (() => void) | null): Promise<T> {
    return this.#promise().finally(onFinally)
  }

  /** For implementers: false when it was cancelled and must not run. @throws InvalidStateError when it ran already */
  setRunningOrNotifyCancel(): boolean {
    if (this.#state === 'CANCELLED') {
      this.#state = 'CANCELLED_AND_NOTIFIED'
      this.#tellWatchers()
      return false
    }
    if (this.#state !== 'PENDING') throw new InvalidStateError(`cannot start a future in state ${this.#state}`)
    this.#state = 'RUNNING'
    return true
  }

  /** For implementers. @throws InvalidStateError when it is done; the first outcome stays */
  setResult(value: T): void {
    this.#finish()
    this.#value = value
    this.#settled()
  }

  /** For implementers. @throws InvalidStateError when it is done; the first outcome stays */
  setException(error: Error): void {
    this.#finish()
    this.#error = error
    this.#settled()
  }

  /**
   * For `wait` and its like: called once the future is finished, or its cancellation was taken note of
   * (`setRunningOrNotifyCancel`), which is when PEP 3148 counts it as done. At once when it is. Must not throw.
   */
  addWatcher(watcher: (future: Future<unknown>) => void): void {
    if (this.#isOver()) watcher(this)
    else if (this.#watchers === undefined) this.#watchers = [watcher]
    else this.#watchers.push(watcher)
  }

  removeWatcher(watcher: (future: Future<unknown>) => void): void {
    this.#watchers = this.#watchers?.filter((each) => each !== watcher)
  }

  snapshot(): FutureSnapshot<T> {
    const { done, cancelled } = { done: this.done(), cancelled: this.cancelled() }
    return { done, cancelled, result: this.#value, exception: this.#error }
  }

  toString(): string {
    const outcome = this.#error !== undefined ? ` raised ${this.#error.name}` : ` returned ${typeof this.#value}`
    return `<${this.constructor.name} ${this.#state}${this.#state === 'FINISHED' ? outcome : ''}>`
  }

  /** What a reader gets of the value that was set; a subclass may hold it in another form until it is asked for. */
  protected read(value: T): T | Promise<T> {
    return value
  }

  /** The error as its reader gets it; a subclass may take note that it was told. */
  protected told(error: Error): Error {
    return error
  }

  protected cancellation(): CancelledError {
    return new CancelledError('the future was cancelled')
  }

  /** For subclasses that can cancel what runs. */
  protected forceCancel(): boolean {
    if (this.done()) return this.cancelled()
    this.#state = 'CANCELLED_AND_NOTIFIED'
    this.#settled()
    return true
  }

  #finish(): void {
    if (this.done()) throw new InvalidStateError(`${this.#state}: ${this} is settled already`)
    this.#state = 'FINISHED'
  }

  #isOver(): boolean {
    return this.#state === 'FINISHED' || this.#state === 'CANCELLED_AND_NOTIFIED'
  }

  async #resultWithin(options: ResultOptions): Promise<T> {
    await this.#whenDone(options)
    return this.#outcome()
  }

  #promise(): Promise<T> {
    if (!this.done()) {
      if (this.#deferred === undefined) this.#deferred = newDeferred()
      return this.#deferred.promise
    }
    try {
      return Promise.resolve(this.#outcome())
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #outcome(): T | Promise<T> {
    if (this.cancelled()) throw this.cancellation()
    if (this.#error !== undefined) throw this.told(this.#error)
    return this.read(this.#value as T)
  }

  async #whenDone({ timeout, signal }: ResultOptions): Promise<void> {
    const timeoutMs = timeout === undefined ? undefined : durationOf(timeout)
    if (this.done()) return
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.removeDoneCallback(onDone)
        settle()
      }
      const onDone = () => finish(resolve)
      const onAbort = () => finish(() => reject(signal?.reason))
      const onTimeout = () =>
        finish(() => reject(new TimeoutError(`not done within ${timeoutMs} ms: ${this}`, { notDone: [this] })))
      const timer = timeoutMs === undefined ? undefined : setTimeout(onTimeout, Math.min(timeoutMs, 2 ** 31 - 1))
      if (signal?.aborted) return onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      this.addDoneCallback(onDone)
    })
  }

  #settled(): void {
    const [deferred, callbacks] = [this.#deferred, this.#callbacks]
    this.#deferred = undefined
    this.#callbacks = undefined
    if (deferred !== undefined) this.#settle(deferred)
    if (this.#isOver()) this.#tellWatchers()
    if (typeof callbacks === 'function') this.#call(callbacks)
    else if (callbacks !== undefined) for (const callback of callbacks) this.#call(callback)
  }

  #settle(deferred: Deferred<T>): void {
    try {
      deferred.resolve(this.#outcome())
    } catch (error) {
      deferred.reject(error)
    }
  }

  #tellWatchers(): void {
    const watchers = this.#watchers
    this.#watchers = undefined
    if (watchers !== undefined) for (const watcher of watchers) watcher(this)
  }

  #call(callback: Callback): void {
    try {
      callback(this)
    } catch (error) {
      console.error(`exception calling callback for ${this}:`, error)
    }
  }
}

function newDeferred<T>(): Deferred<T> {
  let settle: [resolve: (value: unknown) => void, reject: (error: unknown) => void] | undefined
  const promise = new Promise<T>((resolve, reject) => {
    settle = [resolve as (value: unknown) => void, reject]
  })
  const [resolve, reject] = settle as unknown as [(value: unknown) => void, (error: unknown) => void]
  return { promise, resolve, reject }
}

function durationOf(timeout: number | string): number {
  const ms = parseDuration(timeout)
  if (ms !== undefined) return ms
  throw new ValidationError(`timeout: expected milliseconds or text such as "30s", got ${show(timeout)}`)
}
