/**
 * The bytes of one object version, in order, through ranged GETs that carry the planned pin.
 *
 * - Every GET asks for the planned etag; a change is final (ObjectChangedError), so bytes of two versions never mix.
 * - A body that ends short is an error, never the end. Sending again, and going on where a body broke, is the work of
 *   the store's layers (src/storage/with-retry.ts): nothing here is tried twice.
 * - Over a network several requests run ahead, each at most `requestBytes` long, so memory is bounded by
 *   `ahead` × `requestBytes` however large the range is, and is far less where this process is slower than its
 *   connections (drain.ts); over all readers of a process `ReadAhead` bounds those ahead of the one that is read. On
 *   this machine one request streams: splitting costs, and gains nothing.
 * - Past `end`, up to `limit`, bytes are fetched only when they are asked for, in requests that double.
 */
import { asBuffer, type ByteRange } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { ObjectChangedError, QuernError, StorageError } from '../src/core/errors.ts'
import type { ObjectHead, StorageBackend } from '../src/storage/backend.ts'
import { prefetch, ReadAhead } from './prefetch.ts'

/** One GET's size; 8 to 16 MiB is where cost and throughput of object stores meet (AnyBlob, PVLDB 16). */
export const REQUEST_BYTES = 8 * 1024 * 1024
const FIRST_DEMAND_BYTES = 64 * 1024
/** Made once: an abort without a reason makes an error with a stack. */
const LEFT = new Error('the read has ended')

export interface RangedOptions {
  readonly backend: Pick<StorageBackend, 'name' | 'reach' | 'get'>
  readonly object: CloudObject
  readonly start: number
  /** What will be needed for certain, exclusive. */
  readonly end: number
  /** What may be needed, exclusive; default `end`. */
  readonly limit?: number | undefined
  readonly signal?: AbortSignal | undefined
  readonly requestBytes?: number | undefined
  /** The reader keeps no chunk beyond the next one. */
  readonly reuse?: boolean | undefined
  /** Requests under way at once; default 3 over a network, else 1. */
  readonly ahead?: number | undefined
  /** Shared by the readers of a process; default: one of its own, which lets every reader have its `ahead`. */
  readonly readAhead?: ReadAhead | undefined
  /** Sees the head of every answer before its bytes are delivered; may throw. */
  readonly onHead?: ((head: ObjectHead) => void) | undefined
}

/**
 * Chunks of [start, end), then of [end, limit) on demand, in order; none is empty. Leaving early aborts what is in
 * flight.
 * @throws ObjectChangedError when the object is not the planned version
 * @throws StorageError what the store answers, when its layers gave up; BODY_TRUNCATED
 */
export async function* rangedBytes(options: RangedOptions): AsyncGenerator<Buffer, void, undefined> {
  const { start, end, limit = end, requestBytes = REQUEST_BYTES } = options
  const ahead = options.ahead ?? (options.backend.reach === 'network' ? 3 : 1)
  const stop = new AbortController()
  const onAbort = () => stop.abort(options.signal?.reason)
  if (options.signal?.aborted) onAbort()
  options.signal?.addEventListener('abort', onAbort, { once: true })
  // with requests ahead, chunks wait for their turn
  const reuse = options.reuse === true && ahead === 1
  const read = { ...options, reuse }
  const open = (range: ByteRange) => new RangeBody(read, range, stop.signal)
  try {
    stop.signal.throwIfAborted()
    if (ahead === 1 || end - start <= splitAbove(requestBytes)) {
      if (end > start) yield* open({ start, end })
    } else {
      const { readAhead = new ReadAhead(ahead) } = options
      yield* prefetch(requestRanges(start, end, requestBytes), { ahead, readAhead }, open)
    }
    let demand = Math.min(FIRST_DEMAND_BYTES, requestBytes)
    for (let at = Math.max(start, end); at < limit; demand = Math.min(demand * 2, requestBytes)) {
      const range = { start: at, end: Math.min(limit, at + demand) }
      yield* open(range)
      at = range.end
    }
  } finally {
    options.signal?.removeEventListener('abort', onAbort)
    stop.abort(LEFT)
  }
}

/** GETs that `rangedBytes` sends over a network for `bytes` certain bytes. */
export function expectedGets(bytes: number, requestBytes: number = REQUEST_BYTES): number {
  if (bytes === 0) return 0
  return bytes <= splitAbove(requestBytes) ? 1 : Math.ceil((bytes - splitAbove(requestBytes)) / requestBytes) + 1
}

