/**
 * Records as text. Text is decoded after cutting, so no character breaks at an edge; decoding many lines at once gives
 * what decoding each gives, for invalid UTF-8 too, because an ASCII delimiter ends every sequence.
 *
 * `\n`: one `\r` before it goes too. A byte order mark at offset 0 is no part of the text.
 */
import { isAscii } from 'node:buffer'
import type { AlignedBlock, RecordSplitter } from './records.ts'

/** Decoded at once: enough to spend the time in native code, little enough to stay in the cache. */
const DECODE_BYTES = 64 * 1024
const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Lines of the records in `bytes`, whose place in the object is `offset`. */
export interface LineBatch extends AlignedBlock {
  readonly lines: string[]
}

/** The lines of a block, in batches of about 64 KiB; an empty block gives none. */
export function* lineBatchesOf(block: AlignedBlock, delimiter: Buffer, splitter: RecordSplitter): Generator<LineBatch> {
  const fast = delimiter.length === 1 && delimiter[0] === LINE_FEED
  if (!fast) {
    const lines = splitEach(block, splitter)
    if (lines.length > 0) yield { ...block, lines }
    return
  }
  const { bytes, offset } = block
  for (let at = 0; at < bytes.length; ) {
    const end = cutNear(bytes, at)
    const part = { bytes: at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end), offset: offset + at }
    yield { ...part, lines: splitText(part) }
    at = end
  }
}

/** Bytes as text, through the fast path of pure ASCII. */
export function decode(bytes: Buffer): string {
  return isAscii(bytes) ? bytes.toString('latin1') : bytes.toString('utf8')
}

/** The bytes without a byte order mark, if they are the beginning of the object and have one. */
export function withoutMark(bytes: Buffer, offset: number): Buffer {
  const marked = offset === 0 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
  return marked ? bytes.subarray(3) : bytes
}

function cutNear(bytes: Buffer, from: number): number {
  const wanted = from + DECODE_BYTES
  if (wanted >= bytes.length) return bytes.length
  const before = bytes.lastIndexOf(LINE_FEED, wanted - 1)
  if (before >= from) return before + 1
  const after = bytes.indexOf(LINE_FEED, wanted)
  return after === -1 ? bytes.length : after + 1
}

function splitText({ bytes, offset }: AlignedBlock): string[] {
  const body = withoutMark(bytes, offset)
  const lines = decode(body).split('\n')
  const terminated = bytes[bytes.length - 1] === LINE_FEED
  if (body.includes(CARRIAGE_RETURN)) {
    const count = lines.length - 1
    for (let i = 0; i < count; i++) {
      const line = lines[i] as string
      if (line.charCodeAt(line.length - 1) === CARRIAGE_RETURN) lines[i] = line.slice(0, -1)
    }
  }
  if (terminated) lines.pop()
  return lines
}

function splitEach(block: AlignedBlock, splitter: RecordSplitter): string[] {
  const { starts, ends, count } = splitter.split(block)
  const lines = new Array<string>(count)
  for (let i = 0; i < count; i++) {
    const start = starts[i] as number
    lines[i] = decode(withoutMark(block.bytes.subarray(start, ends[i]), block.offset + start))
  }
  return lines
}
