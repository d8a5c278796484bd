/**
 * MinIO and other S3-compatible stores through the minio client: the contract in S3's requests, one each. What S3 and
 * its compatibles share (puts in parts, conditions, key order, meaning of refusals) is the S3 backend's, in s3-*.ts.
 */
import type { IncomingMessage } from 'node:http'
import { type StorageContext, StorageError } from '../core/errors.ts'
import type {
  GetOptions,
  ListOptions,
  ObjectHead,
  ObjectReading,
  PutOptions,
  Reach,
  StorageBackend,
  StorageCapabilities,
} from './backend.ts'
import { exactBody } from './http-body.ts'
import { lengthOf, type MinioClient, type MinioConfig, openMinioClient } from './minio-client.ts'
import { CONDITIONAL_STREAM_BYTES } from './parts.ts'
import { assertRange, httpRange, parseContentRange } from './ranges.ts'
import { assertKeyOrder, DELETE_KEYS, deletionError, NOT_IN_XML } from './s3-keys.ts'
import { assertProgress, quoted, readListing } from './s3-listing.ts'
import { type PutRequests, putS3Object } from './s3-put.ts'

type Signal = AbortSignal | undefined
interface Part {
  readonly part: number
  readonly etag: string
}

/** The backend `minio`. @throws ConfigError when minio is not installed, or the endpoint or one of two keys is missing */
export async function createMinioBackend(config: MinioConfig): Promise<StorageBackend> {
  return new MinioBackend(await openMinioClient(config), config.region)
}

class MinioBackend implements StorageBackend {
  readonly name = 'minio'
  readonly reach: Reach = 'network'
  readonly capabilities: StorageCapabilities = {
    writable: true,
    conditionalPut: true,
    conditionalStreamBytes: CONDITIONAL_STREAM_BYTES,
    pin: 'etag',
    anyKey: true,
  }
  readonly #client: MinioClient
  readonly #region: string | undefined

