/**
 * The configuration of an executor: found (source.ts), checked against the tables (schema.ts), merged with what the
 * constructor says, completed by defaults. Synchronous, so that a constructor can use it; credentials come out as
 * `Secret`, so that no print of a Config shows one.
 */
import { homedir } from 'node:os'
import { ConfigError } from '../core/errors.ts'
import { type Checking, duration, parseFields } from '../core/fields.ts'
import type { LogLevel } from '../core/log-level.ts'
import { nearestName } from '../core/nearest.ts'
import { isLithopsName, withoutLithopsOnly } from './lithops.ts'
import {
  COMPUTE_BACKENDS,
  dataLimit,
  type MODES,
  SECTIONS,
  SHARED_SECTIONS,
  STORAGE_BACKENDS,
  topFields,
} from './schema.ts'
import type { Secret } from './secret.ts'
import { findConfig, type SourceOptions } from './source.ts'

/** Settings of localhost, as compute and as storage. */
export interface LocalhostSection {
  readonly workerProcesses?: number
  readonly maxWorkers?: number
  readonly runtimeMemoryMiB?: number
  /** Folder of the store; default `./.quern/storage`. */
  readonly storageRoot?: string
  /** A put to the localhost store has reached the disk when it is answered. */
  readonly fsync?: boolean
  readonly storageBucket?: string
}

/** How long a store behind a network is tried (src/core/backoff.ts). */
export interface RetrySection {
  readonly attempts?: number
  readonly leastMs?: number
  readonly mostMs?: number
}

/** What a store costs, in USD: per 1,000 requests, and per GiB that is read (partitioner/prices.ts). */
export interface PriceSection {
  readonly get?: number
  readonly list?: number
  readonly put?: number
  readonly gib?: number
}

/** Of every store in S3's dialect. */
export interface MinioSection {
  readonly endpoint?: string
  readonly region?: string
  readonly accessKeyId?: Secret
  readonly secretAccessKey?: Secret
  readonly sessionToken?: Secret
  readonly forcePathStyle?: boolean
  readonly storageBucket?: string
  readonly retry?: RetrySection
  readonly prices?: PriceSection
}

export interface S3Section extends MinioSection {
  readonly profile?: string
  readonly requesterPays?: boolean
  readonly sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse'
  readonly sseKmsKeyId?: string
  readonly sseCustomerKey?: Secret
}

export interface Sections {
  readonly localhost: LocalhostSection
  readonly memory: { readonly storageBucket?: string }
  readonly aws_s3: S3Section
  readonly minio: MinioSection
  readonly gcp_storage: {
    readonly region?: string
    readonly credentialsPath?: string
    readonly projectName?: string
    readonly storageBucket?: string
    readonly endpoint?: string
    readonly retry?: RetrySection
    readonly prices?: PriceSection
  }
  readonly http: { readonly retry?: RetrySection; readonly prices?: PriceSection }
}

export interface Config {
  /** Where it came from: a path, `QUERN_CONFIG`, `config`, `defaults`. */
  readonly source: string
  /** Name of the compute backend. */
  readonly backend: string
  readonly mode: (typeof MODES)[number]
  readonly monitoring: 'channel'
  /** Name of the storage backend behind `exec.storage`. */
  readonly storage: string
  /** Bucket of `exec.storage`; absent where the section of a cloud does not say. */
  readonly storageBucket?: string
  readonly logLevel: LogLevel
  /** What a call may take where it does not say. */
  readonly timeoutMs?: number
  /** Bytes of the items of one job; Infinity where switched off. */
  readonly dataLimitBytes?: number
  readonly chunksize?: number
  readonly showProgressbar?: boolean
  /** Worker processes; absent: as many as there are CPUs. */
  readonly workers?: number
  /** Of each worker. */
  readonly runtimeMemoryMiB?: number
  readonly sections: Sections
  /** For the user, once each. */
  readonly warnings: readonly string[]
}

export interface Overrides {
  readonly backend?: string | undefined
  readonly storage?: string | undefined
  readonly mode?: (typeof MODES)[number] | undefined
  readonly monitoring?: 'channel' | undefined
  readonly logLevel?: LogLevel | undefined
  readonly showProgressbar?: boolean | undefined
  /** Options of the chosen compute backend, checked and under their outgoing names. */
  readonly section?: Readonly<Record<string, unknown>> | undefined
}

/** The prices that sections give, by the names of their backends. */
export function givenPrices({ aws_s3, minio, gcp_storage, http }: Sections): Readonly<Record<string, PriceSection>> {
  const sections = Object.entries({ aws_s3, minio, gcp_storage, http })
  return Object.fromEntries(sections.flatMap(([name, { prices }]) => (prices === undefined ? [] : [[name, prices]])))
}

/**
 * The configuration an executor runs by; the constructor's own options (`overrides`) win over any file.
 * @throws ConfigError naming the place, the value and what is expected
 */
