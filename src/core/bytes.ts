/** Half-open interval `[start, end)` in bytes. HTTP's inclusive ends are converted at the edge, in backends. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** The same memory as a Buffer, for its search and decoding methods; nothing is copied. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** The same memory as a DataView. */
export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

/** All bytes of a stream in one array; memory of their sum. */
export async function collectBytes(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
}

const SURROGATE = /[\ud800-\udfff]/

/** Whether `a` comes first in UTF-8 byte order; fast, as the engine's own order is that one where `a` has no surrogate. */
export function precedesUtf8(a: string, b: string): boolean {
  return a < b && !SURROGATE.test(a) ? true : compareUtf8(a, b) < 0
}

/** UTF-8 byte order, in which object stores list keys; negative when `a` comes first. */
export function compareUtf8(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x === y) continue
    // UTF-16 order differs from UTF-8 order only where a surrogate meets a unit from U+E000 on
    const xHigh = x >= 0xd800 && x <= 0xdfff
    const yHigh = y >= 0xd800 && y <= 0xdfff
    if (xHigh !== yHigh && x >= 0xd800 && y >= 0xd800) return xHigh ? 1 : -1
    return x - y
  }
  return a.length - b.length
}
