/**
 * One GET, from an object's first byte to its last, for what cannot be read in ranges: no length is told, no ranges
 * are served, or no validator would hold two requests to one version.
 *
 * - A body that breaks before a byte of it was delivered is asked for again; after that it is an error, since nothing
 *   says that a second body is the same: no record is ever doubled or cut.
 * - It is streamed, so memory is a few chunks however long it is.
 * - Where a length is known, the body has exactly that; where the store has a validator, it is still compared.
 */
import { DEFAULT_RETRY, retryDelayMs } from '../src/core/backoff.ts'
import { asBuffer } from '../src/core/bytes.ts'
import { systemClock } from '../src/core/clock.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { isTransient, ObjectChangedError, StorageError } from '../src/core/errors.ts'
import type { EdgeSource } from './edges.ts'

/** Chunks of the whole object in order, none empty; `sizeUnknown`: its planned size says nothing. */
export async function* uncutBytes(
  object: CloudObject,
  sizeUnknown: boolean,
  source: EdgeSource,
): AsyncGenerator<Buffer, void, undefined> {
  const { retry = DEFAULT_RETRY, clock = systemClock, random = Math.random, signal } = source
  let delivered = 0
  for (let attempt = 1; ; attempt++) {
    try {
      for await (const chunk of await openWhole(object, sizeUnknown, source)) {
        signal?.throwIfAborted()
        if (!sizeUnknown && delivered + chunk.length > object.size) throw oddLength(object, source, 'more bytes')
        delivered += chunk.length
        yield asBuffer(chunk)
      }
      if (!sizeUnknown && delivered < object.size) throw oddLength(object, source, 'fewer bytes')
      return
    } catch (error) {
      signal?.throwIfAborted()
      const delay = isTransient(error) && delivered === 0 ? retryDelayMs(retry, attempt + 1, random()) : undefined
      if (delay === undefined) throw error
      await clock.sleep(delay, signal)
    }
  }
}

async function openWhole(
  object: CloudObject,
  sizeUnknown: boolean,
  { backend, signal, onHead }: EdgeSource,
): Promise<AsyncIterable<Uint8Array>> {
  const { bucket, key, etag, size } = object
  const { head, body } = await backend.get(bucket, key, { ifMatch: etag === '' ? undefined : etag, signal })
  if (!sizeUnknown && head.sizeUnknown !== true && head.size !== size) {
    throw new ObjectChangedError(`planned ${size} bytes, now ${head.size}`, placeOf(object, backend.name))
  }
  onHead?.(head)
  return body
}

function oddLength(object: CloudObject, { backend }: EdgeSource, came: string): StorageError {
  const what = `the body has ${came} than the planned ${object.size}`
  return new StorageError('BODY_TRUNCATED', what, placeOf(object, backend.name))
}

function placeOf({ bucket, key }: CloudObject, backend: string) {
  return { backend, operation: 'get', bucket, key }
}
