/**
 * References → objects, pinned: every object with the size and etag that every later read is held to. References in
 * the order given, keys in UTF-8 byte order within one, each object once. What is not there is an error that names
 * the reference, unless that was allowed: never a silently smaller job.
 */

import { precedesUtf8 } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { mapConcurrent } from '../src/core/concurrency.ts'
import { NotFoundError, ObjectChangedError } from '../src/core/errors.ts'
import { globMatcher } from '../src/core/glob.ts'
import type { BackendResolver, ObjectHead, StorageBackend } from '../src/storage/backend.ts'
import { listInParallel } from './listing/parallel.ts'
import { type Located, locate, type Target } from './reference.ts'
import { Gathered, type Selected, type SelectingOptions, type SelectionOptions } from './selected.ts'

const HEADS_AT_ONCE = 32

/** Looks references up. @throws as `selectObjects` */
export async function selectReferences(
  references: readonly (string | CloudObject)[],
  options: SelectionOptions,
  resolve: BackendResolver,
  how: SelectingOptions,
): Promise<Selected> {
  const located = references.map((reference) => locate(reference, how.cwd ?? process.cwd()))
  const gathered = new Gathered(options, references.length > 1, how.onProgress)
  const lookup: Lookup = { gathered, resolve, signal: how.signal }
  const heads = await mapConcurrent(located, HEADS_AT_ONCE, (reference) => headOf(reference, lookup))
  for (const [i, reference] of located.entries()) {
    const head = heads[i]
    if (head instanceof NotFoundError && !isDirectoryPath(reference)) missing(reference, head, gathered)
    else if (head === undefined || head instanceof NotFoundError) await list(reference, head, lookup)
    else gathered.take(reference.backend, reference.bucket, head)
  }
  gathered.progress()
  return gathered.selected(located.map(({ text }) => text))
}

interface Lookup {
  readonly gathered: Gathered
  readonly resolve: BackendResolver
  readonly signal: AbortSignal | undefined
}

/** The head of an exact key, or the error that it is missing; undefined for what has to be listed. */
async function headOf(
  { text, backend, bucket, target }: Located,
  { gathered, resolve, signal }: Lookup,
): Promise<ObjectHead | NotFoundError | undefined> {
  if (target.type !== 'key') return undefined
  const store = await resolve(backend)
  gathered.request(backend, 'head')
  try {
    const head = await store.head(bucket, target.key, { signal })
    checkVersion(text, store, bucket, target, head)
    return head
  } catch (error) {
    if (error instanceof NotFoundError) return error
    throw error
  }
}

async function list(reference: Located, absent: NotFoundError | undefined, lookup: Lookup): Promise<void> {
  const { gathered, resolve, signal } = lookup
  const { backend, bucket, target } = reference
  const matches = target.type === 'glob' ? globMatcher(target.glob) : () => true
  const store = await resolve(backend)
  const first = gathered.count
  let found = 0
  let previous = ''
  let sorted = true
  try {
    for await (const page of pagesOf(store, reference, lookup)) {
      signal?.throwIfAborted()
      for (const head of page) {
        if (!matches(head.key) || !gathered.wanted(head.key)) continue
        found += 1
        sorted &&= found === 1 || precedesUtf8(previous, head.key)
        previous = head.key
        gathered.take(backend, bucket, head)
      }
      gathered.progress()
    }
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    return missing(reference, error, gathered)
  }
  if (!sorted) gathered.sortFrom(first)
  if (found === 0) missing(reference, absent, gathered)
}

/** Where a page is a round trip, several at a time. */
async function* pagesOf(
  store: StorageBackend,
  { backend, bucket, target }: Located,
  { gathered, signal }: Lookup,
): AsyncGenerator<readonly ObjectHead[]> {
  const prefix = prefixOf(target)
  const onRequest = () => gathered.request(backend, 'list')
  if (store.reach === 'network') return yield* listInParallel(store, bucket, { prefix, signal, onRequest })
  for await (const page of store.list(bucket, { prefix, signal })) {
    onRequest()
    yield page
  }
}

function missing({ text, backend, bucket, target }: Located, cause: NotFoundError | undefined, gathered: Gathered) {
  const why = target.type === 'key' ? 'there is no such object' : 'nothing matches it'
  if (gathered.options.allowMissing === true) return gathered.skip(text, why)
  const hint = target.type === 'key' && backend !== 'http' ? ' (a prefix ends in "/")' : ''
  throw new NotFoundError(`the selection ${text}: ${why}${hint}; allowMissing: true would skip it`, {
    backend,
    operation: target.type === 'key' ? 'head' : 'list',
    bucket,
    key: target.type === 'key' ? target.key : prefixOf(target),
    cause,
  })
}

/** A path that is no file may be a directory: it need not end in "/" as a prefix must. */
function isDirectoryPath({ backend, target }: Located): boolean {
  return backend === 'file' && target.type === 'key' && target.etag === undefined
}

function prefixOf(target: Target): string {
  return target.type === 'key' ? `${target.key}/` : target.prefix
}

type Key = Extract<Target, { type: 'key' }>

function checkVersion(text: string, store: StorageBackend, bucket: string, { key, etag }: Key, head: ObjectHead): void {
  if (etag === undefined || etag === head.etag) return
  const what = `${text} was given with etag "${etag}", the store has "${head.etag}"`
  throw new ObjectChangedError(what, { backend: store.name, operation: 'head', bucket, key })
}
