/** Functions that a PeriodicWorker calls again and again: how often is written on the function itself. */
import { ValidationError } from '../core/errors.ts'
import { type Field, flag, MISFIT, show } from '../core/fields.ts'
import { parseDuration } from '../core/sizes.ts'
import { checked } from './options.ts'

export interface PeriodicOptions {
  /** Between two calls: ms, or `"30s"`. What it counts from is the worker's strategy. */
  readonly spacing: number | string
  /** Called as soon as the worker starts, too. Default false: the first time after `spacing`. */
  readonly runImmediately?: boolean | undefined
  /** A worker passes over one that is not. Default true. */
  readonly enabled?: boolean | undefined
}

/** What `periodic` writes on a function. */
export interface Period {
  readonly spacingMs: number
  readonly runImmediately: boolean
  readonly enabled: boolean
}

export type PeriodicFunction = (...args: never[]) => unknown

/** By name: the function may come from another copy of this package. */
const PERIOD: unique symbol = Symbol.for('quern.periodic')

/** Thrown by a periodic function: this was its last call, and a good one. */
export class NeverAgain extends Error {
  override readonly name = 'NeverAgain'
}

/** By name: it may have crossed the boundary of a worker. */
export function isNeverAgain(error: unknown): boolean {
  return error instanceof Error && error.name === 'NeverAgain'
}

/**
 * `const poll = periodic({ spacing: '30s' })(() => …)`; on a method also as a decorator. Gives the same function.
 * @throws ValidationError for a spacing of 0 or less, unless `enabled` is false
 */
export function periodic(options: PeriodicOptions): <F extends PeriodicFunction>(fn: F, context?: unknown) => F {
  const { spacingMs, runImmediately, enabled } = parsePeriod(options)
  const period: Period = Object.freeze({ spacingMs, runImmediately, enabled })
  return (fn) => {
    if (typeof fn !== 'function') throw new ValidationError(`periodic: expected a function, got ${show(fn)}`)
    return Object.defineProperty(fn, PERIOD, { value: period, configurable: true })
  }
}

/** Whether `periodic` was applied to it; disabled ones count. */
export function isPeriodic(value: unknown): value is PeriodicFunction {
  return periodOf(value) !== undefined
}

export function periodOf(value: unknown): Period | undefined {
  return typeof value === 'function' ? (value as { [PERIOD]?: Period })[PERIOD] : undefined
}

const spacing: Field<number> = {
  expected: 'milliseconds, or text such as "30s"',
  as: 'spacingMs',
  parse(value) {
    if (typeof value !== 'number' && typeof value !== 'string') return MISFIT
    return parseDuration(value) ?? MISFIT
  },
}

function parsePeriod(options: PeriodicOptions): Period {
  const settings = checked({ spacing, runImmediately: flag, enabled: flag }, options, 'periodic options')
  const { spacingMs, runImmediately = false, enabled = true } = settings as Partial<Period>
  if (spacingMs === undefined)
    throw new ValidationError(`periodic options.spacing: expected ${spacing.expected}, got undefined`)
  if (enabled && spacingMs <= 0) {
    throw new ValidationError(`periodic options.spacing: expected more than 0 of what is enabled, got ${spacingMs}`)
  }
  return { spacingMs, runImmediately, enabled }
}
