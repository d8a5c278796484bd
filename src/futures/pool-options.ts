/** The options of executors with workers: checked, and what the pool and its workers are told of them. */
import { ValidationError } from '../core/errors.ts'
import {
  duration,
  type Field,
  type Fields,
  field,
  isRecord,
  list,
  MISFIT,
  oneOf,
  parseFields,
  size,
  text,
  wholeNumber,
} from '../core/fields.ts'
import type { Awaitable, CheckAndReject } from './executor.ts'

export type OutputTarget = 'inherit' | 'ignore' | ((text: string) => void)

export interface PoolExecutorOptions {
  /** Tasks at once. Default: the processors this process may use. Workers are started when there is work for them. */
  readonly maxWorkers?: number | undefined
  /** Run in every worker before its first task; one that throws breaks the executor. */
  readonly initializer?: ((...args: never[]) => Awaitable<unknown>) | undefined
  readonly initargs?: readonly unknown[] | undefined
  /** Added to the environment of the workers, before they load anything. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** A worker without work for so many ms, or `"10s"`, leaves. Default: it stays. Infinity: the same. */
  readonly idleTimeout?: number | string | undefined
  /** A worker leaves after so many tasks, and is replaced when there is work. */
  readonly maxTasksPerWorker?: number | undefined
  /** A worker that holds so much more memory (bytes, or `"300MiB"`) than after its first task is replaced. Default 300 MiB; Infinity: never. */
  readonly maxMemoryGrowth?: number | string | undefined
  /** Heap limit of a worker, MiB; beyond, the task that ran fails with OutOfMemoryError. */
  readonly runtimeMemory?: number | undefined
  /**
   * What a worker's death means. `replace` (default): the task it ran fails, everything else goes on. `break`: everything
   * fails and nothing more is accepted, as in CPython and loky.
   */
  readonly onCrash?: 'replace' | 'break' | undefined
  readonly checkAndReject?: CheckAndReject | undefined
  /** How workers are called in process lists and debuggers. */
  readonly workerName?: string | undefined
  /** Where what workers print goes: to this program's own (default), nowhere, or to a function, as it comes. */
  readonly stdout?: OutputTarget | undefined
  readonly stderr?: OutputTarget | undefined
}

/** What `parsePoolOptions` gives. Times in ms, sizes in bytes. */
export interface PoolSettings {
  readonly maxWorkers?: number
  readonly initializer?: (...args: never[]) => unknown
  readonly initargs?: readonly unknown[]
  readonly env?: Readonly<Record<string, string>>
  readonly idleTimeoutMs?: number
  readonly maxTasksPerWorker?: number
  readonly maxMemoryGrowthBytes?: number
  readonly memoryMiB?: number
  readonly onCrash?: 'replace' | 'break'
  readonly checkAndReject?: CheckAndReject
  readonly workerName?: string
  readonly stdout?: OutputTarget
  readonly stderr?: OutputTarget
}

const callable = field('a function', (v): v is (...args: never[]) => unknown => typeof v === 'function')

const environment = field(
  'an object of texts by name',
  (v): v is Record<string, string> => isRecord(v) && Object.values(v).every((each) => typeof each === 'string'),
)

const target: Field<OutputTarget> = {
  expected: `'inherit', 'ignore' or a function`,
  parse: (v) => (v === 'inherit' || v === 'ignore' || typeof v === 'function' ? (v as OutputTarget) : MISFIT),
}

export const POOL_FIELDS: Fields = {
  maxWorkers: wholeNumber(1),
  initializer: callable,
  initargs: list,
  env: environment,
  idleTimeout: { ...orInfinity(duration()), as: 'idleTimeoutMs' },
  maxTasksPerWorker: wholeNumber(1),
  maxMemoryGrowth: { ...orInfinity(size), as: 'maxMemoryGrowthBytes' },
  runtimeMemory: { ...wholeNumber(1), as: 'memoryMiB' },
  onCrash: oneOf('replace', 'break'),
  checkAndReject: callable,
  workerName: text,
  stdout: target,
  stderr: target,
}

/** @throws ValidationError naming the option, what came and what is expected */
export function parsePoolOptions(
  where: string,
  options: unknown,
  fields: Fields = POOL_FIELDS,
): PoolSettings & Record<string, unknown> {
  requirePositive(where, options)
  const fail = (message: string) => new ValidationError(message)
  return parseFields(fields, options, { where: `${where} options`, noun: 'option', fail })
}

/** In the words every pool executor says it in. */
function requirePositive(where: string, options: unknown): void {
  const maxWorkers = isRecord(options) ? options.maxWorkers : undefined
  if (typeof maxWorkers !== 'number' || maxWorkers > 0) return
  throw new ValidationError(`${where} options.maxWorkers: maxWorkers must be greater than 0, got ${maxWorkers}`)
}

function orInfinity(inner: Field<number>): Field<number> {
  return {
    expected: `${inner.expected}, or Infinity`,
    parse: (value) => (value === Number.POSITIVE_INFINITY ? value : inner.parse(value)),
  }
}
