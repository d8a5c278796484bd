/**
 * quern's own store: `root/<bucket>/<key>`, with keys no file system can hold kept aside (localhost-layout.ts).
 *
 * Invariants: whoever changes a key holds its lock, so conditions are exact between processes; readers take none and
 * see whole objects, because a body is renamed into its place. A key lies in one place from its first put to its
 * delete. Unless `fsync` is set, writes are not flushed to disk: they survive a process's death, not the machine's.
 */
import fs from 'node:fs'
import { dirname, resolve } from 'node:path'
import { compareUtf8 } from '../core/bytes.ts'
import { NotFoundError, type StorageContext, StorageError, ValidationError } from '../core/errors.ts'
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
import {
  createFile,
  errnoOf,
  fileError,
  fillFile,
  headOfFile,
  readFile,
  statIfFile,
  storedVersion,
  sweepFolder,
  temporaryName,
  writeSmallFile,
} from './file-io.ts'
import { withFileLock } from './file-lock.ts'
import { pages, walkFiles } from './file-walk.ts'
import { flushFile, flushNames } from './flush.ts'
import { HIDDEN_FOLDER, keptAside, moveAside, moveInPlace, placesOf, prepareBucket, prune } from './localhost-layout.ts'

/** Bodies up to here are written at once. */
const SMALL_BYTES = 64 * 1024

/** A store in one folder, for all processes of this machine. `contentType` has no place in a file and is not kept. */
export class LocalhostBackend implements StorageBackend {
  readonly name = 'localhost'
  readonly reach: Reach = 'machine'
  readonly capabilities: StorageCapabilities = { writable: true, conditionalPut: true, pin: 'version', anyKey: true }
  readonly #root: string
  readonly #fsync: boolean

  /** `fsync`: a put has reached the disk when it is answered. */
  constructor({ root, fsync = false }: { readonly root: string; readonly fsync?: boolean | undefined }) {
    this.#root = resolve(root)
    this.#fsync = fsync
  }

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const context = this.#context('get', bucket, key)
    const places = placesOf(this.#folder(bucket), key)
    if (places.plain !== undefined) {
      try {
        return await readFile(places.plain, options, context, storedVersion)
      } catch (error) {
        if (!(error instanceof NotFoundError)) throw error
      }
    }
    try {
      return await readFile(places.body, options, context, storedVersion)
    } catch (error) {
      throw error instanceof NotFoundError ? this.#missing(context, bucket) : error
    }
  }

