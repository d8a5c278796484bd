/**
 * CloudObject: one version of one object, as plain data. References in text are `scheme://bucket/key` with the key
 * verbatim (nothing is percent-decoded: `%`, `#`, `?` and spaces are ordinary characters of a key), except `file:`
 * and `http(s):`, which are real URLs.
 */
export interface CloudObject {
  /** Name of the backend that holds it: `aws_s3`, `localhost`, `file`, `memory`, … */
  readonly backend: string
  readonly bucket: string
  readonly key: string
  /** Bytes. */
  readonly size: number
  /** Names this version of the content; opaque. Empty where the store has no validator. */
  readonly etag: string
  /** What it holds, where whoever wrote it said so. */
  readonly contentType?: string | undefined
  readonly url: string
}

const SCHEME_OF: Readonly<Record<string, string>> = { aws_s3: 's3', gcp_storage: 'gs' }

/** What encodeURIComponent leaves as it is, and slashes. */
const PLAIN_PATH = /^[\w.!~*'()/-]*$/

/** The reference that selects this key again: `s3://b/k`, `file:///p`, `https://h/p`, `memory://b/k`. */
export function objectUrl(backend: string, bucket: string, key: string): string {
  if (backend === 'file') return `file:///${PLAIN_PATH.test(key) ? key : encodedPath(key)}`
  if (backend === 'http') return `${bucket}/${key}`
  return `${SCHEME_OF[backend] ?? backend}://${bucket}/${key}`
}

function encodedPath(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/')
}

/** A frozen CloudObject with its `url` filled in. */
export function cloudObject(fields: Omit<CloudObject, 'url'>): CloudObject {
  const { backend, bucket, key, size, etag, contentType } = fields
  const type = contentType === undefined ? {} : { contentType }
  return Object.freeze({ backend, bucket, key, size, etag, ...type, url: objectUrl(backend, bucket, key) })
}

/** As `cloudObject`, for many in one bucket: they share the beginning of their URLs, which halves their memory. */
export function cloudObjectsIn(
  backend: string,
  bucket: string,
): (key: string, size: number, etag: string) => CloudObject {
  const start = objectUrl(backend, bucket, '')
  const isPlain = (key: string) => backend !== 'file' || PLAIN_PATH.test(key)
  return (key, size, etag) => {
    const url = isPlain(key) ? start + key : objectUrl(backend, bucket, key)
    return Object.freeze({ backend, bucket, key, size, etag, url })
  }
}

export function isCloudObject(value: unknown): value is CloudObject {
  if (typeof value !== 'object' || value === null) return false
  const o = value as Partial<CloudObject>
  return typeof o.backend === 'string' && typeof o.bucket === 'string' && typeof o.key === 'string'
}
