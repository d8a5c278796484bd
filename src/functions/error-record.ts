/**
 * Errors as plain records and back. A record keeps name, message, the stack of where it was thrown, the cause, an
 * aggregate's errors, and own enumerable data, code among it; rebuilding runs no constructor, so nothing remote is
 * executed: an Error is made, given the prototype of its class where this process knows one of that name, and filled.
 */
import { types } from 'node:util'
import * as quernErrors from '../core/errors.ts'
import { registeredClasses } from './class-registry.ts'

/** What fills an error. Causes and errors are lists, so that none differs from undefined. */
export type ErrorRecord = readonly [
  name: string,
  message: string,
  stack: string | undefined,
  cause: readonly unknown[],
  errors: readonly (readonly unknown[])[],
  data: Readonly<Record<string, unknown>>,
]

type ErrorClass = abstract new (...args: never[]) => Error

const BUILT_IN = [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError]
const KNOWN: ReadonlyMap<string, ErrorClass> = new Map(
  [...BUILT_IN, ...Object.values(quernErrors)]
    .filter((known) => typeof known === 'function' && known.prototype instanceof Error)
    .map((known) => [known.name, known as ErrorClass]),
)

/**
 * Makes errors of this class arrive as its instances (`instanceof` holds), found by the class's name. Call it on both
 * sides, at best in the module that defines the class. Private (#) fields do not travel.
 */
export function registerErrorClass(cls: ErrorClass): void {
  registeredClasses.add(cls)
}

export function isError(value: unknown): value is Error {
  return types.isNativeError(value) || value instanceof Error
}

/** The record of an error; `carry` turns what it holds into what can travel. Getters that throw are told as text. */
export function errorRecord(error: Error, carry: (value: unknown, key: string) => unknown): ErrorRecord {
  const stack = read(error, 'stack')
  const errors = Object.hasOwn(error, 'errors') ? read(error, 'errors') : undefined
  const aggregated = Array.isArray(errors) && !Object.prototype.propertyIsEnumerable.call(error, 'errors')
  return [
    String(read(error, 'name') ?? 'Error'),
    String(read(error, 'message') ?? ''),
    typeof stack === 'string' ? stack : undefined,
    Object.hasOwn(error, 'cause') ? [carry(read(error, 'cause'), 'cause')] : [],
    aggregated ? [errors.map((item) => carry(item, 'errors'))] : [],
    ownData(error, carry),
  ]
}

/** Class names from its own up to, not including, Error. */
export function lineageOf(error: Error): string[] {
  const names: string[] = []
  let prototype = Object.getPrototypeOf(error) as object | null
  while (prototype !== null && prototype !== Error.prototype && names.length < 16) {
    const own = (prototype as { constructor?: { name?: unknown } }).constructor?.name
    const name = registeredClasses.ofPrototype(prototype)?.name ?? own
    if (typeof name === 'string' && name !== 'Object') names.push(name)
    prototype = Object.getPrototypeOf(prototype)
  }
  return names
}

/** An error of the nearest class of the lineage that is known here, yet to be filled. */
export function blankError(lineage: readonly string[]): Error {
  const error = new Error()
  for (const name of lineage) {
    const prototype = (registeredClasses.named(name)?.cls ?? KNOWN.get(name))?.prototype
    if (!(prototype instanceof Error)) continue
    Object.setPrototypeOf(error, prototype)
    break
  }
  return error
}

/** Makes of a blank error what the record says. */
export function fillError(error: Error, [name, message, stack, cause, errors, data]: ErrorRecord): void {
  if (!(error instanceof DOMException)) define(error, 'message', message)
  define(error, 'stack', stack)
  if (cause.length > 0) define(error, 'cause', cause[0])
  if (errors.length > 0) define(error, 'errors', errors[0])
  for (const key of Object.keys(data)) define(error, key, data[key], true)
  if (error.name !== name) define(error, 'name', name)
}

/** Defines instead of assigning: no setter runs, and a key named `__proto__` is a key. */
export function define(target: object, key: string, value: unknown, enumerable = false): void {
  Object.defineProperty(target, key, { value, enumerable, writable: true, configurable: true })
}

function ownData(error: Error, carry: (value: unknown, key: string) => unknown): Record<string, unknown> {
  const data: Record<string, unknown> = {}
  for (const key of Object.keys(error)) {
    if (key === 'message' || key === 'stack' || key === 'cause') continue
    define(data, key, carry(read(error, key), key), true)
  }
  return data
}

function read(error: Error, key: string): unknown {
  try {
    return (error as unknown as Record<string, unknown>)[key]
  } catch (problem) {
    return `[getter threw: ${String(problem)}]`
  }
}
