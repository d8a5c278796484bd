/**
 * A worker process's end of a ProcessLink. Reading is asynchronous; writing blocks, so that whatever was sent is in the pipe
 * before the code that runs next can end the process.
 *
 * A worker does not outlive its driver: the end of descriptor 3 ends the process. It ignores SIGINT: what a Ctrl-C
 * means is the driver's decision.
 */
import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { ValidationError } from '../core/errors.ts'
import { encodeFrame, FrameDecoder, type FrameHandler } from './framing.ts'
import type { ParentLink } from './parent-link.ts'
import { CHANNEL_IN, CHANNEL_OUT } from './protocol.ts'

const READ_BYTES = 65_536

/** Pause between tries while the pipe is full and the descriptor is non-blocking. */
const RETRY_MS = 1

/** Serves the driver until it closes the channel; then the process exits. Call once. */
export function connectProcess(onFrame: FrameHandler): ParentLink {
  process.on('SIGINT', () => undefined)
  const decoder = new FrameDecoder(onFrame)
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  const options = {
    fd: CHANNEL_IN,
    readable: true,
    writable: false,
    onread: {
      buffer,
      callback: (length: number) => {
        decoder.push(buffer.subarray(0, length))
        return true
      },
    },
  }
  const input = new Socket(options)
  input.on('end', () => process.exit(0))
  input.on('error', () => process.exit(0))
  return {
    send: (type, id, payload, direct) => {
      if (direct !== undefined)
        throw new ValidationError('a value can be moved out of a worker thread only, not out of a process')
      for (const bytes of encodeFrame(type, id, payload)) writeFully(bytes)
    },
    // what was sent is in the pipe already
    flush: () => undefined,
  }
}

function writeFully(bytes: Uint8Array): void {
  let at = 0
  while (at < bytes.byteLength) {
    try {
      at += writeSync(CHANNEL_OUT, bytes, at)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      // nobody listens any more: there is no one left to work for
      if (code === 'EPIPE') process.exit(0)
      if (code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS)
    }
  }
}
