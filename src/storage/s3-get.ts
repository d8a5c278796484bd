/**
 * Reads of S3, over our own sockets where that can be. The SDK sends the first read of a bucket; where it went, for
 * which region it was signed and which headers it carried is noted, and the reads after it go there directly: the SDK
 * takes three times the CPU of a small read.
 *
 * - Credentials stay the SDK's to find and to renew, and so does its correction of the clock.
 * - What may be about the address, the region, the clock or the keys (301, 307, 400, 403) is asked of the SDK again,
 *   and the address is learnt anew from its next success.
 * - What is signed in another way (express buckets, access points of many regions, anonymous) stays with the SDK.
 */
import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { asBuffer, collectBytes } from '../core/bytes.ts'
import { type StorageContext, StorageError } from '../core/errors.ts'
import type { GetOptions, ObjectReading } from './backend.ts'
import { exactBody } from './http-body.ts'
import { type HttpTarget, HttpTransport } from './http-transport.ts'
import { assertRange, httpRange, parseContentRange } from './ranges.ts'
import { MAX_SOCKETS, type S3Clients } from './s3-client.ts'
import { refusalOf, s3Error } from './s3-errors.ts'
import { headOf, type S3Head } from './s3-head.ts'
import { amzDate, S3Signer } from './s3-sign.ts'

/** Where reads of a bucket go. */
interface Address extends Omit<HttpTarget, 'path'> {
  readonly client: S3Client
  readonly signer: S3Signer
  /** Before the key. */
  readonly pathPrefix: string
  readonly query: string
  /** Of every read. */
  readonly headers: Readonly<Record<string, string>>
}

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

/** A request as the SDK signed it. */
interface SignedRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>
}

const ASK_THE_SDK = new Set([301, 307, 400, 403])
/** What differs between two reads, and what tells of the SDK. */
const OF_ONE_READ = new Set(['range', 'if-match', 'authorization', 'x-amz-date', 'x-amz-security-token'])
const OF_THE_SDK = /^(amz-sdk-|(x-amz-)?user-agent$|content-|connection$)/

export class S3Reads {
  readonly #clients: S3Clients
  readonly #transport = new HttpTransport({ maxSockets: MAX_SOCKETS })
  /** Undefined where reads of the bucket stay with the SDK. */
  readonly #addresses = new Map<string, Address | undefined>()

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
    this.#transport.close()
  }

  async #ask(asked: Asked): Promise<Answer> {
    const address = this.#addresses.get(asked.bucket)
    if (address === undefined) return this.#askSdk(asked)
    return (await this.#askDirectly(address, asked)) ?? this.#askSdk(asked)
  }

  /** Undefined where the answer is for the SDK to deal with. */
  async #askDirectly(address: Address, { bucket, key, options, context }: Asked): Promise<Answer | undefined> {
    const { range, ifMatch, signal } = options
    const { config } = address.client
    const keys = await config.credentials()
    const headers: Record<string, string> = { ...address.headers }
    headers['x-amz-date'] = amzDate(Date.now() + (config.systemClockOffset ?? 0))
    if (keys.sessionToken !== undefined) headers['x-amz-security-token'] = keys.sessionToken
    if (range !== undefined) headers.range = httpRange(range)
    if (ifMatch !== undefined) headers['if-match'] = ifMatch
    const path = address.pathPrefix + encodedKey(key)
    const { protocol, hostname, port, query, signer } = address
    headers.authorization = signer.sign({ method: 'GET', path, query, headers }, keys)
    const target = { protocol, hostname, port, path: query === '' ? path : `${path}?${query}` }
    const response = await this.#transport.send('GET', target, { headers, context, signal })
    const status = response.statusCode ?? 0
    const { headers: told } = response
    if (status === 200 || status === 206) return { head: headTold(told), body: response }
    if (ASK_THE_SDK.has(status)) {
      response.destroy()
      this.#addresses.delete(bucket)
      return undefined
    }
    const text = asBuffer(await collectBytes(exactBody(response, undefined, context, signal))).toString()
    throw refusalOf(status, told['retry-after'], text, context, ifMatch === undefined ? undefined : 'ifMatch')
  }

  async #askSdk({ bucket, key, options, context }: Asked): Promise<Answer> {
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
    let address: Address | undefined
    try {
      const output = await this.#clients.send(bucket, (client) => {
        const command = new sdk.GetObjectCommand(input)
        if (!this.#addresses.has(bucket)) {
          command.middlewareStack.add(
            (next) => (args) => {
              address = addressOf(args.request as SignedRequest, key, client)
              return next(args)
            },
            { step: 'deserialize', name: 'quernNoteAddress', priority: 'low' },
          )
        }
        return client.send(command, signal === undefined ? {} : { abortSignal: signal })
      })
      if (!this.#addresses.has(bucket)) this.#addresses.set(bucket, address)
      return { head: output, body: output.Body as unknown as Readable }
    } catch (error) {
      throw s3Error(error, context, { condition: ifMatch === undefined ? undefined : 'ifMatch', signal })
    }
  }
}

/** Undefined where it was signed in another way than ours, or says more than we would. */
function addressOf(request: SignedRequest, key: string, client: S3Client): Address | undefined {
  const { protocol, hostname, port, path, query, headers } = request
  const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const authorization = own.find(([name]) => name === 'authorization')?.[1] ?? ''
  const region = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([^/]+)\/s3\/aws4_request,/.exec(authorization)?.[1]
  const encoded = encodedKey(key)
  const plain = Object.keys(query).every((name) => name === 'x-id')
  const kept = Object.fromEntries(own.filter(([name]) => !OF_ONE_READ.has(name) && !OF_THE_SDK.test(name)))
  if (region === undefined || !plain || !path.endsWith(`/${encoded}`)) return undefined
  if (kept.host === undefined || kept['x-amz-content-sha256'] === undefined) return undefined
  return {
    client,
    signer: new S3Signer(region),
    protocol,
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port,
    pathPrefix: path.slice(0, -encoded.length),
    query: typeof query['x-id'] === 'string' ? `x-id=${query['x-id']}` : '',
    headers: kept,
  }
}

/** As a path carries it and as it is signed. */
function encodedKey(key: string): string {
  const encode = (text: string) =>
    encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
  return key.split('/').map(encode).join('/')
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
