/**
 * Looks over a value before it travels. v8 flattens silently what it does not know (class instances, URLs, null
 * prototypes), so every object's prototype is looked at; whatever would come back different is refused with its path.
 *
 * Speed: a tree is walked without remembering where one has been. `budget`, the bytes v8 wrote for the value, bounds
 * that walk: a tree has fewer objects than bytes, so a walk that goes on longer has met sharing or a cycle and starts
 * again, remembering. v8 refuses functions, symbols and Proxies by itself; the walk then finds their path. Not looked
 * at: properties under symbols (they do not travel), and class instances in named properties of arrays.
 */
import { types } from 'node:util'
import { SerializationError } from '../core/errors.ts'
import { type ClassTable, classOf, type KnownClass } from './class-registry.ts'
import { isError } from './error-record.ts'
import { type Refusal, refusedFunction, refusedGetter, refusedObject, refusedSymbol, symbolName } from './refusals.ts'
import type { WideKeys } from './tiny-values.ts'
import { isViewPrototype, SEGMENT_BYTES } from './wire.ts'

/** What v8 cannot carry by itself. */
export interface Survey {
  /** Something in it needs a stand-in: errors, URLs, symbols, functions, instances, arrays that are mostly holes. */
  readonly special: boolean
  /** Objects without a prototype, which v8 would give one. */
  readonly bare: readonly object[]
  /** Regular expressions that stand elsewhere than at 0, which v8 forgets. */
  readonly moved: readonly RegExp[]
  /** Large buffers; one may be there twice. */
  readonly buffers: readonly ArrayBuffer[]
}

/** What may be in a value beyond what v8 carries and quern knows. */
export interface Allowed {
  readonly classes?: ClassTable | undefined
  readonly functions: boolean
  /** Keys listed already. */
  readonly wide?: WideKeys | undefined
}

const OBJECT = Object.prototype
const ARRAY = Array.prototype
const NATIVE: ReadonlySet<object> = new Set([
  Date.prototype,
  RegExp.prototype,
  Number.prototype,
  String.prototype,
  Boolean.prototype,
  BigInt.prototype,
  ArrayBuffer.prototype,
])
/** From here on, arrays that are mostly holes go as what is in them. */
const FEW_HOLES = 16
/** `budget`: bytes v8 wrote, or 0 where it refused. @throws SerializationError with the path of what cannot travel */
export function survey(value: unknown, what: string, budget: number, allowed: Allowed): Survey {
  if (typeof value !== 'object' && typeof value !== 'function' && typeof value !== 'symbol') return NOTHING_SPECIAL
  if (budget > 0) {
    const quick = new Walk(undefined, budget, allowed)
    quick.visit(value)
    if (quick.problem === undefined && quick.left >= 0) return quick
  }
  const thorough = new Walk(new Set(), Number.POSITIVE_INFINITY, allowed)
  thorough.visit(value)
  if (thorough.problem !== undefined) throw refusal(what + thorough.path.reverse().join(''), thorough.problem)
  return thorough
}

/** `path: what cannot travel: what to do instead`. */
function refusal(path: string, { what, instead }: Refusal): SerializationError {
  return new SerializationError(`${path}: ${what} cannot travel${instead === '' ? '' : `: ${instead}`}`)
}

/** Whether v8 would give an array more room where it arrives than its bytes warrant. */
export function isMostlyHoles(value: readonly unknown[]): boolean {
  return value.length > FEW_HOLES && Object.keys(value).length * 4 < value.length
}

