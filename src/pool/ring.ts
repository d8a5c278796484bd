/**
 * Frames from one thread to another through shared memory: one writer, one reader, no locks, no allocation.
 * Invariant: a frame is either wholly there or not there at all, however its writer ends; what was written stays readable
 * after the writer is gone.
 *
 * Positions count bytes and wrap at 2^32. A record is i32 length | i32 type | i32 id | payload, padded to four bytes and
 * never split: where it does not fit before the end of the ring, a record of length -1 sends the reader to the start.
 */
const HEADER_BYTES = 12
const RING_BYTES = 131_072

/** Larger frames travel as messages of their own. */
export const MAX_RING_PAYLOAD = 16_384

/** How long a lingering reader looks again and again before it lets itself be woken. */
const SPIN_MS = 0.05

/** Words of the control block. */
const HEAD = 0
const TAIL = 1
const WAKE = 2
const CONTROL_BYTES = 16

/** What `WAKE` says of the reader: it was told, it sleeps in its event loop, it waits in `Atomics.wait`. */
const TOLD = 0
const ASLEEP = 1
const LINGERING = 2

/** Shared memory for one direction. */
export function createRing(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(CONTROL_BYTES + RING_BYTES)
  new Int32Array(memory)[WAKE] = ASLEEP
  return memory
}

export class RingWriter {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  #head = 0

  constructor(memory: SharedArrayBuffer) {
    this.#control = new Int32Array(memory, 0, CONTROL_BYTES / 4)
    this.#words = new Int32Array(memory, CONTROL_BYTES)
    this.#bytes = new Uint8Array(memory, CONTROL_BYTES)
  }

  /** Where the next record begins: all before it was written before what is posted with it. */
  get position(): number {
    return this.#head
  }

  /** False when there is no room. */
  write(type: number, id: number, payload: Uint8Array): boolean {
    const length = payload.byteLength
    if (length > MAX_RING_PAYLOAD) return false
    const needed = HEADER_BYTES + ((length + 3) & ~3)
    let at = this.#head & (RING_BYTES - 1)
    const skipped = at + needed > RING_BYTES ? RING_BYTES - at : 0
    const used = (this.#head - Atomics.load(this.#control, TAIL)) | 0
    if (used + skipped + needed > RING_BYTES) return false
    if (skipped > 0) {
      this.#words[at >> 2] = -1
      at = 0
    }
    const word = at >> 2
    this.#words[word] = length
    this.#words[word + 1] = type
    this.#words[word + 2] = id
    if (length > 0) this.#bytes.set(payload, at + HEADER_BYTES)
    this.#head = (this.#head + skipped + needed) | 0
    Atomics.store(this.#control, HEAD, this.#head)
    return true
  }

  /** Wakes a reader that lingers; true when it sleeps in its event loop instead and must be sent something. */
  wake(): boolean {
    const before = Atomics.exchange(this.#control, WAKE, TOLD)
    if (before === LINGERING) Atomics.notify(this.#control, WAKE)
    return before === ASLEEP
  }
}

export type RecordHandler = (type: number, id: number, payload: Uint8Array) => void

export class RingReader {
  readonly #control: Int32Array
  readonly #words: Int32Array
  readonly #bytes: Uint8Array
  #tail = 0

  constructor(memory: SharedArrayBuffer) {
    this.#control = new Int32Array(memory, 0, CONTROL_BYTES / 4)
    this.#words = new Int32Array(memory, CONTROL_BYTES)
    this.#bytes = new Uint8Array(memory, CONTROL_BYTES)
  }

  /** How far the writer has come. */
  get written(): number {
    return Atomics.load(this.#control, HEAD)
  }

  /** Hands out what lies before `position`, in order; payloads are copies. What a handler throws ends it: read again. */
  readTo(position: number, onRecord: RecordHandler): void {
    while (((position - this.#tail) | 0) > 0) {
      const at = this.#tail & (RING_BYTES - 1)
      const word = at >> 2
      const length = this.#words[word] as number
      if (length < 0) {
        this.#tail = (this.#tail + RING_BYTES - at) | 0
        continue
      }
      const type = this.#words[word + 1] as number
      const id = (this.#words[word + 2] as number) >>> 0
      const payload = this.#bytes.slice(at + HEADER_BYTES, at + HEADER_BYTES + length)
      this.#tail = (this.#tail + HEADER_BYTES + ((length + 3) & ~3)) | 0
      Atomics.store(this.#control, TAIL, this.#tail)
      onRecord(type, id, payload)
    }
  }

  /** From now on the writer sends something when it has written. Read once more after this. */
  sleep(): void {
    Atomics.store(this.#control, WAKE, ASLEEP)
  }

  /** Blocks until the writer has written and said so, or for so long. Read after this. */
  linger(ms: number): void {
    Atomics.store(this.#control, WAKE, LINGERING)
    // to be woken takes longer than most answers
    const spinUntil = performance.now() + SPIN_MS
    while (this.written === this.#tail && performance.now() < spinUntil);
    if (this.written === this.#tail) Atomics.wait(this.#control, WAKE, LINGERING, ms)
    this.sleep()
  }
}
