/**
 * S3 and what speaks like it: the contract in the SDK's commands, one request each. Ranges become inclusive here, and
 * listed keys are decoded and checked to come in UTF-8 byte order, which not every compatible store keeps.
 */
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import type { DeleteObjectsCommand, GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3'
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
import { openS3Clients, type S3Clients, type S3Config } from './s3-client.ts'
import { s3Error } from './s3-errors.ts'
import { assertKeyOrder, DELETE_KEYS, decodeListedKey, deletionError, NOT_IN_XML } from './s3-keys.ts'
import { putS3Object } from './s3-put.ts'
import { s3PutRequests } from './s3-requests.ts'

type Signal = AbortSignal | undefined
type Send = (client: S3Client, how: { abortSignal?: AbortSignal }) => unknown

/** The backend `aws_s3`. @throws ConfigError when @aws-sdk/client-s3 is missing, or settings contradict each other */
export async function createS3Backend(config: S3Config): Promise<StorageBackend> {
  return new S3Backend(await openS3Clients(config))
}

class S3Backend implements StorageBackend {
  readonly name = 'aws_s3'
  readonly reach: Reach = 'network'
  readonly capabilities: StorageCapabilities = { writable: true, conditionalPut: true, pin: 'etag', anyKey: true }
  readonly #clients: S3Clients

  constructor(clients: S3Clients) {
    this.#clients = clients
  }

  async get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    const { range, ifMatch, signal } = options
    const context = contextOf('get', bucket, key)
    signal?.throwIfAborted()
    assertRange(range, context)
    const { sdk, payer, customerKey } = this.#clients
    const input = {
      Bucket: bucket,
      Key: key,
      ...payer,
      ...customerKey,
      ...(range === undefined ? {} : { Range: httpRange(range) }),
      ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
    }
    let output: GetObjectCommandOutput
    try {
      output = await this.#clients.send(bucket, (client) =>
        client.send(new sdk.GetObjectCommand(input), sendOptions(signal)),
      )
    } catch (error) {
      throw s3Error(error, context, { condition: ifMatch === undefined ? undefined : 'ifMatch', signal })
    }
    const body = output.Body as unknown as Readable
    const part = parseContentRange(output.ContentRange)
    if (part?.range.start !== range?.start || output.ContentLength === undefined) {
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
    const context = contextOf('put', bucket, key)
    return putS3Object(s3PutRequests({ clients: this.#clients, bucket, key, context, head }), body, options)
  }

  async head(bucket: string, key: string, options: { signal?: Signal } = {}): Promise<ObjectHead> {
    const { sdk, payer, customerKey } = this.#clients
    const input = { Bucket: bucket, Key: key, ...payer, ...customerKey }
    const context = contextOf('head', bucket, key)
    return headOf(
      key,
      await this.#send(context, bucket, options.signal, (client, how) =>
        client.send(new sdk.HeadObjectCommand(input), how),
      ),
    )
  }

  async *list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    const { prefix, startAfter, signal } = options
    const context = contextOf('list', bucket)
    let token: string | undefined
    let last: string | undefined
    do {
      const input = {
        Bucket: bucket,
        ...this.#clients.payer,
        // keys may hold characters that XML cannot
        EncodingType: 'url' as const,
        ...(prefix === undefined || prefix === '' ? {} : { Prefix: prefix }),
        ...(startAfter === undefined || token !== undefined ? {} : { StartAfter: startAfter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      }
      const output = await this.#send(context, bucket, signal, (client, how) =>
        client.send(new this.#clients.sdk.ListObjectsV2Command(input), how),
      )
      const decode = output.EncodingType === 'url' ? decodeListedKey : (key: string) => key
      const page = (output.Contents ?? []).map((entry) =>
        headOf(decode(entry.Key ?? ''), { ...entry, ContentLength: entry.Size }),
      )
      last = assertKeyOrder(last, page, context)
      if (page.length > 0) yield page
      token = output.IsTruncated === true ? output.NextContinuationToken : undefined
    } while (token !== undefined)
  }

  async delete(bucket: string, keys: readonly string[], options: { signal?: Signal } = {}): Promise<void> {
    const { sdk, payer, isCompatible } = this.#clients
    const single = keys.length === 1 ? keys : keys.filter((key) => NOT_IN_XML.test(key))
    for (const Key of single) {
      const input = { Bucket: bucket, Key, ...payer }
      await this.#send(contextOf('delete', bucket, Key), bucket, options.signal, (client, how) =>
        client.send(new sdk.DeleteObjectCommand(input), how),
      )
    }
    const many = keys.length === 1 ? [] : keys.filter((key) => !NOT_IN_XML.test(key))
    const context = contextOf('delete', bucket)
    for (let start = 0; start < many.length; start += DELETE_KEYS) {
      const Objects = many.slice(start, start + DELETE_KEYS).map((Key) => ({ Key }))
      const input = { Bucket: bucket, ...payer, Delete: { Objects, Quiet: true } }
      const { Errors = [] } = await this.#send(context, bucket, options.signal, (client, how) => {
        const command = new sdk.DeleteObjectsCommand(input)
        if (isCompatible) addContentMd5(command)
        return client.send(command, how)
      })
      const failed = deletionError(Errors, Objects.length, context)
      if (failed !== undefined) throw failed
    }
  }

  async headBucket(bucket: string): Promise<void> {
    const { sdk } = this.#clients
    const context = contextOf('headBucket', bucket)
    await this.#send(context, bucket, undefined, (client) => client.send(new sdk.HeadBucketCommand({ Bucket: bucket })))
  }

  async createBucket(bucket: string): Promise<void> {
    const { sdk } = this.#clients
    try {
      await this.#clients.send(bucket, (client) => client.send(new sdk.CreateBucketCommand({ Bucket: bucket })))
    } catch (error) {
      if (error instanceof Error && error.name === 'BucketAlreadyOwnedByYou') return
      throw s3Error(error, contextOf('createBucket', bucket))
    }
  }

  async deleteBucket(bucket: string): Promise<void> {
    const { sdk } = this.#clients
    const context = contextOf('deleteBucket', bucket)
    await this.#send(context, bucket, undefined, (client) =>
      client.send(new sdk.DeleteBucketCommand({ Bucket: bucket })),
    )
  }

  async close(): Promise<void> {
    this.#clients.close()
  }

  async #send<S extends Send>(
    context: StorageContext,
    bucket: string,
    signal: Signal,
    request: S,
  ): Promise<Awaited<ReturnType<S>>> {
    signal?.throwIfAborted()
    try {
      return await this.#clients.send(bucket, async (client) => {
        return (await request(client, sendOptions(signal))) as Awaited<ReturnType<S>>
      })
    } catch (error) {
      throw s3Error(error, context, { signal })
    }
  }
}

/** Compatible stores (Swift) ask for what S3 asked for before it took the SDK's checksums. */
function addContentMd5(command: DeleteObjectsCommand): void {
  command.middlewareStack.add(
    (next) => (args) => {
      const { body, headers } = args.request as { body: string; headers: Record<string, string> }
      headers['content-md5'] = createHash('md5').update(body).digest('base64')
      return next(args)
    },
    { step: 'build', name: 'quernContentMd5', priority: 'low' },
  )
}

function contextOf(operation: string, bucket: string, key?: string): StorageContext {
  return { backend: 'aws_s3', operation, bucket, ...(key === undefined ? {} : { key }) }
}

function sendOptions(signal: Signal): { abortSignal?: AbortSignal } {
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
