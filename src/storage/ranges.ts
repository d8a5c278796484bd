/** Ranges as the contract has them: half-open, an end past the object's is cut, a start at or past the end is refused. */
import type { ByteRange } from '../core/bytes.ts'
import { type StorageContext, StorageError } from '../core/errors.ts'

/** What a read of `range` gives of `sizeBytes` bytes. @throws StorageError RANGE_INVALID */
export function clipRange(range: ByteRange | undefined, sizeBytes: number, context: StorageContext): ByteRange {
  if (range === undefined) return { start: 0, end: sizeBytes }
  assertRange(range, context)
  if (range.start >= sizeBytes) throw invalid(range, `the object has ${sizeBytes} bytes`, context)
  return { start: range.start, end: Math.min(range.end, sizeBytes) }
}

/** Refuses what is no range of any object, before a request is sent. @throws StorageError RANGE_INVALID */
export function assertRange(range: ByteRange | undefined, context: StorageContext): void {
  if (range === undefined) return
  const { start, end } = range
  if (Number.isSafeInteger(start) && start >= 0 && Number.isInteger(end) && end > start) return
  throw invalid(range, 'expected whole numbers with 0 <= start < end', context)
}

/** The value of an HTTP Range header, whose end is inclusive. */
export function httpRange(range: ByteRange): string {
  return `bytes=${range.start}-${range.end - 1}`
}

/** `bytes 0-9/100` as a half-open range and the size of the whole; undefined when it is not of that form. */
export function parseContentRange(value: string | undefined): { range: ByteRange; sizeBytes: number } | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(value ?? '')
  if (match === null) return undefined
  return { range: { start: Number(match[1]), end: Number(match[2]) + 1 }, sizeBytes: Number(match[3]) }
}

function invalid(range: ByteRange, why: string, context: StorageContext): StorageError {
  return new StorageError('RANGE_INVALID', `no bytes in [${range.start}, ${range.end}): ${why}`, context)
}
