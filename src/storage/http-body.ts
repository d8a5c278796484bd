/**
 * Bodies of HTTP answers. Invariant: a body that ends before its announced length throws BODY_TRUNCATED, whatever the
 * socket says, and one that is left early, or whose signal aborts, frees its connection.
 */
import type { Readable } from 'node:stream'
import { type StorageContext, StorageError } from '../core/errors.ts'

/** The chunks of `stream`, checked to be `expectedBytes` in all; undefined where no length was announced. */
export async function* exactBody(
  stream: Readable,
  expectedBytes: number | undefined,
  context: StorageContext,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const abort = () => stream.destroy(new Error('aborted'))
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort, { once: true })
  let received = 0
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      if (chunk.length === 0) continue
      received += chunk.length
      if (expectedBytes !== undefined && received > expectedBytes) break
      yield chunk
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw truncated(received, expectedBytes, context, error)
  } finally {
    signal?.removeEventListener('abort', abort)
    stream.destroy()
  }
  if (expectedBytes !== undefined && received !== expectedBytes) throw truncated(received, expectedBytes, context)
}

const PLAIN: ReadonlySet<string> = new Set(['', 'identity', 'aws-chunked'])

/** A Content-Encoding that changes bytes; undefined where there is none, also where the header says so. */
export function encodingOf(header: string | undefined): string | undefined {
  const encodings = (header ?? '').split(',').map((each) => each.trim().toLowerCase())
  return encodings.some((each) => !PLAIN.has(each)) ? header : undefined
}

function truncated(
  received: number,
  expectedBytes: number | undefined,
  context: StorageContext,
  cause?: unknown,
): StorageError {
  const of = expectedBytes === undefined ? '' : ` of ${expectedBytes}`
  return new StorageError('BODY_TRUNCATED', `the body broke after ${received}${of} bytes`, { ...context, cause })
}
