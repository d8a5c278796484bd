/**
 * Errors as plain records and back. A record keeps name, message, the stack of where it was thrown, code, the chain of
 * causes, an aggregate's errors, and own enumerable data; rebuilding runs no constructor, so nothing remote is executed:
 * an Error is made and given the prototype of its class, where this process knows one of that name.
 */
import { types } from 'node:util'
import * as quernErrors from '../core/errors.ts'

export interface ErrorRecord {
  /** Class names from its own up to, not including, Error. */
  readonly lineage: readonly string[]
  readonly name: string
  readonly message: string
  readonly stack?: string
  readonly cause?: unknown
  readonly errors?: readonly unknown[]
  readonly data: Readonly<Record<string, unknown>>
}

type ErrorClass = abstract new (...args: never[]) => Error

const BUILT_IN = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError]

// what this process knows by name; grows only by registerErrorClass
const classes = new Map<string, ErrorClass>()
for (const known of [...BUILT_IN, ...Object.values(quernErrors)]) {
  if (typeof known === 'function' && known.prototype instanceof Error) classes.set(known.name, known as ErrorClass)
}

/**
 * Makes errors of this class arrive as its instances (`instanceof` holds), found by the class's name. Call it on both
 * sides, at best in the module that defines the class. Private (#) fields do not travel.
 */
export function registerErrorClass(cls: ErrorClass): void {
  classes.set(cls.name, cls)
}

export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error
}

/** The record of an error; `carry` turns what it holds into what can travel. Getters that throw are left out. */
export function errorRecord(error: Error, carry: (value: unknown) => unknown): ErrorRecord {
  const data: Record<string, unknown> = {}
  for (const key of Object.keys(error)) {
    if (key === 'message' || key === 'stack' || key === 'cause') continue
    define(data, key, carry(read(error, key)), true)
  }
  const stack = read(error, 'stack')
  const errors = Object.hasOwn(data, 'errors') ? undefined : read(error, 'errors')
  return {
    lineage: lineageOf(error),
    name: String(read(error, 'name') ?? 'Error'),
    message: String(read(error, 'message') ?? ''),
    ...(typeof stack === 'string' ? { stack } : {}),
    ...(Object.hasOwn(error, 'cause') ? { cause: carry(read(error, 'cause')) } : {}),
    ...(Array.isArray(errors) ? { errors: errors.map(carry) } : {}),
    data,
  }
}

/** The error of a record. */
export function reviveError(record: ErrorRecord): Error {
  const error = blankError(record)
  if (record.stack !== undefined) define(error, 'stack', record.stack)
  if (Object.hasOwn(record, 'cause')) define(error, 'cause', record.cause)
  if (record.errors !== undefined) define(error, 'errors', record.errors)
  for (const key of Object.keys(record.data)) define(error, key, record.data[key], true)
  if (error.name !== record.name) define(error, 'name', record.name)
  return error
}

function blankError(record: ErrorRecord): Error {
  // its name and code are getters that only a real one answers
  if (record.lineage.includes('DOMException')) return new DOMException(record.message, record.name)
  const error = new Error(record.message)
  const known = record.lineage.map((name) => classes.get(name)).find((cls) => cls !== undefined)
  if (known !== undefined) Object.setPrototypeOf(error, known.prototype)
  return error
}

function lineageOf(error: Error): string[] {
  const names: string[] = []
  let prototype: unknown = Object.getPrototypeOf(error)
  while (prototype !== null && prototype !== Error.prototype && names.length < 16) {
    const name = (prototype as { constructor?: { name?: unknown } }).constructor?.name
    if (typeof name === 'string' && name !== 'Object') names.push(name)
    prototype = Object.getPrototypeOf(prototype)
  }
  return names
}

function read(error: Error, key: string): unknown {
  try {
    return (error as unknown as Record<string, unknown>)[key]
  } catch (problem) {
    return `[getter threw: ${String(problem)}]`
  }
}

/** Defines instead of assigning: no setter runs, and a key named `__proto__` is a key. */
function define(target: object, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true })
}
