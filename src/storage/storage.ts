/**
 * The user's face of the stores: the contract in everyday words, plus files and CloudObjects. It validates names and
 * options; what a store does with them is its backend's.
 *
 * The backend is opened at the first use, so making a Storage costs nothing. CloudObjects name their own backend and
 * bucket, which may be any, and are read under their etag.
 */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { basename, dirname } from 'node:path'
import { asBuffer, type ByteRange, collectBytes } from '../core/bytes.ts'
import { type CloudObject, cloudObject } from '../core/cloud-object.ts'
import { type StorageContext, StorageError, ValidationError } from '../core/errors.ts'
import { globMatcher, literalPrefix } from '../core/glob.ts'
import type { BackendResolver, ObjectHead, StorageBackend } from './backend.ts'
import { createFile, fillFile, temporaryName } from './file-io.ts'
import { localPath } from './local-path.ts'

/** Text is stored as UTF-8; a stream is stored as it is read. */
export type StorageBody = Uint8Array | string | AsyncIterable<Uint8Array>

export interface StorageParts {
  readonly backend: () => Promise<StorageBackend>
  readonly backendName: string
  /** Where CloudObjects go by default. */
  readonly bucket: string
  readonly resolve: BackendResolver
  /** Part of the default keys of CloudObjects: the job or program they belong to. */
  readonly session?: string | undefined
}

