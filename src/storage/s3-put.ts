/**
 * Puts in S3's dialect, whichever client sends them: one request up to 8 MiB, parts above that, so memory stays bounded
 * however long a body is. A part that fails is sent again by itself, as long as `patiently` does; an upload that fails
 * for good is aborted: its parts are not kept and the old object stays.
 *
 * Conditional puts are always one request, since not every S3-compatible store checks conditions when parts are joined
 * (Ceph 16 does not); a streamed body is collected for it, up to 64 MiB.
 */
import { type StorageContext, StorageError } from '../core/errors.ts'
import { type ObjectHead, once, type PutOptions } from './backend.ts'
import { type Body, CONDITIONAL_STREAM_BYTES, collectUpTo, PART_BYTES, partsOf } from './parts.ts'

const MAX_PARTS = 10_000
const PARTS_IN_FLIGHT = 3

type Signal = AbortSignal | undefined

/** The requests a put is made of, to one key; `P` is what is kept of a part. They throw what the contract's `put` throws. */
export interface PutRequests<P> {
  readonly key: string
  readonly context: StorageContext
  head(): Promise<ObjectHead>
  /** One request, which honours the conditions; gives the etag. */
  putWhole(bytes: Uint8Array, options: PutOptions): Promise<string>
  /** Begins an upload in parts; gives its id. */
  begin(options: PutOptions): Promise<string>
  /** Parts are counted from 1. */
  putPart(uploadId: string, partNumber: number, bytes: Uint8Array, signal: Signal): Promise<P>
  /** Makes the object of its parts; gives its etag, empty where the store does not tell it. */
  join(uploadId: string, parts: readonly P[], signal: Signal): Promise<string>
  /** Forgets the parts. */
  abandon(uploadId: string): Promise<void>
}

/** @throws what the contract's `put` throws; a body's own error as it is */
export async function putS3Object<P>(requests: PutRequests<P>, body: Body, options: PutOptions): Promise<ObjectHead> {
  options.signal?.throwIfAborted()
  if (options.ifAbsent === true || options.ifMatch !== undefined) {
    const what = 'a conditional put of a stream takes at most 64 MiB'
    const bytes = await collectUpTo(CONDITIONAL_STREAM_BYTES, body, what, requests.context)
    return written(requests, bytes.length, await putConditionally(requests, bytes, options), options)
  }
  if (body instanceof Uint8Array && body.length <= PART_BYTES) {
    return written(requests, body.length, await requests.putWhole(body, options), options)
  }
  const parts = partsOf(body)
  const first = await parts.next()
  const bytes = first.done === true ? new Uint8Array(0) : first.value
  if (bytes.length < PART_BYTES) {
    const etag = await (options.patiently ?? once)(() => requests.putWhole(bytes, options), options.signal)
    return written(requests, bytes.length, etag, options)
  }
  return putInParts(requests, bytes, parts, options)
}

/**
 * Stores differ in how they take the etag of an If-Match on a put: quoted as S3 gives it, or bare (Ceph). Bare is tried
 * only when the quoted one fails although the object has that very etag; both tries are atomic by themselves.
 */
async function putConditionally<P>(requests: PutRequests<P>, bytes: Uint8Array, options: PutOptions): Promise<string> {
  const { ifMatch } = options
  try {
    return await requests.putWhole(bytes, options)
  } catch (error) {
    const refused = error instanceof StorageError && error.code === 'PRECONDITION_FAILED'
    if (!refused || ifMatch === undefined || error.status !== 412 || !ifMatch.includes('"')) throw error
    if ((await etagNow(requests)) !== ifMatch) throw error
    return requests.putWhole(bytes, { ...options, ifMatch: ifMatch.replaceAll('"', '') })
  }
}

async function etagNow<P>(requests: PutRequests<P>): Promise<string | undefined> {
  try {
    return (await requests.head()).etag
  } catch (error) {
    if (error instanceof StorageError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

/**
 * The etag of what was joined. An answer may be lost, and the upload be gone when it is asked to be joined again: then
 * the object is looked at, whose etag tells of how many parts it was made.
 */
async function join<P>(
  requests: PutRequests<P>,
  { uploadId, parts, size }: { readonly uploadId: string; readonly parts: readonly P[]; readonly size: number },
  { signal, patiently = once }: PutOptions,
): Promise<string> {
  let failure: unknown
  const joined = await patiently(async () => {
    try {
      return await requests.join(uploadId, parts, signal)
    } catch (error) {
      const isGone = error instanceof StorageError && error.code === 'NOT_FOUND'
      if (failure === undefined || !isGone) {
        failure = error
        throw error
      }
      const made = await requests.head()
      if (made.size !== size || !made.etag.endsWith(`-${parts.length}"`)) throw failure
      return made.etag
    }
  }, signal)
  // Ceph answers with no etag
  return joined === '' ? (await patiently(() => requests.head(), signal)).etag : joined
}

async function putInParts<P>(
  requests: PutRequests<P>,
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<ObjectHead> {
  const { context } = requests
  const { signal, patiently = once } = options
  const uploadId = await patiently(() => requests.begin(options), signal)
  const flight = new Set<Promise<P>>()
  // when one part fails for good, the others are not tried any longer
  const failed = new AbortController()
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  try {
    const sent: Promise<P>[] = []
    let size = 0
    const start = async (bytes: Uint8Array) => {
      if (sent.length === MAX_PARTS)
        throw new StorageError('UNSUPPORTED', `more than ${size} bytes in one put`, context)
      size += bytes.length
      const partNumber = sent.length + 1
      const part = patiently(() => requests.putPart(uploadId, partNumber, bytes, either), either)
      sent.push(part)
      flight.add(part)
      part.then(
        () => flight.delete(part),
        () => undefined,
      )
      if (flight.size >= PARTS_IN_FLIGHT) await Promise.race(flight)
    }
    await start(first)
    for await (const bytes of rest) await start(bytes)
    const etag = await join(requests, { uploadId, parts: await Promise.all(sent), size }, options)
    return written(requests, size, etag, options)
  } catch (error) {
    failed.abort(error)
    await Promise.allSettled(flight)
    // best effort: what made the upload fail is what the caller must see
    await requests.abandon(uploadId).catch(() => undefined)
    throw error
  }
}

function written<P>({ key }: PutRequests<P>, size: number, etag: string, { contentType }: PutOptions): ObjectHead {
  const head = { key, size, etag, lastModified: Date.now() }
  return contentType === undefined ? head : { ...head, contentType }
}
