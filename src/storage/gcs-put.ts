/**
 * Puts to Google Cloud Storage: one request up to 8 MiB, a resumable session of 8 MiB pieces above that, so memory stays
 * bounded however long a body is. A session whose length is told only with its last piece makes no object before: one
 * that fails for good is cancelled, and the old object stays; what of a piece was not kept is sent again.
 *
 * Conditional puts are one request, which the store checks as a whole; a streamed body is collected for it, up to 64 MiB.
 */
import { type StorageContext, StorageError } from '../core/errors.ts'
import { type ObjectHead, once, type Patiently, type PutOptions } from './backend.ts'
import { type GcsClient, textOf } from './gcs-client.ts'
import { headOfResource } from './gcs-head.ts'
import { type Body, CONDITIONAL_STREAM_BYTES, collectUpTo, PART_BYTES, partsOf } from './parts.ts'

/** Answers to the pieces of a session: there is more to come, or the object is made. */
const MORE = 308
const MADE = [200, 201]

export interface GcsTarget {
  readonly client: GcsClient
  readonly bucket: string
  readonly key: string
  readonly context: StorageContext
}

/** @throws what the contract's `put` throws; a body's own error as it is */
export async function putGcsObject(target: GcsTarget, body: Body, options: PutOptions): Promise<ObjectHead> {
  options.signal?.throwIfAborted()
  if (options.ifAbsent === true || options.ifMatch !== undefined) {
    const what = 'a conditional put of a stream takes at most 64 MiB'
    return putWhole(target, await collectUpTo(CONDITIONAL_STREAM_BYTES, body, what, target.context), options)
  }
  if (body instanceof Uint8Array && body.length <= PART_BYTES) return putWhole(target, body, options)
  const parts = partsOf(body)
  const first = await parts.next()
  const bytes = first.done === true ? new Uint8Array(0) : first.value
  const { patiently = once, signal } = options
  if (bytes.length < PART_BYTES) return patiently(() => putWhole(target, bytes, options), signal)
  return putInPieces(target, bytes, parts, options)
}

async function putWhole(target: GcsTarget, body: Uint8Array, options: PutOptions): Promise<ObjectHead> {
  const { client, bucket, key, context } = target
  const { ifAbsent, ifMatch, signal, contentType = 'application/octet-stream' } = options
  const url = client.uploadUrl(bucket, key)
  if (ifMatch !== undefined && !/^\d+$/.test(ifMatch)) {
    throw new StorageError('PRECONDITION_FAILED', `${ifMatch} is the generation of no object`, context)
  }
  const generation = ifAbsent === true ? '0' : ifMatch
  if (generation !== undefined) url.searchParams.set('ifGenerationMatch', generation)
  const condition = ifAbsent === true ? 'putIfAbsent' : 'putIfMatch'
  const headers = { 'content-type': contentType, 'content-length': `${body.length}` }
  const sent = await client.send({ method: 'POST', url, headers, body, expected: MADE, context, condition, signal })
  return headOfResource(JSON.parse(await textOf(sent, context, signal)))
}

async function putInPieces(
  target: GcsTarget,
  first: Uint8Array,
  rest: AsyncIterable<Uint8Array>,
  options: PutOptions,
): Promise<ObjectHead> {
  const { client, bucket, key, context } = target
  const { signal, contentType = 'application/octet-stream', patiently = once } = options
  const begin = () =>
    client.call(context, { signal }, (storage) =>
      storage.bucket(bucket).file(key).createResumableUpload({ metadata: { contentType } }),
    )
  const [uri] = await patiently(begin, signal)
  const session = { ...target, url: new URL(uri), signal, patiently }
  try {
    let start = 0
    let held = first
    for await (const bytes of rest) {
      await putPiece(session, held, start, undefined)
      start += held.length
      held = bytes
    }
    const made = await putPiece(session, held, start, start + held.length)
    if (made === undefined) throw new StorageError('STORAGE', 'the store asks for more than there is', context)
    return headOfResource(JSON.parse(made))
  } catch (error) {
    // best effort: what made the upload fail is what the caller must see
    const cancelled = { method: 'DELETE', url: session.url, expected: [200, 204, 404, 410, 499], context } as const
    await client.send(cancelled).then(
      (response) => response.resume(),
      () => undefined,
    )
    throw error
  }
}

interface Session extends GcsTarget {
  readonly url: URL
  readonly signal: AbortSignal | undefined
  readonly patiently: Patiently
}

interface Piece {
  readonly bytes: Uint8Array
  /** Where it begins in the object. */
  readonly start: number
  /** Of the object, told with the last piece. */
  readonly total: number | undefined
}

/** Sends a piece, and again what the store did not keep of it; the new object's resource when it was the last one. */
async function putPiece(
  session: Session,
  bytes: Uint8Array,
  start: number,
  total: number | undefined,
): Promise<string | undefined> {
  const piece = { bytes, start, total }
  let answer: PieceAnswer = { kept: start }
  while (answer.made === undefined) {
    const from: number = answer.kept
    let failed = false
    answer = await session.patiently(async () => {
      // what came of a try that failed only the store knows
      const now = failed ? await askKept(session, piece) : { kept: from }
      failed = true
      return now.made !== undefined || isAll(piece, now.kept) ? now : await sendFrom(session, piece, now.kept)
    }, session.signal)
    if (answer.made === undefined && isAll(piece, answer.kept)) return undefined
    const end = start + bytes.length
    if (answer.made === undefined && (answer.kept <= from || answer.kept >= end)) {
      const what = `the store kept ${answer.kept} bytes of an upload, ${from} were there`
      throw new StorageError('UNAVAILABLE', what, session.context)
    }
  }
  return answer.made
}

/** Bytes of the object that the store has, or the new object's resource. */
type PieceAnswer =
  | { readonly kept: number; readonly made?: undefined }
  | { readonly kept?: undefined; readonly made: string }

/** The last piece is not done with until the object is made. */
function isAll({ bytes, start, total }: Piece, kept: number): boolean {
  return total === undefined && kept === start + bytes.length
}

function sendFrom(session: Session, { bytes, start, total }: Piece, from: number): Promise<PieceAnswer> {
  const rest = bytes.subarray(from - start)
  return sendToSession(session, rest, `bytes ${from}-${from + rest.length - 1}/${total ?? '*'}`, total)
}

function askKept(session: Session, { total }: Piece): Promise<PieceAnswer> {
  return sendToSession(session, new Uint8Array(0), `bytes */${total ?? '*'}`, total)
}

async function sendToSession(
  { client, url, context, signal }: Session,
  body: Uint8Array,
  range: string,
  total: number | undefined,
): Promise<PieceAnswer> {
  const headers = { 'content-length': `${body.length}`, 'content-range': range }
  const expected = [MORE, ...MADE]
  const sent = await client.send({ method: 'PUT', url, headers, body, expected, context, signal })
  const text = await textOf(sent, context, signal)
  if (sent.statusCode === MORE) return { kept: Number(/^bytes=0-(\d+)$/.exec(sent.headers.range ?? '')?.[1] ?? -1) + 1 }
  if (total !== undefined) return { made: text }
  throw new StorageError('UNSUPPORTED', 'the store took the first pieces of an upload for the whole', context)
}