  async put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<ObjectHead> {
    const context = this.#context('put', bucket, key)
    options.signal?.throwIfAborted()
    const folder = this.#folder(bucket)
    const temporary = `${folder}/${HIDDEN_FOLDER}/tmp/${temporaryName()}`
    if (body instanceof Uint8Array && body.length <= SMALL_BYTES) {
      await this.#create(() => writeSmallFile(temporary, body), bucket, context)
    } else {
      const file = await this.#create(() => createFile(temporary), bucket, context)
      await fillFile(file, temporary, body, options.signal, context)
    }
    try {
      if (this.#fsync) await flushFile(temporary)
      const places = placesOf(folder, key)
      const put = await withFileLock(places.lock, context, () => {
        const plain = places.plain === undefined ? undefined : statIfFile(places.plain, context)
        const present = plain ?? statIfFile(places.body, context)
        assertPutCondition(options, present && storedVersion(present), context)
        const aside = places.plain === undefined || (present !== undefined && plain === undefined)
        const path = !aside && moveInPlace(temporary, places.plain) ? places.plain : moveAside(temporary, places, key)
        return { path, head: headOfFile(key, fs.statSync(path, { bigint: true }), storedVersion) }
      })
      if (this.#fsync && put.path === places.body) await flushFile(`${places.aside}/key`)
      if (this.#fsync) await flushNames(put.path, this.#root)
      return put.head
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      this.#assertBucket(context, bucket)
      throw fileError(error, context)
    }
  }

  async head(bucket: string, key: string, options: { signal?: AbortSignal | undefined } = {}): Promise<ObjectHead> {
    options.signal?.throwIfAborted()
    const context = this.#context('head', bucket, key)
    const { plain, body } = placesOf(this.#folder(bucket), key)
    const stat = (plain === undefined ? undefined : statIfFile(plain, context)) ?? statIfFile(body, context)
    if (stat === undefined) throw this.#missing(context, bucket)
    return headOfFile(key, stat, storedVersion)
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix = '', startAfter, signal } = options
    signal?.throwIfAborted()
    const context = this.#context('list', bucket)
    this.#assertBucket(context, bucket)
    const root = this.#folder(bucket)
    const plain = walkFiles({ root, prefix, startAfter, hidden: HIDDEN_FOLDER, versionOf: storedVersion, context })
    yield* pages(merged(plain, keptAside(root, prefix, startAfter, context)), signal)
  }

  async delete(
    bucket: string,
    keys: readonly string[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const folder = this.#folder(bucket)
    this.#assertBucket(this.#context('delete', bucket), bucket)
    prepareBucket(folder)
    // folders that lost a file: looked at once, since keys that are deleted together often lie together
    const thinned = new Set<string>()
    try {
      for (const key of keys) {
        options.signal?.throwIfAborted()
        const thinner = await this.#remove(folder, key, this.#context('delete', bucket, key))
        if (thinner !== undefined) thinned.add(thinner)
      }
    } finally {
      for (const each of thinned) prune(each, folder)
    }
  }

  async headBucket(bucket: string): Promise<void> {
    this.#assertBucket(this.#context('headBucket', bucket), bucket)
  }

  async createBucket(bucket: string): Promise<void> {
    const folder = this.#folder(bucket)
    try {
      fs.mkdirSync(folder, { recursive: true })
      prepareBucket(folder)
    } catch (error) {
      throw fileError(error, this.#context('createBucket', bucket))
    }
  }

  async deleteBucket(bucket: string): Promise<void> {
    const context = this.#context('deleteBucket', bucket)
    const folder = this.#folder(bucket)
    for await (const page of this.list(bucket)) {
      throw new StorageError('PRECONDITION_FAILED', `the bucket holds ${page[0]?.key}`, context)
    }
    try {
      fs.rmSync(`${folder}/${HIDDEN_FOLDER}`, { recursive: true, force: true })
      fs.rmdirSync(folder)
    } catch (error) {
      if (errnoOf(error) !== 'ENOTEMPTY') throw fileError(error, context)
      throw new StorageError('PRECONDITION_FAILED', 'the bucket is not empty', { ...context, cause: error })
    }
  }

  async sweep(bucket: string): Promise<void> {
    sweepFolder(`${this.#folder(bucket)}/${HIDDEN_FOLDER}/tmp`, this.#context('sweep', bucket))
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }

  /** Gives the folder that has lost a file. */
  async #remove(bucketFolder: string, key: string, context: StorageContext): Promise<string | undefined> {
    const { plain, aside, body, lock } = placesOf(bucketFolder, key)
    try {
      return await withFileLock(lock, context, () => {
        const isPlain = plain !== undefined && statIfFile(plain, context) !== undefined
        if (isPlain) fs.unlinkSync(plain)
        if (fs.existsSync(aside)) {
          fs.rmSync(body, { force: true })
          fs.rmSync(aside, { recursive: true, force: true })
        }
        return isPlain ? dirname(plain) : undefined
      })
    } catch (error) {
      throw fileError(error, context)
    }
  }

  /** `make` makes a file below the hidden folder, which may have to be made first. */
  async #create<T>(make: () => T | Promise<T>, bucket: string, context: StorageContext): Promise<T> {
    try {
      return await make()
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw fileError(error, context)
    }
    this.#assertBucket(context, bucket)
    try {
      prepareBucket(this.#folder(bucket))
      return await make()
    } catch (error) {
      throw fileError(error, context)
    }
  }

  #context(operation: string, bucket: string, key?: string): StorageContext {
    return { backend: this.name, operation, bucket, ...(key === undefined ? {} : { key }) }
  }

  #folder(bucket: string): string {
    if (bucket === '' || bucket === '.' || bucket === '..' || /[/\0]/.test(bucket)) {
      throw new ValidationError(`localhost bucket: expected a folder name, got ${JSON.stringify(bucket)}`)
    }
    return `${this.#root}/${bucket}`
  }

  #assertBucket(context: StorageContext, bucket: string): void {
    const stat = fs.statSync(this.#folder(bucket), { throwIfNoEntry: false })
    if (stat?.isDirectory() !== true) throw new NotFoundError('no such bucket', context)
  }

  #missing(context: StorageContext, bucket: string): NotFoundError {
    this.#assertBucket(context, bucket)
    return new NotFoundError('no such key', context)
  }
}

function* merged(plain: Iterable<ObjectHead>, aside: readonly ObjectHead[]): Generator<ObjectHead> {
  let next = 0
  for (const head of plain) {
    for (let other = aside[next]; other !== undefined; other = aside[++next]) {
      const order = compareUtf8(other.key, head.key)
      if (order > 0) break
      if (order < 0) yield other
    }
    yield head
  }
  yield* aside.slice(next)
}
