/**
 * One source, drained ahead of its reader as far as that gains something.
 *
 * - What is held beyond `HELD_BYTES` was taken in time that the process did not need: where connections are slower than
 *   the process, every source is drained as fast as it comes; where the process is the slower one, bytes wait in their
 *   sockets. There, holding them would gain nothing, and cost memory that no cache has seen and collections of garbage,
 *   which V8 starts by the bytes that lie outside its heap.
 * - A little is taken however busy the process is: a connection on which nothing moves is closed by its server, and one
 *   that is held back until its reader comes is one that another reader may wait for.
 */

/** Milliseconds that the event loop has waited for something to do, and that it had something, so far. */
export interface LoopTime {
  readonly idle: number
  readonly active: number
}

export interface DrainOptions {
  /** Default: of this thread's event loop. */
  readonly loopTime?: (() => LoopTime) | undefined
}

/** Twice what a socket gives at a time: one for a reader who waits. */
const HELD_BYTES = 512 * 1024
/** For every idle millisecond: more than connections over a distance bring. */
const IDLE_BYTES = 256 * 1024
/** For every busy one: a request of 8 MiB within 8 s. */
const BUSY_BYTES = 1024
/** How often a source that is held back is looked at. */
const HELD_BACK_MS = 5

/** Bytes that a source may hold which was opened so long ago. */
export function heldBytesAfter({ idle, active }: LoopTime): number {
  return HELD_BYTES + idle * IDLE_BYTES + active * BUSY_BYTES
}

/** A source that is being read from now on. */
export class Drain<Chunk extends { readonly length: number }> {
  readonly #loopTime: () => LoopTime
  readonly #openedAt: LoopTime
  readonly #held: Chunk[] = []
  #heldBytes = 0
  #ended = false
  #stopped = false
  #wake: (() => void) | undefined
  /** Set while it is held back. */
  #goOn: (() => void) | undefined
  /** Of the source; it shows after all that came before it. */
  failure: { readonly error: unknown } | undefined

  constructor(source: AsyncIterable<Chunk>, { loopTime = timeOfLoop }: DrainOptions = {}) {
    this.#loopTime = loopTime
    this.#openedAt = loopTime()
    void this.#pump(source)
  }

  take(): Chunk | undefined {
    const chunk = this.#held.shift()
    if (chunk === undefined) return undefined
    this.#heldBytes -= chunk.length
    if (this.#heldBytes < HELD_BYTES) this.#goOn?.()
    return chunk
  }

  /** Whether nothing is held, and nothing more comes. */
  get isEmpty(): boolean {
    return this.#ended && this.#held.length === 0
  }

  arrival(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }

  stop(): void {
    this.#stopped = true
    this.#goOn?.()
  }

  async #pump(source: AsyncIterable<Chunk>): Promise<void> {
    try {
      for await (const chunk of source) {
        if (this.#stopped) return
        this.#held.push(chunk)
        this.#heldBytes += chunk.length
        this.#wake?.()
        while (this.#isFull() && !this.#stopped) await this.#room()
      }
    } catch (error) {
      this.failure = { error }
    } finally {
      this.#ended = true
      this.#wake?.()
    }
  }

  #isFull(): boolean {
    if (this.#heldBytes < HELD_BYTES) return false
    const { idle, active } = this.#loopTime()
    return (
      this.#heldBytes >= heldBytesAfter({ idle: idle - this.#openedAt.idle, active: active - this.#openedAt.active })
    )
  }

  /** Until some of it was taken, or enough time may have passed. */
  #room(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#goOn?.(), HELD_BACK_MS)
      this.#goOn = () => {
        this.#goOn = undefined
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

function timeOfLoop(): LoopTime {
  return performance.eventLoopUtilization()
}