/** Own slots that an object made of a prototype would lack. */
export function hasSlots(value: object): boolean {
  return (
    Array.isArray(value) ||
    ArrayBuffer.isView(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isPromise(value) ||
    !isImpostor(value)
  )
}

/** The step of a path to a key. */
export function step(key: string): string {
  if (/^\d+$/.test(key)) return `[${key}]`
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
}

/** The step of a path to the value of a Map. */
export function mapStep(key: unknown): string {
  return `.get(${typeof key === 'object' ? '…' : String(key)})`
}

const NOTHING_SPECIAL: Survey = { special: false, bare: [], moved: [], buffers: [] }

class Walk implements Survey {
  special = false
  readonly bare: object[] = []
  readonly moved: RegExp[] = []
  readonly buffers: ArrayBuffer[] = []
  /** Containers it may still enter. */
  left: number
  problem: Refusal | undefined
  /** Steps to the problem, innermost first. */
  readonly path: string[] = []
  readonly #seen: Set<object> | undefined
  readonly #classes: ClassTable | undefined
  readonly #functions: boolean
  readonly #wide: WideKeys | undefined

  constructor(seen: Set<object> | undefined, budget: number, allowed: Allowed) {
    this.#seen = seen
    this.left = budget
    this.#classes = allowed.classes
    this.#functions = allowed.functions
    this.#wide = allowed.wide
  }

  /** False stops the walk. */
  visit(value: unknown): boolean {
    if (typeof value === 'object') return value === null || this.#object(value)
    if (typeof value === 'function') return this.#functions ? this.#special() : this.#refuse(refusedFunction(value))
    if (typeof value !== 'symbol') return true
    return symbolName(value) === undefined ? this.#refuse(refusedSymbol(value)) : this.#special()
  }

  #object(value: object): boolean {
    if (--this.left < 0) return false
    if (this.#seen !== undefined) {
      if (this.#seen.has(value)) return true
      this.#seen.add(value)
      if (types.isProxy(value)) return this.#refuse(refusedObject(value, null))
    }
    const prototype = Object.getPrototypeOf(value)
    if (this.#classes !== undefined) {
      const known = this.#classes.ofPrototype(prototype)
      if (known !== undefined) return this.#instance(value, prototype, known)
    }
    if (prototype === OBJECT) return this.#fields(value)
    if (prototype === ARRAY && Array.isArray(value)) return this.#array(value)
    if (prototype === Map.prototype && types.isMap(value)) return this.#map(value)
    if (prototype === Set.prototype && types.isSet(value)) return this.#set(value)
    return this.#rarer(value, prototype)
  }

  #rarer(value: object, prototype: object | null): boolean {
    if (isViewPrototype(prototype) && ArrayBuffer.isView(value)) return true
    if (prototype === ArrayBuffer.prototype && types.isArrayBuffer(value)) return this.#buffer(value)
    if (prototype === RegExp.prototype && types.isRegExp(value)) {
      if (value.lastIndex !== 0) this.moved.push(value)
      return this.#noFields(value)
    }
    const known = classOf(prototype, undefined)
    if (known !== undefined) return this.#instance(value, prototype, known)
    if (isError(value) || prototype === URL.prototype) return this.#special()
    if (types.isModuleNamespaceObject(value)) return this.#refuse(refusedObject(value, prototype))
    if (prototype === null) {
      this.bare.push(value)
      return this.#fields(value)
    }
    if (NATIVE.has(prototype) && !isImpostor(value)) return this.#noFields(value)
    if (!(value instanceof Object)) return this.#foreign(value, prototype)
    return this.#refuse(refusedObject(value, prototype))
  }

  #instance(value: object, prototype: object | null, { encode, name }: KnownClass): boolean {
    this.special = true
    if (encode !== undefined || isError(value)) return true
    if (!hasSlots(value)) return this.#fields(value)
    const instead = `registerClass(${name}, { encode, decode })`
    return this.#refuse({
      ...refusedObject(value, prototype),
      what: `instance of ${name}, more than its fields,`,
      instead,
    })
  }

  /** Of another realm (vm contexts): known by the names of its classes; comes back as of this one. */
  #foreign(value: object, prototype: object): boolean {
    const name = (prototype as { constructor?: { name?: unknown } }).constructor?.name
    if (name === 'Object' && Object.getPrototypeOf(prototype) === null) return this.#fields(value)
    if (name === 'Array' && Array.isArray(value)) return this.#array(value)
    if (name === 'Map' && types.isMap(value)) return this.#map(value)
    if (name === 'Set' && types.isSet(value)) return this.#set(value)
    if ((name === 'Date' || name === 'RegExp') && !isImpostor(value)) return this.#noFields(value)
    return this.#refuse(refusedObject(value, prototype))
  }

  #fields(value: object): boolean {
    if (this.#seen !== undefined || value === this.#wide?.object) return this.#slowly(value)
    for (const key in value) {
      const item = (value as Record<string, unknown>)[key]
      if (typeof item === 'number' || typeof item === 'string' || this.visit(item)) continue
      if (this.problem !== undefined) this.path.push(step(key))
      return false
    }
    return true
  }

  /** Own properties one by one, with the path of a getter that throws. */
  #slowly(value: object): boolean {
    const keys = value === this.#wide?.object ? this.#wide.keys : Object.keys(value)
    for (const key of keys) {
      let item: unknown
      try {
        item = (value as Record<string, unknown>)[key]
      } catch (problem) {
        this.#refuse(refusedGetter(problem))
      }
      if (this.problem === undefined && this.visit(item)) continue
      if (this.problem !== undefined) this.path.push(step(key))
      return false
    }
    return true
  }

  #array(value: readonly unknown[]): boolean {
    // longer than what v8 wrote: mostly holes
    const longest = this.#seen === undefined ? this.left : 0
    if (value.length > longest || (value as { groups?: unknown }).groups !== undefined) {
      if (isMostlyHoles(value)) this.special = true
      return this.#slowly(value)
    }
    let absent = 0
    for (let i = 0; i < value.length; i++) {
      const item = value[i]
      // primitives are not worth a call
      if (typeof item === 'number' || typeof item === 'string') continue
      if (item === undefined) absent += 1
      else if (!this.visit(item)) {
        if (this.problem !== undefined) this.path.push(`[${i}]`)
        return false
      }
    }
    if (absent > FEW_HOLES / 2 && isMostlyHoles(value)) this.special = true
    return true
  }

  #map(value: ReadonlyMap<unknown, unknown>): boolean {
    for (const [key, item] of value) {
      if (this.visit(key) && this.visit(item)) continue
      if (this.problem !== undefined) this.path.push(mapStep(key))
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

  #buffer(value: ArrayBuffer): boolean {
    if ((value as { resizable?: boolean }).resizable === true) return this.#refuse(refusedObject(value, null))
    if (value.byteLength >= SEGMENT_BYTES) this.buffers.push(value)
    return this.#noFields(value)
  }

  /** v8 drops what was put on a Map, a Date and their kin. */
  #noFields(value: object): boolean {
    if (value instanceof String) return true
    for (const key in value) {
      const { what } = refusedObject(value, Object.getPrototypeOf(value))
      return this.#refuse({ what: `${what.replace(/, private.*/, '')} with a property '${key}'`, instead: '' })
    }
    return true
  }

  #special(): true {
    this.special = true
    return true
  }

  #refuse(problem: Refusal): false {
    this.problem = problem
    return false
  }
}

/** `Object.create(Date.prototype)` and the like. */
function isImpostor(value: object): boolean {
  return !(types.isDate(value) || types.isRegExp(value) || types.isBoxedPrimitive(value) || types.isArrayBuffer(value))
}
