/**
 * v8's serializer with what it lacks: views of every class (and Buffers) as bytes of their own, and stand-ins for what
 * v8 does not know. On the wire both are its host objects: a tag, and what belongs to it.
 *
 * Memory of SEGMENT_BYTES and more can stay out of the bytes: the writer then collects it, the reader is given it.
 */
import { Deserializer, Serializer } from 'node:v8'
import { SerializationError } from '../core/errors.ts'
import { checkWire } from './wire-check.ts'
import { TAG } from './wire-tags.ts'

/** What is smaller is cheaper to copy than to carry apart. */
export const SEGMENT_BYTES = 65_536

/** The place of a class here is its tag on the wire: only append. */
const VIEW_CLASSES: readonly MakeView[] = [
  (memory, offset, bytes) => Buffer.from(memory, offset, bytes),
  (memory, offset, bytes) => new Uint8Array(memory, offset, bytes),
  (memory, offset, bytes) => new Int8Array(memory, offset, bytes),
  (memory, offset, bytes) => new Uint8ClampedArray(memory, offset, bytes),
  (memory, offset, bytes) => new Int16Array(memory, offset, bytes / 2),
  (memory, offset, bytes) => new Uint16Array(memory, offset, bytes / 2),
  (memory, offset, bytes) => new Int32Array(memory, offset, bytes / 4),
  (memory, offset, bytes) => new Uint32Array(memory, offset, bytes / 4),
  (memory, offset, bytes) => new Float32Array(memory, offset, bytes / 4),
  (memory, offset, bytes) => new Float64Array(memory, offset, bytes / 8),
  (memory, offset, bytes) => new BigInt64Array(memory, offset, bytes / 8),
  (memory, offset, bytes) => new BigUint64Array(memory, offset, bytes / 8),
  (memory, offset, bytes) => new DataView(memory, offset, bytes),
]
const VIEW_TAGS: ReadonlyMap<object, number> = new Map(
  VIEW_CLASSES.map((make, tag) => [Object.getPrototypeOf(make(new ArrayBuffer(0), 0, 0)), tag]),
)
/** The one class whose memory nobody takes to be its own alone. */
const BUFFER_TAG = 0
/** No class asks for more. */
const ALIGNMENT = 8
/** Tags of the classes that may begin anywhere. */
const BYTE_WISE: readonly number[] = [0, 1, 2, 3, 12]

type MakeView = (memory: ArrayBuffer, offset: number, bytes: number) => ArrayBufferView

/** Where the memory of a value comes from: `adopt` lets large Buffers lie in the bytes themselves. */
export interface Memory {
  readonly segments: readonly Uint8Array[]
  readonly adopt: boolean
}

/** What a placeholder (an empty view) is written as: its tag and the values its reader needs to make it. */
export interface StandIn {
  readonly tag: number
  readonly args: readonly unknown[]
}

/** Whether v8's prototype for views is this one. */
export function isViewPrototype(prototype: object | null): boolean {
  return VIEW_TAGS.has(prototype as object)
}

export class ValueWriter extends Serializer {
  /** Memory kept out of the bytes, as it is: it has to leave before its owner changes it. */
  readonly segments: Uint8Array[] = []
  readonly #standIns: ReadonlyMap<object, StandIn> | undefined
  readonly #outOfBand: boolean

  constructor(standIns: ReadonlyMap<object, StandIn> | undefined, outOfBand: boolean) {
    super()
    this.#standIns = standIns
    this.#outOfBand = outOfBand
    ;(this as unknown as ViewsAsHostObjects)._setTreatArrayBufferViewsAsHostObjects(true)
  }

  /** Keeps these out of the bytes too. */
  keepOut(buffers: readonly ArrayBuffer[]): void {
    for (const buffer of buffers) this.transferArrayBuffer(this.segments.push(new Uint8Array(buffer)) - 1, buffer)
  }

  _writeHostObject(view: NodeJS.ArrayBufferView): void {
    const standIn = this.#standIns?.get(view)
    if (standIn !== undefined) {
      this.writeUint32(standIn.tag)
      for (const arg of standIn.args) this.writeValue(arg)
      return
    }
    const tag = VIEW_TAGS.get(Object.getPrototypeOf(view))
    if (tag === undefined) throw new SerializationError(`${view.constructor.name} cannot travel`)
    if (this.#outOfBand && view.byteLength >= SEGMENT_BYTES) {
      this.writeUint32(TAG.outOfBand)
      this.writeUint32(tag)
      this.writeUint32(this.segments.push(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)) - 1)
      return
    }
    this.writeUint32(tag)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(view)
  }
}

/** Reads what ValueWriter wrote, once it has been looked over; `standIn` makes what a tag above the views' stands for. */
export class ValueReader extends Deserializer {
  readonly #segments: readonly Uint8Array[]
  readonly #standIn: (tag: number) => unknown
  readonly #adopt: boolean

  constructor(bytes: Uint8Array, { segments, adopt }: Memory, standIn: (tag: number) => unknown) {
    super(bytes)
    this.#adopt = adopt
    this.#segments = segments
    this.#standIn = standIn
    for (const i of checkWire(bytes)) {
      const segment = segments[i]
      if (segment === undefined) throw new SerializationError('a segment is missing')
      const whole = segment.byteLength === segment.buffer.byteLength
      this.transferArrayBuffer(i, (whole ? segment.buffer : copyOf(segment)) as ArrayBuffer)
    }
  }

  _readHostObject(): unknown {
    const tag = this.readUint32()
    if (tag === TAG.outOfBand) return this.#outOfBand()
    const make = VIEW_CLASSES[tag]
    if (make === undefined) return this.#standIn(tag)
    const byteLength = this.readUint32()
    const bytes = this.readRawBytes(byteLength)
    if (this.#adopt && tag === BUFFER_TAG && byteLength >= SEGMENT_BYTES) return over(bytes, make, tag)
    // a copy: the message it lies in belongs to the transport
    return make(copyOf(bytes), 0, byteLength)
  }

  #outOfBand(): ArrayBufferView {
    const tag = this.readUint32()
    const make = VIEW_CLASSES[tag]
    const segment = this.#segments[this.readUint32()]
    if (make === undefined || segment === undefined) throw new SerializationError('a segment is missing')
    return over(segment, make, tag)
  }
}

/** A view over these very bytes, where its class may begin there. */
function over(bytes: Uint8Array, make: MakeView, tag: number): ArrayBufferView {
  const { buffer, byteOffset, byteLength } = bytes
  const aligned = byteOffset % ALIGNMENT === 0 || BYTE_WISE.includes(tag)
  if (buffer instanceof ArrayBuffer && aligned) return make(buffer, byteOffset, byteLength)
  return make(copyOf(bytes), 0, byteLength)
}

function copyOf(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes
  return (buffer as ArrayBuffer).slice(byteOffset, byteOffset + byteLength)
}

interface ViewsAsHostObjects {
  _setTreatArrayBufferViewsAsHostObjects(on: boolean): void
}
