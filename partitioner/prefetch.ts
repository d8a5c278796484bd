/** Several sources read ahead, delivered in order: what is held is at most `ahead` sources long. */

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

/** Chunks of every opened source, in the order of `items`; an error shows where its source's turn comes. */
export async function* prefetch<Item, Chunk>(
  items: Iterable<Item>,
  { ahead, readAhead }: { readonly ahead: number; readonly readAhead: ReadAhead },
  open: (item: Item) => AsyncIterable<Chunk>,
): AsyncGenerator<Chunk, void, undefined> {
  const rest = items[Symbol.iterator]()
  // the first is being read, those behind it hold a place each
  const queue: Drain<Chunk>[] = []
  const fill = () => {
    while (queue.length < ahead) {
      const isAhead = queue.length > 0
      if (isAhead && !readAhead.take()) return
      const { done, value } = rest.next()
      if (done && isAhead) readAhead.release()
      if (done) return
      queue.push(new Drain(open(value)))
    }
  }
  try {
    for (fill(); queue[0] !== undefined; fill()) {
      yield* queue[0].chunks()
      queue.shift()
      if (queue.length > 0) readAhead.release()
    }
  } finally {
    for (const drain of queue) drain.stop()
    for (let i = 1; i < queue.length; i++) readAhead.release()
  }
}

class Drain<Chunk> {
  readonly #held: Chunk[] = []
  #ended = false
  #stopped = false
  #failure: { readonly error: unknown } | undefined
  #wake: () => void = () => undefined

  constructor(source: AsyncIterable<Chunk>) {
    void this.#pump(source)
  }

  async *chunks(): AsyncGenerator<Chunk, void, undefined> {
    for (;;) {
      const chunk = this.#held.shift()
      if (chunk !== undefined) yield chunk
      else if (this.#failure !== undefined) throw this.#failure.error
      else if (this.#ended) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  stop(): void {
    this.#stopped = true
  }

  async #pump(source: AsyncIterable<Chunk>): Promise<void> {
    try {
      for await (const chunk of source) {
        if (this.#stopped) return
        this.#held.push(chunk)
        this.#wake()
      }
    } catch (error) {
      this.#failure = { error }
    } finally {
      this.#ended = true
      this.#wake()
    }
  }
}
