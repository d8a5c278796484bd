/**
 * Bodies of HTTP answers. Invariant: a body that ends before its announced length throws BODY_TRUNCATED, whatever the
 * socket says, and one that is left early, or whose signal aborts, frees its connection.
 *
 * Chunks are taken as the socket gives them, with no stream's own iterator between: that costs a third of the reading.
 */
import type { Readable } from 'node:stream'
import { type StorageContext, StorageError } from '../core/errors.ts'

/** What may wait for its reader before the socket is held back: as much as is read at a time. */
const MAX_WAITING_BYTES = 256 * 1024

/** The chunks of `stream`, checked to be `expectedBytes` in all; undefined where no length was announced. */
export function exactBody(
  stream: Readable,
  expectedBytes: number | undefined,
  context: StorageContext,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<Uint8Array> {
  return new ExactBody(stream, { expectedBytes, context, signal })
}

interface BodyParts {
  readonly expectedBytes: number | undefined
  readonly context: StorageContext
  readonly signal: AbortSignal | undefined
}

type Next = IteratorResult<Uint8Array, undefined>

const END: Next = { done: true, value: undefined }

class ExactBody implements AsyncIterableIterator<Uint8Array> {
  readonly #stream: Readable
  readonly #parts: BodyParts
  readonly #abort: () => void
  readonly #waiting: Uint8Array[] = []
  #waitingBytes = 0
  #flowing = false
  #received = 0
  #ended = false
  #failure: { readonly error: unknown } | undefined
  #reader: { resolve(next: Next): void; reject(error: unknown): void } | undefined

  constructor(stream: Readable, parts: BodyParts) {
    this.#stream = stream
    this.#parts = parts
    this.#abort = () => {
      this.#waiting.length = 0
      this.#fail(parts.signal?.reason)
      stream.destroy()
    }
    stream.on('error', (error) => this.#fail(this.#truncated(error)))
    stream.on('close', () => this.#end())
    if (parts.signal?.aborted) this.#abort()
    else parts.signal?.addEventListener('abort', this.#abort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<Next> {
    const chunk = this.#waiting.shift()
    if (chunk !== undefined) {
      this.#waitingBytes -= chunk.length
      return Promise.resolve({ done: false, value: chunk })
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure.error)
    if (this.#ended) return Promise.resolve(END)
    const next = new Promise<Next>((resolve, reject) => {
      this.#reader = { resolve, reject }
    })
    this.#flow()
    return next
  }

  /** Frees the connection where the body was not read to its end. */
  return(): Promise<Next> {
    this.#parts.signal?.removeEventListener('abort', this.#abort)
    this.#waiting.length = 0
    if (!this.#ended) this.#stream.destroy()
    this.#ended = true
    this.#settle()?.resolve(END)
    return Promise.resolve(END)
  }

  #flow(): void {
    if (this.#flowing) return
    if (this.#stream.listenerCount('data') === 0) {
      this.#stream.on('data', (chunk: Uint8Array) => this.#take(chunk))
      this.#stream.on('end', () => this.#end())
    } else this.#stream.resume()
    this.#flowing = true
  }

  #take(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#ended) return
    this.#received += chunk.length
    const { expectedBytes } = this.#parts
    if (expectedBytes !== undefined && this.#received > expectedBytes) {
      this.#fail(this.#truncated())
      this.#stream.destroy()
      return
    }
    if (this.#reader !== undefined) return this.#settle()?.resolve({ done: false, value: chunk })
    this.#waiting.push(chunk)
    this.#waitingBytes += chunk.length
    if (this.#waitingBytes < MAX_WAITING_BYTES) return
    this.#flowing = false
    this.#stream.pause()
  }

  #end(): void {
    if (this.#ended || this.#failure !== undefined) return
    const { expectedBytes } = this.#parts
    // a socket that closes tells its end first, where there is one
    const complete = expectedBytes === undefined ? this.#stream.readableEnded : this.#received === expectedBytes
    if (!complete) return this.#fail(this.#truncated())
    this.#ended = true
    this.#parts.signal?.removeEventListener('abort', this.#abort)
    this.#settle()?.resolve(END)
  }

  #fail(error: unknown): void {
    if (this.#ended || this.#failure !== undefined) return
    this.#failure = { error }
    this.#parts.signal?.removeEventListener('abort', this.#abort)
    this.#settle()?.reject(error)
  }

  #settle(): { resolve(next: Next): void; reject(error: unknown): void } | undefined {
    const reader = this.#reader
    this.#reader = undefined
    return reader
  }

  #truncated(cause?: unknown): StorageError {
    const { expectedBytes, context } = this.#parts
    const of = expectedBytes === undefined ? '' : ` of ${expectedBytes}`
    return new StorageError('BODY_TRUNCATED', `the body broke after ${this.#received}${of} bytes`, {
      ...context,
      cause,
    })
  }
}

const PLAIN: ReadonlySet<string> = new Set(['', 'identity', 'aws-chunked'])

/** A Content-Encoding that changes bytes; undefined where there is none, also where the header says so. */
export function encodingOf(header: string | undefined): string | undefined {
  const encodings = (header ?? '').split(',').map((each) => each.trim().toLowerCase())
  return encodings.some((each) => !PLAIN.has(each)) ? header : undefined
}
