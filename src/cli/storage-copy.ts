/**
 * Copies objects between any two stores: each is streamed, held to the version that was found, and appears whole or not
 * at all. One that fails hinders no other.
 *
 * - Memory: 8 MiB at most are held of a small object, what the destination's upload in parts holds of a large one.
 * - A stream is put once by the layers below, since they cannot read it twice. Here it can be: it is read again.
 * - No two objects land on one key, no key leads out of a local folder, and no copy selects itself again.
 */
import type { Located } from '../../partitioner/reference.ts'
import { collectBytes } from '../core/bytes.ts'
import { objectUrl } from '../core/cloud-object.ts'
import { isTransient, ValidationError } from '../core/errors.ts'
import type { BackendResolver, ObjectHead, StorageBackend } from '../storage/backend.ts'
import { localPath } from '../storage/local-path.ts'
import { UsageError } from './failures.ts'
import { inLanes } from './in-lanes.ts'
import { type Destination, type Found, findPages, lastName, selects, urlOf } from './storage-references.ts'

const SMALL_BYTES = 8 << 20
/** Of an object that is streamed. */
const STREAM_TRIES = 3

export interface Copy {
  readonly found: Found
  readonly destination: string
}

export interface Copied extends Copy {
  readonly bytes: number
  /** The destination does not know it: contracts of stores have no place for it. */
  readonly lostEncoding?: string | undefined
}

export interface CopyListener {
  /** What was found so far. */
  planned(objects: number, bytes: number): void
  started(copy: Copy): void
  /** Bytes of it so far. */
  progress(copy: Copy, bytes: number): void
  copied(copy: Copied): void | Promise<void>
  failed(copy: Copy, error: unknown): void | Promise<void>
  /** A folder marker, which a file system has no use for. */
  skipped(found: Found): void
}

export interface CopyRequest {
  readonly sources: readonly Located[]
  readonly destination: Destination
  readonly resolve: BackendResolver
  readonly concurrency: number
  readonly signal: AbortSignal
  readonly listener: CopyListener
}

/** @throws what finding the sources throws, after what had begun has ended */
export async function copyObjects(request: CopyRequest): Promise<void> {
  const { destination, resolve, concurrency, signal } = request
  const to = await resolve(destination.backend)
  const places = new Places(request)
  await inLanes(foundIn(request), concurrency, async (found) => {
    if (signal.aborted) return
    await copyOne(found, places, to, request)
  })
  signal.throwIfAborted()
}

async function* foundIn(request: CopyRequest): AsyncGenerator<Found> {
  const { sources, resolve, destination, signal, listener } = request
  let objects = 0
  let bytes = 0
  for (const source of sources) {
    for await (const page of findPages(source, resolve, { folders: source.backend === 'file', signal })) {
      const wanted = destination.backend === 'file' ? page.filter((found) => !isMarker(found)) : page
      for (const found of page) if (!wanted.includes(found)) listener.skipped(found)
      objects += wanted.length
      bytes += wanted.reduce((sum, { head }) => sum + head.size, 0)
      listener.planned(objects, bytes)
      yield* wanted
    }
  }
}

async function copyOne(found: Found, places: Places, to: StorageBackend, request: CopyRequest): Promise<void> {
  const { destination, resolve, signal, listener } = request
  let copy: Copy = { found, destination: objectUrl(destination.backend, destination.bucket, destination.key) }
  let begun = false
  try {
    const key = places.of(found)
    copy = { found, destination: objectUrl(destination.backend, destination.bucket, key) }
    await places.assertAlone(found, key)
    listener.started(copy)
    begun = true
    const from = await resolve(found.backend)
    const { head, bytes } = await copyBytes(from, to, found, { bucket: destination.bucket, key }, signal, (sofar) =>
      listener.progress(copy, sofar),
    )
    const lostEncoding = destination.backend === 'file' ? undefined : head.contentEncoding
    await listener.copied({ ...copy, bytes, ...(lostEncoding === undefined ? {} : { lostEncoding }) })
  } catch (error) {
    if (error instanceof UsageError) throw error
    if (!begun) listener.started(copy)
    await listener.failed(copy, error)
  }
}

