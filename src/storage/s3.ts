/**
 * S3 and what speaks like it: the contract in the SDK's commands, one request each. Ranges become inclusive here, and
 * listed keys are decoded and checked to come in UTF-8 byte order, which not every compatible store keeps.
 */

import type { Readable } from 'node:stream'
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
import { compareUtf8 } from '../core/bytes.ts'
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
import { assertRange, httpRange, parseContentRange } from './ranges.ts'
import { openS3Client, type S3Config, type Sdk } from './s3-client.ts'
import { s3Error } from './s3-errors.ts'
import { putS3Object } from './s3-put.ts'

const DELETE_KEYS = 1_000
/** XML, in which keys to delete are named, cannot carry these. */
const NOT_IN_XML = /[\x00-\x1f\ufffe\uffff]/

/** The backend `aws_s3`. @throws ConfigError when @aws-sdk/client-s3 is not installed, or one of two keys is missing */
export async function createS3Backend(config: S3Config): Promise<StorageBackend> {
  const { sdk, client } = await openS3Client(config)
  return new S3Backend(sdk, client)
}

class S3Backend implements StorageBackend {
  readonly name = 'aws_s3'
  readonly reach: Reach = 'network'
  readonly capabilities: StorageCapabilities = { writable: true, conditionalPut: true, pin: 'etag', anyKey: true }
  readonly #sdk: Sdk
  readonly #client: S3Client

