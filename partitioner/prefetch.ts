/** Several sources read ahead, delivered in order: what is held is at most `ahead` sources long. */

/** Chunks of every opened source, in the order of `items`; an error shows where its source's turn comes. */
export async function* prefetch<Item, Chunk>(
  items: Iterable<Item>,
  ahead: number,
  open: (item: Item) => AsyncIterable<Chunk>,
): AsyncGenerator<Chunk, void, undefined> {
  const rest = items[Symbol.iterator]()
  const queue: Drain<Chunk>[] = []
  const fill = () => {
    while (queue.length < ahead) {
      const { done, value } = rest.next()
      if (done) return
      queue.push(new Drain(open(value)))
    }
  }
  try {
    for (fill(); queue[0] !== undefined; fill()) {
      yield* queue[0].chunks()
      queue.shift()
    }
  } finally {
    for (const drain of queue) drain.stop()
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
