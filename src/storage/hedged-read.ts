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

type Next = IteratorResult<Uint8Array, undefined>

const END: Next = { done: true, value: undefined }
/** Made once: an abort without a reason makes an error with a stack. */
const LEFT = new Error('the read has ended')

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
  #chunks: AsyncIterator<Uint8Array> | undefined
  /** Chunks of the rest that were given. */
  #restAt = 0
  #at: number
  #closed = false
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
    const reading = await this.#race<ObjectReading, ObjectReading>(
      open(range, this.#first.signal, false),
      (first) => first,
      (rest) => rest.reading,
    )
    // where the second has won already, the body begins with the rest it fetched
    if (this.#rest === undefined) this.#chunks = reading.body[Symbol.asyncIterator]()
    return { ...reading, body: this.#body() }
  }

  /** An object rather than a generator: every chunk of every read passes here. */
  #body(): AsyncIterableIterator<Uint8Array> {
    const body = {
      [Symbol.asyncIterator]: () => body,
      next: () => this.#next(),
      return: () => {
        this.#close()
        return Promise.resolve(END)
      },
    }
    return body
  }

  #next(): Promise<Next> {
    if (this.#closed) return Promise.resolve(END)
    // it may have come while the reader was busy
    if (this.#rest !== undefined) return Promise.resolve(this.#nextOfRest(this.#rest))
    const first = (this.#chunks as AsyncIterator<Uint8Array>).next()
    return this.#race(first, this.#takeFirst, this.#nextOfRest)
  }

  readonly #takeFirst = (next: IteratorResult<Uint8Array>): Next => {
    if (next.done !== true) {
      this.#at += next.value.length
      return next
    }
    this.#parts.onComplete(this.#waitedMs)
    this.#close()
    return END
  }

  readonly #nextOfRest = ({ chunks }: Remainder): Next => {
    this.#first.abort(LEFT)
    for (let skip = this.#at - this.#secondFrom; this.#restAt < chunks.length; ) {
      const chunk = chunks[this.#restAt++] as Uint8Array
      if (skip < chunk.length) {
        this.#at += chunk.length - skip
        this.#secondFrom += chunk.length
        return { done: false, value: skip > 0 ? chunk.subarray(skip) : chunk }
      }
      skip -= chunk.length
      this.#secondFrom += chunk.length
    }
    this.#parts.onComplete(this.#waitedMs)
    this.#close()
    return END
  }

  /** What the first request gives next, or the rest from the second, whichever is there first. */
  #race<T, R = Next>(first: Promise<T>, ofFirst: (value: T) => R, ofRest: (rest: Remainder) => R): Promise<R> {
    const { clock } = this.#parts
    const since = clock.nowMs()
    this.#waitingSince = since
    const waited = () => {
      this.#waitingSince = undefined
      this.#onRest = undefined
      this.#waitedMs += clock.nowMs() - since
    }
    return new Promise<R>((resolve, reject) => {
      let over = false
      this.#onRest = (rest) => {
        over = true
        waited()
        resolve(ofRest(rest))
      }
      first.then(
        (value) => {
          if (over) return
          waited()
          resolve(ofFirst(value))
        },
        (error) => {
          if (over) return
          this.#firstFailed(error, (reason) => {
            waited()
            this.#close()
            reject(reason)
          })
        },
      )
    })
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
    if (this.#closed) return
    this.#closed = true
    this.#parts.signal?.removeEventListener('abort', this.#onAbort)
    this.#first.abort(LEFT)
    this.#second?.abort(LEFT)
    // an aborted body has nothing more to say, and may not come back from its last chunk for long
    this.#chunks?.return?.()?.catch(() => undefined)
  }
}
