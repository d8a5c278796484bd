/**
 * One read that may be asked for twice. The first request streams; once its reader has waited `delayMs` for it, a second
 * one fetches what is left into memory. The first to finish gives the rest, the other is aborted. One that fails leaves
 * the read to the other; when both fail, the first's error is the read's.
 */
import type { ByteRange } from '../core/bytes.ts'
import type { Clock } from '../core/clock.ts'
import type { ObjectReading } from './backend.ts'

export interface HedgedReadParts {
  open(range: ByteRange, signal: AbortSignal, second: boolean): Promise<ObjectReading>
  readonly range: ByteRange
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
  /** Undefined: never hedged. */
  readonly delayMs: number | undefined
  /** Asked when the read is late. */
  mayHedge(): boolean
  /** Whether the other request may do better. */
  isPassing(error: unknown): boolean
  /** The body was read to its end, after so much waiting for the store. */
  onComplete(waitedMs: number): void
}

/** The rest of a range, in memory. */
interface Remainder {
  readonly reading: ObjectReading
  readonly chunks: readonly Uint8Array[]
}

type Won<T> = { readonly by: 'first'; readonly value: T } | { readonly by: 'second'; readonly rest: Remainder }

export class HedgedRead {
  readonly #parts: HedgedReadParts
  readonly #first = new AbortController()
  readonly #onAbort: () => void
  /** Of the second request, once it is sent; it began at `#secondFrom`. */
  #second: AbortController | undefined
  #secondFrom = 0
  #secondFailed = false
  /** All that the second request was sent for. */
  #rest: Remainder | undefined
  #onRest: ((rest: Remainder) => void) | undefined
  #onSecondFailed: (() => void) | undefined
  #at: number
  #waitedMs = 0
  #waitingSince: number | undefined

  constructor(parts: HedgedReadParts) {
    this.#parts = parts
    this.#at = parts.range.start
    this.#onAbort = () => {
      this.#first.abort(parts.signal?.reason)
      this.#second?.abort(parts.signal?.reason)
    }
  }

  async start(): Promise<ObjectReading> {
    const { range, signal, open, delayMs } = this.#parts
    signal?.throwIfAborted()
    if (delayMs !== undefined) void this.#watch(delayMs)
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    try {
      const won = await this.#race(open(range, this.#first.signal, false))
      if (won.by === 'first') return { ...won.value, body: this.#body(won.value) }
      return { ...won.rest.reading, body: this.#restOf(won.rest) }
    } catch (error) {
      this.#close()
      throw error
    }
  }

  async *#body(reading: ObjectReading): AsyncGenerator<Uint8Array, void, undefined> {
    const chunks = reading.body[Symbol.asyncIterator]()
    try {
      for (;;) {
        // it came while the reader was busy
        if (this.#rest !== undefined) return yield* this.#restOf(this.#rest)
        const won = await this.#race(chunks.next())
        if (won.by === 'second') return yield* this.#restOf(won.rest)
        if (won.value.done === true) break
        this.#at += won.value.value.length
        yield won.value.value
      }
      this.#parts.onComplete(this.#waitedMs)
    } finally {
      this.#close()
      // an aborted body has nothing more to say, and may not come back from its last chunk for long
      chunks.return?.()?.catch(() => undefined)
    }
  }

  async *#restOf({ chunks }: Remainder): AsyncGenerator<Uint8Array, void, undefined> {
    this.#first.abort()
    this.#parts.onComplete(this.#waitedMs)
    let skip = this.#at - this.#secondFrom
    for (const chunk of chunks) {
      if (skip < chunk.length) yield skip > 0 ? chunk.subarray(skip) : chunk
      skip = Math.max(0, skip - chunk.length)
    }
    this.#close()
  }

  /** What the first request gives next, or the rest from the second, whichever is there first. */
  async #race<T>(first: Promise<T>): Promise<Won<T>> {
    const { clock } = this.#parts
    const since = clock.nowMs()
    this.#waitingSince = since
    try {
      return await new Promise<Won<T>>((resolve, reject) => {
        this.#onRest = (rest) => resolve({ by: 'second', rest })
        first.then(
          (value) => resolve({ by: 'first', value }),
          (error) => this.#firstFailed(error, reject),
        )
      })
    } finally {
      this.#waitingSince = undefined
      this.#onRest = undefined
      this.#waitedMs += clock.nowMs() - since
    }
  }

  #firstFailed(error: unknown, reject: (error: unknown) => void): void {
    if (this.#second === undefined || this.#secondFailed || !this.#parts.isPassing(error)) return reject(error)
    this.#onSecondFailed = () => reject(error)
  }

  /** One timer a read, not one a chunk: it comes back as long as the reader has not waited enough. */
  async #watch(delayMs: number): Promise<void> {
    const { clock, mayHedge } = this.#parts
    try {
      for (let leftMs = delayMs; leftMs > 0; leftMs = delayMs - this.#waited()) {
        await clock.sleep(Math.max(leftMs, delayMs / 4), this.#first.signal)
      }
      if (this.#first.signal.aborted || !mayHedge()) return
      this.#second = new AbortController()
      this.#secondFrom = this.#at
      this.#rest = await this.#fetch({ start: this.#at, end: this.#parts.range.end }, this.#second.signal)
      this.#onRest?.(this.#rest)
    } catch {
      // the read has ended, or the second request failed: the first goes on alone
      this.#secondFailed = true
      this.#onSecondFailed?.()
    }
  }

  #waited(): number {
    const since = this.#waitingSince
    return this.#waitedMs + (since === undefined ? 0 : this.#parts.clock.nowMs() - since)
  }

  async #fetch(range: ByteRange, signal: AbortSignal): Promise<Remainder> {
    const reading = await this.#parts.open(range, signal, true)
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of reading.body) {
      chunks.push(chunk)
      bytes += chunk.length
    }
    if (bytes < reading.range.end - reading.range.start) throw new Error('the second body ended early')
    return { reading, chunks }
  }

  #close(): void {
    this.#parts.signal?.removeEventListener('abort', this.#onAbort)
    this.#first.abort()
    this.#second?.abort()
  }
}
