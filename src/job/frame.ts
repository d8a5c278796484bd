/** A frame: u32 length of a JSON head, the head, then raw bytes whose lengths the head gives. */
import { asBuffer } from '../core/bytes.ts'

export function frame(head: unknown, bodies: readonly Uint8Array[]): Uint8Array {
  const json = JSON.stringify(head)
  const jsonBytes = Buffer.byteLength(json)
  let total = 4 + jsonBytes
  for (const body of bodies) total += body.byteLength
  const bytes = Buffer.allocUnsafe(total)
  bytes.writeUInt32LE(jsonBytes, 0)
  bytes.write(json, 4)
  let at = 4 + jsonBytes
  for (const body of bodies) {
    bytes.set(body, at)
    at += body.byteLength
  }
  return bytes
}

/** The head of the frame that begins at `at`, and where its raw bytes begin. */
export function unframe<Head>(bytes: Uint8Array, at: number): { head: Head; rest: number } {
  const buffer = asBuffer(bytes)
  const rest = at + 4 + buffer.readUInt32LE(at)
  return { head: JSON.parse(buffer.toString('utf8', at + 4, rest)) as Head, rest }
}
