/**
 * A body that goes on where it breaks, or ends short: from its offset, held to the version its first bytes came from.
 * Where the store cannot hold it, it is begun again only if nothing of it was delivered.
 */
import { isTransient, ObjectChangedError, StorageError } from '../core/errors.ts'
import type { GetOptions, ObjectHead, ObjectReading, StorageBackend } from './backend.ts'
import { isOutside, isUnsupported } from './layer.ts'

/** How the rest is asked for again (with-retry.ts). */
export interface BodyTries {
  /** What came so far was worth it. */
  progress(): void
  /** Waits until a request may be sent again. @throws the error when it may not */
  pause(error: unknown): Promise<void>
  send<T>(request: () => Promise<T>): Promise<T>
}

export interface GetRequest {
  readonly backend: StorageBackend
  readonly bucket: string
  readonly key: string
  readonly options: GetOptions | undefined
}

/** A body that goes on where it breaks. An object rather than a generator: every chunk of every read passes here. */
export class ResumedBody implements AsyncIterableIterator<Uint8Array> {
  readonly #request: GetRequest
  readonly #first: ObjectReading
  readonly #tries: BodyTries
  #chunks: AsyncIterator<Uint8Array>
  #at: number

  constructor(request: GetRequest, first: ObjectReading, tries: BodyTries) {
    this.#request = request
    this.#first = first
    this.#tries = tries
    this.#chunks = first.body[Symbol.asyncIterator]()
    this.#at = first.range.start
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Uint8Array, undefined>> {
    return this.#chunks.next().then(this.#take, this.#goOn)
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    await this.#chunks.return?.()
    return { done: true, value: undefined }
  }

  readonly #take = (next: IteratorResult<Uint8Array>) => {
    const { head, range } = this.#first
    if (next.done !== true) {
      this.#at += next.value.length
      this.#tries.progress()
      return next
    }
    if (this.#at >= range.end || head.sizeUnknown === true) return next
    return this.#goOn(truncated(this.#request, this.#at, range.end))
  }

  /** The next chunk from another body of the same version. @throws the error where there can be none */
  readonly #goOn = async (error: unknown): Promise<IteratorResult<Uint8Array, undefined>> => {
    const { head, range } = this.#first
    if (!isTransient(error) || !canGoOn(this.#request.backend, head, this.#at > range.start)) throw error
    await this.#tries.pause(error)
    if (this.#at === range.end) return { done: true, value: undefined }
    const body = await this.#tries
      .send(() => reopened(this.#request, this.#first, this.#at))
      .catch((refusal) => {
        throw isUnsupported(refusal) ? error : refusal
      })
    this.#chunks = body[Symbol.asyncIterator]()
    return this.next()
  }
}

function canGoOn({ capabilities }: StorageBackend, head: ObjectHead, begun: boolean): boolean {
  if (!begun) return true
  return capabilities.pin !== 'none' && head.etag !== '' && head.sizeUnknown !== true && head.acceptsRanges !== false
}

/** The rest of the body, of the version its beginning came from. @throws ObjectChangedError */
async function reopened(
  { backend, bucket, key, options }: GetRequest,
  { head, range }: ObjectReading,
  at: number,
): Promise<AsyncIterable<Uint8Array>> {
  const whole = options?.range === undefined && at === range.start
  const pin = head.etag === '' || backend.capabilities.pin === 'none' ? undefined : head.etag
  const rest = {
    ...options,
    ...(whole ? {} : { range: { start: at, end: range.end } }),
    ifMatch: options?.ifMatch ?? pin,
  }
  const changed = (what: string, cause?: unknown) =>
    new ObjectChangedError(what, { backend: backend.name, operation: 'get', bucket, key, cause })
  const next = await backend.get(bucket, key, rest).catch((error) => {
    throw isOutside(error) ? changed(`it no longer has the ${head.size} bytes it had`, error) : error
  })
  if (next.head.etag === head.etag && next.head.size === head.size && next.range.end === range.end) return next.body
  throw changed(`its body was to go on at byte ${at} of ${head.size}, etag ${head.etag}: now ${next.head.etag}`)
}

function truncated({ backend, bucket, key }: GetRequest, at: number, end: number): StorageError {
  const context = { backend: backend.name, operation: 'get', bucket, key }
  return new StorageError('BODY_TRUNCATED', `the body ended at byte ${at} of ${end}`, context)
}
