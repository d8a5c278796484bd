/**
 * The user's own files, verbatim: the one bucket is `/`, a key is an absolute path without its leading slash.
 *
 * Conditional puts are not claimed: other programs write here too, and know none of our locks. Keys a file system
 * cannot hold are refused by `put` and missing for everything else; `.` and `..` are never resolved.
 */
import fs from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { NotFoundError, type StorageContext, StorageError } from '../core/errors.ts'
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
import {
  createFile,
  errnoOf,
  fileError,
  fillFile,
  headOfFile,
  readFile,
  strictVersion,
  sweepFolder,
  temporaryName,
} from './file-io.ts'
import { isPathKey } from './file-keys.ts'
import { pages, walkFiles } from './file-walk.ts'

/** A folder made for a put may be removed again before the file is in it. */
const MKDIR_TRIES = 5

/** Files of this machine. `contentType` has no place in a file and is not kept. */
export class FileBackend implements StorageBackend {
  readonly name = 'file'
  readonly reach: Reach = 'machine'
  readonly capabilities: StorageCapabilities = { writable: true, conditionalPut: false, pin: 'version', anyKey: false }

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const context = this.#context('get', bucket, key)
    return readFile(existingPath(key, context), options, context, strictVersion)
  }

  async put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<ObjectHead> {
    const context = this.#context('put', bucket, key)
    if (options.ifAbsent === true || options.ifMatch !== undefined) {
      throw new StorageError('UNSUPPORTED', 'plain files have no conditional put (ifAbsent, ifMatch)', context)
    }
    if (!isPathKey(key)) throw new StorageError('UNSUPPORTED', 'a file system cannot hold this key', context)
    const path = `/${key}`
    const temporary = `${dirname(path)}/${temporaryName()}`
    options.signal?.throwIfAborted()
    const file = await createInFolder(temporary, context)
    await fillFile(file, temporary, body, options.signal, context)
    try {
      fs.renameSync(temporary, path)
      return headOfFile(key, fs.statSync(path, { bigint: true }), strictVersion)
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      throw putError(error, context)
    }
  }

  async head(bucket: string, key: string, options: { signal?: AbortSignal | undefined } = {}): Promise<ObjectHead> {
    options.signal?.throwIfAborted()
    const context = this.#context('head', bucket, key)
    const path = existingPath(key, context)
    try {
      const stat = await fs.promises.stat(path, { bigint: true })
      if (!stat.isFile()) throw new NotFoundError('not a regular file', context)
      return headOfFile(key, stat, strictVersion)
    } catch (error) {
      throw fileError(error, context)
    }
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix = '', startAfter, signal } = options
    signal?.throwIfAborted()
    const context = this.#context('list', bucket)
    yield* pages(walkFiles({ root: '', prefix, startAfter, versionOf: strictVersion, context }), signal)
  }

  async delete(
    bucket: string,
    keys: readonly string[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    for (const key of keys) {
      options.signal?.throwIfAborted()
      const context = this.#context('delete', bucket, key)
      if (!isPathKey(key)) continue
      try {
        await fs.promises.unlink(`/${key}`)
      } catch (error) {
        const code = errnoOf(error)
        if (code === 'EISDIR' || (code === 'EPERM' && isFolder(`/${key}`))) continue
        const mapped = fileError(error, context)
        if (!(mapped instanceof NotFoundError)) throw mapped
      }
    }
  }

  async headBucket(bucket: string): Promise<void> {
    this.#context('headBucket', bucket)
  }

  async createBucket(bucket: string): Promise<void> {
    if (bucket === '/') return
    throw new StorageError('UNSUPPORTED', 'files have the one bucket "/"', this.#named('createBucket', bucket))
  }

  async deleteBucket(bucket: string): Promise<void> {
    const context = this.#context('deleteBucket', bucket)
    throw new StorageError('UNSUPPORTED', 'files have the one bucket "/"', context)
  }

  async sweep(bucket: string, keys: readonly string[]): Promise<void> {
    const context = this.#context('sweep', bucket)
    for (const folder of new Set(keys.map((key) => dirname(`/${key}`)))) sweepFolder(folder, context)
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }

  #named(operation: string, bucket: string): StorageContext {
    return { backend: this.name, operation, bucket }
  }

  #context(operation: string, bucket: string, key?: string): StorageContext {
    const context = this.#named(operation, bucket)
    if (bucket !== '/') throw new NotFoundError('no such bucket: files have the one bucket "/"', context)
    return key === undefined ? context : { ...context, key }
  }
}

/** Makes the folder when that is what is missing. */
async function createInFolder(path: string, context: StorageContext): Promise<FileHandle> {
  for (let tries = 1; ; tries++) {
    try {
      return await createFile(path)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT' || tries === MKDIR_TRIES) throw putError(error, context)
    }
    try {
      fs.mkdirSync(dirname(path), { recursive: true })
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw putError(error, context)
    }
  }
}

function putError(error: unknown, context: StorageContext): unknown {
  const code = errnoOf(error)
  if (code !== 'ENOTDIR' && code !== 'EEXIST' && code !== 'EISDIR' && code !== 'ENOTEMPTY') {
    return fileError(error, context)
  }
  const what = 'a file and a folder of one name cannot be side by side in a file system'
  return new StorageError('UNSUPPORTED', what, { ...context, cause: error })
}

function isFolder(path: string): boolean {
  return fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

function existingPath(key: string, context: StorageContext): string {
  if (isPathKey(key)) return `/${key}`
  throw new NotFoundError('no such key: a file system cannot hold it, "." and ".." are not resolved', context)
}
