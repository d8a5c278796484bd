/**
 * The bytes of an open file, chunk by chunk. While reads are answered from memory they are synchronous: the bytes then
 * arrive in the cache of the core that uses them, at about half the cost of a read on another thread. A read that had
 * to wait for a device makes the next ones asynchronous and one ahead, so that waiting and working overlap.
 */
import fs from 'node:fs'
import type { ByteRange } from '../core/bytes.ts'

const CHUNK_BYTES = 512 * 1024
/** A read of a chunk from the page cache takes a tenth of this. */
const FROM_MEMORY_MS = 1
/** Asynchronous reads before memory is tried again. */
const ASYNCHRONOUS_RUN = 64
/** Longest without a turn of the event loop. */
const TURN_MS = 8

export class FileChunks {
  readonly #fd: number
  readonly #end: number
  /** What is delivered and what is read ahead take turns; without `reuse` every chunk has memory of its own. */
  readonly #buffers: [Buffer, Buffer] | undefined
  #delivered: 0 | 1 = 0
  #position: number
  #asynchronous = 0
  #pending: Promise<Buffer> | undefined
  #turnedAt = performance.now()

  /** `reuse`: a chunk may be overwritten once the next is asked for. */
  constructor(fd: number, { start, end }: ByteRange, reuse: boolean) {
    this.#fd = fd
    this.#position = start
    this.#end = end
    const size = reuse ? Math.min(CHUNK_BYTES, end - start) : 0
    this.#buffers = reuse ? [Buffer.allocUnsafeSlow(size), Buffer.allocUnsafeSlow(size)] : undefined
  }

  /** The next chunk, whole unless the file ends before the range does; undefined after the range's end. */
  async next(): Promise<Buffer | undefined> {
    const length = Math.min(CHUNK_BYTES, this.#end - this.#position)
    if (length === 0) return undefined
    const pending = this.#pending
    this.#pending = undefined
    const chunk = pending === undefined ? this.#readNow(length) : await pending
    this.#position += chunk.length
    if (this.#asynchronous > 0 && chunk.length === length) this.#readAhead()
    await this.#turn()
    return chunk
  }

  /** Waits for what is under way, so that the descriptor can be closed. */
  async settle(): Promise<void> {
    await this.#pending?.catch(() => undefined)
  }

  #readNow(length: number): Buffer {
    const buffer = this.#buffer(this.#delivered, length)
    const from = performance.now()
    let filled = 0
    while (filled < length) {
      const count = fs.readSync(this.#fd, buffer, filled, length - filled, this.#position + filled)
      if (count === 0) break
      filled += count
    }
    if (performance.now() - from > FROM_MEMORY_MS) this.#asynchronous = ASYNCHRONOUS_RUN
    return buffer.subarray(0, filled)
  }

  #readAhead(): void {
    this.#asynchronous -= 1
    const length = Math.min(CHUNK_BYTES, this.#end - this.#position)
    if (length === 0) return
    this.#delivered = this.#delivered === 0 ? 1 : 0
    this.#pending = readFull(this.#fd, this.#buffer(this.#delivered, length), this.#position)
    // the consumer may leave before it is looked at
    this.#pending.catch(() => undefined)
  }

  #buffer(which: 0 | 1, length: number): Buffer {
    return this.#buffers === undefined ? Buffer.allocUnsafeSlow(length) : this.#buffers[which].subarray(0, length)
  }

  async #turn(): Promise<void> {
    if (performance.now() - this.#turnedAt < TURN_MS) return
    await new Promise((resolve) => setImmediate(resolve))
    this.#turnedAt = performance.now()
  }
}

/** Up to the buffer's length, less only at the end of the file. */
function readFull(fd: number, buffer: Buffer, position: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const step = (filled: number) => {
      fs.read(fd, buffer, filled, buffer.length - filled, position + filled, (error, count) => {
        if (error !== null) reject(error)
        else if (count === 0 || filled + count === buffer.length) resolve(buffer.subarray(0, filled + count))
        else step(filled + count)
      })
    }
    step(0)
  })
}
