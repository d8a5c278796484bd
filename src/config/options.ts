/**
 * Checks the options of the public methods against one table of fields per method, and gives them back as settings
 * with units in their names. Nothing that was given is ever ignored.
 */
import type { PartitionOptions } from '../../partitioner/plan.ts'
import { ValidationError } from '../core/errors.ts'
import {
  type Checking,
  duration,
  type Field,
  type Fields,
  field,
  flag,
  isRecord,
  list,
  MISFIT,
  numberBetween,
  oneOf,
  parseFields,
  renamed,
  show,
  signal,
  text,
  wholeNumber,
} from '../core/fields.ts'
import type { LogLevel } from '../core/log-level.ts'
import {
  CALL_FAILURES,
  type FailureToleranceSettings,
  JOB_FAILURES,
  type RetrySettings,
  type SpeculationSettings,
  settleFailureOptions,
} from './failure-options.ts'
import { type OutputSettings, outputField, parseOutput } from './output-options.ts'
import { BACKEND_OPTIONS, logLevel, MODES, MONITORS } from './schema.ts'

export type ReturnWhen = 'ALL_COMPLETED' | 'ANY_COMPLETED' | 'ALWAYS' | 'FIRST_EXCEPTION' | number

export interface ExecutorSettings {
  readonly mode?: (typeof MODES)[number]
  readonly backend?: string
  readonly storage?: string
  readonly monitoring?: (typeof MONITORS)[number]
  readonly config?: Readonly<Record<string, unknown>>
  readonly configFile?: string
  readonly logLevel?: LogLevel
  readonly showProgressbar?: boolean
  /** For `loadConfig`'s `overrides.section`. */
  readonly section: Readonly<Record<string, unknown>>
}

export interface CallSettings {
  readonly timeoutMs?: number
  readonly runtimeMemoryMiB?: number
  readonly extraEnv?: Readonly<Record<string, string>>
  readonly queueTimeoutMs?: number
  readonly silenceTimeoutMs?: number
  readonly retries?: RetrySettings
  readonly signal?: AbortSignal
  /** `null`: everything is left to the worker's installation, as it is by `[]`. */
  readonly includeModules?: readonly string[] | null
  readonly excludeModules?: readonly string[]
}

/** The store and bucket of a journal. */
export interface JournalStorage {
  readonly backend: string
  readonly bucket: string
}

export interface MapSettings extends CallSettings {
  /** Absent: where the source is objects and the storage can. */
  readonly durable?: boolean
  readonly journalStorage?: JournalStorage
  readonly chunksize?: number
  readonly extraArgs?: readonly unknown[]
  readonly failFast?: boolean
  readonly maxFailures?: FailureToleranceSettings
  readonly speculate?: SpeculationSettings
  readonly onFailure?: 'bisect'
  readonly maxQuarantined?: number
  readonly splittable?: true
  readonly showProgressbar?: boolean
  readonly output?: OutputSettings
  /** As given: the partitioner checks the values. Empty where none was. */
  readonly partition: PartitionOptions
}

export interface MapReduceSettings extends MapSettings {
  readonly spawnReducer?: number
  readonly objReduceByKey?: boolean
  readonly extraArgsReduce?: readonly unknown[]
  readonly mapRuntimeMemoryMiB?: number
  readonly reduceRuntimeMemoryMiB?: number
}

export interface GetResultSettings {
  readonly timeoutMs?: number
  readonly throwExcept?: boolean
  readonly signal?: AbortSignal
  readonly showProgressbar?: boolean
}

export interface WaitSettings extends GetResultSettings {
  readonly returnWhen?: ReturnWhen
  readonly downloadResults?: boolean
}

export interface ShutdownSettings {
  readonly wait?: boolean
  readonly cancelFutures?: boolean
}

export interface SettingsOf {
  readonly executor: ExecutorSettings
  readonly call: CallSettings
  readonly map: MapSettings
  readonly mapReduce: MapReduceSettings
  readonly wait: WaitSettings
  readonly getResult: GetResultSettings
  readonly shutdown: ShutdownSettings
}

const PARTITION_OPTIONS = ['objChunkSize', 'objChunkNumber', 'objNewline', 'compression'] as const
const memory = wholeNumber(16)
const anything: Field = { expected: 'anything', parse: (value) => value }
const plainObject = field('an object', isRecord)

/** Schemes of the stores that can hold a journal, and what they are called here. */
const JOURNAL_STORES: Readonly<Record<string, string>> = {
  s3: 'aws_s3',
  gs: 'gcp_storage',
  minio: 'minio',
  localhost: 'localhost',
  memory: 'memory',
}

export const journalStorage: Field<JournalStorage> = {
  expected: `a bucket, as one of ${Object.keys(JOURNAL_STORES)
    .map((scheme) => `'${scheme}://bucket'`)
    .join(', ')}`,
  parse(value) {
    const [, scheme = '', bucket = ''] = typeof value === 'string' ? (/^(\w+):\/\/([^/]+)\/?$/.exec(value) ?? []) : []
    const backend = Object.hasOwn(JOURNAL_STORES, scheme) ? JOURNAL_STORES[scheme] : undefined
    return backend === undefined ? MISFIT : { backend, bucket }
  },
}

