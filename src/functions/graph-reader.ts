/**
 * The other end of graph-writer: makes what placeholders stand for, blank, then fills and builds it segment by segment.
 * The only code of others it runs is `decode` of classes this process has registered, or was given.
 */
import { SerializationError } from '../core/errors.ts'
import { type ClassTable, type KnownClass, registeredClasses } from './class-registry.ts'
import { blankError, define, type ErrorRecord, fillError } from './error-record.ts'
import { thrownText } from './refusals.ts'
import { type Memory, ValueReader } from './wire.ts'
import { BUILD, FILL, FUNCTIONS, ROOT, TAG } from './wire-tags.ts'

/** What arrives as no object: v8 has no place for it, so filling puts it there. */
class Loose {
  readonly value: unknown

  constructor(value: unknown) {
    this.value = value
  }
}

export class GraphReader {
  readonly #reader: ValueReader
  readonly #classes: ClassTable | undefined
  readonly #tags = new Map<object, number>()
  readonly #built: unknown[] = []
  #functions: readonly unknown[] = []

  constructor(bytes: Uint8Array, memory: Memory, classes: ClassTable | undefined) {
    this.#reader = new ValueReader(bytes, memory, (tag) => this.#standIn(tag))
    this.#classes = classes
  }

  /** What was shipped for the functions of the value; to be called before `value`, where it holds any. */
  shipped(): readonly unknown[] {
    this.#reader.readHeader()
    const [kind, shipped] = this.#reader.readValue() as [number, readonly unknown[]]
    if (kind !== FUNCTIONS) throw new SerializationError('its functions are missing')
    return shipped
  }

  /** The value, its functions being these; `headed` when the header has been read. */
  value(functions: readonly unknown[], headed: boolean): unknown {
    this.#functions = functions
    if (!headed) this.#reader.readHeader()
    for (;;) {
      const [kind, subject, content] = this.#reader.readValue() as [number, unknown, unknown]
      if (kind === ROOT) return unwrapped(subject)
      if (kind === FILL) this.#fill(subject as object, content)
      else if (kind === BUILD) this.#built.push(this.#build(String(subject), unwrapped(content)))
      else throw new SerializationError(`unknown kind of segment ${kind}`)
    }
  }

  #standIn(tag: number): unknown {
    if (tag === TAG.url) return new URL(this.#text())
    if (tag === TAG.built) return this.#given(this.#built)
    if (tag === TAG.function) return this.#given(this.#functions)
    if (tag === TAG.symbol) return this.#symbol(this.#text(), this.#reader.readValue() === true)
    if (tag === TAG.regexp) {
      const regexp = new RegExp(this.#text(), this.#text())
      regexp.lastIndex = Number(this.#reader.readValue())
      return regexp
    }
    const blank = this.#blank(tag)
    this.#tags.set(blank, tag)
    return blank
  }

  #blank(tag: number): object {
    switch (tag) {
      case TAG.error:
        return blankError(this.#reader.readValue() as readonly string[])
      case TAG.domException:
        return new DOMException(this.#text(), this.#text())
      case TAG.instance:
        return Object.create(this.#class(this.#text()).cls.prototype as object) as object
      case TAG.bare:
        return this.#reader.readValue() === true ? Object.create(null) : {}
      case TAG.array:
        return []
      case TAG.map:
        return new Map()
      case TAG.set:
        return new Set()
      default:
        throw new SerializationError(`unknown kind of object ${tag}`)
    }
  }

  #fill(blank: object, content: unknown): void {
    const tag = this.#tags.get(blank)
    switch (tag) {
      case TAG.error:
      case TAG.domException:
        return fillError(blank as Error, looseRecord(content as ErrorRecord))
      case TAG.instance:
      case TAG.bare:
        return fillFields(blank, content as object)
      case TAG.array:
        return fillArray(blank as unknown[], content as [number, string[], unknown[]])
      case TAG.map:
        for (const [key, item] of content as [unknown, unknown][]) {
          ;(blank as Map<unknown, unknown>).set(unwrapped(key), unwrapped(item))
        }
        return
      case TAG.set:
        for (const item of content as unknown[]) (blank as Set<unknown>).add(unwrapped(item))
        return
      default:
        throw new SerializationError('something is filled that was not blank')
    }
  }

  #build(name: string, data: unknown): unknown {
    const { decode } = this.#class(name)
    if (decode === undefined) throw new SerializationError(`class ${name} has no decode here, but had an encode`)
    try {
      return decode(data)
    } catch (cause) {
      throw new SerializationError(`decode of class ${name} threw: ${thrownText(cause)}`, { cause })
    }
  }

  #class(name: string): KnownClass {
    const known = this.#classes?.named(name) ?? registeredClasses.named(name)
    if (known !== undefined) return known
    throw new SerializationError(
      `class ${name} is not known here: registerClass(${name}) has to run on both sides, at best in the module that defines it`,
    )
  }

  #given(from: readonly unknown[]): unknown {
    const index = this.#reader.readValue() as number
    if (!Object.hasOwn(from, index)) throw new SerializationError(`there is no object ${String(index)} to refer to`)
    const given = from[index]
    return (typeof given === 'object' && given !== null) || typeof given === 'function' ? given : new Loose(given)
  }

  #symbol(name: string, wellKnown: boolean): Loose {
    if (!wellKnown) return new Loose(Symbol.for(name))
    const symbol = (Symbol as unknown as Record<string, unknown>)[name]
    if (typeof symbol !== 'symbol') throw new SerializationError(`there is no Symbol.${name} here`)
    return new Loose(symbol)
  }

  #text(): string {
    const text = this.#reader.readValue()
    if (typeof text !== 'string') throw new SerializationError('a text is missing')
    return text
  }
}

function unwrapped(value: unknown): unknown {
  return value instanceof Loose ? value.value : value
}

function looseRecord([name, message, stack, cause, errors, data]: ErrorRecord): ErrorRecord {
  const fields: Record<string, unknown> = {}
  fillFields(fields, data)
  return [name, message, stack, cause.map(unwrapped), errors.map((list) => list.map(unwrapped)), fields]
}

function fillFields(blank: object, fields: object): void {
  for (const key of Object.keys(fields)) define(blank, key, unwrapped((fields as Record<string, unknown>)[key]), true)
}

/** An array that asks for no more room than what is in it. */
function fillArray(
  blank: unknown[],
  [length, keys, items]: readonly [number, readonly string[], readonly unknown[]],
): void {
  // by way of the greatest length, where the engine gives up keeping a place for every element
  if (length > keys.length * 4) blank.length = 2 ** 32 - 1
  blank.length = length
  keys.forEach((key, i) => {
    define(blank, key, unwrapped(items[i]), true)
  })
}
