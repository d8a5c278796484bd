/**
 * Requests of S3 over our own sockets, where that can be. The SDK sends the first request of a kind to a bucket; where
 * it went, for which region it was signed and which headers it carried is noted, and those after it go there directly:
 * the SDK takes three times the CPU of a small read.
 *
 * - Credentials stay the SDK's to find and to renew, and so does its correction of the clock.
 * - What may be about the address, the region, the clock or the keys (301, 307, 400, 403) is asked of the SDK again,
 *   and the address is learnt anew from its next success.
 * - What is signed in another way (express buckets, access points of many regions, anonymous) stays with the SDK.
 */
import type { IncomingMessage } from 'node:http'
import type { S3Client } from '@aws-sdk/client-s3'
import { asBuffer, collectBytes } from '../core/bytes.ts'
import type { StorageContext } from '../core/errors.ts'
import { exactBody } from './http-body.ts'
import { type HttpTarget, HttpTransport } from './http-transport.ts'
import { MAX_SOCKETS } from './s3-client.ts'
import { refusalOf, type S3Condition } from './s3-errors.ts'
import { amzDate, S3Signer } from './s3-sign.ts'

/** Where requests of a kind go. */
interface Address extends Omit<HttpTarget, 'path'> {
  readonly client: S3Client
  readonly signer: S3Signer
  /** Before what the request adds to it. */
  readonly pathPrefix: string
  /** Of every request, as are the headers. */
  readonly query: Readonly<Record<string, string>>
  readonly queryText: string
  readonly headers: Readonly<Record<string, string>>
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

/** What a kind of requests have in common. */
export interface RequestKind {
  readonly name: string
  /** Of their query, what stays the same; and what each of them has its own of. With any other, the SDK keeps them. */
  readonly fixed: ReadonlySet<string>
  readonly varying: ReadonlySet<string>
}

export interface DirectRequest {
  readonly bucket: string
  /** What the path ends with, encoded. */
  readonly tail: string
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly condition?: S3Condition | undefined
  readonly context: StorageContext
  readonly signal: AbortSignal | undefined
}

/** Where the SDK sent a command; undefined where that is no address of ours. */
export interface Watch {
  address?: Address | undefined
}

/** A command of the SDK, as far as it is watched. */
interface Command {
  readonly middlewareStack: {
    add(
      middleware: <A extends { readonly request: unknown }, R>(next: (args: A) => R) => (args: A) => R,
      options: { readonly step: 'deserialize'; readonly name: string; readonly priority: 'low' },
    ): void
  }
}

const ASK_THE_SDK = new Set([301, 307, 400, 403])
/** What differs between two requests of a kind, and what tells of the SDK. */
const OF_ONE_REQUEST = new Set(['range', 'if-match', 'authorization', 'x-amz-date', 'x-amz-security-token'])
const OF_THE_SDK = /^(amz-sdk-|(x-amz-)?user-agent$|content-|connection$)/

/** The addresses of one kind of requests. */
export class S3Direct {
  readonly #kind: RequestKind
  readonly #transport = new HttpTransport({ maxSockets: MAX_SOCKETS })
  /** By bucket. Undefined where its requests stay with the SDK. */
  readonly #addresses = new Map<string, Address | undefined>()

  constructor(kind: RequestKind) {
    this.#kind = kind
  }

  /**
   * The answer with a status of success, its body the caller's to read or destroy; undefined where the SDK is to ask.
   * @throws StorageError
   */
  async send(request: DirectRequest): Promise<IncomingMessage | undefined> {
    const { bucket, tail, query, context, condition, signal } = request
    const address = this.#addresses.get(bucket)
    if (address === undefined) return undefined
    const { protocol, hostname, port } = address
    const path = address.pathPrefix + tail
    const asked = query === undefined ? address.queryText : queryText({ ...address.query, ...query })
    const headers = await signedHeaders(address, path, asked, request.headers)
    const target = { protocol, hostname, port, path: asked === '' ? path : `${path}?${asked}` }
    const response = await this.#transport.send('GET', target, { headers, context, signal })
    const status = response.statusCode ?? 0
    if (status === 200 || status === 206) return response
    if (ASK_THE_SDK.has(status)) {
      response.destroy()
      this.#addresses.delete(bucket)
      return undefined
    }
    const text = asBuffer(await collectBytes(exactBody(response, undefined, context, signal))).toString()
    throw refusalOf(status, response.headers['retry-after'], text, context, condition)
  }

  /** Notes where the SDK's client sends the command, in `watch`. */
  follow(command: Command, client: S3Client, { bucket, tail }: DirectRequest, watch: Watch): void {
    if (this.#addresses.has(bucket)) return
    command.middlewareStack.add(
      (next) => (args) => {
        watch.address = addressOf(args.request as SignedRequest, tail, client, this.#kind)
        return next(args)
      },
      { step: 'deserialize', name: `quernNote${this.#kind.name}`, priority: 'low' },
    )
  }

  /** The SDK's request was answered: later ones go there directly. */
  learn(bucket: string, { address }: Watch): void {
    if (!this.#addresses.has(bucket)) this.#addresses.set(bucket, address)
  }

  close(): void {
    this.#transport.close()
  }
}

/** As a path carries it and as it is signed. */
export function encodedKey(key: string): string {
  return key.split('/').map(encoded).join('/')
}

async function signedHeaders(
  { client, signer, headers: common }: Address,
  path: string,
  query: string,
  own: DirectRequest['headers'],
): Promise<Record<string, string>> {
  const { config } = client
  const keys = await config.credentials()
  const headers: Record<string, string> = { ...common, ...own }
  headers['x-amz-date'] = amzDate(Date.now() + (config.systemClockOffset ?? 0))
  if (keys.sessionToken !== undefined) headers['x-amz-security-token'] = keys.sessionToken
  headers.authorization = signer.sign({ method: 'GET', path, query, headers }, keys)
  return headers
}

/** Undefined where it was signed in another way than ours, or says more than we would. */
function addressOf(request: SignedRequest, tail: string, client: S3Client, kind: RequestKind): Address | undefined {
  const { protocol, hostname, port, path, headers } = request
  const own = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  const authorization = own.find(([name]) => name === 'authorization')?.[1] ?? ''
  const region = /^AWS4-HMAC-SHA256 Credential=[^/]+\/\d{8}\/([^/]+)\/s3\/aws4_request,/.exec(authorization)?.[1]
  const kept = Object.fromEntries(own.filter(([name]) => !OF_ONE_REQUEST.has(name) && !OF_THE_SDK.test(name)))
  const query = fixedQuery(request.query, kind)
  if (region === undefined || query === undefined || !path.endsWith(tail === '' ? '' : `/${tail}`)) return undefined
  if (kept.host === undefined || kept['x-amz-content-sha256'] === undefined) return undefined
  return {
    client,
    signer: new S3Signer(region),
    protocol,
    hostname: hostname.replace(/^\[|\]$/g, ''),
    port,
    pathPrefix: path.slice(0, path.length - tail.length),
    query,
    queryText: queryText(query),
    headers: kept,
  }
}

function fixedQuery(
  query: Readonly<Record<string, unknown>>,
  { fixed, varying }: RequestKind,
): Readonly<Record<string, string>> | undefined {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(query)) {
    if (varying.has(name)) continue
    if (!fixed.has(name) || typeof value !== 'string') return undefined
    kept[name] = value
  }
  return kept
}

/** Sorted by name, as it is signed. */
function queryText(query: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
  return pairs.sort().join('&')
}

function encoded(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}