export interface PutObjectOptions {
  /** Only when the key is not there yet. */
  readonly ifNoneMatch?: '*' | undefined
  /** Only when the object has this etag. */
  readonly ifMatch?: string | undefined
  readonly contentType?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface GetObjectOptions {
  readonly range?: ByteRange | undefined
  readonly ifMatch?: string | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ListObjectsOptions {
  readonly prefix?: string | undefined
  /** Pattern of the whole key: `*` stays within a segment, `**` crosses them. */
  readonly glob?: string | undefined
  readonly startAfter?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Stores whose buckets are made when they are first written to, by name. */
export const MAKES_ITS_BUCKETS: ReadonlySet<string> = new Set(['localhost', 'memory'])

export class Storage {
  /** Lithops' name of its backend. */
  readonly backendName: string
  /** The default bucket. */
  readonly bucket: string
  readonly #parts: StorageParts
  readonly #session: string
  #bucketMade: Promise<void> | undefined

  constructor(parts: StorageParts) {
    this.#parts = parts
    this.backendName = parts.backendName
    this.bucket = parts.bucket
    this.#session = parts.session ?? 'storage'
  }

  /** @throws StorageError ALREADY_EXISTS, PRECONDITION_FAILED when a condition does not hold; NotFoundError (bucket) */
  async putObject(bucket: string, key: string, body: StorageBody, options: PutObjectOptions = {}): Promise<ObjectHead> {
    assertNames(bucket, key)
    const { ifNoneMatch, ...rest } = options
    if (ifNoneMatch !== undefined && ifNoneMatch !== '*') {
      throw new ValidationError(`putObject options.ifNoneMatch: expected "*", got ${JSON.stringify(ifNoneMatch)}`)
    }
    const backend = await this.#parts.backend()
    if (bucket === this.bucket) await this.#makeBucket(backend)
    return backend.put(bucket, key, bytesOf(body), { ...rest, ifAbsent: ifNoneMatch === '*' })
  }

  /** All bytes of the object, or of the range. @throws NotFoundError, ObjectChangedError (`ifMatch`) */
  async getObject(bucket: string, key: string, options: GetObjectOptions = {}): Promise<Uint8Array> {
    return collectBytes(this.streamObject(bucket, key, options))
  }

  /** The same chunk by chunk; nothing is asked for before the first is. */
  async *streamObject(bucket: string, key: string, options: GetObjectOptions = {}): AsyncGenerator<Uint8Array> {
    assertNames(bucket, key)
    const { body } = await (await this.#parts.backend()).get(bucket, key, options)
    yield* body
  }

  /** @throws NotFoundError */
  async headObject(bucket: string, key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectHead> {
    assertNames(bucket, key)
    return (await this.#parts.backend()).head(bucket, key, options)
  }

  /** A missing key is no error. */
  async deleteObject(bucket: string, key: string): Promise<void> {
    await this.deleteObjects(bucket, [key])
  }

  /** Missing keys are no error. */
  async deleteObjects(bucket: string, keys: readonly string[]): Promise<void> {
    for (const key of keys) assertNames(bucket, key)
    await (await this.#parts.backend()).delete(bucket, keys)
  }

  /** @throws NotFoundError */
  async headBucket(bucket: string): Promise<void> {
    await (await this.#parts.backend()).headBucket(bucket)
  }

  /** One that is there already is no error. */
  async createBucket(bucket: string): Promise<void> {
    assertNames(bucket)
    await (await this.#parts.backend()).createBucket(bucket)
  }

  /** @throws StorageError PRECONDITION_FAILED when it is not empty */
  async deleteBucket(bucket: string): Promise<void> {
    await (await this.#parts.backend()).deleteBucket(bucket)
  }

  /** Heads in UTF-8 byte order of their keys, fetched page by page as they are read. @throws NotFoundError (bucket) */
  async *listObjects(bucket: string, options: ListObjectsOptions = {}): AsyncGenerator<ObjectHead> {
    assertNames(bucket)
    const { glob, prefix = '', ...rest } = options
    const literal = glob === undefined ? '' : literalPrefix(glob)
    const matches = glob === undefined ? () => true : globMatcher(glob)
    const narrow = prefix.startsWith(literal) ? prefix : literal
    if (!narrow.startsWith(prefix)) return
    const backend = await this.#parts.backend()
    for await (const page of backend.list(bucket, { ...rest, prefix: narrow })) {
      for (const head of page) if (matches(head.key)) yield head
    }
  }

  /** The keys alone, in the same order. */
  async *listKeys(bucket: string, options: ListObjectsOptions = {}): AsyncGenerator<string> {
    for await (const { key } of this.listObjects(bucket, options)) yield key
  }

  /** Streams a file into an object; the key is the file's name by default. */
  async uploadFile(path: string, bucket: string, key: string = basename(path)): Promise<ObjectHead> {
    return this.putObject(bucket, key, fs.createReadStream(path))
  }

  /**
   * Streams an object into a file, which appears when it is whole: the given one, or the key's own path under `root`,
   * with the folders it needs. Default: the key's last name, here.
   * @throws ValidationError when the key leads out of its root
   */
  async downloadFile(bucket: string, key: string, to?: string | { readonly root: string }): Promise<ObjectHead> {
    assertNames(bucket, key)
    const path = typeof to === 'string' ? to : localPath(to?.root ?? '.', to === undefined ? basename(key) : key)
    const { head, body } = await (await this.#parts.backend()).get(bucket, key)
    const temporary = `${dirname(path)}/${temporaryName()}`
    const context = { backend: 'file', operation: 'downloadFile', bucket: '/', key: path }
    if (typeof to === 'object') makeFolder(dirname(path), context)
    const file = await createFile(temporary)
    await fillFile(file, temporary, body, undefined, context)
    try {
      fs.renameSync(temporary, path)
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      throw new StorageError('STORAGE', 'the file cannot be put there', { ...context, cause: error })
    }
    return head
  }

  /** Stores a value to be passed on by reference; the key is unique by default. */
  async putCloudObject(
    body: StorageBody,
    options: { readonly bucket?: string; readonly key?: string } = {},
  ): Promise<CloudObject> {
    const { bucket = this.bucket } = options
    const key = options.key ?? `quern.jobs/tmp/${this.#session}/cloudobject_${randomBytes(8).toString('hex')}`
    const { size, etag } = await this.putObject(bucket, key, body)
    return cloudObject({ backend: this.backendName, bucket, key, size, etag })
  }

  /** The bytes of the very version the CloudObject names, from whichever store holds it. @throws ObjectChangedError */
  async getCloudObject(object: CloudObject, options: { signal?: AbortSignal } = {}): Promise<Uint8Array> {
    const { bucket, key, etag } = object
    const backend = await this.#backendOf(object)
    const { body } = await backend.get(bucket, key, { ...options, ifMatch: etag === '' ? undefined : etag })
    return collectBytes(body)
  }

  async deleteCloudObject(object: CloudObject): Promise<void> {
    await this.deleteCloudObjects([object])
  }

  /** From all their stores and buckets; missing ones are no error. */
  async deleteCloudObjects(objects: Iterable<CloudObject>): Promise<void> {
    const places = new Map<string, { object: CloudObject; keys: string[] }>()
    for (const object of objects) {
      const place = JSON.stringify([object.backend, object.bucket])
      const known = places.get(place)
      if (known === undefined) places.set(place, { object, keys: [object.key] })
      else known.keys.push(object.key)
    }
    for (const { object, keys } of places.values()) await (await this.#backendOf(object)).delete(object.bucket, keys)
  }

  #backendOf(object: CloudObject): Promise<StorageBackend> {
    return object.backend === this.backendName ? this.#parts.backend() : this.#parts.resolve(object.backend)
  }

  async #makeBucket(backend: StorageBackend): Promise<void> {
    if (!MAKES_ITS_BUCKETS.has(this.backendName)) return
    this.#bucketMade ??= backend.createBucket(this.bucket)
    await this.#bucketMade
  }
}

function makeFolder(path: string, context: StorageContext): void {
  try {
    fs.mkdirSync(path, { recursive: true })
  } catch (error) {
    throw new StorageError('STORAGE', 'its folder cannot be made', { ...context, cause: error })
  }
}

function bytesOf(body: StorageBody): Uint8Array | AsyncIterable<Uint8Array> {
  if (typeof body === 'string') return asBuffer(new TextEncoder().encode(body))
  if (body instanceof Uint8Array || Symbol.asyncIterator in Object(body)) return body
  throw new ValidationError(`object body: expected bytes, text or a stream of bytes, got ${typeof body}`)
}

function assertNames(bucket: string, key?: string): void {
  if (typeof bucket !== 'string' || bucket === '') {
    throw new ValidationError(`bucket: expected a name, got ${JSON.stringify(bucket)}`)
  }
  if (key !== undefined && (typeof key !== 'string' || key === '')) {
    throw new ValidationError(`key in bucket ${bucket}: expected text that is not empty, got ${JSON.stringify(key)}`)
  }
}
