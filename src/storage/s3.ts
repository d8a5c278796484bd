/**
 * S3 and what speaks like it: the contract in the SDK's commands, one request each (reads: s3-get.ts). Listed keys are
 * decoded and checked to come in UTF-8 byte order, which not every compatible store keeps.
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { DeleteObjectsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { asBuffer, collectBytes } from '../core/bytes.ts'
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
import { CONDITIONAL_STREAM_BYTES } from './parts.ts'
import { openS3Clients, type S3Clients, type S3Config } from './s3-client.ts'
import { s3Error } from './s3-errors.ts'
import { S3Reads } from './s3-get.ts'
import { headOf } from './s3-head.ts'
import { assertKeyOrder, DELETE_KEYS, deletionError, NOT_IN_XML } from './s3-keys.ts'
import { parseListing } from './s3-listing.ts'
import { putS3Object } from './s3-put.ts'
import { s3PutRequests } from './s3-requests.ts'

type Signal = AbortSignal | undefined
type SendOptions = { abortSignal?: AbortSignal }
type Send = (client: S3Client, how: SendOptions) => unknown

/** The backend `aws_s3`. @throws ConfigError when @aws-sdk/client-s3 is missing, or settings contradict each other */
export async function createS3Backend(config: S3Config): Promise<StorageBackend> {
  return new S3Backend(await openS3Clients(config))
}

class S3Backend implements StorageBackend {
  readonly name = 'aws_s3'
  readonly reach: Reach = 'network'
  readonly capabilities: StorageCapabilities = {
    writable: true,
    conditionalPut: true,
    conditionalStreamBytes: CONDITIONAL_STREAM_BYTES,
    pin: 'etag',
    anyKey: true,
  }
  readonly #clients: S3Clients
  readonly #reads: S3Reads

  constructor(clients: S3Clients) {
    this.#clients = clients
    this.#reads = new S3Reads(clients)
  }

  get(bucket: string, key: string, options: GetOptions = {}): Promise<ObjectReading> {
    return this.#reads.get({ bucket, key, options, context: contextOf('get', bucket, key) })
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
      const answer = await this.#send(context, bucket, signal, (client, how) =>
        bodyOf(client, new this.#clients.sdk.ListObjectsV2Command(input), how),
      )
      const page = parseListing(answer)
      if (page === undefined) throw noListing(answer, context)
      last = assertKeyOrder(last, page.heads, context)
      if (page.heads.length > 0) yield page.heads
      token = page.nextToken
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
    this.#reads.close()
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

/** The body of the answer; the SDK, whose reader of XML is slow, is given an empty one. */
async function bodyOf(client: S3Client, command: ListObjectsV2Command, how: SendOptions): Promise<Uint8Array> {
  let body: Uint8Array = new Uint8Array(0)
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const response = result.response as { statusCode: number; body: AsyncIterable<Uint8Array> }
      if (response.statusCode !== 200) return result
      body = await collectBytes(response.body)
      response.body = Readable.from([Buffer.from('<ListBucketResult/>')])
      return result
    },
    { step: 'deserialize', name: 'quernListing', priority: 'low' },
  )
  await client.send(command, how)
  return body
}

function noListing(answer: Uint8Array, context: StorageContext): StorageError {
  if (asBuffer(answer).includes('<ListBucketResult'))
    return new StorageError('BODY_TRUNCATED', 'the listing has no end', context)
  return new StorageError('UNSUPPORTED', 'the server did not answer with a listing', context)
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

function sendOptions(signal: Signal): SendOptions {
  return signal === undefined ? {} : { abortSignal: signal }
}
