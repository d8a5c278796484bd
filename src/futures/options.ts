/** The options of what every executor has in common, and of waiting: checked, in settled units, absent where not given. */
import type { Transferable } from 'node:worker_threads'
import type { Clock } from '../core/clock.ts'
import { ValidationError } from '../core/errors.ts'
import {
  duration,
  type Fields,
  field,
  flag,
  isRecord,
  list,
  numberBetween,
  oneOf,
  parseFields,
  renamed,
  signal,
  wholeNumber,
} from '../core/fields.ts'

export type ReturnWhen = 'ALL_COMPLETED' | 'FIRST_COMPLETED' | 'FIRST_EXCEPTION'

export interface SubmitSettings {
  readonly priority: number
  readonly signal?: AbortSignal
  readonly transfer?: readonly Transferable[]
  readonly delayMs?: number
}

export interface MapSettings extends SubmitSettings {
  readonly timeoutMs?: number
  readonly chunksize: number
  readonly buffersize: number
}

export interface WaitSettings {
  readonly timeoutMs?: number
  readonly returnWhen?: ReturnWhen
  readonly signal?: AbortSignal
}

const priority = numberBetween(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY)
const timeout = renamed(duration({ zero: true }), 'timeoutMs')

const SUBMIT: Fields = { signal, priority, transfer: list, delay: renamed(duration({ zero: true }), 'delayMs') }
const MAP: Fields = { timeout, chunksize: wholeNumber(1), buffersize: wholeNumber(1), signal, priority }
const AS_COMPLETED: Fields = { timeout, signal }
const WAIT: Fields = { ...AS_COMPLETED, returnWhen: oneOf('ALL_COMPLETED', 'FIRST_COMPLETED', 'FIRST_EXCEPTION') }
const SHUTDOWN: Fields = { wait: flag, cancelFutures: flag, killWorkers: flag }

/** Every function here @throws ValidationError `submitWith options.delay: expected milliseconds from 0, … got -1` */
export function parseSubmitOptions(options: unknown, where = 'submitWith options'): SubmitSettings {
  return { priority: 0, ...checked(SUBMIT, options, where) }
}

export function parseMapOptions(options: unknown, where: string): MapSettings {
  const unlimited = Number.POSITIVE_INFINITY
  return { priority: 0, chunksize: 1, buffersize: unlimited, ...checked(MAP, options, where) }
}

export function parseAsCompletedOptions(options: unknown): WaitSettings {
  return checked(AS_COMPLETED, options, 'asCompleted options')
}

export function parseWaitOptions(options: unknown): WaitSettings {
  return checked(WAIT, options, 'wait options')
}

export function parseShutdownOptions(
  options: unknown,
): Record<'wait' | 'cancelFutures' | 'killWorkers', boolean | undefined> {
  return {
    wait: undefined,
    cancelFutures: undefined,
    killWorkers: undefined,
    ...checked(SHUTDOWN, options, 'shutdown options'),
  }
}

/** A table of other options, checked in the same words. */
export function checked(fields: Fields, options: unknown, where: string): Record<string, unknown> {
  return parseFields(fields, options, { where, noun: 'option', fail: (message) => new ValidationError(message) })
}

export const callable = field('a function', (v): v is (...args: never[]) => unknown => typeof v === 'function')

export const clock = field(
  'a clock: nowMs and sleep',
  (v): v is Clock => typeof v === 'object' && v !== null && 'nowMs' in v && 'sleep' in v,
)

/** In the words every executor says it in. @throws ValidationError when `maxWorkers` is 0 or less */
export function requirePositiveWorkers(where: string, options: unknown): void {
  const maxWorkers = isRecord(options) ? options.maxWorkers : undefined
  if (typeof maxWorkers !== 'number' || maxWorkers > 0) return
  throw new ValidationError(`${where}.maxWorkers: maxWorkers must be greater than 0, got ${maxWorkers}`)
}
