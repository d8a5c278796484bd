/**
 * Frames between a pool and its workers: u32 length of the payload | u8 type | u32 id | payload, little-endian.
 * Invariant: a payload handed out is a copy made once, never a view of a read buffer that is written again.
 * What the types mean to either side is in protocol.ts; what payloads mean is not the pool's business.
 */
const HEADER_BYTES = 9

/** Up to here one copy is cheaper than one more buffer in the write. */
const JOIN_BYTES = 4_096

/** A frame longer than this is refused: by the sender as too large, by the receiver as a damaged stream. */
export const MAX_PAYLOAD_BYTES = 2 ** 30

/** A frame as the buffers of one gathered write; large payloads are not copied. @throws RangeError past MAX_PAYLOAD_BYTES */
export function encodeFrame(type: number, id: number, payload: Uint8Array): Uint8Array[] {
  const length = payload.byteLength
  if (length > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`a message of ${length} bytes is longer than the ${MAX_PAYLOAD_BYTES} a frame can hold`)
  }
  const joined = length <= JOIN_BYTES
  const head = Buffer.allocUnsafe(joined ? HEADER_BYTES + length : HEADER_BYTES)
  head.writeUInt32LE(length, 0)
  head[4] = type
  head.writeUInt32LE(id >>> 0, 5)
  if (!joined) return [head, payload]
  head.set(payload, HEADER_BYTES)
  return [head]
}

/** `direct` is a value that came beside the bytes, between threads only. */
export type FrameHandler = (type: number, id: number, payload: Uint8Array, direct?: unknown) => void

/** Finds frames in a stream, however it is cut into chunks. Chunks may be written again once `push` has returned. */
export class FrameDecoder {
  readonly #onFrame: FrameHandler
  readonly #maxBytes: number
  readonly #header = Buffer.alloc(HEADER_BYTES)
  #headerFilled = 0
  #payload: Uint8Array | undefined
  #payloadFilled = 0

  constructor(onFrame: FrameHandler, maxBytes = MAX_PAYLOAD_BYTES) {
    this.#onFrame = onFrame
    this.#maxBytes = maxBytes
  }

  /** Hands out every frame that is now complete, in order. @throws Error when a length is beyond the limit */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.byteLength) at = this.#payload === undefined ? this.#takeHeader(chunk, at) : this.#take(chunk, at)
  }

  /** Whether the stream ended inside a frame. */
  get incomplete(): boolean {
    return this.#headerFilled > 0
  }

  #takeHeader(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.byteLength, at + HEADER_BYTES - this.#headerFilled)
    this.#header.set(chunk.subarray(at, end), this.#headerFilled)
    this.#headerFilled += end - at
    if (this.#headerFilled < HEADER_BYTES) return end
    const length = this.#header.readUInt32LE(0)
    if (length > this.#maxBytes) {
      throw new Error(`damaged worker channel: a frame of ${length} bytes, at most ${this.#maxBytes} are expected`)
    }
    this.#payload = Buffer.allocUnsafe(length)
    this.#payloadFilled = 0
    if (length === 0) this.#complete()
    return end
  }

  #take(chunk: Uint8Array, at: number): number {
    const payload = this.#payload as Uint8Array
    const end = Math.min(chunk.byteLength, at + payload.byteLength - this.#payloadFilled)
    payload.set(chunk.subarray(at, end), this.#payloadFilled)
    this.#payloadFilled += end - at
    if (this.#payloadFilled === payload.byteLength) this.#complete()
    return end
  }

  #complete(): void {
    const payload = this.#payload as Uint8Array
    this.#payload = undefined
    this.#headerFilled = 0
    this.#onFrame(this.#header[4] as number, this.#header.readUInt32LE(5), payload)
  }
}
