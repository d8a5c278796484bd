/** Reads of S3: over our own sockets where that can be (s3-direct.ts), else through the SDK. */
import type { Readable } from 'node:stream'
import { type StorageContext, StorageError } from '../core/errors.ts'
import type { GetOptions, ObjectReading } from './backend.ts'
import { exactBody } from './http-body.ts'
import { assertRange, httpRange, parseContentRange } from './ranges.ts'
import type { S3Clients } from './s3-client.ts'
import { type DirectRequest, encodedKey, type RequestKind, S3Direct, type Watch } from './s3-direct.ts'
import { s3Error } from './s3-errors.ts'
import { headOf, type S3Head } from './s3-head.ts'

interface Asked {
  readonly bucket: string
  readonly key: string
  readonly options: GetOptions
  readonly context: StorageContext
}

interface Answer {
  readonly head: S3Head & { readonly ContentRange?: string | undefined }
  readonly body: Readable
}

const READS: RequestKind = { name: 'Read', fixed: new Set(['x-id']), varying: new Set() }

export class S3Reads {
  readonly #clients: S3Clients
  readonly #direct = new S3Direct(READS)

  constructor(clients: S3Clients) {
    this.#clients = clients
  }

  /** The contract's `get`. */
  async get(asked: Asked): Promise<ObjectReading> {
    const { key, options, context } = asked
    const { range, signal } = options
    signal?.throwIfAborted()
    assertRange(range, context)
    const { head, body } = await this.#ask(asked)
    const part = parseContentRange(head.ContentRange)
    if (part?.range.start !== range?.start || head.ContentLength === undefined) {
      body.destroy()
      throw new StorageError('UNSUPPORTED', 'the server did not answer with the range that was asked for', context)
    }
    const given = part?.range ?? { start: 0, end: head.ContentLength }
    return {
      head: headOf(key, { ...head, ContentLength: part?.sizeBytes ?? head.ContentLength }),
      range: given,
      body: exactBody(body, given.end - given.start, context, signal),
    }
  }

  close(): void {
    this.#direct.close()
  }

  async #ask(asked: Asked): Promise<Answer> {
    const { bucket, key, options, context } = asked
    const { range, ifMatch, signal } = options
    const headers: Record<string, string> = {}
    if (range !== undefined) headers.range = httpRange(range)
    if (ifMatch !== undefined) headers['if-match'] = ifMatch
    const condition = ifMatch === undefined ? undefined : ('ifMatch' as const)
    const request = { bucket, tail: encodedKey(key), headers, condition, context, signal }
    const response = await this.#direct.send(request)
    return response === undefined ? this.#askSdk(asked, request) : { head: headTold(response.headers), body: response }
  }

  async #askSdk({ bucket, key, options, context }: Asked, request: DirectRequest): Promise<Answer> {
    const { range, ifMatch, signal } = options
    const { sdk, payer, customerKey } = this.#clients
    const input = {
      Bucket: bucket,
      Key: key,
      ...payer,
      ...customerKey,
      ...(range === undefined ? {} : { Range: httpRange(range) }),
      ...(ifMatch === undefined ? {} : { IfMatch: ifMatch }),
    }
    const watch: Watch = {}
    try {
      const output = await this.#clients.send(bucket, (client) => {
        const command = new sdk.GetObjectCommand(input)
        this.#direct.follow(command, client, request, watch)
        return client.send(command, signal === undefined ? {} : { abortSignal: signal })
      })
      this.#direct.learn(bucket, watch)
      return { head: output, body: output.Body as unknown as Readable }
    } catch (error) {
      throw s3Error(error, context, { condition: request.condition, signal })
    }
  }
}

function headTold(headers: NodeJS.Dict<string | string[]>): Answer['head'] {
  const text = (name: string) => headers[name] as string | undefined
  const length = text('content-length')
  const modified = Date.parse(text('last-modified') ?? '')
  return {
    ContentLength: length === undefined ? undefined : Number(length),
    ETag: text('etag'),
    LastModified: Number.isNaN(modified) ? undefined : new Date(modified),
    ContentType: text('content-type'),
    ContentEncoding: text('content-encoding'),
    ContentRange: text('content-range'),
  }
}
