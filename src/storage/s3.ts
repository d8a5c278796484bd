/**
 * S3 and what speaks like it: the contract in the SDK's commands, one request each (reads: s3-get.ts, listings:
 * s3-list.ts).
 */
import { createHash } from 'node:crypto'
import type { DeleteObjectsCommand, S3Client } from '@aws-sdk/client-s3'
import type { StorageContext } from '../core/errors.ts'
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
import { DELETE_KEYS, deletionError, NOT_IN_XML } from './s3-keys.ts'
import { S3Listings } from './s3-list.ts'
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
  readonly #listings: S3Listings

  constructor(clients: S3Clients) {
    this.#clients = clients
    this.#reads = new S3Reads(clients)
    this.#listings = new S3Listings(clients)
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

  list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    return this.#listings.pages(bucket, options, contextOf('list', bucket))
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
    this.#listings.close()
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

function sendOptions(signal: Signal): SendOptions {
  return signal === undefined ? {} : { abortSignal: signal }
}
