/**
 * Values as bytes: a version, a layout and v8's own format. What goes in comes back equal, or is refused here with its
 * path: Map, Set, Date, RegExp, bigint, typed arrays, Buffer (as Buffer), ArrayBuffer, boxed primitives, undefined, NaN,
 * -0, holes, objects without a prototype, cycles and shared references, Error, DOMException, URL, symbols of Symbol.for,
 * instances of registered classes, and functions where the caller ships them.
 *
 * Views are copied out of their memory, so one of a large buffer brings only its own bytes, and two of the same buffer
 * no longer share it. Properties under symbols do not travel. Getters come back as what they gave; frozen objects come
 * back thawed. Decoding runs no code but `decode` of registered classes, and takes no more memory than the bytes warrant.
 */
import { SerializationError } from '../core/errors.ts'
import type { ClassTable } from './class-registry.ts'
import { GraphReader } from './graph-reader.ts'
import { asGraph } from './graph-writer.ts'
import { type Survey, survey } from './plain-data.ts'
import { thrownText } from './refusals.ts'
import { decodeTiny, encodeTiny, type WideKeys } from './tiny-values.ts'
import { type Memory, ValueReader, ValueWriter } from './wire.ts'

const VERSION = 2
const PLAIN = 0
/** `[value, objects without a prototype, regular expressions, their lastIndex]`. */
const PATCHED = 1
const TINY = 2
/** Segments of graph-writer. */
const GRAPH = 3
const GRAPH_WITH_FUNCTIONS = 4
const HEAD_BYTES = 2
const TINY_HEAD = [VERSION, TINY]

export interface EncodeOptions {
  /** Classes that travel here beside the registered ones, and in their own way: they go first. */
  readonly classes?: ClassTable
  /** What to send for a function: any value without functions. Without it they are refused. `path` is where it stands. */
  encodeFunction?(fn: (...args: never[]) => unknown, path: string): unknown
}

export interface DecodeOptions {
  readonly classes?: ClassTable
  /** The bytes are the value's from here on: large Buffers lie in them, uncopied. They must not be decoded again. */
  readonly adopt?: boolean
}

export interface LoadOptions extends DecodeOptions {
  /** The function of what `encodeFunction` gave. */
  loadFunction(shipped: unknown): Promise<unknown>
}

/** A value whose large memory (64 KiB and more) lies apart, uncopied: segments are the value's own memory. */
export interface Segmented {
  readonly head: Uint8Array
  readonly segments: readonly Uint8Array[]
}

/**
 * The bytes of a value. `what` begins the path in messages: `result.users[3].session: instance of Session cannot travel`.
 *
 * @throws SerializationError
 */
export function encodeValue(value: unknown, what = 'value', options: EncodeOptions = {}): Uint8Array {
  return encode(value, what, options, false).head
}

/**
 * The same with large memory apart. Whoever takes the segments takes them before the value is changed.
 *
 * @throws SerializationError
 */
export function encodeSegments(value: unknown, what = 'value', options: EncodeOptions = {}): Segmented {
  return encode(value, what, options, true)
}

/** The value of bytes that `encodeValue` made. @throws SerializationError when they are anything else, or hold functions */
export function decodeValue(bytes: Uint8Array, options: DecodeOptions = {}): unknown {
  return decodeSegments({ head: bytes, segments: [] }, options)
}

/** The same of `encodeSegments`; the value's memory is the segments', where they are aligned. @throws SerializationError */
export function decodeSegments({ head, segments }: Segmented, options: DecodeOptions = {}): unknown {
  return decoding(head, () => {
    if (layoutOf(head) === GRAPH_WITH_FUNCTIONS) {
      throw new SerializationError('it holds functions, which are not loaded here')
    }
    return read(head, { segments, adopt: options.adopt === true }, options.classes)
  })
}

/**
 * The value of bytes whose functions are loaded first, all of them, each once; at once where there are none.
 *
 * @throws SerializationError, also by rejecting; what `loadFunction` rejects with
 */
export function decodeValueWith(bytes: Uint8Array, options: LoadOptions): unknown {
  if (layoutOf(bytes) !== GRAPH_WITH_FUNCTIONS) return decodeValue(bytes, options)
  const { reader, shipped } = decoding(bytes, () => {
    const body = bytes.subarray(HEAD_BYTES)
    const reader = new GraphReader(body, { segments: [], adopt: options.adopt === true }, options.classes)
    return { reader, shipped: reader.shipped().map((each) => decodeValue(each as Uint8Array, options)) }
  })
  const loading = Promise.all(shipped.map((each) => options.loadFunction(each)))
  return loading.then((functions) => decoding(bytes, () => reader.value(functions, true)))
}

