/**
 * What a configuration may say: one table of fields per section, in the spelling of this package (camelCase; files may
 * write snake_case). What Lithops says besides is in lithops.ts. Nothing here opens a backend or checks a credential.
 */

import { ConfigError } from '../core/errors.ts'
import {
  duration,
  type Field,
  type Fields,
  field,
  flag,
  isRecord,
  MISFIT,
  oneOf,
  parseFields,
  renamed,
  size,
  text,
  wholeNumber,
} from '../core/fields.ts'
import { LOG_LEVELS, type LogLevel, parseLogLevel } from '../core/log-level.ts'
import { Secret } from './secret.ts'

/** Compute backends that can be named in a configuration. */
export const COMPUTE_BACKENDS = ['localhost', 'threads', 'inline'] as const
/** Storage backends that can hold what an executor stores. */
export const STORAGE_BACKENDS = ['localhost', 'memory', 'aws_s3', 'minio', 'gcp_storage'] as const
export const MODES = ['localhost', 'serverless', 'standalone'] as const
export const MONITORS = ['channel'] as const

export const logLevel: Field<LogLevel> = {
  expected: `one of ${LOG_LEVELS.map((level) => `'${level}'`).join(', ')}`,
  parse: (value) => (typeof value === 'string' ? (parseLogLevel(value) ?? MISFIT) : MISFIT),
}

const secret: Field<Secret> = {
  expected: 'text (in quotes, where it could be read as a number)',
  parse: (value) => (typeof value === 'string' && value !== '' ? new Secret(value) : MISFIT),
  secret: true,
}

const endpoint: Field<string> = {
  ...field('an http(s) URL without credentials in it', (value): value is string => {
    if (typeof value !== 'string' || !URL.canParse(value)) return false
    const url = new URL(value)
    return (url.protocol === 'http:' || url.protocol === 'https:') && url.username === '' && url.password === ''
  }),
  // an endpoint that is refused may be so because a password stands in it
  secret: true,
}

/** The section on top, `quern:`. `executionTimeout` is what a call may take where it does not say. */
export function topFields(executionTimeout: Field<number>, dataLimit: Field<number>): Fields {
  return {
    backend: text,
    storage: text,
    mode: oneOf(...MODES),
    monitoring: oneOf(...MONITORS),
    logLevel,
    dataLimit: renamed(dataLimit, 'dataLimitBytes'),
    executionTimeout: renamed(executionTimeout, 'timeoutMs'),
    chunksize: wholeNumber(1),
    showProgressbar: flag,
  }
}

/** Of the files that the AWS command line keeps; Lithops calls it `config_profile`. */
const profile: Fields = { profile: text, configProfile: renamed(text, 'profile') }

const RETRY: Fields = {
  attempts: wholeNumber(1),
  atLeast: renamed(duration({ zero: true }), 'leastMs'),
  atMost: renamed(duration(), 'mostMs'),
}

const price = field('a number from 0 on', (v): v is number => typeof v === 'number' && v >= 0 && Number.isFinite(v))
const PRICES: Fields = { get: price, list: price, put: price, gib: price }

/** How long a store behind a network is tried; what is absent is src/core/backoff.ts' default. */
const retry = group(
  'retry',
  RETRY,
  ({ leastMs = 0, mostMs = Number.POSITIVE_INFINITY }: { leastMs?: number; mostMs?: number }) => leastMs <= mostMs,
)

/** What a store costs, in USD; what is absent is as in partitioner/prices.ts. */
const prices = group('prices', PRICES)

/** Numbers that belong together. */
function group(
  name: string,
  fields: Fields,
  isRight: (given: Readonly<Record<string, number>>) => boolean = () => true,
): Field<Readonly<Record<string, number>>> {
  return {
    expected: `an object with some of ${Object.keys(fields).join(', ')}: ${Object.entries(fields)
      .map(([key, { expected }]) => `${key} ${expected}`)
      .join('; ')}`,
    parse(value) {
      if (!isRecord(value)) return MISFIT
      const fail = () => new ConfigError('')
      try {
        const checking = { where: name, noun: 'key', fail, snakeCase: true, nullIsAbsent: true }
        const given = parseFields(fields, value, checking) as Record<string, number>
        return isRight(given) ? given : MISFIT
      } catch (error) {
        if (error instanceof ConfigError) return MISFIT
        throw error
      }
    },
  }
}

/** What every store in S3's dialect takes. */
const s3Dialect: Fields = {
  endpoint,
  region: text,
  accessKeyId: secret,
  secretAccessKey: secret,
  sessionToken: secret,
  forcePathStyle: flag,
  storageBucket: text,
  retry,
  prices,
}

const s3: Fields = {
  ...s3Dialect,
  ...profile,
  requesterPays: flag,
  sse: oneOf('AES256', 'aws:kms', 'aws:kms:dsse'),
  sseKmsKeyId: text,
  sseCustomerKey: secret,
}

/** Backend options that the constructor of an executor takes directly, as Lithops' does. */
export const BACKEND_OPTIONS: Fields = {
  workerProcesses: wholeNumber(1),
  maxWorkers: wholeNumber(1),
  runtimeMemory: renamed(wholeNumber(16), 'runtimeMemoryMiB'),
  storageRoot: text,
  storageBucket: text,
}

/** The sections of backends, by Lithops' names. */
export const SECTIONS: Readonly<Record<string, Fields>> = {
  localhost: { ...BACKEND_OPTIONS, fsync: flag },
  memory: { storageBucket: text },
  aws_s3: s3,
  minio: s3Dialect,
  gcp_storage: { region: text, credentialsPath: text, projectName: text, storageBucket: text, endpoint, retry, prices },
  http: { retry, prices },
}

/** Settings that every backend of one cloud shares, and the section they go into. */
export const SHARED_SECTIONS: Readonly<Record<string, { readonly into: string; readonly fields: Fields }>> = {
  aws: {
    into: 'aws_s3',
    fields: { accessKeyId: secret, secretAccessKey: secret, sessionToken: secret, region: text, ...profile },
  },
  gcp: { into: 'gcp_storage', fields: { region: text, credentialsPath: text, projectName: text } },
}

/** Bytes; false: no limit. Lithops counts MiB. */
export function dataLimit(unitBytes: number): Field<number> {
  return {
    expected: unitBytes === 1 ? `${size.expected}, or false` : 'MiB above 0, or false',
    parse(value) {
      if (value === false) return Number.POSITIVE_INFINITY
      if (unitBytes === 1) return size.parse(value)
      return typeof value === 'number' && value > 0 ? Math.floor(value * unitBytes) : MISFIT
    },
  }
}
