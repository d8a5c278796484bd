/**
 * A value that v8 cannot carry, as one it can: a copy in which placeholders (empty views) stand for errors, instances,
 * URLs, symbols and functions, and segments that say, in order, what fills or builds them. Sharing and cycles are kept.
 *
 * Order: what a class's `decode` is given is complete. Objects that reach each other (a strongly connected component,
 * after Tarjan) come after all they reach; filled ones may lie in a cycle, since they exist before they are filled; built
 * ones may not and are refused there. Expects a value that `survey` has passed.
 */
import { inspect, types } from 'node:util'
import { SerializationError } from '../core/errors.ts'
import { classOf, type KnownClass } from './class-registry.ts'
import { define, errorRecord, isError, lineageOf } from './error-record.ts'
import { type Allowed, isMostlyHoles, mapStep, step, survey } from './plain-data.ts'
import { symbolName, thrownText } from './refusals.ts'
import type { StandIn } from './wire.ts'
import { BUILD, FILL, FUNCTIONS, ROOT, TAG } from './wire-tags.ts'

export type Segment =
  | readonly [typeof FUNCTIONS, shipped: readonly unknown[]]
  | readonly [typeof FILL, placeholder: object, record: unknown]
  | readonly [typeof BUILD, className: string, data: unknown]
  | readonly [typeof ROOT, value: unknown]

export interface Graph {
  readonly segments: readonly Segment[]
  readonly standIns: ReadonlyMap<object, StandIn>
}

export interface GraphOptions extends Allowed {
  /** What is sent for a function: anything v8 can carry. */
  shipFunction(fn: (...args: never[]) => unknown, path: string): unknown
}

const MAX_ERROR_DEPTH = 16

/** @throws SerializationError where an instance that is built by its class holds itself, or its encode throws */
export function asGraph(value: unknown, what: string, options: GraphOptions): Graph {
  return new GraphWriter(what, options).graph(value)
}

/** An object on the way: `index` and `open` are Tarjan's; `done` gives its segment once all it reaches have theirs. */
interface Node {
  readonly index: number
  open: boolean
  /** It was met again while it was being looked at. */
  again: boolean
  done?: () => Segment | undefined
  /** Of an instance its class builds: what to say if it holds itself. */
  readonly builtAt?: string
}

class GraphWriter {
  readonly #what: string
  readonly #options: GraphOptions
  readonly #segments: Segment[] = []
  readonly #shipped: unknown[] = []
  readonly #standIns = new Map<object, StandIn>()
  readonly #copies = new Map<unknown, unknown>()
  readonly #nodes = new Map<object, Node>()
  readonly #stack: Node[] = []
  /** Lowest index reached from the object being looked at. */
  #low = 0
  readonly #path: string[] = []
  #errorDepth = 0
  #built = 0

  constructor(what: string, options: GraphOptions) {
    this.#what = what
    this.#options = options
  }

  graph(value: unknown): Graph {
    const root = this.#copy(value)
    const first: Segment[] = this.#shipped.length > 0 ? [[FUNCTIONS, this.#shipped]] : []
    return { segments: [...first, ...this.#segments, [ROOT, root]], standIns: this.#standIns }
  }

  #copy(value: unknown): unknown {
    if (typeof value === 'symbol') return this.#symbol(value)
    if (typeof value === 'function') return this.#function(value as (...args: never[]) => unknown)
    if (typeof value !== 'object' || value === null) return value
    const known = this.#copies.get(value)
    if (known === undefined) return this.#object(value)
    const node = this.#nodes.get(value)
    if (node?.open) {
      node.again = true
      this.#low = Math.min(this.#low, node.index)
    }
    return known
  }

  #at(at: string, value: unknown): unknown {
    this.#path.push(at)
    const copy = this.#copy(value)
    this.#path.pop()
    return copy
  }

  #object(value: object): unknown {
    const prototype = Object.getPrototypeOf(value) as object | null
    const known = classOf(prototype, this.#options.classes)
    if (known?.encode !== undefined) return this.#buildable(value, known)
    if (isError(value)) return this.#error(value)
    if (known !== undefined) return this.#filled(value, TAG.instance, [known.name], () => this.#fields(value, {}))
    if (value instanceof URL) return this.#leaf(value, TAG.url, [value.href])
    if (types.isRegExp(value) && value.lastIndex !== 0) {
      return this.#leaf(value, TAG.regexp, [value.source, value.flags, value.lastIndex])
    }
    if (Array.isArray(value)) return this.#array(value)
    if (types.isMap(value)) return this.#map(value)
    if (types.isSet(value)) return this.#set(value)
    if (Object.prototype.toString.call(value) !== '[object Object]') {
      if (!isPlain(value)) return value
    }
    if (prototype === null || this.#holdsLoose(Object.values(value))) {
      return this.#filled(value, TAG.bare, [prototype === null], () => this.#fields(value, {}))
    }
    const copy = {}
    return this.#node(value, copy, () => void this.#fields(value, copy))
  }

