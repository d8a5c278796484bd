/**
 * The results of a map, in the order of its items.
 *
 * - Without `buffersize` every item is submitted before the iterator is handed out (those of an async input as they
 *   come); with it, the input is read only as far as results were taken.
 * - An error appears at its place: of a task, of the input, of a refusal. With it, or when the iteration is left or its
 *   time is over, the input is closed and every future that was not taken is cancelled, the one waited for included.
 * - A result that was given is not kept, nor its future.
 */
import type { Clock } from '../core/clock.ts'
import { TimeoutError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { formatDuration } from '../core/sizes.ts'
import type { MapSettings } from './options.ts'
import { Queue } from './queue.ts'
import type { TaskFuture } from './task-future.ts'

/** Anything that can be iterated, except a string. */
export type Items<T> = (Iterable<T> | AsyncIterable<T>) & object

export interface MapOptions {
  /** For the whole map, counted from its call: ms, or `"30s"`. */
  readonly timeout?: number | string | undefined
  /** Items that travel to a worker together. Default 1; executors without workers have no use for it. */
  readonly chunksize?: number | undefined
  /** Results that are computed or under way and were not taken, at most. Default: all. */
  readonly buffersize?: number | undefined
  /** Ends the map: its tasks are cancelled, its `next` rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** As for `submitWith`. */
  readonly priority?: number | undefined
}

type Arguments = readonly unknown[]

export interface Mapping<T> {
  readonly where: string
  readonly items: Items<T>
  readonly settings: MapSettings
  readonly clock: Clock
  readonly argumentsFor: (item: T) => Arguments
  /** @throws when nothing more is accepted */
  readonly submit: (chunk: readonly Arguments[]) => readonly TaskFuture<unknown>[]
}

export class MapResults<T, R> implements AsyncIterableIterator<R> {
  readonly #mapping: Mapping<T>
  readonly #input: Iterator<T> | AsyncIterator<T>
  readonly #isAsync: boolean
  readonly #deadlineMs: number
  readonly #futures = new Queue<TaskFuture<unknown>>()
  #inputEnded = false
  #inputError: { readonly error: unknown } | undefined
  #over = false
  #reading = false
  /** Told when there is one more future, or the input has ended, or the map is over. */
  #changed: (() => void) | undefined
  #turn: Promise<void> = Promise.resolve()

  /** @throws ValidationError when the items cannot be iterated */
  constructor(mapping: Mapping<T>) {
    this.#mapping = mapping
    const { iterator, isAsync } = openInput(mapping)
    this.#input = iterator
    this.#isAsync = isAsync
    const { timeoutMs = Number.POSITIVE_INFINITY } = mapping.settings
    this.#deadlineMs = mapping.clock.nowMs() + timeoutMs
    this.#read()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** The next result; several calls are served one after the other. */
  next(): Promise<IteratorResult<R>> {
    const turn = this.#turn.then(() => this.#advance())
    // neither a result nor an error is held by what the next one waits for
    this.#turn = turn.then(nothing, nothing)
    return turn
  }

  async return(): Promise<IteratorResult<R>> {
    this.#end()
    return { done: true, value: undefined }
  }

  async #advance(): Promise<IteratorResult<R>> {
    try {
      await this.#untilNext()
      const future = this.#futures.peek()
      if (this.#over || (future === undefined && this.#inputError === undefined)) {
        this.#end()
        return { done: true, value: undefined }
      }
      if (future === undefined) throw this.#inputError?.error
      const value = await this.#resultOf(future)
      if (this.#over) return { done: true, value: undefined }
      this.#futures.shift()
      this.#read()
      return { done: false, value: value as R }
    } catch (error) {
      if (this.#over) return { done: true, value: undefined }
      this.#end()
      throw error
    }
  }

  /** Until there is a future to wait for, or there will be none. */
  async #untilNext(): Promise<void> {
    while (!this.#over && this.#futures.size === 0 && !this.#inputEnded) {
      await this.#withinTime((done) => {
        this.#changed = done
      })
    }
  }

  async #resultOf(future: TaskFuture<unknown>): Promise<unknown> {
    const { signal, timeoutMs } = this.#mapping.settings
    if (!future.done() && (signal ?? timeoutMs) !== undefined) {
      await this.#withinTime((done) => future.addDoneCallback(done))
    }
    if (future.cancelled()) signal?.throwIfAborted()
    return future
  }

  /** Waits for what `start` is told about. @throws TimeoutError, the signal's reason */
  async #withinTime(start: (done: () => void) => void): Promise<void> {
    const { clock, settings } = this.#mapping
    const { signal, timeoutMs } = settings
    const over = new AbortController()
    const happened = new Promise<'happened'>((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { signal: over.signal })
      signal?.throwIfAborted()
      start(() => resolve('happened'))
    })
    try {
      if (timeoutMs === undefined) await happened
      else if ((await Promise.race([happened, this.#timeIsOver(clock, over.signal)])) !== 'happened') {
        throw new TimeoutError(`${this.#mapping.where}: not all results within ${formatDuration(timeoutMs)}`)
      }
    } finally {
      over.abort()
    }
  }

  #timeIsOver(clock: Clock, signal: AbortSignal): Promise<void> {
    const leftMs = Math.min(Math.max(0, this.#deadlineMs - clock.nowMs()), 2 ** 31 - 1)
    return clock.sleep(leftMs, signal).catch(nothing)
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    for (let future = this.#futures.shift(); future !== undefined; future = this.#futures.shift()) future.cancel()
    if (!this.#inputEnded) closeInput(this.#input)
    this.#inputEnded = true
    this.#tell()
  }

  #read(): void {
    if (this.#inputEnded || this.#reading) return
    this.#reading = true
    if (this.#isAsync) void this.#readAsync(this.#input as AsyncIterator<T>)
    else this.#readSync(this.#input as Iterator<T>)
  }

  /** How many items are wanted now. */
  get #room(): number {
    const { chunksize, buffersize, signal } = this.#mapping.settings
    const wanted = Math.min(chunksize, buffersize)
    const closed = this.#over || this.#inputEnded || signal?.aborted === true
    return closed || this.#futures.size + wanted > buffersize ? 0 : wanted
  }

  #readSync(input: Iterator<T>): void {
    for (let room = this.#room; room > 0; room = this.#room) {
      const chunk: Arguments[] = []
      try {
        while (chunk.length < room && this.#take(chunk, input.next()));
      } catch (error) {
        this.#failInput(error)
      }
      this.#submit(chunk)
    }
    this.#reading = false
  }

  async #readAsync(input: AsyncIterator<T>): Promise<void> {
    for (let room = this.#room; room > 0; room = this.#room) {
      const chunk: Arguments[] = []
      try {
        while (chunk.length < room && this.#take(chunk, await input.next()));
      } catch (error) {
        this.#failInput(error)
      }
      if (!this.#over) this.#submit(chunk)
    }
    this.#reading = false
  }

  /** False when the input has ended. */
  #take(chunk: Arguments[], next: IteratorResult<T>): boolean {
    if (next.done === true) this.#inputEnded = true
    else chunk.push(this.#mapping.argumentsFor(next.value))
    return next.done !== true
  }

  #submit(chunk: readonly Arguments[]): void {
    try {
      if (chunk.length > 0) for (const future of this.#mapping.submit(chunk)) this.#futures.push(future)
    } catch (error) {
      closeInput(this.#input)
      this.#failInput(error)
    }
    this.#tell()
  }

  #failInput(error: unknown): void {
    this.#inputEnded = true
    this.#inputError ??= { error }
  }

  #tell(): void {
    this.#changed?.()
    this.#changed = undefined
  }
}

function openInput<T>({ where, items }: Mapping<T>): { iterator: Iterator<T> | AsyncIterator<T>; isAsync: boolean } {
  const given: unknown = items
  if (typeof given === 'string') {
    throw new ValidationError(`${where} items: expected a list, got the text ${show(given)}; write [${show(given)}]`)
  }
  const isObject = (typeof given === 'object' && given !== null) || typeof given === 'function'
  if (isObject && Symbol.asyncIterator in given) {
    return { iterator: (given as AsyncIterable<T>)[Symbol.asyncIterator](), isAsync: true }
  }
  if (isObject && Symbol.iterator in given) {
    return { iterator: (given as Iterable<T>)[Symbol.iterator](), isAsync: false }
  }
  throw new ValidationError(`${where} items: expected something that can be iterated, got ${show(given)}`)
}

/** Lets the input clean up. It is no longer part of any result, so what it throws is a warning. */
function closeInput(input: Iterator<unknown> | AsyncIterator<unknown>): void {
  const warn = (error: unknown) => process.emitWarning(`map: the input could not be closed: ${error}`)
  try {
    void Promise.resolve(input.return?.()).catch(warn)
  } catch (error) {
    warn(error)
  }
}

function nothing(): void {
  return undefined
}
