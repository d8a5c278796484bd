/**
 * Looks over a value before it travels. v8 flattens silently what it does not know (class instances, URLs, null
 * prototypes), so every object's prototype is looked at; whatever would come back different is refused with its path.
 *
 * Speed: a tree is walked without remembering where one has been. `budget`, the bytes v8 wrote for the value, bounds
 * that walk: a tree has fewer objects than bytes, so a walk that goes on longer has met sharing or a cycle and starts
 * again, remembering. v8 refuses functions, symbols and Proxies by itself; the walk then finds their path. Not looked
 * at: properties under symbols (they do not travel), and named properties of arrays other than RegExp matches.
 */
import { types } from 'node:util'
import { SerializationError } from '../core/errors.ts'
import { isError } from './error-record.ts'

/** What v8 cannot carry by itself. */
export interface Survey {
  /** Errors and URLs are in it. */
  readonly special: boolean
  /** Objects without a prototype, which v8 would give one. */
  readonly bare: readonly object[]
}

const OBJECT = Object.prototype
const ARRAY = Array.prototype
const TYPED_ARRAY = Object.getPrototypeOf(Uint8Array.prototype)
const NATIVE: ReadonlySet<object> = new Set([
  Date.prototype,
  RegExp.prototype,
  Number.prototype,
  String.prototype,
  Boolean.prototype,
  BigInt.prototype,
  ArrayBuffer.prototype,
])
const VIEWS: ReadonlySet<object> = new Set(
  [Buffer, DataView, Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array]
    .concat([Float32Array, Float64Array, BigInt64Array, BigUint64Array] as never)
    .map((cls) => cls.prototype),
)

/** `budget`: bytes v8 wrote, or 0 where it refused. @throws SerializationError with the path of what cannot travel */
export function survey(value: unknown, what: string, budget: number): Survey {
  if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') return NOTHING_SPECIAL
  if (budget > 0) {
    const quick = new Walk(undefined, budget)
    quick.visit(value)
    if (quick.problem === undefined && quick.left >= 0) return quick
  }
  const thorough = new Walk(new Set(), Number.POSITIVE_INFINITY)
  thorough.visit(value)
  if (thorough.problem !== undefined) {
    throw new SerializationError(`${what}${thorough.path.reverse().join('')}: ${thorough.problem} cannot travel`)
  }
  return thorough
}

const NOTHING_SPECIAL: Survey = { special: false, bare: [] }

class Walk implements Survey {
  special = false
  readonly bare: object[] = []
  /** Containers it may still enter. */
  left: number
  problem: string | undefined
  /** Steps to the problem, innermost first. */
  readonly path: string[] = []
  readonly #seen: Set<object> | undefined

  constructor(seen: Set<object> | undefined, budget: number) {
    this.#seen = seen
    this.left = budget
  }

  /** False stops the walk. */
  visit(value: unknown): boolean {
    if (typeof value === 'object') return value === null || this.#object(value)
    if (typeof value === 'function') return this.#refuse(`function '${value.name === '' ? 'anonymous' : value.name}'`)
    return typeof value === 'symbol' ? this.#refuse(String(value)) : true
  }

  #object(value: object): boolean {
    if (--this.left < 0) return false
    if (this.#seen !== undefined) {
      if (this.#seen.has(value)) return true
      this.#seen.add(value)
      if (types.isProxy(value)) return this.#refuse('a Proxy')
    }
    const prototype = Object.getPrototypeOf(value)
    if (prototype === OBJECT) return this.#fields(value)
    if (prototype === ARRAY && Array.isArray(value)) return this.#array(value)
    if (prototype === Map.prototype && types.isMap(value)) return this.#map(value)
    if (prototype === Set.prototype && types.isSet(value)) return this.#set(value)
    return this.#rarer(value, prototype)
  }

