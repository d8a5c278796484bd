/**
 * Listings of S3, page by page: over our own sockets where that can be (s3-direct.ts), else through the SDK. Keys are
 * decoded and checked to come in UTF-8 byte order, which not every compatible store keeps.
 */
import { Readable } from 'node:stream'
import type { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { collectBytes } from '../core/bytes.ts'
import type { StorageContext } from '../core/errors.ts'
import type { ListOptions, ObjectHead } from './backend.ts'
import { exactBody } from './http-body.ts'
import type { S3Clients } from './s3-client.ts'
import { type DirectRequest, type RequestKind, S3Direct, type Watch } from './s3-direct.ts'
import { s3Error } from './s3-errors.ts'
import { assertKeyOrder } from './s3-keys.ts'
import { assertProgress, readListing } from './s3-listing.ts'

const LISTS: RequestKind = {
  name: 'List',
  fixed: new Set(['list-type', 'encoding-type', 'x-id']),
  varying: new Set(['prefix', 'start-after', 'continuation-token']),
}

type Query = Partial<Record<'prefix' | 'start-after' | 'continuation-token', string>>

export class S3Listings {
  readonly #clients: S3Clients
  readonly #direct = new S3Direct(LISTS)

  constructor(clients: S3Clients) {
    this.#clients = clients
  }

  /** The contract's `list`. */
  async *pages(
    bucket: string,
    { prefix = '', startAfter, signal }: ListOptions,
    context: StorageContext,
  ): AsyncGenerator<readonly ObjectHead[]> {
    const of = prefix === '' ? {} : { prefix }
    const first = startAfter === undefined ? of : { ...of, 'start-after': startAfter }
    let token: string | undefined
    let last: string | undefined
    do {
      signal?.throwIfAborted()
      const query: Query = token === undefined ? first : { ...of, 'continuation-token': token }
      const page = readListing(await this.#ask({ bucket, tail: '', query, context, signal }, query), context)
      last = assertKeyOrder(last, page.heads, context)
      assertProgress(token, page, context)
      if (page.heads.length > 0) yield page.heads
      token = page.nextToken
    } while (token !== undefined)
  }

  close(): void {
    this.#direct.close()
  }

  async #ask(request: DirectRequest, query: Query): Promise<Uint8Array> {
    const response = await this.#direct.send(request)
    if (response === undefined) return this.#askSdk(request, query)
    const length = response.headers['content-length']
    const sizeBytes = length === undefined ? undefined : Number(length)
    return collectBytes(exactBody(response, sizeBytes, request.context, request.signal))
  }

  async #askSdk(request: DirectRequest, query: Query): Promise<Uint8Array> {
    const { bucket, context, signal } = request
    const { sdk, payer } = this.#clients
    const { prefix, 'start-after': startAfter, 'continuation-token': token } = query
    const input = {
      Bucket: bucket,
      ...payer,
      // keys may hold characters that XML cannot
      EncodingType: 'url' as const,
      ...(prefix === undefined ? {} : { Prefix: prefix }),
      ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
      ...(token === undefined ? {} : { ContinuationToken: token }),
    }
    const watch: Watch = {}
    try {
      const page = await this.#clients.send(bucket, (client) => {
        const command = new sdk.ListObjectsV2Command(input)
        this.#direct.follow(command, client, request, watch)
        return bodyOf(client, command, signal)
      })
      this.#direct.learn(bucket, watch)
      return page
    } catch (error) {
      throw s3Error(error, context, { signal })
    }
  }
}

/** The body of the answer; the SDK, whose reader of XML is slow, is given an empty one. */
async function bodyOf(
  client: S3Client,
  command: ListObjectsV2Command,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
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
  await client.send(command, signal === undefined ? {} : { abortSignal: signal })
  return body
}