async function copyBytes(
  from: StorageBackend,
  to: StorageBackend,
  { bucket, head }: Found,
  target: { readonly bucket: string; readonly key: string },
  signal: AbortSignal,
  progress: (bytes: number) => void,
): Promise<{ head: ObjectHead; bytes: number }> {
  const ifMatch = from.capabilities.pin === 'none' || head.etag === '' ? undefined : head.etag
  for (let tries = 1; ; tries++) {
    const reading = await from.get(bucket, head.key, { ifMatch, signal })
    const { contentType, size, sizeUnknown } = reading.head
    let bytes = 0
    const body = counted(reading.body, (length) => {
      bytes += length
      progress(bytes)
    })
    const isSmall = sizeUnknown !== true && size <= SMALL_BYTES
    try {
      await to.put(target.bucket, target.key, isSmall ? await collectBytes(body) : body, { contentType, signal })
      return { head: reading.head, bytes }
    } catch (error) {
      // what was never begun keeps its connection until it is
      if (bytes === 0) await leave(reading.body).catch(() => undefined)
      if (isSmall || tries === STREAM_TRIES || signal.aborted || !isTransient(error)) throw error
    }
  }
}

async function* counted(body: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    count(chunk.length)
    yield chunk
  }
}

async function leave(body: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of body) return
}

function isMarker({ head }: Found): boolean {
  return head.size === 0 && head.sizeUnknown !== true && head.key.endsWith('/')
}

/** Which key each object gets. */
class Places {
  readonly #request: CopyRequest
  readonly #selected: readonly { readonly source: Located; readonly matches: (key: string) => boolean }[]
  /** What may be met twice: of several sources all, of one those whose path a file system writes in another way. */
  readonly #taken = new Set<string>()

  constructor(request: CopyRequest) {
    this.#request = request
    const { backend, bucket } = request.destination
    const same = request.sources.filter((source) => source.backend === backend && source.bucket === bucket)
    this.#selected = same.map((source) => ({ source, matches: selects(source) }))
  }

  /** @throws ValidationError for a key that leads out of the folder; UsageError where a copy would be a source */
  of(found: Found): string {
    const { destination } = this.#request
    const key = this.#keyOf(found)
    for (const { source, matches } of this.#selected) {
      if (!matches(key) && !liesIn(source, key)) continue
      throw new UsageError(`${source.text} would be copied into itself, as ${key} in ${destination.bucket}`)
    }
    return key
  }

  #keyOf(found: Found): string {
    const { destination } = this.#request
    const { backend, key, isFolder } = destination
    const relative = found.relative === '' || found.backend === 'http' ? lastName(found) : found.relative
    if (relative === '') throw new ValidationError(`${urlOf(found)} has no name of its own: say where it is put`)
    if (!isFolder) return key
    return backend === 'file' ? localPath(`/${key}`, relative).slice(1) : key + relative
  }

  /** @throws ValidationError where another object is put on the same key */
  async assertAlone(found: Found, key: string): Promise<void> {
    const { sources, destination, resolve, signal } = this.#request
    const twin = destination.backend === 'file' && destination.isFolder ? plainTwin(found) : undefined
    if (sources.length === 1 && twin === undefined) return
    const isTaken = this.#taken.has(key)
    this.#taken.add(key)
    const backend = await resolve(found.backend)
    const meets = isTaken || (twin !== undefined && (await isThere(backend, found.bucket, twin, signal)))
    if (meets) throw new ValidationError(`${urlOf(found)} would be put where another object of this copy is: /${key}`)
  }
}

/** A directory that is named without its final "/". */
function liesIn({ backend, target }: Located, key: string): boolean {
  return backend === 'file' && target.type === 'key' && key.startsWith(`${target.key}/`)
}

/** The key that lands on the same file, for one with empty or `.` segments, which vanish in paths. */
function plainTwin({ relative, head }: Found): string | undefined {
  const plain = relative
    .split('/')
    .filter((segment) => segment !== '' && segment !== '.')
    .join('/')
  return plain === relative ? undefined : head.key.slice(0, head.key.length - relative.length) + plain
}

async function isThere(backend: StorageBackend, bucket: string, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    await backend.head(bucket, key, { signal })
    return true
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'NOT_FOUND') return false
    throw error
  }
}
