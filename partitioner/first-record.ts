/** The first record of an object, for those who must know its header while they read another part of it. */
import type { CloudObject } from '../src/core/cloud-object.ts'
import { BoundaryScanner } from './boundary.ts'
import type { EdgeSource } from './edges.ts'
import { rangedBytes } from './ranged.ts'

const FIRST_BYTES = 16 * 1024

/** The bytes of the object's first record, its delimiter included; one small request, more while the record is longer. */
export async function firstRecord(object: CloudObject, delimiter: Buffer, source: EdgeSource): Promise<Buffer> {
  const scanner = new BoundaryScanner(delimiter, 0, 0)
  const parts: Buffer[] = []
  let offset = 0
  const end = Math.min(FIRST_BYTES, object.size)
  for await (const chunk of rangedBytes({ ...source, object, start: 0, end, limit: object.size })) {
    parts.push(chunk)
    const found = scanner.feed(chunk, offset)
    if (found !== undefined) return Buffer.concat(parts).subarray(0, found)
    offset += chunk.length
  }
  return Buffer.concat(parts)
}
