/**
 * Small values as a few bytes, without the engine's serializer, whose start alone costs more than all of this: numbers,
 * short strings, booleans, null, undefined, and small arrays and objects of them. A pool encodes a pair of these per call.
 *
 * Whatever is not surely such a value (another prototype, a hole, a second sight of the same object, an odd key, a
 * Proxy) is left to the codec. Every length is held against the bytes there are.
 */
import { types } from 'node:util'
import { SerializationError } from '../core/errors.ts'

const MAX_BYTES = 768
/** Short enough that looking whether one was seen before is nothing. */
const MAX_CONTAINERS = 8
const MAX_ITEMS = 32
const WIDE = 1_024
const MAX_STRING = 120
/** The longest thing written without asking for room: tag, length and characters of a string. */
const MARGIN = MAX_STRING + 2

const UNDEFINED = 0
const NULL = 1
const FALSE = 2
const TRUE = 3
const INT32 = 4
const DOUBLE = 5
const STRING = 6
const ARRAY = 7
const OBJECT = 8

const float = new Float64Array(1)
const floatBytes = new Uint8Array(float.buffer)

/** The keys of an object of very many, which took long to list: whoever looks at it next need not list them again. */
export interface WideKeys {
  readonly object: object
  readonly keys: readonly string[]
}

/** `head` and the bytes of `value`, or undefined (keys, where they are many) where it is none of the small ones. Getters that throw give undefined. */
export function encodeTiny(value: unknown, head: readonly number[]): Uint8Array | WideKeys | undefined {
  const writer = idle ?? new TinyWriter()
  // a getter may come back here: it finds none idle and makes its own
  idle = undefined
  try {
    return writer.encode(value, head) ?? writer.wide
  } catch {
    // the codec meets the same getter again, and names its path
    return undefined
  } finally {
    // nothing of the value is kept alive
    writer.forget()
    idle = writer
  }
}

/** The value of what `encodeTiny` wrote after `from`. @throws SerializationError */
export function decodeTiny(bytes: Uint8Array, from: number): unknown {
  const reader = new TinyReader(bytes, from)
  const value = reader.value()
  if (reader.at !== bytes.byteLength) throw new SerializationError(`${bytes.byteLength - reader.at} bytes too many`)
  return value
}

// a cache: memory to write in, used by one at a time
let idle: TinyWriter | undefined

class TinyWriter {
  readonly #bytes = new Uint8Array(MAX_BYTES)
  readonly #seen: unknown[] = []
  #at = 0
  wide: WideKeys | undefined

  encode(value: unknown, head: readonly number[]): Uint8Array | undefined {
    this.#at = 0
    for (const byte of head) this.#bytes[this.#at++] = byte
    if (!this.#value(value)) return undefined
    const made = Buffer.allocUnsafe(this.#at)
    for (let i = 0; i < this.#at; i++) made[i] = this.#bytes[i] as number
    return made
  }

  forget(): void {
    this.#seen.length = 0
    this.wide = undefined
  }

  #value(value: unknown): boolean {
    if (this.#at > MAX_BYTES - MARGIN) return false
    switch (typeof value) {
      case 'number':
        return this.#number(value)
      case 'string':
        this.#bytes[this.#at++] = STRING
        return this.#string(value)
      case 'undefined':
        this.#bytes[this.#at++] = UNDEFINED
        return true
      case 'boolean':
        this.#bytes[this.#at++] = value ? TRUE : FALSE
        return true
      case 'object':
        return this.#object(value)
      default:
        return false
    }
  }

  #number(value: number): boolean {
    const bytes = this.#bytes
    if ((value | 0) === value && !Object.is(value, -0)) {
      bytes[this.#at] = INT32
      bytes[this.#at + 1] = value
      bytes[this.#at + 2] = value >> 8
      bytes[this.#at + 3] = value >> 16
      bytes[this.#at + 4] = value >> 24
      this.#at += 5
      return true
    }
    bytes[this.#at++] = DOUBLE
    float[0] = value
    for (let i = 0; i < 8; i++) bytes[this.#at++] = floatBytes[i] as number
    return true
  }

  #string(value: string): boolean {
    const { length } = value
    if (length > MAX_STRING || this.#at > MAX_BYTES - MARGIN) return false
    this.#bytes[this.#at++] = length
    for (let i = 0; i < length; i++) {
      const unit = value.charCodeAt(i)
      if (unit > 255) return false
      this.#bytes[this.#at++] = unit
    }
    return true
  }

  #object(value: object | null): boolean {
    if (value === null) {
      this.#bytes[this.#at++] = NULL
      return true
    }
    const array = Array.isArray(value)
    if (array && value.length > MAX_ITEMS) return false
    if (Object.getPrototypeOf(value) !== (array ? Array.prototype : Object.prototype)) return false
    if (this.#seen.length === MAX_CONTAINERS || this.#seen.includes(value) || types.isProxy(value)) return false
    this.#seen.push(value)
    const keys = Object.keys(value)
    if (keys.length > WIDE) this.wide = { object: value, keys }
    if (keys.length > MAX_ITEMS) return false
    this.#bytes[this.#at++] = array ? ARRAY : OBJECT
    this.#bytes[this.#at++] = keys.length
    // an array with holes or named properties has other keys than indices
    if (array) return keys.length === value.length && this.#items(value)
    for (const key of keys) {
      if (key === '__proto__' || !this.#string(key) || !this.#value((value as Record<string, unknown>)[key]))
        return false
    }
    return true
  }

  #items(value: readonly unknown[]): boolean {
    for (let i = 0; i < value.length; i++) if (!this.#value(value[i]) || !(i in value)) return false
    return true
  }
}

class TinyReader {
  at: number
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array, from: number) {
    this.#bytes = bytes
    this.at = from
  }

  value(): unknown {
    switch (this.#byte()) {
      case UNDEFINED:
        return undefined
      case NULL:
        return null
      case FALSE:
        return false
      case TRUE:
        return true
      case INT32:
        return this.#byte() | (this.#byte() << 8) | (this.#byte() << 16) | (this.#byte() << 24)
      case DOUBLE:
        for (let i = 0; i < 8; i++) floatBytes[i] = this.#byte()
        return float[0]
      case STRING:
        return this.#string()
      case ARRAY:
        return this.#array()
      case OBJECT:
        return this.#object()
      default:
        throw new SerializationError(`unknown kind of value ${this.#bytes[this.at - 1]}`)
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new SerializationError('it ends early')
    return byte
  }

  #string(): string {
    let text = ''
    for (let left = this.#byte(); left > 0; left--) text += String.fromCharCode(this.#byte())
    return text
  }

  #array(): unknown[] {
    const items: unknown[] = []
    for (let left = this.#byte(); left > 0; left--) items.push(this.value())
    return items
  }

  #object(): object {
    const object: Record<string, unknown> = {}
    for (let left = this.#byte(); left > 0; left--) {
      const key = this.#string()
      if (key === '__proto__') throw new SerializationError('a key that would set a prototype')
      object[key] = this.value()
    }
    return object
  }
}
