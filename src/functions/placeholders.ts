/**
 * A copy of a value in which every error and URL is an empty view that stands for it: v8 hands views to the codec,
 * which writes what they stand for. Sharing and cycles are kept, but for an error that holds itself: there it is text.
 * Expects a value that `survey` has passed.
 */
import { inspect, types } from 'node:util'
import { SerializationError } from '../core/errors.ts'
import { type ErrorRecord, errorRecord, isError } from './error-record.ts'
import { survey } from './plain-data.ts'

export type Special = URL | ErrorRecord

export interface Replaced {
  readonly root: unknown
  /** Copies of objects without a prototype. */
  readonly bare: readonly object[]
  readonly specials: ReadonlyMap<object, Special>
}

const MAX_ERROR_DEPTH = 16

export function withPlaceholders(value: unknown): Replaced {
  const copier = new Copier()
  return { root: copier.copy(value), bare: copier.bare, specials: copier.specials }
}

class Copier {
  readonly bare: object[] = []
  readonly specials = new Map<object, Special>()
  readonly #copies = new Map<object, unknown>()
  /** Errors whose records are being made. */
  readonly #open = new Set<Error>()

  copy(value: unknown): unknown {
    if (typeof value !== 'object' || value === null) return value
    if (isError(value)) return this.#error(value)
    const known = this.#copies.get(value)
    return known === undefined ? this.#container(value) : known
  }

  #container(value: object): unknown {
    if (value instanceof URL) return this.#standIn(value, value)
    if (Array.isArray(value)) {
      const copy = new Array<unknown>(value.length)
      this.#copies.set(value, copy)
      return this.#fields(value, copy)
    }
    if (types.isMap(value)) {
      const copy = new Map<unknown, unknown>()
      this.#copies.set(value, copy)
      for (const [key, item] of value) copy.set(this.copy(key), this.copy(item))
      return copy
    }
    if (types.isSet(value)) {
      const copy = new Set<unknown>()
      this.#copies.set(value, copy)
      for (const item of value) copy.add(this.copy(item))
      return copy
    }
    if (Object.prototype.toString.call(value) !== '[object Object]') return value
    const copy = {}
    this.#copies.set(value, copy)
    if (Object.getPrototypeOf(value) === null) this.bare.push(copy)
    return this.#fields(value, copy)
  }

  #fields(from: object, to: object): object {
    for (const key of Object.keys(from)) {
      const value = this.copy((from as Record<string, unknown>)[key])
      Object.defineProperty(to, key, { value, enumerable: true, writable: true, configurable: true })
    }
    return to
  }

  #error(error: Error): unknown {
    if (this.#open.has(error)) return `[Circular ${briefly(error)}]`
    const known = this.#copies.get(error)
    if (known !== undefined) return known
    if (this.#open.size >= MAX_ERROR_DEPTH) return briefly(error)
    this.#open.add(error)
    const record = errorRecord(error, (value) => this.#carried(value))
    this.#open.delete(error)
    return this.#standIn(error, record)
  }

  /** What an error holds must not keep it from being told: where it cannot travel, its text does. */
  #carried(value: unknown): unknown {
    try {
      survey(value, '', 0)
    } catch (problem) {
      if (!(problem instanceof SerializationError || problem instanceof RangeError)) throw problem
      return inspect(value, { depth: 1 })
    }
    return this.copy(value)
  }

  #standIn(value: object, special: Special): object {
    const view = new Uint8Array(0)
    this.#copies.set(value, view)
    this.specials.set(view, special)
    return view
  }
}

function briefly(error: Error): string {
  return `${error.name}: ${error.message}`
}
