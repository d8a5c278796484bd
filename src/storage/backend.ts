/**
 * THE storage contract: what every backend and every layer promises. The suite in test/conformance/storage-backend.ts
 * is this page as tests.
 *
 * - `put` is atomic: no reader sees a part of it; a failed one leaves the old object.
 * - Reads see every write that finished before them (get, head and list alike).
 * - A body that ends before its length throws BODY_TRUNCATED: an early close never looks like the end.
 * - Errors are `StorageError`s that keep the foreign one as `cause`; a missing key is always `NotFoundError`.
 * - Backends do not retry, limit or log: layers do, under the same contract.
 */
import type { ByteRange } from '../core/bytes.ts'
import type { RequestTally } from '../core/tally.ts'

export interface ObjectHead {
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** Opaque; changes whenever the content changes. Empty where the store has no validator. */
  readonly etag: string
  /** Epoch milliseconds. */
  readonly lastModified?: number
  readonly contentType?: string
  readonly contentEncoding?: string
  /** The store tells no length before the end (http): `size` is 0 and means nothing, only one uncut get reads it. */
  readonly sizeUnknown?: true
  /** False where a ranged get is refused as UNSUPPORTED (some http servers); absent: ranges are served. */
  readonly acceptsRanges?: boolean
}

/** Whose workers can see what is stored: this process, this machine, or whoever reaches the network. */
export type Reach = 'process' | 'machine' | 'network'

const REACHES: readonly Reach[] = ['process', 'machine', 'network']

/** Whether workers of that reach can see what is stored in a store of this one. */
export function isSeenBy(store: Reach, workers: Reach): boolean {
  return REACHES.indexOf(store) >= REACHES.indexOf(workers)
}

/** How a read is held to the planned version; `none` where the store offers nothing to hold on to. */
export type Pin = 'etag' | 'generation' | 'version' | 'none'

/** What differs between stores, as data. What is claimed is tested; what is not claimed is refused, never ignored. */
export interface StorageCapabilities {
  readonly writable: boolean
  /** `put` honours `ifAbsent` and `ifMatch`: of many writers, exactly one wins. */
  readonly conditionalPut: boolean
  /** Bytes of the longest stream that a conditional put takes; a longer one is UNSUPPORTED. Absent: any. */
  readonly conditionalStreamBytes?: number
  /** What `etag` is, and whether `get` honours `ifMatch`. */
  readonly pin: Pin
  /** Any key of 1 to 1,024 bytes is held: `a` beside `a/b`, `..`, `//`. */
  readonly anyKey: boolean
  /** But for keys that match this: the store's own rules have no object of such a name. */
  readonly refusedKeys?: RegExp
}

export interface RequestOptions {
  readonly signal?: AbortSignal | undefined
  /** Where layers count what this request took; backends leave it alone. */
  readonly tally?: RequestTally | undefined
}

export interface GetOptions extends RequestOptions {
  /** Default: the whole object. An end past the object's is cut to it. */
  readonly range?: ByteRange | undefined
  /** The etag this read is pinned to. */
  readonly ifMatch?: string | undefined
  /** The reader keeps no chunk: each may be overwritten once the next is asked for. */
  readonly reuse?: boolean | undefined
}

export interface PutOptions extends RequestOptions {
  readonly ifAbsent?: boolean | undefined
  /** Replace this version and no other. */
  readonly ifMatch?: string | undefined
  /** A note for other readers; stores that keep no metadata (files) drop it. */
  readonly contentType?: string | undefined
  /** Layers give it: a put of several requests sends each of those that may be repeated through it. Default: once. */
  readonly patiently?: Patiently | undefined
}

/** Sends a request, and again while that may help. `signal` ends the waiting between. */
export type Patiently = <T>(send: () => Promise<T>, signal?: AbortSignal) => Promise<T>

/** Where there is no layer that repeats anything. */
export const once: Patiently = (send) => send()

export interface ListOptions extends RequestOptions {
  /** Keys that start with this text; not a folder. */
  readonly prefix?: string | undefined
  /** Keys after this one. */
  readonly startAfter?: string | undefined
}

/** The answer to a get. Read `body` once, to its end or until you stop; leaving it early frees the connection. */
export interface ObjectReading {
  readonly head: ObjectHead
  /** What the body holds, clipped to the object; `end` is Infinity where `head.sizeUnknown`. */
  readonly range: ByteRange
  /** Chunks belong to the reader: they are not written again, unless it allowed `reuse`. None is empty. */
  readonly body: AsyncIterable<Uint8Array>
}

export interface StorageBackend {
  /** Lithops' name: `aws_s3`, `localhost`, `memory`, `file`, … */
  readonly name: string
  readonly reach: Reach
  readonly capabilities: StorageCapabilities

  /**
   * @throws NotFoundError
   * @throws ObjectChangedError when `ifMatch` is not the object's etag
   * @throws StorageError RANGE_INVALID when the range starts at or past the end of an object (also of an empty one)
   * @throws StorageError BODY_TRUNCATED while the body is read
   */
  get(bucket: string, key: string, options?: GetOptions): Promise<ObjectReading>

  /**
   * A lost race of conditional puts may also be answered UNAVAILABLE; then nothing was written.
   *
   * @throws StorageError ALREADY_EXISTS (`ifAbsent`), PRECONDITION_FAILED (`ifMatch`), UNSUPPORTED (not claimed)
   */
  put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options?: PutOptions,
  ): Promise<ObjectHead>

  /** @throws NotFoundError */
  head(bucket: string, key: string, options?: RequestOptions): Promise<ObjectHead>

  /** Pages of heads, keys in UTF-8 byte order; a page is fetched when it is asked for. A missing bucket: NotFoundError. */
  list(bucket: string, options?: ListOptions): AsyncIterable<readonly ObjectHead[]>

  /** Missing keys are no error: a delete can be repeated. */
  delete(bucket: string, keys: readonly string[], options?: RequestOptions): Promise<void>

  /** @throws NotFoundError */
  headBucket(bucket: string): Promise<void>
  /** Creating one that is there already is no error. */
  createBucket(bucket: string): Promise<void>
  /** @throws StorageError PRECONDITION_FAILED when it is not empty */
  deleteBucket(bucket: string): Promise<void>

  /**
   * Removes what writers of this machine that are gone left half-written where these keys lie; not there where nothing is
   * ever left. What others write meanwhile is not touched.
   */
  sweep?(bucket: string, keys: readonly string[]): Promise<void>

  /** Frees sockets. Idempotent. */
  close(): Promise<void>
}

/** Finds the backend of a name, connecting it at the first use; the composition roots hand one to whoever needs it. */
export type BackendResolver = (name: string) => Promise<StorageBackend>
