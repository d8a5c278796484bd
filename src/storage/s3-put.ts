/**
 * Puts to S3: one request up to 8 MiB, parts above that, so memory stays bounded however long a body is. A failed
 * upload is aborted: its parts are not kept and the old object stays.
 *
 * Conditional puts are always one request, since not every S3-compatible store checks conditions when parts are joined
 * (Ceph 16 does not); a streamed body is collected for it, up to 64 MiB.
 */
import type { CompletedPart, S3Client } from '@aws-sdk/client-s3'
import { type StorageContext, StorageError } from '../core/errors.ts'
import type { ObjectHead, PutOptions } from './backend.ts'
import { type S3Condition, s3Error } from './s3-errors.ts'

const PART_BYTES = 8 << 20
/** Parts grow by 8 MiB every 1,000, as S3 takes 10,000 of them: up to 440 GiB. */
const PARTS_OF_A_SIZE = 1_000
const MAX_PARTS = 10_000
const PARTS_IN_FLIGHT = 3
const MAX_CONDITIONAL_STREAM_BYTES = 64 << 20

export interface S3Target {
  readonly sdk: typeof import('@aws-sdk/client-s3')
  readonly client: S3Client
  readonly bucket: string
  readonly key: string
  readonly context: StorageContext
  head(): Promise<ObjectHead>
}

type Body = Uint8Array | AsyncIterable<Uint8Array>

/** @throws what the contract's `put` throws; a body's own error as it is */
export async function putS3Object(target: S3Target, body: Body, options: PutOptions): Promise<ObjectHead> {
  options.signal?.throwIfAborted()
  const conditional = options.ifAbsent === true || options.ifMatch !== undefined
  if (conditional) return putConditionally(target, await collectForCondition(body, target.context), options)
  if (body instanceof Uint8Array && body.length <= PART_BYTES) return putWhole(target, body, options)
  const parts = partsOf(body)
  const first = await parts.next()
  const bytes = first.done === true ? new Uint8Array(0) : first.value
  if (bytes.length < PART_BYTES) return putWhole(target, bytes, options)
  return putInParts(target, bytes, parts, options)
}

/**
 * Stores differ in how they take the etag of an If-Match on a put: quoted as S3 gives it, or bare (Ceph). Bare is tried
 * only when the quoted one fails although the object has that very etag; both tries are atomic by themselves.
 */
async function putConditionally(target: S3Target, bytes: Uint8Array, options: PutOptions): Promise<ObjectHead> {
  const { ifMatch } = options
  try {
    return await putWhole(target, bytes, options)
  } catch (error) {
    const refused = error instanceof StorageError && error.code === 'PRECONDITION_FAILED'
    if (!refused || ifMatch === undefined || error.status !== 412 || !ifMatch.includes('"')) throw error
    if ((await etagNow(target)) !== ifMatch) throw error
    return putWhole(target, bytes, { ...options, ifMatch: ifMatch.replaceAll('"', '') })
  }
}

async function etagNow(target: S3Target): Promise<string | undefined> {
  try {
    return (await target.head()).etag
  } catch (error) {
    if (error instanceof StorageError && error.code === 'NOT_FOUND') return undefined
    throw error
  }
}

async function putWhole(target: S3Target, bytes: Uint8Array, options: PutOptions): Promise<ObjectHead> {
  const { sdk, client, bucket, key, context } = target
  const { ifAbsent, ifMatch, signal } = options
  const condition: S3Condition | undefined =
    ifMatch !== undefined ? 'putIfMatch' : ifAbsent === true ? 'putIfAbsent' : undefined
  const command = new sdk.PutObjectCommand({
    Bucket: bucket,
    Key: key,
    Body: bytes,
    ContentLength: bytes.length,
    ...contentTypeOf(options),
    ...(ifAbsent === true ? { IfNoneMatch: '*' } : {}),
    ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
  })
  try {
    const output = await client.send(command, signal === undefined ? {} : { abortSignal: signal })
    return { key, size: bytes.length, etag: output.ETag ?? '', lastModified: Date.now(), ...putType(options) }
  } catch (error) {
    throw s3Error(error, context, { condition, signal })
  }
}

