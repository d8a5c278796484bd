/**
 * Files that name objects (parts of an inventory, key lists) as they lie in a store: read under one version, unzipped,
 * their MD5 checked where one is known, and cut into lines.
 */
import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { asBuffer, collectBytes } from '../../src/core/bytes.ts'
import { objectUrl } from '../../src/core/cloud-object.ts'
import { messageOf, QuernError, ValidationError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { type LineBatch, lineBatchesOf } from '../lines.ts'
import { alignedBlocks, RecordSplitter } from '../records.ts'
import type { Gathered } from '../selected.ts'

/** Longer than any line of keys and their columns; what has none is no text. */
const MAX_LINE_BYTES = 1 << 20
const NEWLINE = Buffer.from('\n')

export interface StoredList {
  readonly store: StorageBackend
  readonly bucket: string
  readonly key: string
  readonly gathered: Gathered
  readonly signal: AbortSignal | undefined
  /** What is read must have them: bytes, and hexadecimal. */
  readonly size?: number | undefined
  readonly md5?: string | undefined
}

export function listUrlOf({ store, bucket, key }: StoredList): string {
  return objectUrl(store.name, bucket, key)
}

/** All of it. @throws NotFoundError, ValidationError for another MD5 */
export function readList(list: StoredList): Promise<Uint8Array> {
  return collectBytes(chunksOf(list))
}

/**
 * Its lines, in batches; unzipped where `gzip`.
 * @throws NotFoundError; ValidationError for another MD5, for what is no gzip, and for what has no lines
 */
export async function* linesOf(list: StoredList, gzip: boolean): AsyncGenerator<LineBatch, void, undefined> {
  const bytes = gzip ? unzipped(list) : chunksOf(list)
  const splitter = new RecordSplitter(NEWLINE)
  for await (const block of alignedBlocks(inLines(bytes, list), () => 0, NEWLINE, false)) {
    yield* lineBatchesOf(block, NEWLINE, splitter)
  }
}

/** Its bytes as they are stored; ends with an error where they have not the size or the MD5 they should. */
export async function* chunksOf(list: StoredList): AsyncGenerator<Uint8Array, void, undefined> {
  const { store, bucket, key, signal, md5, gathered } = list
  gathered.request(store.name, 'get')
  const { head, body } = await store.get(bucket, key, { signal })
  if (head.sizeUnknown !== true) assertSize(list, head.size)
  const hash = md5 === undefined ? undefined : createHash('md5')
  for await (const chunk of body) {
    hash?.update(chunk)
    yield chunk
  }
  const found = hash?.digest('hex')
  if (found === md5?.toLowerCase()) return
  throw new ValidationError(`${listUrlOf(list)}: its MD5 is ${found}, the manifest says ${md5}`)
}

/** @throws ValidationError for another size than the list must have */
export function assertSize(list: StoredList, size: number): void {
  if (list.size === undefined || list.size === size) return
  throw new ValidationError(`${listUrlOf(list)} has ${size} bytes, the manifest says ${list.size}`)
}

async function* unzipped(list: StoredList): AsyncGenerator<Uint8Array, void, undefined> {
  const gunzip = createGunzip()
  // what goes wrong on the way comes out where `gunzip` is read
  pipeline(Readable.from(chunksOf(list)), gunzip, () => undefined)
  try {
    for await (const chunk of gunzip) yield chunk as Uint8Array
  } catch (error) {
    if (error instanceof QuernError || list.signal?.aborted === true) throw error
    const message = messageOf(error)
    throw new ValidationError(`${listUrlOf(list)} is no whole gzip file: ${message}`, { cause: error })
  }
}

async function* inLines(chunks: AsyncIterable<Uint8Array>, list: StoredList): AsyncGenerator<Buffer> {
  let withoutNewline = 0
  for await (const chunk of chunks) {
    const bytes = asBuffer(chunk)
    const last = bytes.lastIndexOf(0x0a)
    withoutNewline = last === -1 ? withoutNewline + bytes.length : bytes.length - last - 1
    if (withoutNewline > MAX_LINE_BYTES) {
      throw new ValidationError(
        `${listUrlOf(list)} is no list of keys: it has a line of more than ${MAX_LINE_BYTES} bytes`,
      )
    }
    yield bytes
  }
}
