/**
 * One end of the line between a pool and a worker thread: frames go through shared memory (ring.ts); a message is posted
 * to wake a reader that sleeps, and for what does not fit: large payloads, direct values, a full ring.
 *
 * Invariant: frames arrive in the order they were sent. A posted frame says how far the ring had been written; that much
 * is read first. Whoever reads the ring first looks how far it is written, then takes every message, then reads so far: a
 * frame posted before that point is in the queue by then.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import { SerializationError } from '../core/errors.ts'
import type { FrameHandler } from './framing.ts'
import { RingReader, RingWriter } from './ring.ts'
import type { Direct } from './worker-link.ts'

/** What a worker thread is given: its port, and the memory of both directions. */
export interface ThreadEnds {
  readonly port: MessagePort
  readonly toWorker: SharedArrayBuffer
  readonly toParent: SharedArrayBuffer
}

/** Wakes a reader; everything else posted is a frame. */
const BELL = 0

/** How often in a row a reader looks again before others have their turn. */
const ROUNDS = 8

interface PostedFrame {
  readonly after: number
  readonly type: number
  readonly id: number
  readonly payload: Uint8Array
  readonly direct?: unknown
}

export class ThreadChannel {
  readonly #port: MessagePort
  readonly #writer: RingWriter
  readonly #reader: RingReader
  readonly #onFrame: FrameHandler
  #flushing = false

  constructor(port: MessagePort, out: SharedArrayBuffer, into: SharedArrayBuffer, onFrame: FrameHandler) {
    this.#port = port
    this.#writer = new RingWriter(out)
    this.#reader = new RingReader(into)
    this.#onFrame = onFrame
    port.on('message', (message: typeof BELL | PostedFrame) => {
      this.#take(message)
      this.poll()
    })
  }

  /** It can be read when this returns; the other side is woken by `flush`, at the latest when this turn ends. */
  send(type: number, id: number, payload: Uint8Array, direct?: Direct): void {
    if (direct !== undefined || !this.#writer.write(type, id, payload)) this.#post(type, id, payload, direct)
    if (this.#flushing) return
    this.#flushing = true
    process.nextTick(() => this.flush())
  }

  flush(): void {
    if (!this.#flushing) return
    this.#flushing = false
    if (this.#writer.wake()) this.#port.postMessage(BELL)
  }

  /** Hands out what has come. */
  poll(): void {
    let again = true
    try {
      for (let round = 0; again && round < ROUNDS; round++) again = this.#read()
    } finally {
      // others have their turn; what a handler throws is its own affair: the frames behind it still come
      if (again) setImmediate(() => this.poll())
    }
  }

  /** Blocks for at most so long until something comes, and hands it out. */
  linger(ms: number): void {
    this.#reader.linger(ms)
    this.poll()
  }

  close(): void {
    this.#port.close()
  }

  /** True when it swallowed a bell: what that stands for may have been written after we looked. */
  #read(): boolean {
    this.#reader.sleep()
    const { written } = this.#reader
    let rung = false
    for (let next = receiveMessageOnPort(this.#port); next !== undefined; next = receiveMessageOnPort(this.#port)) {
      if (next.message === BELL) rung = true
      else this.#take(next.message)
    }
    this.#reader.readTo(written, this.#onFrame)
    return rung
  }

  #take(message: typeof BELL | PostedFrame): void {
    if (message === BELL) return
    const { after, type, id, payload, direct } = message
    this.#reader.readTo(after, this.#onFrame)
    this.#onFrame(type, id, payload, direct)
  }

  #post(type: number, id: number, payload: Uint8Array, direct: Direct | undefined): void {
    // a copy that can be given away: the payload may lie in memory that others use
    const copy = Buffer.allocUnsafeSlow(payload.byteLength)
    copy.set(payload)
    const frame = { after: this.#writer.position, type, id, payload: copy }
    if (direct === undefined) return this.#port.postMessage(frame, [copy.buffer])
    for (const item of direct.transfer) requireAttached(item)
    try {
      this.#port.postMessage({ ...frame, direct: direct.value }, [copy.buffer, ...direct.transfer])
    } catch (error) {
      throw new SerializationError(`a value cannot be sent to a thread: ${(error as Error).message}`, { cause: error })
    }
  }
}

/** Newer versions of Node refuse this themselves; before, it would arrive empty. @throws SerializationError */
function requireAttached(item: unknown): void {
  if (!(item instanceof ArrayBuffer) || item.byteLength > 0) return
  try {
    new Uint8Array(item)
  } catch (error) {
    throw new SerializationError('a value cannot be sent to a thread: its ArrayBuffer was moved elsewhere before', {
      cause: error,
    })
  }
}
