/** The options that say what a failure leads to: retries, backups, tolerated failures. Checked and in settled units. */
import { ValidationError } from '../core/errors.ts'
import {
  type Checking,
  duration,
  type Field,
  type Fields,
  field,
  flag,
  isRecord,
  MISFIT,
  numberBetween,
  oneOf,
  parseFields,
  renamed,
  show,
  wholeNumber,
} from '../core/fields.ts'

export interface RetrySettings {
  readonly retries: number
  readonly backoffMs?: number
  readonly maxBackoffMs?: number
  readonly retryIf?: (error: Error, attempt: number) => boolean
  readonly memoryFactor?: number
  readonly maxMemoryMiB?: number
  readonly budget?: number
}

/** Where absent, the default of the rule (executor/stragglers.ts). */
export interface SpeculationSettings {
  readonly minCalls?: number
  readonly minDoneFraction?: number
  readonly factor?: number
}

export type FailureToleranceSettings = { readonly count: number } | { readonly percent: number }

const MOST_RETRIES = 10_000
const retryCount = wholeNumber(0, MOST_RETRIES)

const RETRIES: Fields = {
  retries: retryCount,
  backoff: renamed(duration({ zero: true }), 'backoffMs'),
  maxBackoff: renamed(duration({ zero: true }), 'maxBackoffMs'),
  retryIf: field('a function of the error and the number of the attempt', (v) => typeof v === 'function'),
  memoryFactor: numberBetween(1, 100),
  maxMemory: renamed(wholeNumber(16), 'maxMemoryMiB'),
  budget: wholeNumber(0),
}

const SPECULATION: Fields = {
  minCalls: wholeNumber(1),
  minDoneFraction: numberBetween(0, 1),
  factor: numberBetween(1, 1_000),
}

const maxFailures: Field<FailureToleranceSettings> = {
  expected: 'a whole number from 0, or a percentage such as "5%"',
  parse(value) {
    if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? { count: value } : MISFIT
    const [, digits] = typeof value === 'string' ? (/^(\d+(?:\.\d+)?)\s*%$/.exec(value) ?? []) : []
    const percent = Number(digits)
    return percent <= 100 ? { percent } : MISFIT
  },
}

/** Options of every call. */
export const CALL_FAILURES: Fields = {
  retries: {
    expected: `a whole number from 0 to ${MOST_RETRIES}, or an object with 'retries'`,
    parse: (value) => (isRecord(value) ? value : retryCount.parse(value)),
  },
  queueTimeout: renamed(duration(), 'queueTimeoutMs'),
  silenceTimeout: renamed(duration(), 'silenceTimeoutMs'),
}

/** Options of jobs. */
export const JOB_FAILURES: Fields = {
  failFast: flag,
  maxFailures,
  onFailure: oneOf('fail', 'bisect'),
  maxQuarantined: wholeNumber(0),
  splittable: flag,
  speculate: {
    expected: `true, false, or an object of ${Object.keys(SPECULATION).join(', ')}`,
    parse: (value) => (typeof value === 'boolean' || isRecord(value) ? value : MISFIT),
  },
}

/** Checks within and between them, and replaces them by their settings. @throws ValidationError */
export function settleFailureOptions(settings: Record<string, unknown>, where: string): void {
  if (settings.retries !== undefined) settings.retries = retriesOf(settings.retries, `${where}.retries`)
  if (settings.speculate === false) delete settings.speculate
  if (settings.speculate !== undefined) {
    const given = settings.speculate === true ? {} : settings.speculate
    settings.speculate = parseFields(SPECULATION, given, checking(`${where}.speculate`))
  }
  if (settings.onFailure === 'fail') delete settings.onFailure
  if (settings.maxQuarantined !== undefined && settings.onFailure !== 'bisect') {
    throw new ValidationError(`${where}.maxQuarantined: expected none without onFailure: 'bisect'`)
  }
  if (settings.splittable === false) delete settings.splittable
  if (settings.failFast === true && settings.maxFailures !== undefined) {
    throw new ValidationError(
      `${where}.maxFailures: expected none beside failFast: true, which ends the job with its first failure`,
    )
  }
}

function retriesOf(value: unknown, where: string): RetrySettings {
  if (!isRecord(value)) return { retries: value as number }
  const policy = parseFields(RETRIES, value, checking(where)) as Partial<RetrySettings>
  const { retries, backoffMs, maxBackoffMs } = policy
  if (retries === undefined) {
    throw new ValidationError(`${where}.retries: expected ${retryCount.expected}, got ${show(undefined)}`)
  }
  if (maxBackoffMs !== undefined && maxBackoffMs < (backoffMs ?? 0)) {
    throw new ValidationError(
      `${where}.maxBackoff: expected at least backoff (${backoffMs} milliseconds), got ${maxBackoffMs}`,
    )
  }
  return { ...policy, retries }
}

function checking(where: string): Checking {
  return { where, noun: 'option', fail: (message) => new ValidationError(message) }
}
