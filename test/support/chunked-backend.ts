/** A layer for tests: bodies in chunks of a chosen size, cut off on purpose, and every get counted. */
import { StorageError } from '../../src/core/errors.ts'
import type { GetOptions, ObjectReading, Reach, StorageBackend } from '../../src/storage/backend.ts'

export interface Chunking {
  /** Bytes per chunk; default: as they come. */
  readonly chunk?: number
  /** A body of get number n (from 0) ends after that many bytes; undefined: whole. */
  readonly cutOff?: (get: number) => number | undefined
  /** How a cut-off body ends; default "throws" BODY_TRUNCATED. */
  readonly cutOffBy?: 'throws' | 'silence'
  readonly reach?: Reach
}

export interface SeenGet {
  readonly start: number
  readonly end: number
  readonly ifMatch: string | undefined
  /** Bytes taken from the body. */
  taken: number
}

export type ChunkedBackend = Pick<StorageBackend, 'name' | 'reach' | 'get'> & { readonly gets: SeenGet[] }

export function chunkedBackend(
  inner: Pick<StorageBackend, 'name' | 'reach' | 'get'>,
  chunking: Chunking = {},
): ChunkedBackend {
  const gets: SeenGet[] = []
  const get = async (bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> => {
    const number = gets.length
    const reading = await inner.get(bucket, key, options)
    const seen = { ...reading.range, ifMatch: options.ifMatch, taken: 0 }
    gets.push(seen)
    const body = rechunked(reading.body, chunking, chunking.cutOff?.(number), seen)
    return { ...reading, body }
  }
  return { name: inner.name, reach: chunking.reach ?? inner.reach, get, gets }
}

async function* rechunked(
  body: AsyncIterable<Uint8Array>,
  { chunk = Number.POSITIVE_INFINITY, cutOffBy = 'throws' }: Chunking,
  cutOff: number | undefined,
  seen: SeenGet,
): AsyncGenerator<Uint8Array> {
  const limit = cutOff ?? Number.POSITIVE_INFINITY
  for await (const bytes of body) {
    for (let at = 0; at < bytes.length && seen.taken < limit; ) {
      const size = Math.min(chunk, bytes.length - at, limit - seen.taken)
      seen.taken += size
      yield bytes.subarray(at, at + size)
      at += size
    }
    if (seen.taken < limit) continue
    if (cutOffBy === 'silence') return
    throw new StorageError('BODY_TRUNCATED', 'cut off by the test', { backend: 'test', operation: 'get' })
  }
}