  #array(value: readonly unknown[]): unknown {
    const holes = isMostlyHoles(value)
    if (holes || this.#holdsLoose(value)) {
      return this.#filled(value, TAG.array, [], () => {
        const keys = Object.keys(value)
        return [value.length, keys, keys.map((key) => this.#at(step(key), value[key as unknown as number]))]
      })
    }
    const copy = new Array<unknown>(value.length)
    return this.#node(value, copy, () => void this.#fields(value, copy))
  }

  #map(value: ReadonlyMap<unknown, unknown>): unknown {
    const entries = () =>
      [...value].map(([key, item]) => [this.#at(mapStep(key), key), this.#at(mapStep(key), item)] as const)
    if (this.#holdsLoose(value.keys()) || this.#holdsLoose(value.values())) {
      return this.#filled(value, TAG.map, [], entries)
    }
    const copy = new Map<unknown, unknown>()
    return this.#node(value, copy, () => {
      for (const [key, item] of entries()) copy.set(key, item)
    })
  }

  #set(value: ReadonlySet<unknown>): unknown {
    const items = () => [...value].map((item, i) => this.#at(`.values()[${i}]`, item))
    if (this.#holdsLoose(value)) return this.#filled(value, TAG.set, [], items)
    const copy = new Set<unknown>()
    return this.#node(value, copy, () => {
      for (const item of items()) copy.add(item)
    })
  }

  #fields(from: object, to: object): object {
    for (const key of Object.keys(from)) {
      define(to, key, this.#at(step(key), (from as Record<string, unknown>)[key]), true)
    }
    return to
  }

  #error(error: Error): unknown {
    if (this.#errorDepth >= MAX_ERROR_DEPTH) return `${error.name}: ${error.message}`
    const lineage = lineageOf(error)
    const [tag, args] = lineage.includes('DOMException')
      ? [TAG.domException, [error.message, error.name]]
      : [TAG.error, [lineage]]
    return this.#filled(error, tag, args, () => {
      this.#errorDepth += 1
      const record = errorRecord(error, (value, key) => this.#carried(value, key))
      this.#errorDepth -= 1
      return record
    })
  }

  /** What an error holds must not keep it from being told: where it cannot travel, its text does. */
  #carried(value: unknown, key: string): unknown {
    try {
      survey(value, '', 0, this.#options)
    } catch (problem) {
      if (!(problem instanceof SerializationError || problem instanceof RangeError)) throw problem
      return inspect(value, { depth: 1 })
    }
    return this.#at(step(key), value)
  }

  #buildable(value: object, { name, encode }: KnownClass): unknown {
    const placeholder = new Uint8Array(0)
    const path = this.#where()
    return this.#node(
      value,
      placeholder,
      () => {
        const data = encoded(value, name, encode as (instance: unknown) => unknown, path)
        survey(data, path, 0, this.#options)
        const copy = this.#copy(data)
        return () => {
          this.#standIns.set(placeholder, { tag: TAG.built, args: [this.#built++] })
          return [BUILD, name, copy]
        }
      },
      `${path}: instance of ${name} holds itself: what it is decoded from could only be given unfinished`,
    )
  }

  #filled(value: object, tag: number, args: readonly unknown[], record: () => unknown): unknown {
    const placeholder = this.#placeholder(tag, args)
    return this.#node(value, placeholder, () => {
      const content = record()
      return () => [FILL, placeholder, content]
    })
  }

  /** Looks at `value` by `visit`, which gives what makes its segment, if it has one. */
  #node(value: object, copy: unknown, visit: () => (() => Segment) | undefined, builtAt?: string): unknown {
    this.#copies.set(value, copy)
    const index = this.#nodes.size
    const node: Node = { index, open: true, again: false, ...(builtAt === undefined ? {} : { builtAt }) }
    this.#nodes.set(value, node)
    this.#stack.push(node)
    const outer = this.#low
    this.#low = index
    const done = visit()
    if (done !== undefined) node.done = done
    if (this.#low === index) this.#close(node)
    this.#low = Math.min(outer, this.#low)
    return copy
  }

  /** `node` and what lies above it reach each other, and nothing else that is open. */
  #close(node: Node): void {
    const together = this.#stack.splice(this.#stack.lastIndexOf(node))
    for (const each of together) {
      each.open = false
      if (each.builtAt !== undefined && (each.again || together.length > 1)) throw new SerializationError(each.builtAt)
      const segment = each.done?.()
      if (segment !== undefined) this.#segments.push(segment)
    }
  }

  #symbol(symbol: symbol): unknown {
    const known = symbolName(symbol)
    return this.#leaf(symbol, TAG.symbol, [known?.name, known?.wellKnown])
  }

  #function(fn: (...args: never[]) => unknown): unknown {
    const known = this.#copies.get(fn)
    if (known !== undefined) return known
    const index = this.#shipped.push(this.#options.shipFunction(fn, this.#where())) - 1
    return this.#leaf(fn, TAG.function, [index])
  }

  #leaf(value: unknown, tag: number, args: readonly unknown[]): unknown {
    const known = this.#copies.get(value)
    if (known !== undefined) return known
    const placeholder = this.#placeholder(tag, args)
    this.#copies.set(value, placeholder)
    return placeholder
  }

  #placeholder(tag: number, args: readonly unknown[]): object {
    const placeholder = new Uint8Array(0)
    this.#standIns.set(placeholder, { tag, args })
    return placeholder
  }

  /** Whether something among these arrives as no object, so that only our own filling can put it in its place. */
  #holdsLoose(items: Iterable<unknown>): boolean {
    for (const item of items) {
      if (typeof item === 'symbol') return true
      if (typeof item !== 'object' || item === null) continue
      const known = classOf(Object.getPrototypeOf(item), this.#options.classes)
      if (known?.encode !== undefined) return true
    }
    return false
  }

  #where(): string {
    return this.#what + this.#path.join('')
  }
}

/** A plain object that calls itself something else by Symbol.toStringTag. */
function isPlain(value: object): boolean {
  return (
    !(types.isDate(value) || types.isRegExp(value) || types.isBoxedPrimitive(value)) &&
    !types.isAnyArrayBuffer(value) &&
    !ArrayBuffer.isView(value)
  )
}

function encoded(value: object, name: string, encode: (instance: unknown) => unknown, path: string): unknown {
  try {
    return encode(value)
  } catch (cause) {
    throw new SerializationError(`${path}: encode of class ${name} threw: ${thrownText(cause)}`, { cause })
  }
}
