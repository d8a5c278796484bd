/**
 * Clients of @aws-sdk/client-s3, which is loaded at the first use: how they are set up, and which one asks for a bucket.
 *
 * - The SDK's own retries are off: a repeated conditional put could fail on its own first success.
 * - Keys are the SDK's to find (environment, profile, SSO, web identity, container, instance) unless they are given.
 * - A bucket of another region is asked for there once its server says so, and from then on.
 * - Checksums of requests are the SDK's defaults on AWS, and only what S3 demands where an endpoint is given: compatible
 *   stores refuse the SDK's trailers or store them. Answers are not checked: only uncut reads carry a checksum.
 */
import type { S3Client, S3ClientConfig, ServerSideEncryption } from '@aws-sdk/client-s3'
import { ConfigError } from '../core/errors.ts'
import { agentOptions } from './http-agent.ts'
import { loadPeer } from './peer.ts'

/** The section `aws_s3` of the configuration. Without keys the SDK's own credential chain is asked. */
export interface S3Config {
  readonly endpoint?: string | undefined
  /** Default: of the environment or profile, else us-east-1. */
  readonly region?: string | undefined
  readonly accessKeyId?: string | undefined
  readonly secretAccessKey?: string | undefined
  readonly sessionToken?: string | undefined
  /** Of the shared configuration and credentials files. */
  readonly profile?: string | undefined
  /** Bucket in the path, not in the host name. Default: where an endpoint is given. */
  readonly forcePathStyle?: boolean | undefined
  readonly requesterPays?: boolean | undefined
  readonly sse?: ServerSideEncryption | undefined
  readonly sseKmsKeyId?: string | undefined
  /** 32 bytes in base64, sent with every request: what is written with it is read with it only. */
  readonly sseCustomerKey?: string | undefined
}

export type Sdk = typeof import('@aws-sdk/client-s3')

/** Connections to one server. */
export const MAX_SOCKETS = 256
const CONNECTION_TIMEOUT_MS = 10_000
/** A body on which nothing moves for this long is given up; without it a stalled one would hang for ever. */
const SOCKET_TIMEOUT_MS = 60_000
const DEFAULT_REGION = 'us-east-1'

/** @throws ConfigError when @aws-sdk/client-s3 is not installed, or settings contradict each other */
export async function openS3Clients(config: S3Config): Promise<S3Clients> {
  assertSettings(config)
  const sdk = await loadPeer('aws_s3', '@aws-sdk/client-s3', () => import('@aws-sdk/client-s3'))
  const clients = new S3Clients(sdk, config)
  await clients.findRegion()
  return clients
}

export class S3Clients {
  readonly sdk: Sdk
  /** Whether the endpoint is not AWS'. */
  readonly isCompatible: boolean
  /** Parameters that go with every request to an object, with those that make one, with those of its bytes. */
  readonly payer: { readonly RequestPayer?: 'requester' }
  readonly encryption: Readonly<Record<string, string>>
  readonly customerKey: Readonly<Record<string, string>>
  /** Of an upload in parts whose parts carry checksums. */
  readonly partChecksums: { readonly ChecksumAlgorithm?: 'CRC32' }
  readonly #config: S3Config
  #first: S3Client
  readonly #regionOf = new Map<string, string>()
  readonly #elsewhere = new Map<string, S3Client>()

  constructor(sdk: Sdk, config: S3Config) {
    const { requesterPays, sse, sseKmsKeyId, sseCustomerKey } = config
    this.sdk = sdk
    this.#config = config
    this.isCompatible = customEndpoint(config)
    this.payer = requesterPays === true ? { RequestPayer: 'requester' } : {}
    this.customerKey =
      sseCustomerKey === undefined ? {} : { SSECustomerAlgorithm: 'AES256', SSECustomerKey: sseCustomerKey }
    this.encryption = {
      ...this.customerKey,
      ...(sse === undefined ? {} : { ServerSideEncryption: sse }),
      ...(sseKmsKeyId === undefined ? {} : { SSEKMSKeyId: sseKmsKeyId }),
    }
    this.partChecksums = this.isCompatible ? {} : { ChecksumAlgorithm: 'CRC32' }
    this.#first = this.#create(config.region)
  }

