/** What cannot travel, named for whoever handed it over, with what to do instead. */

import { types } from 'node:util'
import { messageOf } from '../core/errors.ts'
import { hasPrivateState } from './class-registry.ts'

export interface Refusal {
  readonly what: string
  /** What to do about it; empty where nothing but leaving it out helps. */
  readonly instead: string
}

const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype)

const WELL_KNOWN: ReadonlyMap<unknown, string> = new Map(
  Object.getOwnPropertyNames(Symbol).map((name) => [(Symbol as unknown as Record<string, unknown>)[name], name]),
)

export function refusedFunction(fn: { readonly name: string }): Refusal {
  return { what: `function '${fn.name === '' ? 'anonymous' : fn.name}'`, instead: '' }
}

export function refusedSymbol(symbol: symbol): Refusal {
  return { what: String(symbol), instead: 'only symbols of Symbol.for and the well-known ones do' }
}

export function refusedGetter(problem: unknown): Refusal {
  return { what: `what its getter threw (${thrownText(problem)})`, instead: 'pass plain data' }
}

/** Why an object of no known kind stays behind. */
export function refusedObject(value: object, prototype: object | null): Refusal {
  const own = ownKind(value)
  if (own !== undefined) return own
  const cls = (prototype as { constructor?: unknown } | null)?.constructor
  const name = typeof cls === 'function' ? cls.name : ''
  if (prototype === null || prototype === TYPED_ARRAY || name === '' || name === 'Object') {
    return { what: 'an object with a prototype of its own', instead: 'pass plain data' }
  }
  const instance = `instance of ${name}`
  const handle = liveKind(value)
  if (handle !== undefined) return { what: `${instance} (${handle[0]})`, instead: handle[1] }
  if (!hasPrivateState(cls as object)) {
    return { what: instance, instead: `registerClass(${name}) where it is defined, or pass plain data` }
  }
  return {
    what: `${instance}, private state,`,
    instead: `registerClass(${name}, { encode, decode }) where it is defined, or pass plain data`,
  }
}

/** The name under which a symbol travels, and whether it is a property of Symbol; undefined for a local one. */
export function symbolName(symbol: symbol): { readonly name: string; readonly wellKnown: boolean } | undefined {
  const name = Symbol.keyFor(symbol)
  if (name !== undefined) return { name, wellKnown: false }
  const known = WELL_KNOWN.get(symbol)
  return known === undefined ? undefined : { name: known, wellKnown: true }
}

/** What the text of something thrown is, whatever it is. */
export function thrownText(problem: unknown): string {
  try {
    return messageOf(problem)
  } catch {
    return 'something without a text'
  }
}

function ownKind(value: object): Refusal | undefined {
  if (types.isProxy(value)) return { what: 'a Proxy', instead: 'pass what it stands for' }
  if (types.isModuleNamespaceObject(value)) return { what: 'a module namespace', instead: 'import it in the function' }
  if (types.isPromise(value)) return { what: 'a Promise (await it first)', instead: '' }
  if (types.isGeneratorObject(value)) return { what: 'a generator', instead: 'collect what it gives first' }
  if (types.isMapIterator(value) || types.isSetIterator(value)) {
    return { what: 'an iterator', instead: 'collect what it gives first' }
  }
  if (types.isSharedArrayBuffer(value)) {
    return { what: 'instance of SharedArrayBuffer', instead: 'memory is shared with threads only, in `transfer`' }
  }
  if (types.isArrayBuffer(value) && (value as { resizable?: boolean }).resizable === true) {
    return { what: 'a resizable ArrayBuffer', instead: 'pass a slice of it' }
  }
  return undefined
}

function liveKind(value: object): [string, string] | undefined {
  if (types.isWeakMap(value) || types.isWeakSet(value) || value instanceof WeakRef)
    return ['weak', 'pass what it holds']
  if (value instanceof MessagePort) return ['a live port', 'ports go to threads only, in `transfer`']
  if (has(value, 'pipe') || has(value, 'getReader') || has(value, 'getWriter')) {
    return ['a stream', 'read it first, or open it in the function']
  }
  if (has(value, 'ref') && has(value, 'unref')) return ['an open handle', 'open it in the function']
  return undefined
}

function has(value: object, method: string): boolean {
  try {
    return typeof (value as Record<string, unknown>)[method] === 'function'
  } catch {
    return false
  }
}
