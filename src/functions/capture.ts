/**
 * Decides, where the user hands over a function, how it travels: by reference to the module that exports it, by its text
 * alone when it closes over nothing, or by value with what it closes over. What can do none of these is refused here, by
 * name, never in a worker. Synchronous: what it captures is what there is when it is called.
 *
 * The program's own entry module is never referred to: a worker that loads it would run the program again.
 */
import { SerializationError, ValidationError } from '../core/errors.ts'
import { captureClosure, ENTRY_FIX } from './closure.ts'
import { isEntryModule } from './entry-module.ts'
import { rememberClosed } from './function-origin.ts'
import { analyseFunctionText, type FunctionText } from './function-text.ts'
import { nameOf, Refusal, refused } from './refusal.ts'
import { hidesGlobal } from './resolve-names.ts'
import { inspectFunction } from './scopes.ts'
import { referenceOf, type ShippedFunction, type ShippedReducer } from './shipped.ts'
import { applyEdits } from './text-edits.ts'
import { isWorkerGlobal } from './worker-globals.ts'

// a cache: references and texts that close over nothing do not change, so the second capture is the first one's answer
const captured = new WeakMap<object, ShippedFunction>()

/** Names that nobody gives to anything else: a text that uses no others cannot mean an import or variable. */
const PLAIN = new Set([
  'undefined',
  'NaN',
  'Infinity',
  'globalThis',
  'Object',
  'Array',
  'Math',
  'JSON',
  'Number',
  'String',
  '__name',
])

/**
 * The form in which `fn` travels. `what` names the option in messages: `mapReduce map function`. Values it closes over
 * are copied now.
 *
 * @throws ValidationError when it is no function
 * @throws SerializationError with the way to what cannot travel, where it is, and what to do
 */
export function captureFunction(fn: unknown, what: string): ShippedFunction {
  if (typeof fn !== 'function') throw new ValidationError(`${what}: expected a function, got ${describe(fn)}`)
  const known = captured.get(fn)
  if (known !== undefined) return known
  const reference = referenceOf(fn)
  if (reference !== undefined) return remember(fn, shippedModule(reference, what))
  try {
    return capture(fn)
  } catch (problem) {
    if (!(problem instanceof Refusal)) throw problem
    throw refused(`${what} '${nameOf(fn)}'`, problem)
  }
}

/** How functions inside values travel, for `encodeValue`. @throws as captureFunction does, with the path of the function */
export const shippingFunctions = {
  encodeFunction: (fn: object, path: string): ShippedFunction => captureFunction(fn, path),
}

/** A reference as it travels. @throws SerializationError when it is to the entry module */
export function shippedModule(reference: ShippedReducer, what: string): ShippedFunction {
  if (isEntryModule(reference.url)) {
    throw new SerializationError(
      `${what}: refers to the program's entry module ${reference.url}, which a worker would run again; ${ENTRY_FIX}`,
    )
  }
  return { kind: 'module', ...reference }
}

/** What a value is, in a word or two, for messages. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return `the string ${JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)}`
  if (typeof value !== 'object' || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  const name = (value as { constructor?: { name?: unknown } }).constructor?.name
  return typeof name === 'string' && name !== 'Object' && name !== '' ? `an instance of ${name}` : 'an object'
}

function capture(fn: object): ShippedFunction {
  const text = Function.prototype.toString.call(fn)
  const analysis = analyseFunctionText(text)
  if ('kind' in analysis && analysis.kind === 'class') {
    throw new Refusal([], 'it is a class', 'pass a function that makes the instance')
  }
  if ('kind' in analysis && closesOverNothing(fn, analysis)) {
    const name = nameOf(fn)
    return remember(fn, {
      kind: 'text',
      text: applyEdits(text, analysis.edits),
      name,
      source: String(rememberClosed(fn)),
    })
  }
  const shipped = captureClosure(fn)
  return shipped.kind === 'module' ? remember(fn, shipped) : shipped
}

/** Its text alone means the same in every Node process. */
function closesOverNothing(fn: object, analysis: FunctionText): boolean {
  const { names, ties, metas, imports } = analysis
  if (ties.length > 0 || metas.length > 0) return false
  if (imports.some(({ specifier }) => specifier?.startsWith('node:') !== true)) return false
  if (!names.every(({ name, onlyTyped }) => onlyTyped || name === '__name' || isWorkerGlobal(name))) return false
  return names.every(({ name }) => PLAIN.has(name)) || !hidesGlobal(analysis, inspectFunction(fn).scopes)
}

function remember(fn: object, shipped: ShippedFunction): ShippedFunction {
  captured.set(fn, shipped)
  return shipped
}
