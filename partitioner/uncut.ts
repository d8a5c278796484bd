/**
 * One GET, from an object's first byte to its last, for what cannot be read in ranges: no length is told, no ranges
 * are served, or no validator would hold two requests to one version.
 *
 * - A body that breaks after a byte of it was delivered is an error, since nothing says that a second body is the same:
 *   no record is ever doubled or cut. One that breaks before is begun again by the store's retry layer.
 * - It is streamed, so memory is a few chunks however long it is.
 * - Where a length is known, the body has exactly that; where the store has a validator, it is still compared.
 */
import { asBuffer } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { ObjectChangedError, StorageError } from '../src/core/errors.ts'
import type { EdgeSource } from './edges.ts'

/** Chunks of the whole object in order, none empty; `sizeUnknown`: its planned size says nothing. */
export async function* uncutBytes(
  object: CloudObject,
  sizeUnknown: boolean,
  source: EdgeSource,
): AsyncGenerator<Buffer, void, undefined> {
  let delivered = 0
  for await (const chunk of await openWhole(object, sizeUnknown, source)) {
    source.signal?.throwIfAborted()
    delivered += chunk.length
    if (!sizeUnknown && delivered > object.size) throw oddLength(object, source, 'more bytes')
    yield asBuffer(chunk)
  }
  if (!sizeUnknown && delivered < object.size) throw oddLength(object, source, 'fewer bytes')
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
