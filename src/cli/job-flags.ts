/** The flags that `run` and `plan` share, and how their text becomes options. */
import { type Command, InvalidArgumentError } from 'commander'
import { LOG_LEVELS, parseLogLevel } from '../core/log-level.ts'

export interface JobFlags {
  readonly input?: readonly string[]
  readonly inventory?: string
  readonly keyList?: string
  readonly keyBase?: string
  readonly checkHeads?: boolean
  readonly objChunkSize?: string
  readonly objChunkNumber?: number
  readonly objNewline?: string | null
  readonly spawnReducer?: number
  readonly objReduceByKey?: boolean
  readonly plan?: string
  readonly config?: string
  readonly logLevel?: string
  readonly workers?: number
  readonly json?: boolean
}

/** Flags that say which bytes are read. */
export function addSourceFlags(command: Command): Command {
  return command
    .option('--input <reference...>', 'objects to read: paths, globs, s3://bucket/prefix/, https://…')
    .option('--inventory <url>', 'S3 Inventory to read the objects of: its manifest.json, or its folder for the newest')
    .option('--key-list <url>', 'file that names the objects to read, one a line; or CSV, NDJSON')
    .option('--key-base <url>', 'what stands before every name of the key list, such as s3://bucket/')
    .option('--check-heads', 'ask for every object of the inventory or key list before anything runs')
    .option('--obj-chunk-size <size>', 'cut objects into partitions of this size, such as 64MiB')
    .option('--obj-chunk-number <n>', 'cut each object into this many partitions', wholeNumber)
    .option('--obj-newline <text>', 'what ends a record (default "\\n"); "none": cut at exact bytes', delimiter)
}

/** Flags that say where it runs and what is told. */
export function addExecutorFlags(command: Command): Command {
  return command
    .option('--workers <n>', 'worker processes (default: one per CPU)', wholeNumber)
    .option('--config <file>', 'configuration file')
    .option('--log-level <level>', LOG_LEVELS.join(', '), logLevel)
    .option('--json', 'print JSON')
}

/** The flags given that say what is read. */
export function sourceFlags({ input, inventory, keyList }: JobFlags): string[] {
  const given = { '--input': input, '--inventory': inventory, '--key-list': keyList }
  return Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [flag]))
}

/** The partition options among the flags; absent where not given. */
export function partitionOptions({ objChunkSize, objChunkNumber, objNewline }: JobFlags): Record<string, unknown> {
  return given({ objChunkSize, objChunkNumber, objNewline })
}

export function reduceOptions({ spawnReducer, objReduceByKey }: JobFlags): Record<string, unknown> {
  return given({ spawnReducer, objReduceByKey })
}

export function executorOptions({ config, logLevel, workers }: JobFlags): Record<string, unknown> {
  return given({ configFile: config, logLevel, workerProcesses: workers })
}

export function wholeNumber(value: string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError('Expected a whole number from 1.')
  return number
}

export function percentage(value: string): number {
  const number = Number(value)
  if (value.trim() === '' || !(number >= 0 && number <= 100)) {
    throw new InvalidArgumentError('Expected a number from 0 to 100.')
  }
  return number
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', 0: '\0', '\\': '\\' }

/** Shells do not write newlines easily: `\n`, `\r`, `\t`, `\0`, `\\` and `\x7c` stand for what they do in code. */
export function delimiter(value: string): string | null {
  if (value === 'none') return null
  const text = value.replace(/\\(?:x([0-9a-fA-F]{2})|(.))/g, (whole, hex?: string, letter?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16))
    const meant = ESCAPES[letter as string]
    if (meant === undefined) throw new InvalidArgumentError(`Unknown escape ${whole}.`)
    return meant
  })
  if (text === '') throw new InvalidArgumentError('Expected at least one character, or "none".')
  return text
}

function logLevel(value: string): string {
  if (parseLogLevel(value) === undefined) throw new InvalidArgumentError(`Expected one of ${LOG_LEVELS.join(', ')}.`)
  return value
}

function given(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