  /** Takes the default where neither the settings nor the environment name a region. */
  async findRegion(): Promise<void> {
    const found = await this.#first.config.region().catch(() => undefined)
    if (found !== undefined && found !== '') return
    this.#first.destroy()
    this.#first = this.#create(DEFAULT_REGION)
  }

  /** Asks the client of the bucket's region; another one when the answer names another, which is remembered. */
  async send<T>(bucket: string, request: (client: S3Client) => Promise<T>): Promise<T> {
    const known = this.#regionOf.get(bucket)
    try {
      return await request(this.#clientOf(known))
    } catch (error) {
      const region = regionToldBy(error)
      if (region === undefined || region === known) throw error
      this.#regionOf.set(bucket, region)
      return request(this.#clientOf(region))
    }
  }

  close(): void {
    for (const client of [this.#first, ...this.#elsewhere.values()]) client.destroy()
  }

  #clientOf(region: string | undefined): S3Client {
    if (region === undefined) return this.#first
    const known = this.#elsewhere.get(region)
    if (known !== undefined) return known
    const client = this.#create(region, { credentials: this.#first.config.credentials })
    this.#elsewhere.set(region, client)
    return client
  }

  #create(region: string | undefined, more: S3ClientConfig = {}): S3Client {
    const given = { ...clientConfig(this.#config, this.isCompatible), ...more }
    return quietly(() => new this.sdk.S3Client(region === undefined ? given : { ...given, region }))
  }
}

function assertSettings(config: S3Config): void {
  const { accessKeyId, secretAccessKey, sessionToken, profile, sse, sseKmsKeyId, sseCustomerKey } = config
  const wrong = (why: string) => new ConfigError(`aws_s3: ${why}`)
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw wrong('accessKeyId and secretAccessKey go together, only one of them is given')
  }
  if (sessionToken !== undefined && accessKeyId === undefined) {
    throw wrong('sessionToken belongs to accessKeyId and secretAccessKey, which are not given')
  }
  if (profile !== undefined && accessKeyId !== undefined) {
    throw wrong('profile and accessKeyId both say whose keys to use: give one of them')
  }
  if (sseKmsKeyId !== undefined && sse?.startsWith('aws:kms') !== true) {
    throw wrong(`sseKmsKeyId needs sse 'aws:kms' or 'aws:kms:dsse'`)
  }
  if (sseCustomerKey === undefined) return
  if (sse !== undefined) throw wrong('sse and sseCustomerKey exclude each other')
  if (Buffer.from(sseCustomerKey, 'base64').length !== 32) {
    throw wrong('sseCustomerKey: expected 32 bytes in base64, got something else (not shown)')
  }
}

/** Given here or, for the SDK itself to find, in the environment. */
function customEndpoint({ endpoint }: S3Config): boolean {
  const { AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_IGNORE_CONFIGURED_ENDPOINT_URLS } = process.env
  if (endpoint !== undefined) return true
  return Boolean(AWS_ENDPOINT_URL_S3 || AWS_ENDPOINT_URL) && AWS_IGNORE_CONFIGURED_ENDPOINT_URLS !== 'true'
}

function clientConfig(config: S3Config, isCompatible: boolean): S3ClientConfig {
  const { endpoint, profile, accessKeyId, secretAccessKey, sessionToken } = config
  const agent = agentOptions(MAX_SOCKETS)
  return {
    maxAttempts: 1,
    requestChecksumCalculation: isCompatible ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    forcePathStyle: config.forcePathStyle ?? isCompatible,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(profile === undefined ? {} : { profile }),
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : {
          credentials: {
            accessKeyId,
            secretAccessKey,
            ...(sessionToken === undefined ? {} : { sessionToken }),
          },
        }),
  }
}

const TOLD_ELSEWHERE = new Set([301, 307, 400])

/** The region that an answer sends the request to; undefined when the answer is about something else. */
function regionToldBy(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { $metadata, $response, Region } = error as {
    readonly $metadata?: { readonly httpStatusCode?: number }
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> }
    readonly Region?: string
  }
  if (!TOLD_ELSEWHERE.has($metadata?.httpStatusCode ?? 0)) return undefined
  return $response?.headers?.['x-amz-bucket-region'] ?? Region
}

/** Makes a client without the SDK's notice of which Node its later versions will need, by the SDK's own switch. */
function quietly<T>(make: () => T): T {
  const name = 'AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'
  const before = process.env[name]
  process.env[name] = 'true'
  try {
    return make()
  } finally {
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
}