const CALL: Fields = {
  timeout: renamed(duration(), 'timeoutMs'),
  runtimeMemory: renamed(memory, 'runtimeMemoryMiB'),
  extraEnv: plainObject,
  ...CALL_FAILURES,
  signal,
  includeModules: { expected: 'a list of names of packages or paths of modules, or null', parse: modulesOrNull },
  excludeModules: { expected: 'a list of names of packages or paths of modules', parse: modules },
}

const MAP: Fields = {
  ...CALL,
  chunksize: wholeNumber(1),
  extraArgs: list,
  ...JOB_FAILURES,
  showProgressbar: flag,
  durable: flag,
  journalStorage,
  output: outputField,
  ...Object.fromEntries(PARTITION_OPTIONS.map((name) => [name, anything])),
}

const GET_RESULT: Fields = {
  timeout: renamed(duration({ zero: true }), 'timeoutMs'),
  throwExcept: flag,
  signal,
  showProgressbar: flag,
}

const returnWhen: Field<ReturnWhen> = {
  expected: "'ALL_COMPLETED', 'ANY_COMPLETED', 'ALWAYS', 'FIRST_EXCEPTION' or a percentage from 0 to 100",
  parse(value) {
    const named = oneOf('ALL_COMPLETED', 'ANY_COMPLETED', 'ALWAYS', 'FIRST_EXCEPTION').parse(value)
    return named === MISFIT ? numberBetween(0, 100).parse(value) : named
  },
}

const TABLES: Readonly<Record<keyof SettingsOf, Fields>> = {
  executor: {
    mode: oneOf(...MODES),
    backend: text,
    storage: text,
    monitoring: oneOf(...MONITORS),
    config: plainObject,
    configFile: text,
    logLevel,
    showProgressbar: flag,
    ...BACKEND_OPTIONS,
  },
  call: CALL,
  map: MAP,
  mapReduce: {
    ...MAP,
    spawnReducer: numberBetween(0, 100),
    objReduceByKey: flag,
    extraArgsReduce: list,
    mapRuntimeMemory: renamed(memory, 'mapRuntimeMemoryMiB'),
    reduceRuntimeMemory: renamed(memory, 'reduceRuntimeMemoryMiB'),
  },
  wait: { ...GET_RESULT, returnWhen, downloadResults: flag },
  getResult: GET_RESULT,
  shutdown: { wait: flag, cancelFutures: flag },
}

/**
 * The options of a method, checked and in settled units; absent where not given.
 * @throws ValidationError `mapReduce options.spawnReducer: expected a number from 0 to 100, got 120`
 */
export function parseOptions<N extends keyof SettingsOf>(
  method: N,
  value: unknown,
  where = `${method} options`,
): SettingsOf[N] {
  const fail = (message: string) => new ValidationError(message)
  const checking: Checking = { where, noun: 'option', fail }
  const settings = parseFields(TABLES[method], value, checking)
  if (isRecord(settings.extraEnv)) checkEnvironment(settings.extraEnv, `${where}.extraEnv`)
  settleFailureOptions(settings, where)
  if (settings.output !== undefined) {
    settings.output = parseOutput(settings.output, `${where}.output`)
    if (settings.durable === false) {
      throw new ValidationError(`${where}.durable: expected true beside output, which rests on the journal, got false`)
    }
  }
  if (settings.journalStorage !== undefined && settings.durable === false) {
    throw new ValidationError(`${where}.journalStorage: expected none beside durable: false, which keeps no journal`)
  }
  if (method === 'executor') return withSection(settings) as unknown as SettingsOf[N]
  if (method === 'map' || method === 'mapReduce') return withPartition(settings) as unknown as SettingsOf[N]
  return settings as unknown as SettingsOf[N]
}

function modulesOrNull(value: unknown): readonly string[] | null | typeof MISFIT {
  return value === null ? null : modules(value)
}

function modules(value: unknown): readonly string[] | typeof MISFIT {
  const named = Array.isArray(value) && value.every((name) => typeof name === 'string' && name !== '')
  return named ? [...value] : MISFIT
}

/** A value that is no text would differ between platforms (`true`, `1.0`), so it is refused rather than converted. */
function checkEnvironment(env: Readonly<Record<string, unknown>>, where: string): void {
  for (const [name, value] of Object.entries(env)) {
    if (name === '' || /[=\0]/.test(name)) {
      throw new ValidationError(`${where}: expected names without '=' and NUL, got ${show(name)}`)
    }
    if (typeof value !== 'string' || value.includes('\0')) {
      const hint = typeof value === 'number' || typeof value === 'boolean' ? `; write '${value}'` : ''
      throw new ValidationError(`${where}.${name}: expected text without NUL, got ${show(value)}${hint}`)
    }
  }
}

function withSection(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const outgoing = Object.entries(BACKEND_OPTIONS).map(([name, { as }]) => as ?? name)
  return gathered(settings, outgoing, 'section')
}

function withPartition(settings: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return gathered(settings, PARTITION_OPTIONS, 'partition')
}

/** `names` moved into one object of their own. */
function gathered(
  settings: Readonly<Record<string, unknown>>,
  names: readonly string[],
  into: string,
): Record<string, unknown> {
  const entries = Object.entries(settings)
  const own = entries.filter(([name]) => !names.includes(name))
  return { ...Object.fromEntries(own), [into]: Object.fromEntries(entries.filter(([name]) => names.includes(name))) }
}
