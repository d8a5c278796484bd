/** Which store `quern doctor` looks at: what its settings say of it, in words and as an address. */
import type { Located } from '../../partitioner/reference.ts'
import type { Config } from '../config/config.ts'
import type { Place } from './doctor-store.ts'

export interface Target {
  readonly place: Place
  /** Of an http URL. */
  readonly key: string
  /** Undefined where no network is in between. */
  readonly endpoint: URL | undefined
  /** The package that speaks to it. */
  readonly client: string | undefined
}

type Environment = Readonly<Record<string, string | undefined>>

interface Described {
  readonly identity?: string
  readonly region?: string
  readonly endpoint?: string | undefined
  readonly client?: string
}

const GCS_ENDPOINT = 'https://storage.googleapis.com'
const DEFAULT_REGION = 'us-east-1'

/** @param located what the user named; undefined: the configured store and bucket */
export function placeOf(located: Located | undefined, config: Config, env: Environment): Target {
  const backend = located?.backend ?? config.storage
  const bucket = located?.bucket ?? config.storageBucket ?? ''
  const { identity, region, endpoint, client } = describe(backend, bucket, config, env)
  const ownBucket = located === undefined || bucket === (config.sections.localhost.storageBucket ?? 'quern')
  return {
    place: {
      backend,
      bucket,
      prefix: located === undefined ? '' : folderOf(located),
      identity,
      region,
      makesBucket: (backend === 'localhost' || backend === 'memory') && ownBucket,
    },
    key: located?.target.type === 'key' ? located.target.key : '',
    endpoint: endpoint === undefined ? undefined : new URL(endpoint),
    client,
  }
}

/** The prefix that objects beside the one that was named have. */
function folderOf({ target }: Located): string {
  const text = target.type === 'key' ? target.key : target.prefix
  return text.slice(0, text.lastIndexOf('/') + 1)
}

function describe(backend: string, bucket: string, { sections }: Config, env: Environment): Described {
  switch (backend) {
    case 'aws_s3':
      return describeS3(sections.aws_s3, bucket, env)
    case 'minio': {
      const { endpoint, region, accessKeyId } = sections.minio
      const identity = accessKeyId === undefined ? 'anonymous: no keys are given' : 'keys of the configuration'
      return { endpoint, identity, region: region ?? 'as the server says', client: 'minio' }
    }
    case 'gcp_storage':
      return describeGcs(sections.gcp_storage, env)
    case 'http':
      return { endpoint: bucket }
    default:
      return {}
  }
}

function describeS3(section: Config['sections']['aws_s3'], bucket: string, env: Environment): Described {
  const region = section.region ?? (env.AWS_REGION || env.AWS_DEFAULT_REGION || undefined)
  const ignored = env.AWS_IGNORE_CONFIGURED_ENDPOINT_URLS === 'true'
  const given = section.endpoint ?? (ignored ? undefined : env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL || undefined)
  const domain = region?.startsWith('cn-') ? 'amazonaws.com.cn' : 'amazonaws.com'
  const endpoint = given ?? `https://s3.${region ?? DEFAULT_REGION}.${domain}`
  return {
    endpoint: given !== undefined && section.forcePathStyle === false ? inHost(endpoint, bucket) : endpoint,
    identity: s3Identity(section, env),
    region: region ?? `not given: of the profile, else ${DEFAULT_REGION}`,
    client: '@aws-sdk/client-s3',
  }
}

function inHost(endpoint: string, bucket: string): string {
  const url = new URL(endpoint)
  if (bucket !== '') url.hostname = `${bucket}.${url.hostname}`
  return url.href
}

/** In the order in which the client looks. */
function s3Identity({ accessKeyId, profile }: Config['sections']['aws_s3'], env: Environment): string {
  if (accessKeyId !== undefined) return 'keys of the configuration'
  if (profile !== undefined) return `profile ${profile}`
  if (env.AWS_PROFILE) return `profile ${env.AWS_PROFILE} (AWS_PROFILE)`
  if (env.AWS_ACCESS_KEY_ID) return 'keys of the environment'
  return "the SDK's own chain: profile, SSO, web identity, container, instance"
}

function describeGcs({ credentialsPath, endpoint }: Config['sections']['gcp_storage'], env: Environment): Described {
  const emulator = env.STORAGE_EMULATOR_HOST
  const client = '@google-cloud/storage'
  if (emulator) {
    const url = /^https?:\/\//.test(emulator) ? emulator : `http://${emulator}`
    return { endpoint: url, identity: 'none: STORAGE_EMULATOR_HOST is set', client }
  }
  const own = endpoint === undefined ? 'application default credentials' : 'none: an endpoint of its own is set'
  return {
    endpoint: endpoint ?? GCS_ENDPOINT,
    identity: credentialsPath === undefined ? own : `the key file ${credentialsPath}`,
    client,
  }
}
