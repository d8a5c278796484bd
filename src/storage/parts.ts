/**
 * A body regrouped for upload: pieces of one size whatever its chunks are, only the last one smaller, so that what is
 * held of it at a time is bounded.
 */
import { type StorageContext, StorageError } from '../core/errors.ts'

export type Body = Uint8Array | AsyncIterable<Uint8Array>

export const PART_BYTES = 8 << 20
/** Longest stream that is collected for a put which must be one request. */
export const CONDITIONAL_STREAM_BYTES = 64 << 20
/** Parts grow by 8 MiB every 1,000, as S3 takes 10,000 of them: up to 440 GiB. */
const PARTS_OF_A_SIZE = 1_000

/** Pieces of 8 MiB, growing every 1,000; none for no bytes. */
export async function* partsOf(body: Body): AsyncGenerator<Uint8Array, undefined> {
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
  return undefined
}

/** The whole body. @throws StorageError UNSUPPORTED, saying `what`, for a stream of more than `limitBytes` */
export async function collectUpTo(
  limitBytes: number,
  body: Body,
  what: string,
  context: StorageContext,
): Promise<Uint8Array> {
  if (body instanceof Uint8Array) return body
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > limitBytes) throw new StorageError('UNSUPPORTED', what, context)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