function encode(value: unknown, what: string, options: EncodeOptions, outOfBand: boolean): Segmented {
  const quick = options.classes === undefined || typeof value !== 'object'
  const tiny = quick ? encodeTiny(value, TINY_HEAD) : undefined
  if (tiny instanceof Uint8Array) return { head: tiny, segments: [] }
  try {
    return encodeLarger(value, what, options, outOfBand, tiny)
  } catch (error) {
    throw asSerializationError(error, what)
  }
}

function encodeLarger(
  value: unknown,
  what: string,
  options: EncodeOptions,
  outOfBand: boolean,
  wide: WideKeys | undefined,
): Segmented {
  let plain: Segmented | undefined
  let refused: unknown
  try {
    plain = write(PLAIN, [value], new ValueWriter(undefined, outOfBand))
  } catch (error) {
    refused = error
  }
  const budget = plain?.head.byteLength ?? 0
  const allowed = { classes: options.classes, functions: options.encodeFunction !== undefined, wide }
  const found = survey(value, what, budget, allowed)
  if (found.special) return writeGraph(value, what, options, outOfBand)
  const { bare, moved } = found
  const patched = bare.length > 0 || moved.length > 0
  if (plain === undefined && !patched) throw refused
  const apart = outOfBand && found.buffers.length > 0
  if (plain !== undefined && !patched && !apart) return plain
  const writer = new ValueWriter(undefined, outOfBand)
  if (apart) writer.keepOut([...new Set(found.buffers)])
  return patched ? write(PATCHED, [withPatches(value, found)], writer) : write(PLAIN, [value], writer)
}

function withPatches(value: unknown, { bare, moved }: Survey): Patched {
  return [value, bare, moved, moved.map(({ lastIndex }) => lastIndex)]
}

function writeGraph(value: unknown, what: string, options: EncodeOptions, outOfBand: boolean): Segmented {
  const { classes } = options
  let functions = 0
  const { segments, standIns } = asGraph(value, what, {
    classes,
    functions: options.encodeFunction !== undefined,
    shipFunction: (fn, path) => {
      functions += 1
      return encodeValue(options.encodeFunction?.(fn, path), path, classes === undefined ? {} : { classes })
    },
  })
  return write(functions > 0 ? GRAPH_WITH_FUNCTIONS : GRAPH, segments, new ValueWriter(standIns, outOfBand))
}

function write(layout: number, values: readonly unknown[], writer: ValueWriter): Segmented {
  writer.writeRawBytes(Uint8Array.of(VERSION, layout))
  writer.writeHeader()
  for (const value of values) writer.writeValue(value)
  return { head: writer.releaseBuffer(), segments: writer.segments }
}

function read(bytes: Uint8Array, memory: Memory, classes: ClassTable | undefined): unknown {
  const layout = layoutOf(bytes)
  if (layout === TINY) return decodeTiny(bytes, HEAD_BYTES)
  const body = bytes.subarray(HEAD_BYTES)
  if (layout === GRAPH) return new GraphReader(body, memory, classes).value([], false)
  if (layout !== PLAIN && layout !== PATCHED) throw new SerializationError(`the layout ${layout} is unknown`)
  const reader = new ValueReader(body, memory, (tag) => {
    throw new SerializationError(`unknown kind of object ${tag}`)
  })
  reader.readHeader()
  const value = reader.readValue()
  return layout === PLAIN ? value : patch(value as Patched)
}

type Patched = readonly [root: unknown, bare: readonly object[], moved: readonly RegExp[], at: readonly number[]]

function patch([root, bare, moved, at]: Patched): unknown {
  for (const object of bare) Object.setPrototypeOf(object, null)
  moved.forEach((regexp, i) => {
    regexp.lastIndex = at[i] as number
  })
  return root
}

function layoutOf(bytes: Uint8Array): number | undefined {
  if (bytes[0] === VERSION) return bytes[1]
  throw new SerializationError(
    `cannot decode a value of format ${bytes[0] ?? '(no bytes)'}; this quern reads ${VERSION}`,
  )
}

function decoding<T>(bytes: Uint8Array, decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw new SerializationError(`cannot decode a value of ${bytes.byteLength} bytes: ${thrownText(cause)}`, { cause })
  }
}

function asSerializationError(error: unknown, what: string): SerializationError {
  if (error instanceof SerializationError) return error
  const why = error instanceof RangeError ? `is too large or nested too deeply (${error.message})` : thrownText(error)
  return new SerializationError(`${what}: ${why}`, { cause: error })
}