async function putInParts(
  target: S3Target,
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<ObjectHead> {
  const { sdk, client, bucket, key, context } = target
  const { signal } = options
  const object = { Bucket: bucket, Key: key }
  const how = signal === undefined ? {} : { abortSignal: signal }
  const call = async <T>(request: Promise<T>): Promise<T> => {
    try {
      return await request
    } catch (error) {
      throw s3Error(error, context, { signal })
    }
  }
  const created = await call(
    client.send(new sdk.CreateMultipartUploadCommand({ ...object, ...contentTypeOf(options) }), how),
  )
  const upload = { ...object, UploadId: created.UploadId }
  const send = async (bytes: Uint8Array, PartNumber: number): Promise<CompletedPart> => {
    const part = { ...upload, PartNumber, Body: bytes, ContentLength: bytes.length }
    const { ETag } = await call(client.send(new sdk.UploadPartCommand(part), how))
    return { PartNumber, ...(ETag === undefined ? {} : { ETag }) }
  }
  const flight = new Set<Promise<CompletedPart>>()
  try {
    const parts: Promise<CompletedPart>[] = []
    let size = 0
    const start = async (bytes: Uint8Array) => {
      if (parts.length === MAX_PARTS)
        throw new StorageError('UNSUPPORTED', `more than ${size} bytes in one put`, context)
      size += bytes.length
      const part = send(bytes, parts.length + 1)
      parts.push(part)
      flight.add(part)
      part.then(
        () => flight.delete(part),
        () => undefined,
      )
      if (flight.size >= PARTS_IN_FLIGHT) await Promise.race(flight)
    }
    await start(first)
    for await (const bytes of rest) await start(bytes)
    const MultipartUpload = { Parts: await Promise.all(parts) }
    const joined = await call(client.send(new sdk.CompleteMultipartUploadCommand({ ...upload, MultipartUpload }), how))
    // Ceph answers with no etag
    const etag = joined.ETag === undefined || joined.ETag === '' ? (await target.head()).etag : joined.ETag
    return { key, size, etag, lastModified: Date.now(), ...putType(options) }
  } catch (error) {
    await Promise.allSettled(flight)
    await abandon(target, upload)
    throw error
  }
}

/** Best effort: what made the upload fail is what the caller must see. */
async function abandon(
  { sdk, client }: S3Target,
  upload: { Bucket: string; Key: string; UploadId: string | undefined },
): Promise<void> {
  await client.send(new sdk.AbortMultipartUploadCommand(upload)).catch(() => undefined)
}

/** Regroups a body into parts: all as large as their place asks for, only the last one smaller; none for no bytes. */
async function* partsOf(body: Body): AsyncGenerator<Uint8Array> {
  let held: Uint8Array[] = []
  let heldBytes = 0
  let count = 0
  const wanted = () => PART_BYTES * (1 + Math.floor(count / PARTS_OF_A_SIZE))
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    let rest = chunk
    while (heldBytes + rest.length >= wanted()) {
      const taken = wanted() - heldBytes
      yield held.length === 0 ? rest.subarray(0, taken) : Buffer.concat([...held, rest.subarray(0, taken)])
      count += 1
      rest = rest.subarray(taken)
      held = []
      heldBytes = 0
    }
    if (rest.length > 0) held.push(rest)
    heldBytes += rest.length
  }
  if (heldBytes > 0) yield Buffer.concat(held)
}

async function collectForCondition(body: Body, context: StorageContext): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_CONDITIONAL_STREAM_BYTES) {
      throw new StorageError('UNSUPPORTED', 'a conditional put of a stream takes at most 64 MiB', context)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function contentTypeOf({ contentType }: PutOptions): { ContentType?: string } {
  return contentType === undefined ? {} : { ContentType: contentType }
}

function putType({ contentType }: PutOptions): { contentType?: string } {
  return contentType === undefined ? {} : { contentType }
}