  constructor(sdk: Sdk, client: S3Client) {
    this.#sdk = sdk
    this.#client = client
  }

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const { range, ifMatch, signal } = options
    const context = contextOf('get', bucket, key)
    signal?.throwIfAborted()
    assertRange(range, context)
    const command = new this.#sdk.GetObjectCommand({
      Bucket: bucket,
      Key: key,
      ...(range === undefined ? {} : { Range: httpRange(range) }),
      ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
    })
    let output: GetObjectCommandOutput
    try {
      output = await this.#client.send(command, sendOptions(signal))
    } catch (error) {
      throw s3Error(error, context, { condition: ifMatch === undefined ? undefined : 'ifMatch', signal })
    }
    const body = output.Body as unknown as Readable
    const part = parseContentRange(output.ContentRange)
    if ((range === undefined) !== (part === undefined) || output.ContentLength === undefined) {
      body.destroy()
      throw new StorageError('UNSUPPORTED', 'the server did not answer with the range that was asked for', context)
    }
    const given = part?.range ?? { start: 0, end: output.ContentLength }
    const head = headOf(key, { ...output, ContentLength: part?.sizeBytes ?? output.ContentLength })
    return { head, range: given, body: exactBody(body, given.end - given.start, context, signal) }
  }

  put(
    bucket: string,
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions = {},
  ): Promise<ObjectHead> {
    const head = () => this.head(bucket, key, { signal: options.signal })
    const target = { sdk: this.#sdk, client: this.#client, bucket, key, context: contextOf('put', bucket, key), head }
    return putS3Object(target, body, options)
  }

  async head(bucket: string, key: string, options: { signal?: AbortSignal | undefined } = {}): Promise<ObjectHead> {
    const command = new this.#sdk.HeadObjectCommand({ Bucket: bucket, Key: key })
    return headOf(key, await this.#send('head', bucket, key, options.signal, (how) => this.#client.send(command, how)))
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix, startAfter, signal } = options
    let token: string | undefined
    let last: string | undefined
    do {
      const command = new this.#sdk.ListObjectsV2Command({
        Bucket: bucket,
        // keys may hold characters that XML cannot
        EncodingType: 'url',
        ...(prefix === undefined || prefix === '' ? {} : { Prefix: prefix }),
        ...(startAfter === undefined || token !== undefined ? {} : { StartAfter: startAfter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      })
      const output = await this.#send('list', bucket, undefined, signal, (how) => this.#client.send(command, how))
      const decode = output.EncodingType === 'url' ? decodeKey : (key: string) => key
      const page = (output.Contents ?? []).map((entry) =>
        headOf(decode(entry.Key ?? ''), { ...entry, ContentLength: entry.Size }),
      )
      for (const { key } of page) {
        if (last !== undefined && compareUtf8(last, key) >= 0) throw outOfOrder(last, key, contextOf('list', bucket))
        last = key
      }
      if (page.length > 0) yield page
      token = output.IsTruncated === true ? output.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  async delete(
    bucket: string,
    keys: readonly string[],
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const single = keys.length === 1 ? keys : keys.filter((key) => NOT_IN_XML.test(key))
    for (const Key of single) {
      const command = new this.#sdk.DeleteObjectCommand({ Bucket: bucket, Key })
      await this.#send('delete', bucket, Key, options.signal, (how) => this.#client.send(command, how))
    }
    const many = keys.length === 1 ? [] : keys.filter((key) => !NOT_IN_XML.test(key))
    for (let start = 0; start < many.length; start += DELETE_KEYS) {
      const Objects = many.slice(start, start + DELETE_KEYS).map((Key) => ({ Key }))
      const command = new this.#sdk.DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } })
      const { Errors = [] } = await this.#send('delete', bucket, undefined, options.signal, (how) =>
        this.#client.send(command, how),
      )
      const failed = Errors.find(({ Code }) => Code !== 'NoSuchKey')
      if (failed === undefined) continue
      const code =
        failed.Code === 'AccessDenied' ? 'PERMISSION_DENIED' : failed.Code === 'SlowDown' ? 'THROTTLED' : 'STORAGE'
      const what = `${Errors.length} of ${Objects.length} keys were not deleted; ${failed.Code}: ${failed.Message}`
      throw new StorageError(code, what, contextOf('delete', bucket, failed.Key))
    }
  }

  async headBucket(bucket: string): Promise<void> {
    const command = new this.#sdk.HeadBucketCommand({ Bucket: bucket })
    await this.#send('headBucket', bucket, undefined, undefined, (how) => this.#client.send(command, how))
  }

  async createBucket(bucket: string): Promise<void> {
    const command = new this.#sdk.CreateBucketCommand({ Bucket: bucket })
    try {
      await this.#client.send(command)
    } catch (error) {
      if (error instanceof Error && error.name === 'BucketAlreadyOwnedByYou') return
      throw s3Error(error, contextOf('createBucket', bucket))
    }
  }

  async deleteBucket(bucket: string): Promise<void> {
    const command = new this.#sdk.DeleteBucketCommand({ Bucket: bucket })
    await this.#send('deleteBucket', bucket, undefined, undefined, (how) => this.#client.send(command, how))
  }

  async close(): Promise<void> {
    this.#client.destroy()
  }

  async #send<T>(
    operation: string,
    bucket: string,
    key: string | undefined,
    signal: AbortSignal | undefined,
    request: (options: { abortSignal?: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted()
    try {
      return await request(sendOptions(signal))
    } catch (error) {
      throw s3Error(error, contextOf(operation, bucket, key), { signal })
    }
  }
}

function contextOf(operation: string, bucket: string, key?: string): StorageContext {
  return { backend: 'aws_s3', operation, bucket, ...(key === undefined ? {} : { key }) }
}

function sendOptions(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

function headOf(
  key: string,
  output: {
    readonly ContentLength?: number | undefined
    readonly ETag?: string | undefined
    readonly LastModified?: Date | undefined
    readonly ContentType?: string | undefined
    readonly ContentEncoding?: string | undefined
  },
): ObjectHead {
  const { ContentLength = 0, ETag = '', LastModified, ContentType, ContentEncoding } = output
  return {
    key,
    size: ContentLength,
    etag: ETag,
    ...(LastModified === undefined ? {} : { lastModified: LastModified.getTime() }),
    ...(ContentType === undefined ? {} : { contentType: ContentType }),
    ...(ContentEncoding === undefined ? {} : { contentEncoding: ContentEncoding }),
  }
}

/** S3's form encoding: a space is `+`, a plus `%2B`. */
function decodeKey(encoded: string): string {
  return decodeURIComponent(encoded.replaceAll('+', ' '))
}

function outOfOrder(last: string, key: string, context: StorageContext): StorageError {
  const what = `the server lists ${JSON.stringify(key)} after ${JSON.stringify(last)}, not in UTF-8 byte order`
  return new StorageError('UNSUPPORTED', what, context)
}
