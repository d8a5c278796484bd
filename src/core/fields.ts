/**
 * The one validator of options and configuration: a table of fields in, checked values out. A field says in words
 * what it expects; a value that does not fit, or a name that is not in the table, is an error that says where, what
 * came and what is meant. Hand-written because a schema library costs 10 ms of every start.
 */
import { nearestName } from './nearest.ts'
import { parseDuration, parseSize } from './sizes.ts'

/** What `parse` answers for a value that does not fit. */
export const MISFIT: unique symbol = Symbol('misfit')

export interface Field<T = unknown> {
  /** In words, to follow "expected ": `a whole number from 1`. */
  readonly expected: string
  readonly parse: (value: unknown) => T | typeof MISFIT
  /** The name under which the value comes out, where another than it went in. */
  readonly as?: string
  /** The value is never shown. */
  readonly secret?: boolean
}

export type Fields = Readonly<Record<string, Field>>

export interface Checking {
  /** Begins every message: `map options`. */
  readonly where: string
  /** What a field is called: `option`, `key`. */
  readonly noun: string
  readonly fail: (message: string) => Error
  /** Names may be written in snake_case too, as configuration files do. */
  readonly snakeCase?: boolean
  /** null counts as not given, as an empty section of a YAML file. */
  readonly nullIsAbsent?: boolean
}

/**
 * The checked values by their outgoing names; what is not given is absent.
 * @throws what `checking.fail` makes, for the first field that does not fit
 */
export function parseFields(fields: Fields, value: unknown, checking: Checking): Record<string, unknown> {
  const { where, fail } = checking
  if (value === undefined || (checking.nullIsAbsent && value === null)) return {}
  if (!isRecord(value)) throw fail(`${where}: expected an object, got ${show(value)}`)
  const result: Record<string, unknown> = {}
  for (const [given, each] of Object.entries(value)) {
    if (each === undefined || (checking.nullIsAbsent && each === null)) continue
    const name = checking.snakeCase ? toCamelCase(given) : given
    const field = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (field === undefined) throw fail(unknownName(fields, given, checking))
    const parsed = field.parse(each)
    if (parsed === MISFIT) {
      const got = field.secret ? `${typeof each} (not shown)` : show(each)
      throw fail(`${where}.${given}: expected ${field.expected}, got ${got}`)
    }
    result[field.as ?? name] = parsed
  }
  return result
}

/** `retires: unknown option, did you mean 'retries'?`, or the known names where none is near. */
export function unknownName(fields: Fields, given: string, { where, noun, snakeCase }: Checking): string {
  const spell = snakeCase && given === toSnakeCase(given) ? toSnakeCase : (name: string) => name
  const known = Object.keys(fields).map(spell)
  const nearest = nearestName(given, known)
  const hint = nearest === undefined ? `expected one of ${known.sort().join(', ')}` : `did you mean '${nearest}'?`
  return `${where}.${given}: unknown ${noun}, ${hint}`
}

/** A value as it may stand in a message: short, one line. */
export function show(value: unknown): string {
  if (typeof value === 'function') return `function ${value.name || '(anonymous)'}`
  if (typeof value === 'bigint') return `${value}n`
  if (typeof value === 'symbol' || typeof value === 'undefined') return String(value)
  if (typeof value === 'number') return String(value)
  if (value instanceof Date || value instanceof Map || value instanceof Set || value instanceof Promise) {
    return `a ${value.constructor.name}`
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return 'an object'
  const text = Array.isArray(value) ? `a list of ${value.length}` : JSON.stringify(value)
  return text.length > 80 ? `${text.slice(0, 77)}...` : text
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

export function toCamelCase(name: string): string {
  return name.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

export function toSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}

/** The same field under another outgoing name. */
export function renamed<T>(field: Field<T>, as: string): Field<T> {
  return { ...field, as }
}

export function field<T>(expected: string, fits: (value: unknown) => value is T): Field<T> {
  return { expected, parse: (value) => (fits(value) ? value : MISFIT) }
}

export const text = field('text', (v): v is string => typeof v === 'string' && v !== '')
export const flag = field('true or false', (v): v is boolean => typeof v === 'boolean')
export const signal = field('an AbortSignal', (v): v is AbortSignal => v instanceof AbortSignal)
export const list = field('a list', (v): v is readonly unknown[] => Array.isArray(v))

export function wholeNumber(from: number, to = Number.MAX_SAFE_INTEGER): Field<number> {
  const range = to === Number.MAX_SAFE_INTEGER ? `from ${from}` : `from ${from} to ${to}`
  return field(
    `a whole number ${range}`,
    (v): v is number => typeof v === 'number' && Number.isSafeInteger(v) && v >= from && v <= to,
  )
}

export function numberBetween(from: number, to: number): Field<number> {
  return field(`a number from ${from} to ${to}`, (v): v is number => typeof v === 'number' && v >= from && v <= to)
}

export function oneOf<const T extends string>(...names: readonly T[]): Field<T> {
  const expected = `one of ${names.map((name) => `'${name}'`).join(', ')}`
  return field(expected, (v): v is T => names.includes(v as T))
}

/** Milliseconds; `unitMs` is what a bare number counts (1,000 where Lithops counts seconds). */
export function duration({ zero = false, unitMs = 1 } = {}): Field<number> {
  const unit = unitMs === 1 ? 'milliseconds' : 'seconds'
  return {
    expected: `${unit} ${zero ? 'from' : 'above'} 0, or text such as "30s" or "5min"`,
    parse(value) {
      if (typeof value !== 'number' && typeof value !== 'string') return MISFIT
      const ms = typeof value === 'number' ? value * unitMs : parseDuration(value)
      return ms !== undefined && Number.isFinite(ms) && (zero ? ms >= 0 : ms > 0) ? ms : MISFIT
    },
  }
}

/** Bytes. */
export const size: Field<number> = {
  expected: 'bytes from 1, or text such as "64MiB"',
  parse(value) {
    if (typeof value !== 'number' && typeof value !== 'string') return MISFIT
    const bytes = parseSize(value)
    return bytes !== undefined && bytes >= 1 ? bytes : MISFIT
  },
}