  #rarer(value: object, prototype: object | null): boolean {
    if (VIEWS.has(prototype as object) && ArrayBuffer.isView(value)) return true
    if (isError(value) || prototype === URL.prototype) {
      this.special = true
      return true
    }
    if (types.isModuleNamespaceObject(value)) return this.#refuse('a module namespace')
    if (prototype === null) {
      this.bare.push(value)
      return this.#fields(value)
    }
    if (NATIVE.has(prototype) && !isImpostor(value)) return this.#noFields(value)
    if (!(value instanceof Object)) return this.#foreign(value, prototype)
    return this.#refuse(instanceName(value, prototype))
  }

  /** Of another realm (vm contexts): known by the names of its classes; comes back as of this one. */
  #foreign(value: object, prototype: object): boolean {
    const name = (prototype as { constructor?: { name?: unknown } }).constructor?.name
    if (name === 'Object' && Object.getPrototypeOf(prototype) === null) return this.#fields(value)
    if (name === 'Array' && Array.isArray(value)) return this.#array(value)
    if (name === 'Map' && types.isMap(value)) return this.#map(value)
    if (name === 'Set' && types.isSet(value)) return this.#set(value)
    if ((name === 'Date' || name === 'RegExp') && !isImpostor(value)) return this.#noFields(value)
    return this.#refuse(instanceName(value, prototype))
  }

  #fields(value: object): boolean {
    for (const key in value) {
      const item = (value as Record<string, unknown>)[key]
      if (typeof item === 'number' || typeof item === 'string' || this.visit(item)) continue
      if (this.problem !== undefined) this.path.push(step(key))
      return false
    }
    return true
  }

  #array(value: readonly unknown[]): boolean {
    // longer than what v8 wrote: mostly holes
    const longest = this.#seen === undefined ? this.left : 100_000
    if (value.length > longest || (value as { groups?: unknown }).groups !== undefined) return this.#sparse(value)
    for (let i = 0; i < value.length; i++) {
      const item = value[i]
      // primitives are not worth a call
      if (typeof item === 'number' || typeof item === 'string' || this.visit(item)) continue
      if (this.problem !== undefined) this.path.push(`[${i}]`)
      return false
    }
    return true
  }

  /** Only the elements there are, and named properties. */
  #sparse(value: readonly unknown[]): boolean {
    for (const key of Object.keys(value)) {
      if (this.visit(value[key as unknown as number])) continue
      if (this.problem !== undefined) this.path.push(step(key))
      return false
    }
    return true
  }

  #map(value: ReadonlyMap<unknown, unknown>): boolean {
    for (const [key, item] of value) {
      if (this.visit(key) && this.visit(item)) continue
      if (this.problem !== undefined) this.path.push(`.get(${typeof key === 'object' ? '…' : String(key)})`)
      return false
    }
    return this.#noFields(value)
  }

  #set(value: ReadonlySet<unknown>): boolean {
    let i = 0
    for (const item of value) {
      if (!this.visit(item)) {
        if (this.problem !== undefined) this.path.push(`.values()[${i}]`)
        return false
      }
      i += 1
    }
    return this.#noFields(value)
  }

  /** v8 drops what was put on a Map, a Date and their kin. */
  #noFields(value: object): boolean {
    if (value instanceof String) return true
    for (const key in value)
      return this.#refuse(`${instanceName(value, Object.getPrototypeOf(value))} with a property '${key}'`)
    return true
  }

  #refuse(problem: string): false {
    this.problem = problem
    return false
  }
}

/** `Object.create(Date.prototype)` and the like. */
function isImpostor(value: object): boolean {
  return !(types.isDate(value) || types.isRegExp(value) || types.isBoxedPrimitive(value) || types.isArrayBuffer(value))
}

function instanceName(value: object, prototype: object): string {
  if (types.isPromise(value)) return 'a Promise (await it first)'
  const name = (prototype as { constructor?: { name?: unknown } }).constructor?.name
  if (prototype === TYPED_ARRAY || typeof name !== 'string' || name === '')
    return 'an object with a prototype of its own'
  return name === 'Object' ? 'an object with a prototype of its own' : `instance of ${name}`
}

function step(key: string): string {
  if (/^\d+$/.test(key)) return `[${key}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}
