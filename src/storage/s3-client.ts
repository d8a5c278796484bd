/**
 * The client of @aws-sdk/client-s3, which is loaded at the first use, and how it is set up.
 *
 * Its own retries are off: a repeated conditional put could fail on its own first success. Checksums are sent only
 * where S3 demands them, as compatible stores refuse the SDK's trailers or store them.
 */
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import { ConfigError } from '../core/errors.ts'

/** The section `aws_s3` of the configuration. Without keys the SDK's own credential chain is asked. */
export interface S3Config {
  readonly endpoint?: string | undefined
  readonly region?: string | undefined
  readonly accessKeyId?: string | undefined
  readonly secretAccessKey?: string | undefined
  readonly sessionToken?: string | undefined
  /** Bucket in the path, not in the host name. Default: where an endpoint is given. */
  readonly forcePathStyle?: boolean | undefined
  readonly requestChecksumCalculation?: 'WHEN_SUPPORTED' | 'WHEN_REQUIRED' | undefined
}

export type Sdk = typeof import('@aws-sdk/client-s3')

const MAX_SOCKETS = 256
const CONNECTION_TIMEOUT_MS = 10_000
/** A body on which nothing moves for this long is given up; without it a stalled one would hang for ever. */
const SOCKET_TIMEOUT_MS = 60_000
/** @throws ConfigError when @aws-sdk/client-s3 is not installed, or one of the two keys is missing */
export async function openS3Client(config: S3Config): Promise<{ sdk: Sdk; client: S3Client }> {
  const { accessKeyId, secretAccessKey } = config
  if ((accessKeyId === undefined) !== (secretAccessKey === undefined)) {
    throw new ConfigError('aws_s3: accessKeyId and secretAccessKey go together, only one of them is given')
  }
  const sdk = await loadSdk()
  return { sdk, client: quietly(() => new sdk.S3Client(clientConfig(config))) }
}

async function loadSdk(): Promise<Sdk> {
  try {
    return await import('@aws-sdk/client-s3')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const missing =
      (code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND') && message.includes("'@aws-sdk/client-s3'")
    if (!missing) throw error
    const hint = 'the aws_s3 backend needs @aws-sdk/client-s3: npm install @aws-sdk/client-s3'
    throw new ConfigError(hint, { cause: error })
  }
}

function clientConfig(config: S3Config): S3ClientConfig {
  const { endpoint, accessKeyId, secretAccessKey, sessionToken } = config
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS }
  const region = config.region ?? (endpoint === undefined ? undefined : 'us-east-1')
  return {
    maxAttempts: 1,
    requestChecksumCalculation: config.requestChecksumCalculation ?? 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    forcePathStyle: config.forcePathStyle ?? endpoint !== undefined,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      socketTimeout: SOCKET_TIMEOUT_MS,
      httpAgent: agent,
      httpsAgent: agent,
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
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
