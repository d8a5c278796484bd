/** Says which objects are compressed: their bytes are no records until they are decompressed, which quern does not do yet. */
import type { CloudObject } from '../src/core/cloud-object.ts'
import { ValidationError } from '../src/core/errors.ts'

const COMPRESSED_NAME =
  /\.(gz|gzip|bgz|tgz|bz2|tbz2?|zst|zstd|tzst|br|lz|lz4|lzo|lzma|xz|txz|zip|7z|rar|sz|snappy|deflate|zz|zlib|z)(?:\?.*)?$/is
const PLAIN_ENCODINGS = new Set(['', 'identity', 'aws-chunked'])

/** How an object is compressed, by its name or its content encoding: `".gz"`, `"gzip"`; undefined when it is not. */
export function compressionOf(key: string, contentEncoding?: string | undefined): string | undefined {
  if (contentEncoding !== undefined) {
    const encodings = contentEncoding.split(',').map((encoding) => encoding.trim().toLowerCase())
    const coded = encodings.filter((encoding) => !PLAIN_ENCODINGS.has(encoding))
    if (coded.length > 0) return coded.join(', ')
  }
  return COMPRESSED_NAME.exec(key)?.[0]
}

/** @throws ValidationError when the object is compressed and `compression` is not null (its raw bytes are wanted) */
export function refuseCompressed(
  object: Pick<CloudObject, 'url' | 'key'>,
  contentEncoding: string | undefined,
  compression: null | undefined,
): void {
  if (compression === null) return
  const how = compressionOf(object.key, contentEncoding)
  if (how === undefined) return
  throw new ValidationError(
    `${object.url} is compressed (${how}), and reading compressed objects is not supported yet: decompress it first, or pass compression: null to read the bytes as they are`,
  )
}
