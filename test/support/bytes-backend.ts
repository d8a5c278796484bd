/** A store that holds one object, and that object: the least a partition can be read from. */
import { type CloudObject, cloudObject } from '../../src/core/cloud-object.ts'
import { ObjectChangedError, StorageError } from '../../src/core/errors.ts'
import type { GetOptions, ObjectHead, ObjectReading, Reach, StorageBackend } from '../../src/storage/backend.ts'

export interface BytesBackend extends Pick<StorageBackend, 'name' | 'reach' | 'get'> {
  readonly object: CloudObject
  /** Replaces the content under a new etag. */
  replace(bytes: Uint8Array): void
}

export function bytesBackend(
  content: Uint8Array | string,
  {
    key = 'text',
    reach = 'process',
    etag = 'v1',
    head = {},
  }: { key?: string; reach?: Reach; etag?: string; head?: Partial<ObjectHead> } = {},
): BytesBackend {
  let bytes = Buffer.from(content as Uint8Array)
  let version = etag
  const object = cloudObject({ backend: 'memory', bucket: 'b', key, size: bytes.length, etag })
  const context = { backend: 'memory', operation: 'get', bucket: 'b', key }
  const get = async (
    _bucket: string,
    _key: string,
    { range, ifMatch, signal }: GetOptions = {},
  ): Promise<ObjectReading> => {
    signal?.throwIfAborted()
    if (ifMatch !== undefined && ifMatch !== version) throw new ObjectChangedError(`etag is ${version}`, context)
    const clipped = { start: range?.start ?? 0, end: Math.min(range?.end ?? bytes.length, bytes.length) }
    if (range !== undefined && range.start >= bytes.length)
      throw new StorageError('RANGE_INVALID', 'past the end', context)
    const body = bodyOf(bytes.subarray(clipped.start, clipped.end))
    return { head: { key, size: bytes.length, etag: version, ...head }, range: clipped, body }
  }
  const replace = (next: Uint8Array) => {
    bytes = Buffer.from(next)
    version = `${version}'`
  }
  return { name: 'memory', reach, get, object, replace }
}

async function* bodyOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes
}