export function loadConfig(options: Partial<SourceOptions> & { readonly overrides?: Overrides } = {}): Config {
  const { name, file } = findConfig({ env: process.env, cwd: process.cwd(), home: homedir(), ...options })
  const fromLithops = 'lithops' in file
  if (fromLithops && 'quern' in file) throw new ConfigError(`${name}: has both a 'quern' and a 'lithops' section`)
  const { rest, ignored } = fromLithops ? withoutLithopsOnly(file) : { rest: file, ignored: [] }
  const sections = parseSections(rest, name)
  const top = parseTop(rest, name)
  const { section, ...given } = present(options.overrides ?? {})
  const settings = { ...top, ...given }
  const localhost = { ...sections.localhost, ...section }
  const result = complete(settings, { ...sections, localhost }, name)
  return { ...result, warnings: ignored.length === 0 ? [] : [ignoredWarning(name, ignored)] }
}

/** A copy with every credential replaced by `***`, as plain data. */
export function redact(config: Config): unknown {
  return JSON.parse(JSON.stringify(config))
}

type Top = Omit<Partial<Config>, 'sections' | 'source' | 'warnings'>

function parseTop(file: Readonly<Record<string, unknown>>, name: string): Top {
  if ('lithops' in file) {
    // Lithops counts seconds and MiB
    const fields = topFields(duration({ unitMs: 1_000 }), dataLimit(2 ** 20))
    return parseFields(fields, file.lithops, checking(`${name}: lithops`)) as Top
  }
  return parseFields(topFields(duration(), dataLimit(1)), file.quern, checking(`${name}: quern`)) as Top
}

function parseSections(file: Readonly<Record<string, unknown>>, name: string): Sections {
  const sections: Record<string, object> = {}
  for (const [section, fields] of Object.entries(SECTIONS)) {
    sections[section] = parseFields(fields, file[section], checking(`${name}: ${section}`))
  }
  for (const [shared, { into, fields }] of Object.entries(SHARED_SECTIONS)) {
    const settings = parseFields(fields, file[shared], checking(`${name}: ${shared}`))
    sections[into] = { ...settings, ...sections[into] }
  }
  const known = ['quern', 'lithops', ...Object.keys(SECTIONS), ...Object.keys(SHARED_SECTIONS)]
  for (const section of Object.keys(file)) {
    if (!known.includes(section)) throw new ConfigError(`${name}: ${unknown('section', section, known)}`)
  }
  return sections as unknown as Sections
}

function complete(top: Top, sections: Sections, name: string): Omit<Config, 'warnings'> {
  const backend = backendOf(top, name)
  const storage = top.storage ?? 'localhost'
  checkName(`${name}: storage`, storage, STORAGE_BACKENDS)
  const { workerProcesses, maxWorkers, runtimeMemoryMiB } = sections.localhost
  const counted = workerProcesses !== undefined || maxWorkers !== undefined
  const bucket = sections[storage as Exclude<keyof Sections, 'http'>].storageBucket ?? defaultBucket(storage)
  return {
    ...top,
    source: name,
    backend,
    mode: 'localhost',
    monitoring: 'channel',
    storage,
    logLevel: top.logLevel ?? 'info',
    sections,
    ...(bucket !== undefined && { storageBucket: bucket }),
    ...(counted && { workers: (workerProcesses ?? 1) * (maxWorkers ?? 1) }),
    ...(runtimeMemoryMiB !== undefined && { runtimeMemoryMiB }),
  }
}

/** `backend` wins over `mode`, as in Lithops. */
function backendOf({ backend, mode }: Top, name: string): string {
  if (backend !== undefined) {
    checkName(`${name}: backend`, backend, COMPUTE_BACKENDS)
    return backend
  }
  if (mode !== undefined && mode !== 'localhost') {
    throw new ConfigError(`${name}: mode '${mode}' has no compute backend in this version: expected 'localhost'`)
  }
  return 'localhost'
}

function checkName(where: string, given: string, known: readonly string[]): void {
  if (known.includes(given)) return
  const expected = `expected one of ${known.map((each) => `'${each}'`).join(', ')}`
  if (isLithopsName(given)) {
    throw new ConfigError(`${where}: '${given}' of Lithops is not available in this version, ${expected}`)
  }
  throw new ConfigError(`${where}: ${unknown('backend', given, known)}`)
}

function unknown(noun: string, given: string, known: readonly string[]): string {
  const nearest = nearestName(given, known)
  const hint = nearest === undefined ? `expected one of ${known.join(', ')}` : `did you mean '${nearest}'?`
  return `unknown ${noun} '${given}', ${hint}`
}

function defaultBucket(storage: string): string | undefined {
  return storage === 'localhost' || storage === 'memory' ? 'quern' : undefined
}

function ignoredWarning(name: string, ignored: readonly string[]): string {
  return `${name}: these settings of Lithops have no meaning here and are ignored: ${ignored.join(', ')}`
}

function checking(where: string): Checking {
  const fail = (message: string) => new ConfigError(message)
  return { where, noun: 'key', fail, snakeCase: true, nullIsAbsent: true }
}

function present<T extends object>(record: T): T {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined)) as T
}
