/** Several sources read ahead, delivered in order: what is held is at most `ahead` sources long (drain.ts: how much). */
import { Drain, type DrainOptions } from './drain.ts'

/**
 * The requests that all readers of a process together may have under way ahead of those they are reading from. The one
 * a reader waits for is never held back, so readers that wait for each other cannot lock each other out.
 */
export class ReadAhead {
  #free: number

  constructor(requests: number) {
    this.#free = requests
  }

  /** Whether one more may be sent; then `release` it. */
  take(): boolean {
    if (this.#free <= 0) return false
    this.#free -= 1
    return true
  }

  release(): void {
    this.#free += 1
  }
}

export interface PrefetchOptions extends DrainOptions {
  readonly ahead: number
  readonly readAhead: ReadAhead
}

/** Chunks of every opened source, in the order of `items`; an error shows where its source's turn comes. */
export function prefetch<Item, Chunk extends { readonly length: number }>(
  items: Iterable<Item>,
  options: PrefetchOptions,
  open: (item: Item) => AsyncIterable<Chunk>,
): AsyncIterableIterator<Chunk> {
  return new Prefetched(items[Symbol.iterator](), options, open)
}

/** An object rather than generators in each other: every chunk of every read passes here. */
class Prefetched<Item, Chunk extends { readonly length: number }> implements AsyncIterableIterator<Chunk> {
  readonly #rest: Iterator<Item>
  readonly #options: PrefetchOptions
  readonly #open: (item: Item) => AsyncIterable<Chunk>
  /** The first is being read, those behind it hold a place each. */
  #queue: Drain<Chunk>[] = []

  constructor(rest: Iterator<Item>, options: PrefetchOptions, open: (item: Item) => AsyncIterable<Chunk>) {
    this.#rest = rest
    this.#options = options
    this.#open = open
    this.#fill()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Chunk, undefined>> {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const value = first.take()
      if (value !== undefined) return Promise.resolve({ done: false, value })
      if (!first.isEmpty) return first.arrival().then(() => this.next())
      if (first.failure !== undefined) {
        this.#stop()
        return Promise.reject(first.failure.error)
      }
      this.#queue.shift()
      if (this.#queue.length > 0) this.#options.readAhead.release()
      this.#fill()
    }
    return Promise.resolve({ done: true, value: undefined })
  }

  return(): Promise<IteratorResult<Chunk, undefined>> {
    this.#stop()
    return Promise.resolve({ done: true, value: undefined })
  }

  #fill(): void {
    const { ahead, readAhead } = this.#options
    while (this.#queue.length < ahead) {
      const isAhead = this.#queue.length > 0
      if (isAhead && !readAhead.take()) return
      const { done, value } = this.#rest.next()
      if (done && isAhead) readAhead.release()
      if (done) return
      this.#queue.push(new Drain(this.#open(value), this.#options))
    }
  }

  #stop(): void {
    const queue = this.#queue
    this.#queue = []
    for (const drain of queue) drain.stop()
    for (let i = 1; i < queue.length; i++) this.#options.readAhead.release()
  }
}
