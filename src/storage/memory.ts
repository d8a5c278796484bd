/**
 * The reference backend: objects in this process. What the contract leaves open is decided here in the simplest way.
 * Invariant: an object's bytes are copied on the way in and out, so nobody outside can change what is stored.
 */
import { collectBytes, compareUtf8 } from '../core/bytes.ts'
import { NotFoundError, ObjectChangedError, type StorageContext, StorageError } from '../core/errors.ts'
import type {
  GetOptions,
  ListOptions,
  ObjectHead,
  ObjectReading,
  PutOptions,
  Reach,
  StorageBackend,
  StorageCapabilities,
} from './backend.ts'
import { assertPutCondition } from './conditions.ts'
import { lowerBound, sortUtf8 } from './key-order.ts'
import { clipRange } from './ranges.ts'

const PAGE_KEYS = 1_000
const CHUNK_BYTES = 1 << 20

/** Bodies up to here share memory: an array of its own costs some 250 bytes, however small it is. */
const SMALL_BYTES = 1 << 10
const SLAB_BYTES = 1 << 16

/** The body is `memory` from `start` to `end`. */
interface StoredObject {
  readonly memory: Uint8Array
  readonly start: number
  readonly end: number
  readonly version: number
  readonly lastModified: number
  readonly contentType: string | undefined
}

interface Bucket {
  readonly objects: Map<string, StoredObject>
  /** Keys in order; undefined since a key came or went. Never written once made: listings hold on to it. */
  sorted: readonly string[] | undefined
}

const PROCESS_STORE: unique symbol = Symbol.for('quern.storage.memory') as never

/** The store that `memory://` names: one for the whole process, however many copies of this module are loaded. */
export function processMemory(): MemoryBackend {
  const holder = globalThis as { [PROCESS_STORE]?: MemoryBackend }
  holder[PROCESS_STORE] ??= new MemoryBackend()
  return holder[PROCESS_STORE]
}

/** Buckets of one process. Two instances share nothing. */
export class MemoryBackend implements StorageBackend {
  readonly name = 'memory'
  readonly reach: Reach = 'process'
  readonly capabilities: StorageCapabilities = { writable: true, conditionalPut: true, pin: 'etag', anyKey: true }
  readonly #buckets = new Map<string, Bucket>()
  #versions = 0
  /** Where the next small body goes; freed with the last object that lies in it. */
  #slab = new Uint8Array(0)
  #slabUsed = 0

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    options.signal?.throwIfAborted()
    const context = this.#context('get', bucket, key)
    const object = this.#object(context, bucket, key)
    const head = headOf(key, object)
    if (options.ifMatch !== undefined && options.ifMatch !== head.etag) {
      throw new ObjectChangedError(`its etag is ${head.etag}, not ${options.ifMatch}`, context)
    }
    const { memory, start } = object
    const range = clipRange(options.range, head.size, context)
    return { head, range, body: copies(memory.subarray(start + range.start, start + range.end), options.signal) }
  }

  async put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<ObjectHead> {
    const context = this.#context('put', bucket, key)
    options.signal?.throwIfAborted()
    this.#bucket(context, bucket)
    const bytes = body instanceof Uint8Array ? body : await collectBytes(body)
    options.signal?.throwIfAborted()
    const { objects } = this.#bucket(context, bucket)
    const present = objects.get(key)
    assertPutCondition(options, present && etagOf(present), context)
    if (present === undefined) this.#bucket(context, bucket).sorted = undefined
    this.#versions += 1
    const { memory, start } = this.#copy(bytes)
    const end = start + bytes.length
    const lastModified = Date.now()
    const object = { memory, start, end, version: this.#versions, lastModified, contentType: options.contentType }
    objects.set(key, object)
    return headOf(key, object)
  }

  async head(bucket: string, key: string, options: { signal?: AbortSignal | undefined } = {}): Promise<ObjectHead> {
    options.signal?.throwIfAborted()
    return headOf(key, this.#object(this.#context('head', bucket, key), bucket, key))
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix = '', startAfter, signal } = options
    const stored = this.#bucket(this.#context('list', bucket), bucket)
    stored.sorted ??= sortUtf8([...stored.objects.keys()])
    const sorted = stored.sorted
    let next = lowerBound(sorted, prefix)
    if (startAfter !== undefined && compareUtf8(startAfter, prefix) >= 0) {
      next = lowerBound(sorted, startAfter)
      if (sorted[next] === startAfter) next += 1
    }
    let page: ObjectHead[] = []
    for (; next < sorted.length && sorted[next]?.startsWith(prefix); next++) {
      const key = sorted[next] as string
      const object = stored.objects.get(key)
      if (object !== undefined) page.push(headOf(key, object))
      if (page.length < PAGE_KEYS) continue
      signal?.throwIfAborted()
      yield page
      page = []
    }
    signal?.throwIfAborted()
    if (page.length > 0) yield page
  }

  async delete(
    bucket: string,
    keys: readonly string[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted()
    const stored = this.#bucket(this.#context('delete', bucket), bucket)
    for (const key of keys) if (stored.objects.delete(key)) stored.sorted = undefined
  }

  async headBucket(bucket: string): Promise<void> {
    this.#bucket(this.#context('headBucket', bucket), bucket)
  }

  async createBucket(bucket: string): Promise<void> {
    if (!this.#buckets.has(bucket)) this.#buckets.set(bucket, { objects: new Map(), sorted: undefined })
  }

  async deleteBucket(bucket: string): Promise<void> {
    const context = this.#context('deleteBucket', bucket)
    const { size } = this.#bucket(context, bucket).objects
    if (size > 0) throw new StorageError('PRECONDITION_FAILED', `the bucket holds ${size} objects`, context)
    this.#buckets.delete(bucket)
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }

  #copy(bytes: Uint8Array): Pick<StoredObject, 'memory' | 'start'> {
    if (bytes.length > SMALL_BYTES) return { memory: new Uint8Array(bytes), start: 0 }
    if (this.#slab.length - this.#slabUsed < bytes.length) {
      this.#slab = new Uint8Array(SLAB_BYTES)
      this.#slabUsed = 0
    }
    const start = this.#slabUsed
    this.#slab.set(bytes, start)
    this.#slabUsed += bytes.length
    return { memory: this.#slab, start }
  }

  #context(operation: string, bucket: string, key?: string): StorageContext {
    return { backend: this.name, operation, bucket, ...(key === undefined ? {} : { key }) }
  }

  #bucket(context: StorageContext, bucket: string): Bucket {
    const stored = this.#buckets.get(bucket)
    if (stored === undefined) throw new NotFoundError('no such bucket', context)
    return stored
  }

  #object(context: StorageContext, bucket: string, key: string): StoredObject {
    const object = this.#bucket(context, bucket).objects.get(key)
    if (object === undefined) throw new NotFoundError('no such key', context)
    return object
  }
}

function etagOf({ version }: StoredObject): string {
  return `"${version}"`
}

function headOf(key: string, object: StoredObject): ObjectHead {
  const { start, end, lastModified, contentType } = object
  const head = { key, size: end - start, etag: etagOf(object), lastModified }
  return contentType === undefined ? head : { ...head, contentType }
}

async function* copies(bytes: Uint8Array, signal: AbortSignal | undefined): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += CHUNK_BYTES) {
    signal?.throwIfAborted()
    yield bytes.slice(start, start + CHUNK_BYTES)
  }
}
