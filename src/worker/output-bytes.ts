/**
 * What a function returned, as the bytes of an output: bytes, text and streams of those as they are, lists as NDJSON,
 * anything else as JSON. Streams are taken piece by piece, and every piece is copied: whoever yields may reuse its chunk.
 */
import { pipeline, Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import { SerializationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { toJsonData } from '../core/json-data.ts'
import type { OutputHead } from '../job/output.ts'

export interface OutputBytes {
  readonly contentType: string
  /** Pieces of `pieceBytes`, only the last one smaller; none for no bytes. */
  readonly pieces: AsyncIterable<Uint8Array>
}

const TEXT = 'text/plain; charset=utf-8'
const BYTES = 'application/octet-stream'
const JSON_TYPE = 'application/json'
const NDJSON = 'application/x-ndjson'

const HIGH_SURROGATE = /[\ud800-\udbff]$/

/** @throws SerializationError for what is no output: nothing, or a function; while read, for chunks that are no bytes and no text */
export async function outputBytes(
  value: unknown,
  { format, contentType, compress }: Pick<OutputHead, 'format' | 'contentType' | 'compress'>,
  pieceBytes: number,
): Promise<OutputBytes> {
  const { type, chunks } = await chunksOf(value, format)
  const plain = pieces(encoded(chunks), pieceBytes)
  if (compress === undefined) return { contentType: contentType ?? type, pieces: plain }
  return { contentType: contentType ?? 'application/gzip', pieces: pieces(gzipped(plain), pieceBytes) }
}

type Chunks = AsyncIterable<unknown> | Iterable<unknown>

async function chunksOf(value: unknown, format: OutputHead['format']): Promise<{ type: string; chunks: Chunks }> {
  if (value === undefined || typeof value === 'function' || typeof value === 'symbol') {
    throw new SerializationError(`an output is bytes, text, a stream of those, or a value for JSON, got ${show(value)}`)
  }
  if (format === 'json') return { type: JSON_TYPE, chunks: [jsonLine(await collected(value))] }
  if (format === 'ndjson' || Array.isArray(value)) {
    if (!isStream(value) && !isList(value)) {
      throw new SerializationError(`an NDJSON output is a list or a stream of values, got ${show(value)}`)
    }
    return { type: NDJSON, chunks: jsonLines(value) }
  }
  if (typeof value === 'string') return { type: TEXT, chunks: [value] }
  if (isBytes(value)) return { type: BYTES, chunks: [value] }
  return isStream(value) ? streamOf(value) : { type: JSON_TYPE, chunks: [jsonLine(value)] }
}

/** Text or bytes, as its first chunk is. */
async function streamOf(value: Chunks): Promise<{ type: string; chunks: Chunks }> {
  const iterator = Symbol.asyncIterator in value ? value[Symbol.asyncIterator]() : value[Symbol.iterator]()
  const first = await iterator.next()
  const type = first.done !== true && typeof first.value === 'string' ? TEXT : BYTES
  return { type, chunks: resumed(first, iterator) }
}

async function* resumed(
  first: IteratorResult<unknown>,
  iterator: AsyncIterator<unknown> | Iterator<unknown>,
): AsyncGenerator<unknown> {
  let ended = false
  try {
    let next = first
    while (next.done !== true) {
      yield next.value
      next = await iterator.next()
    }
    ended = true
  } finally {
    if (!ended) await iterator.return?.()
  }
}

/** One-shot or asynchronous: lists, sets and maps are values. */
function isStream(value: unknown): value is Chunks {
  if (typeof value !== 'object' || value === null || isBytes(value)) return false
  if (Symbol.asyncIterator in value) return true
  return Symbol.iterator in value && 'next' in value
}

function isList(value: unknown): value is Iterable<unknown> {
  return Array.isArray(value) || value instanceof Set
}

function isBytes(value: unknown): value is Uint8Array | ArrayBuffer {
  return value instanceof Uint8Array || value instanceof ArrayBuffer
}

async function collected(value: unknown): Promise<unknown> {
  if (!isStream(value)) return value
  const all: unknown[] = []
  for await (const each of value) all.push(each)
  return all
}

async function* jsonLines(values: Chunks): AsyncGenerator<string> {
  for await (const value of values) yield jsonLine(value)
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(toJsonData(value))}\n`
}

async function* encoded(chunks: Chunks): AsyncGenerator<Uint8Array> {
  // text may be cut in the middle of a character
  let high = ''
  for await (const chunk of chunks) {
    const text = typeof chunk === 'string' ? high + chunk : high
    high = typeof chunk === 'string' && HIGH_SURROGATE.test(text) ? text.slice(-1) : ''
    yield Buffer.from(text.slice(0, text.length - high.length))
    if (typeof chunk !== 'string') yield bytesOf(chunk)
  }
  yield Buffer.from(high)
}

async function* pieces(chunks: AsyncIterable<Uint8Array>, pieceBytes: number): AsyncGenerator<Uint8Array> {
  let piece = Buffer.allocUnsafeSlow(pieceBytes)
  let filled = 0
  for await (const chunk of chunks) {
    let rest = chunk
    while (rest.length > 0) {
      const taken = rest.subarray(0, pieceBytes - filled)
      piece.set(taken, filled)
      filled += taken.length
      rest = rest.subarray(taken.length)
      if (filled < pieceBytes) continue
      yield piece
      piece = Buffer.allocUnsafeSlow(pieceBytes)
      filled = 0
    }
  }
  if (filled > 0) yield piece.subarray(0, filled)
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk)
  const hint = "yield bytes or text, or set output.format to 'ndjson'"
  throw new SerializationError(`an output stream gave ${show(chunk)}: ${hint}`)
}

function gzipped(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const gzip = createGzip()
  // who reads the end of it learns of an error too
  pipeline(Readable.from(bytes), gzip, () => undefined)
  return gzip
}