  constructor(client: MinioClient, region: string | undefined) {
    this.#client = client
    this.#region = region
  }

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const { range, ifMatch, signal } = options
    const context = contextOf('get', bucket, key)
    assertRange(range, context)
    const headers: Record<string, string> = {}
    if (range !== undefined) headers.range = httpRange(range)
    if (ifMatch !== undefined) headers['if-match'] = ifMatch
    const condition = ifMatch === undefined ? undefined : ('ifMatch' as const)
    const response = await this.#client.send({ method: 'GET', bucket, key, headers, context, condition, signal })
    const part = parseContentRange(response.headers['content-range'])
    const length = lengthOf(response)
    if (part?.range.start !== range?.start || length === undefined) {
      response.destroy()
      throw new StorageError('UNSUPPORTED', 'the server did not answer with the range that was asked for', context)
    }
    const given = part?.range ?? { start: 0, end: length }
    const head = headOf(key, part?.sizeBytes ?? length, response)
    return { head, range: given, body: exactBody(response, given.end - given.start, context, signal) }
  }

  put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<ObjectHead> {
    const head = () => this.head(bucket, key, { signal: options.signal })
    return putS3Object(putRequests(this.#client, bucket, key, head), body, options)
  }

  async head(bucket: string, key: string, options: { signal?: Signal } = {}): Promise<ObjectHead> {
    const context = contextOf('head', bucket, key)
    const response = await this.#client.send({ method: 'HEAD', bucket, key, context, signal: options.signal })
    response.resume()
    return headOf(key, lengthOf(response) ?? 0, response)
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix = '', startAfter, signal } = options
    const context = contextOf('list', bucket)
    let token: string | undefined
    let last: string | undefined
    do {
      const query = {
        'list-type': '2',
        'encoding-type': 'url',
        ...(prefix === '' ? {} : { prefix }),
        ...(startAfter === undefined || startAfter === '' ? {} : { 'start-after': startAfter }),
        ...(token === undefined ? {} : { 'continuation-token': token }),
      }
      const answer = await this.#client.sendForBytes({ method: 'GET', bucket, query, context, signal })
      const page = readListing(answer, context)
      last = assertKeyOrder(last, page.heads, context)
      assertProgress(token, page, context)
      if (page.heads.length > 0) yield page.heads
      token = page.nextToken
    } while (token !== undefined)
  }

  async delete(bucket: string, keys: readonly string[], options: { signal?: Signal } = {}): Promise<void> {
    const { signal } = options
    const single = keys.length === 1 ? keys : keys.filter((key) => NOT_IN_XML.test(key))
    for (const key of single) {
      const context = contextOf('delete', bucket, key)
      ;(await this.#client.send({ method: 'DELETE', bucket, key, context, signal })).resume()
    }
    const many = keys.length === 1 ? [] : keys.filter((key) => !NOT_IN_XML.test(key))
    const context = contextOf('delete', bucket)
    for (let start = 0; start < many.length; start += DELETE_KEYS) {
      const batch = many.slice(start, start + DELETE_KEYS)
      const errors = await this.#client.call(context, { signal }, (client) => client.removeObjects(bucket, batch))
      const failed = deletionError(errors as Parameters<typeof deletionError>[0], batch.length, context)
      if (failed !== undefined) throw failed
    }
  }

  async headBucket(bucket: string): Promise<void> {
    ;(await this.#client.send({ method: 'HEAD', bucket, context: contextOf('headBucket', bucket) })).resume()
  }

  async createBucket(bucket: string): Promise<void> {
    await this.#client.call(contextOf('createBucket', bucket), {}, async (client) => {
      try {
        await client.makeBucket(bucket, this.#region ?? '')
      } catch (error) {
        if ((error as { readonly code?: string }).code !== 'BucketAlreadyOwnedByYou') throw error
      }
    })
  }

  async deleteBucket(bucket: string): Promise<void> {
    ;(await this.#client.send({ method: 'DELETE', bucket, context: contextOf('deleteBucket', bucket) })).resume()
  }

  async close(): Promise<void> {
    this.#client.close()
  }
}

function putRequests(
  client: MinioClient,
  bucket: string,
  key: string,
  head: () => Promise<ObjectHead>,
): PutRequests<Part> {
  const context = contextOf('put', bucket, key)
  const object = { bucket, key, context }
  return {
    key,
    context,
    head,
    async putWhole(body, options) {
      const { ifAbsent, ifMatch, signal } = options
      const headers = {
        ...typeOf(options),
        ...(ifAbsent === true ? { 'if-none-match': '*' } : {}),
        ...(ifMatch === undefined ? {} : { 'if-match': ifMatch }),
      }
      const condition = ifMatch !== undefined ? 'putIfMatch' : ifAbsent === true ? 'putIfAbsent' : undefined
      return etagOf(await client.send({ ...object, method: 'PUT', headers, body, condition, signal }))
    },
    begin(options) {
      return client.call(context, { signal: options.signal }, (minio) =>
        minio.initiateNewMultipartUpload(bucket, key, typeOf(options)),
      )
    },
    async putPart(uploadId, part, body, signal) {
      const query = { partNumber: `${part}`, uploadId }
      return { part, etag: etagOf(await client.send({ ...object, method: 'PUT', query, body, signal })) }
    },
    async join(uploadId, parts, signal) {
      const { etag } = await client.call(context, { signal }, (minio) =>
        minio.completeMultipartUpload(bucket, key, uploadId, [...parts]),
      )
      return quoted(etag ?? '')
    },
    async abandon(uploadId) {
      ;(await client.send({ ...object, method: 'DELETE', query: { uploadId } })).resume()
    },
  }
}

function etagOf(response: IncomingMessage): string {
  response.resume()
  return quoted(response.headers.etag ?? '')
}

/** Without a type some servers refuse a body of no bytes. */
function typeOf({ contentType = 'application/octet-stream' }: PutOptions): Record<string, string> {
  return { 'content-type': contentType }
}

function contextOf(operation: string, bucket: string, key?: string): StorageContext {
  return { backend: 'minio', operation, bucket, ...(key === undefined ? {} : { key }) }
}

function headOf(key: string, size: number, { headers }: IncomingMessage): ObjectHead {
  const lastModified = Date.parse(headers['last-modified'] ?? '')
  return {
    key,
    size,
    etag: quoted(headers.etag ?? ''),
    ...(Number.isNaN(lastModified) ? {} : { lastModified }),
    ...(headers['content-type'] === undefined ? {} : { contentType: headers['content-type'] }),
    ...(headers['content-encoding'] === undefined ? {} : { contentEncoding: headers['content-encoding'] }),
  }
}
