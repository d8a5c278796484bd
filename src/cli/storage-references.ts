/**
 * What the references of `quern storage` mean, as everywhere in quern: a key, a prefix that ends in "/", a glob, a path.
 *
 * What is copied keeps its path from its base on: what lies under a prefix from there, what a glob finds from the last
 * "/" before its first wildcard, a directory named without a final "/" with its own name before it.
 */
import { statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Located, locate } from '../../partitioner/reference.ts'
import { objectUrl } from '../core/cloud-object.ts'
import { NotFoundError } from '../core/errors.ts'
import { globMatcher } from '../core/glob.ts'
import type { BackendResolver, ObjectHead } from '../storage/backend.ts'
import { UsageError } from './failures.ts'

/** One object that a reference selects. */
export interface Found {
  readonly backend: string
  readonly bucket: string
  readonly head: ObjectHead
  /** Its path from the base of its reference on. */
  readonly relative: string
}

export interface Destination {
  readonly backend: string
  readonly bucket: string
  /** Of an object, or what stands before the keys of all that is put there; of a folder of files its path. */
  readonly key: string
  readonly isFolder: boolean
}

/** @throws ConfigError, ValidationError; UsageError for a store that ends with this process */
export function locateStored(reference: string, cwd: string): Located {
  const located = locate(reference, cwd)
  if (located.backend === 'memory') {
    throw new UsageError(`${reference}: memory:// lives in one process, and this one has just begun: it is empty`)
  }
  return located
}

export function urlOf({ backend, bucket, head }: Pick<Found, 'backend' | 'bucket' | 'head'>): string {
  return objectUrl(backend, bucket, head.key)
}

/** Whether a key is one that the reference selects. */
export function selects({ target }: Located): (key: string) => boolean {
  if (target.type === 'glob') return globMatcher(target.glob)
  return target.type === 'prefix' ? (key) => key.startsWith(target.prefix) : (key) => key === target.key
}

/**
 * The objects of a reference page by page, in the store's order. With `folders` a key that is missing stands for what
 * lies under it.
 * @throws NotFoundError where there is none (an empty bucket gives no page)
 */
export async function* findPages(
  located: Located,
  resolveBackend: BackendResolver,
  options: { readonly folders: boolean; readonly signal: AbortSignal },
): AsyncGenerator<readonly Found[]> {
  const { backend, bucket, target, text } = located
  const { signal, folders } = options
  const store = await resolveBackend(backend)
  const found = (base: number) => (head: ObjectHead) => ({ backend, bucket, head, relative: head.key.slice(base) })
  if (target.type === 'key') {
    try {
      const head = await store.head(bucket, target.key, { signal })
      return yield [found(target.key.lastIndexOf('/') + 1)(head)]
    } catch (error) {
      if (!(error instanceof NotFoundError) || !folders || backend === 'http') throw withHint(error, located)
    }
  }
  const prefix = target.type === 'key' ? `${target.key}/` : target.prefix
  const base = (target.type === 'key' ? target.key : prefix).lastIndexOf('/') + 1
  const matches = target.type === 'glob' ? globMatcher(target.glob) : () => true
  let count = 0
  for await (const page of store.list(bucket, { prefix, signal })) {
    const matching = page.filter(({ key }) => matches(key)).map(found(base))
    count += matching.length
    if (matching.length > 0) yield matching
  }
  if (count > 0 || (target.type === 'prefix' && prefix === '')) return
  const context = { backend, operation: 'list', bucket, key: prefix }
  throw new NotFoundError(`nothing matches ${text}`, context)
}

/** The same, one by one. */
export async function* findObjects(...request: Parameters<typeof findPages>): AsyncGenerator<Found> {
  for await (const page of findPages(...request)) yield* page
}

/**
 * Where things are put: a folder where the reference ends in "/", names a bucket alone or a directory that is there.
 * Its characters are taken as they are: nothing in it is a glob.
 * @throws UsageError for a store that takes nothing
 */
export function locateDestination(reference: string, cwd: string): Destination {
  const { backend, bucket, target } = locateStored(reference, cwd)
  if (backend === 'http') throw new UsageError(`${reference}: nothing can be written to http(s) URLs`)
  if (backend === 'file') return fileDestination(reference, cwd)
  const key = target.type === 'glob' ? target.glob : target.type === 'key' ? target.key : target.prefix
  return { backend, bucket, key, isFolder: key === '' || key.endsWith('/') }
}

function fileDestination(reference: string, cwd: string): Destination {
  const path = /^file:/i.test(reference) ? fileURLToPath(reference) : resolve(cwd, reference)
  const isFolder = /(?:^|\/)\.{0,2}$/.test(reference) || isDirectory(path)
  const key = path.replace(/^\/+|\/+$/g, '')
  return { backend: 'file', bucket: '/', key, isFolder }
}

export function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false
}

/** The last name of a key; of a URL without its query. */
export function lastName({ backend, head }: Pick<Found, 'backend' | 'head'>): string {
  return basename(backend === 'http' ? head.key.replace(/[?#].*$/s, '') : head.key)
}

function withHint(error: unknown, { text, backend, bucket, target }: Located): unknown {
  if (!(error instanceof NotFoundError) || backend === 'http' || target.type !== 'key') return error
  const context = { backend, operation: 'head', bucket, key: target.key }
  return new NotFoundError(`there is no such object as ${text} (a prefix ends in "/")`, context)
}
