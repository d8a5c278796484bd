/**
 * Whether a store really puts conditionally: put twice where nothing may be, then with an etag that is out of date. A
 * store that takes what it should refuse would let two attempts of a call win. Names no store.
 */
import { randomBytes } from 'node:crypto'
import { collectBytes } from '../core/bytes.ts'
import { QuernError } from '../core/errors.ts'
import type { StorageBackend } from './backend.ts'

/** Undefined when it can; otherwise what it did instead. */
export type Refusal = string | undefined

// a cache: what a store can does not change while it is connected, and it goes with its connection
const known = new WeakMap<StorageBackend, Map<string, Promise<Refusal>>>()

/**
 * Asks a bucket once per connection, and leaves nothing in it.
 * @throws NotFoundError (bucket), StorageError when it cannot be asked
 */
export function probeConditionalPuts(backend: StorageBackend, bucket: string): Promise<Refusal> {
  const buckets = known.get(backend) ?? new Map<string, Promise<Refusal>>()
  known.set(backend, buckets)
  const before = buckets.get(bucket)
  if (before !== undefined) return before
  const probed = probe(backend, bucket)
  buckets.set(bucket, probed)
  probed.catch(() => buckets.delete(bucket))
  return probed
}

async function probe(backend: StorageBackend, bucket: string): Promise<Refusal> {
  if (!backend.capabilities.writable) return 'it cannot be written to'
  if (!backend.capabilities.conditionalPut) return 'it has no conditional puts'
  const key = `quern.jobs/probe-${randomBytes(8).toString('hex')}`
  try {
    return await attempts(backend, bucket, key)
  } finally {
    await backend.delete(bucket, [key])
  }
}

async function attempts(backend: StorageBackend, bucket: string, key: string): Promise<Refusal> {
  const put = (text: string, condition: { ifAbsent?: true; ifMatch?: string }) =>
    attempt(() => backend.put(bucket, key, Buffer.from(text), condition))
  const first = await put('first', { ifAbsent: true })
  if (first === undefined) return 'it refused to put an object that was not there under that condition'
  if ((await put('second', { ifAbsent: true })) !== undefined) return 'it put over an object that had to be absent'
  const third = await put('third', { ifMatch: first.etag })
  if (third === undefined) return 'it refused to replace the version that was there'
  if (third.etag === first.etag) return 'it gave two versions of an object the same etag'
  if ((await put('fourth', { ifMatch: first.etag })) !== undefined) return 'it replaced a version that was out of date'
  const { body } = await backend.get(bucket, key)
  const text = Buffer.from(await collectBytes(body)).toString()
  return text === 'third' ? undefined : 'it refused a put and did it all the same'
}

/** Undefined where the condition was said not to hold. */
async function attempt<T>(request: () => Promise<T>): Promise<T | undefined> {
  try {
    return await request()
  } catch (error) {
    const code = error instanceof QuernError ? error.code : undefined
    if (code === 'ALREADY_EXISTS' || code === 'PRECONDITION_FAILED') return undefined
    throw error
  }
}