/** A last request may be an eighth longer, so that a look-ahead of some KiB costs no request of its own. */
function splitAbove(requestBytes: number): number {
  return requestBytes + Math.floor(requestBytes / 8)
}

function* requestRanges(start: number, end: number, requestBytes: number): Generator<ByteRange> {
  let at = start
  while (at < end) {
    const next = end - at <= splitAbove(requestBytes) ? end : at + requestBytes
    yield { start: at, end: next }
    at = next
  }
}

/** The body of one GET, checked to be the range, whole. An object rather than a generator: every chunk passes here. */
class RangeBody implements AsyncIterableIterator<Buffer> {
  readonly #options: RangedOptions
  readonly #range: ByteRange
  readonly #signal: AbortSignal
  #chunks: AsyncIterator<Uint8Array> | undefined
  #at: number

  constructor(options: RangedOptions, range: ByteRange, signal: AbortSignal) {
    this.#options = options
    this.#range = range
    this.#signal = signal
    this.#at = range.start
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Buffer, undefined>> {
    return this.#chunks === undefined ? this.#begin() : this.#chunks.next().then(this.#check)
  }

  async return(): Promise<IteratorResult<Buffer, undefined>> {
    await this.#chunks?.return?.()
    return { done: true, value: undefined }
  }

  async #begin(): Promise<IteratorResult<Buffer, undefined>> {
    this.#chunks = (await openBody(this.#options, this.#range, this.#signal))[Symbol.asyncIterator]()
    return this.next()
  }

  readonly #check = (next: IteratorResult<Uint8Array>) => {
    const { start, end } = this.#range
    if (next.done === true) {
      if (this.#at < end) throw truncated(this.#options, this.#at, end)
      return { done: true as const, value: undefined }
    }
    const at = this.#at
    this.#at += next.value.length
    if (!this.#signal.aborted && this.#at <= end) return { done: false as const, value: asBuffer(next.value) }
    return this.#refuse(`more bytes at ${at} than the range ${start}-${end} has`)
  }

  async #refuse(what: string): Promise<never> {
    await this.return()
    this.#signal.throwIfAborted()
    throw oddBody(this.#options, what)
  }
}

async function openBody(
  { backend, object, onHead, reuse }: RangedOptions,
  range: ByteRange,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const whole = object.etag === '' && range.start === 0 && range.end === object.size
  const ifMatch = object.etag === '' ? undefined : object.etag
  const reading = await get(backend, object, { ...(whole ? {} : { range }), ifMatch, reuse, signal })
  const { head } = reading
  if (head.size !== object.size || (ifMatch !== undefined && head.etag !== '' && head.etag !== ifMatch)) {
    const what = `planned ${object.size} bytes "${object.etag}", now ${head.size} bytes "${head.etag}"`
    throw new ObjectChangedError(what, context(backend, object))
  }
  if (reading.range.start !== range.start || reading.range.end !== range.end) {
    const came = `${reading.range.start}-${reading.range.end}`
    throw new StorageError(
      'UNSUPPORTED',
      `asked for ${range.start}-${range.end}, got ${came}`,
      context(backend, object),
    )
  }
  onHead?.(head)
  return reading.body
}

async function get(
  backend: RangedOptions['backend'],
  object: CloudObject,
  options: Parameters<StorageBackend['get']>[2],
): ReturnType<StorageBackend['get']> {
  try {
    return await backend.get(object.bucket, object.key, options)
  } catch (error) {
    if (!(error instanceof QuernError) || error.code !== 'RANGE_INVALID') throw error
    throw new ObjectChangedError(`shorter than the planned ${object.size} bytes`, {
      ...context(backend, object),
      cause: error,
    })
  }
}

function truncated({ backend, object }: RangedOptions, at: number, end: number): StorageError {
  return new StorageError('BODY_TRUNCATED', `body ended at byte ${at} of ${end}`, context(backend, object))
}

function oddBody({ backend, object }: RangedOptions, what: string): StorageError {
  return new StorageError('STORAGE', what, context(backend, object))
}

function context(backend: RangedOptions['backend'], object: CloudObject) {
  return { backend: backend.name, operation: 'get', bucket: object.bucket, key: object.key }
}
