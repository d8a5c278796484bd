/**
 * Values as bytes: a version, a layout and v8's own format. What goes in comes back equal, or is refused here with its
 * path: Map, Set, Date, RegExp (without lastIndex), bigint, typed arrays, Buffer (as Buffer), ArrayBuffer, boxed
 * primitives, undefined, NaN, -0, holes, objects without a prototype, cycles and shared references, Error, URL.
 *
 * Views are copied out of their memory, so one of a large buffer brings only its own bytes, and two of the same buffer
 * no longer share it. Properties under symbols do not travel. Getters come back as what they gave; frozen objects come back thawed. Errors inside values are
 * taken down to data that can travel (error-record.ts). Decoding runs no code of the value's.
 */
import { Deserializer, Serializer } from 'node:v8'
import { SerializationError } from '../core/errors.ts'
import { type ErrorRecord, reviveError } from './error-record.ts'
import { type Special, withPlaceholders } from './placeholders.ts'
import { survey } from './plain-data.ts'

const VERSION = 1
const PLAIN = 0
/** `[value, objects without a prototype]`. */
const WITH_BARE = 1
const HEAD_BYTES = 2
const PLAIN_HEAD = Uint8Array.of(VERSION, PLAIN)
const BARE_HEAD = Uint8Array.of(VERSION, WITH_BARE)

/** The place of a class here is its tag on the wire: only append. */
const VIEW_CLASSES: readonly ((memory: ArrayBuffer) => ArrayBufferView)[] = [
  (memory) => Buffer.from(memory),
  (memory) => new Uint8Array(memory),
  (memory) => new Int8Array(memory),
  (memory) => new Uint8ClampedArray(memory),
  (memory) => new Int16Array(memory),
  (memory) => new Uint16Array(memory),
  (memory) => new Int32Array(memory),
  (memory) => new Uint32Array(memory),
  (memory) => new Float32Array(memory),
  (memory) => new Float64Array(memory),
  (memory) => new BigInt64Array(memory),
  (memory) => new BigUint64Array(memory),
  (memory) => new DataView(memory),
]
const VIEW_TAGS: ReadonlyMap<object, number> = new Map(
  VIEW_CLASSES.map((make, tag) => [Object.getPrototypeOf(make(new ArrayBuffer(0))), tag]),
)
const URL_TAG = 64
const ERROR_TAG = 65

/**
 * The bytes of a value. `what` begins the path in messages: `result.users[3].session: instance of Session cannot travel`.
 *
 * @throws SerializationError
 */
export function encodeValue(value: unknown, what = 'value'): Uint8Array {
  let bytes: Buffer | undefined
  let refused: unknown
  try {
    bytes = write(value, PLAIN)
  } catch (error) {
    refused = error
  }
  try {
    const { special, bare } = survey(value, what, bytes?.byteLength ?? 0)
    if (special) {
      const replaced = withPlaceholders(value)
      return write([replaced.root, replaced.bare], WITH_BARE, replaced.specials)
    }
    if (bare.length > 0) return write([value, bare], WITH_BARE)
  } catch (error) {
    throw asSerializationError(error, what)
  }
  if (bytes === undefined) throw asSerializationError(refused, what)
  return bytes
}

/** The value of bytes that `encodeValue` made. @throws SerializationError when they are anything else */
export function decodeValue(bytes: Uint8Array): unknown {
  if (bytes[0] !== VERSION) {
    throw new SerializationError(
      `cannot decode a value of format ${bytes[0] ?? '(no bytes)'}; this quern reads ${VERSION}`,
    )
  }
  const layout = bytes[1]
  if (layout !== PLAIN && layout !== WITH_BARE)
    throw new SerializationError(`cannot decode a value of layout ${layout}`)
  try {
    const reader = new ValueReader(bytes.subarray(HEAD_BYTES))
    reader.readHeader()
    const value = reader.readValue()
    if (layout === PLAIN) return value
    const [root, bare] = value as [unknown, readonly object[]]
    for (const object of bare) Object.setPrototypeOf(object, null)
    return root
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new SerializationError(`cannot decode a value of ${bytes.byteLength} bytes: ${why}`, { cause })
  }
}

function write(value: unknown, layout: number, specials?: ReadonlyMap<object, Special>): Buffer {
  const writer = new ValueWriter(specials)
  writer.writeRawBytes(layout === PLAIN ? PLAIN_HEAD : BARE_HEAD)
  writer.writeHeader()
  writer.writeValue(value)
  return writer.releaseBuffer()
}

/** Views, and the empty views that stand for errors and URLs, come to `_writeHostObject`. */
class ValueWriter extends Serializer {
  readonly #specials: ReadonlyMap<object, Special> | undefined

  constructor(specials: ReadonlyMap<object, Special> | undefined) {
    super()
    this.#specials = specials
    ;(this as unknown as ViewsAsHostObjects)._setTreatArrayBufferViewsAsHostObjects(true)
  }

  _writeHostObject(view: NodeJS.ArrayBufferView): void {
    const special = this.#specials?.get(view)
    if (special !== undefined) {
      this.writeUint32(special instanceof URL ? URL_TAG : ERROR_TAG)
      this.writeValue(special instanceof URL ? special.href : special)
      return
    }
    const tag = VIEW_TAGS.get(Object.getPrototypeOf(view))
    if (tag === undefined) throw new SerializationError(`${view.constructor.name} cannot travel`)
    this.writeUint32(tag)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(view)
  }
}

class ValueReader extends Deserializer {
  _readHostObject(): unknown {
    const tag = this.readUint32()
    if (tag === URL_TAG) return new URL(this.readValue() as string)
    if (tag === ERROR_TAG) return reviveError(this.readValue() as ErrorRecord)
    const make = VIEW_CLASSES[tag]
    if (make === undefined) throw new SerializationError(`unknown kind of object ${tag}`)
    const byteLength = this.readUint32()
    const bytes = this.readRawBytes(byteLength)
    // a copy: the message it lies in belongs to the transport, and may not be aligned
    const memory = new ArrayBuffer(byteLength)
    new Uint8Array(memory).set(bytes)
    return make(memory)
  }
}

interface ViewsAsHostObjects {
  _setTreatArrayBufferViewsAsHostObjects(on: boolean): void
}

function asSerializationError(error: unknown, what: string): SerializationError {
  if (error instanceof SerializationError) return error
  const why = error instanceof RangeError ? `is too large or nested too deeply (${error.message})` : String(error)
  return new SerializationError(`${what}: ${why}`, { cause: error })
}
