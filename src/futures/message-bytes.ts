/** Single bytes and blocks of them, written one after the other into one growing buffer and read back in the same order. */
const FIRST_BYTES = 4_096

/** A buffer that has grown beyond is handed out instead of copied. */
const KEPT_BYTES = 65_536

export class MessageWriter {
  #buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
  #at = 0

  get length(): number {
    return this.#at
  }

  byte(value: number): void {
    this.#reserve(1)
    this.#buffer[this.#at++] = value
  }

  /** Bytes with their length before them. */
  block(bytes: Uint8Array): void {
    this.#reserve(4 + bytes.byteLength)
    this.#at = this.#buffer.writeUInt32LE(bytes.byteLength, this.#at)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.byteLength
  }

  /** What was written, in memory of its own; the writer is empty afterwards. */
  take(): Uint8Array {
    const written = this.#buffer.subarray(0, this.#at)
    this.#at = 0
    if (written.byteLength <= KEPT_BYTES) return Buffer.from(written)
    this.#buffer = Buffer.allocUnsafeSlow(FIRST_BYTES)
    return written
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes
    if (needed <= this.#buffer.byteLength) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#at))
    this.#buffer.copy(grown, 0, 0, this.#at)
    this.#buffer = grown
  }
}

export class MessageReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get atEnd(): boolean {
    return this.#at >= this.#buffer.byteLength
  }

  byte(): number {
    return this.#buffer[this.#at++] as number
  }

  /** A view, valid as long as the message. */
  block(): Uint8Array {
    const start = this.#at + 4
    this.#at = start + this.#buffer.readUInt32LE(start - 4)
    return this.#buffer.subarray(start, this.#at)
  }
}
