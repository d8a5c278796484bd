/**
 * Looks over the bytes of a value before v8 reads them, so that reading costs no more memory than its bytes warrant. v8
 * checks that lengths lie within the input, but not what they add up to: a few bytes of a sparse array make a quarter of
 * a gigabyte, and arrays within arrays as much again at every level. Only kinds that the codec writes pass.
 *
 * One pass over tokens, without their structure, which v8 checks. Source of the format: v8's value-serializer.cc, 13-15.
 */
import { SerializationError } from '../core/errors.ts'
import { TAG, VIEW_KINDS } from './wire-tags.ts'

const VERSION_TAG = 0xff
const OLDEST = 13
const NEWEST = 15
/** Longer arrays v8 keeps as dictionaries, which cost what is in them. */
const LONGEST_FLAT = 32 * 1024 * 1024
/** Elements of room a sparse array may ask for, per byte of the input; the codec writes those with more holes apart. */
const HOLES_PER_BYTE = 8

const char = (text: string): number => text.charCodeAt(0)

/** What follows a tag. */
const NOTHING = 1
const VARINT = 2
const TWO_VARINTS = 3
const EIGHT_BYTES = 4
const LENGTH_AND_BYTES = 5
const BIGINT = 6
const REGEXP = 7
const DENSE = 8
const SPARSE = 9
const HOST = 10
const APART = 11

const FOLLOWS = new Uint8Array(256)
const kinds: [number, string][] = [
  [NOTHING, "\0-_0TFoyxs;'"],
  // integers, back references, ends of objects, maps and sets
  [VARINT, 'IU^{:,'],
  [TWO_VARINTS, '$@'],
  [EIGHT_BYTES, 'NDn'],
  [LENGTH_AND_BYTES, '"cSB'],
  [BIGINT, 'Zz'],
  [REGEXP, 'R'],
  [DENSE, 'A'],
  [SPARSE, 'a'],
  [HOST, '\\'],
  [APART, 't'],
]
for (const [what, tags] of kinds) for (const tag of tags) FOLLOWS[char(tag)] = what

/**
 * The places of the segments that are ArrayBuffers of the value.
 *
 * @throws SerializationError where reading `bytes` could cost more than they warrant, or they are none of the codec's
 */
export function checkWire(bytes: Uint8Array): readonly number[] {
  const version = bytes[1] as number
  if (bytes[0] !== VERSION_TAG || !(version >= OLDEST && version <= NEWEST)) {
    throw new SerializationError(`the engine's format is ${version}, this one reads ${OLDEST} to ${NEWEST}`)
  }
  const check = new WireCheck(bytes)
  check.run()
  return check.apart
}

class WireCheck {
  readonly apart: number[] = []
  readonly #bytes: Uint8Array
  #at = 2
  /** Elements announced so far by arrays: each takes a byte at least. */
  #elements = 0
  #holes = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  run(): void {
    const bytes = this.#bytes
    const end = bytes.byteLength
    // the place in a local: this loop is most of what the check costs
    let at = this.#at
    while (at < end) {
      const tag = bytes[at++] as number
      const follows = FOLLOWS[tag]
      if (follows === NOTHING) continue
      if (follows === VARINT) {
        while ((bytes[at++] as number) >= 128);
      } else if (follows === EIGHT_BYTES) {
        at += 8
      } else if (follows === LENGTH_AND_BYTES && (bytes[at] as number) < 128) {
        at += 1 + (bytes[at] as number)
      } else {
        this.#at = at
        this.#rarer(tag)
        at = this.#at
      }
    }
    // what runs over the end v8 refuses
  }

  #rarer(tag: number): void {
    switch (FOLLOWS[tag]) {
      case LENGTH_AND_BYTES:
        return this.#skip(this.#varint())
      case TWO_VARINTS:
        this.#varint()
        this.#varint()
        return
      case DENSE:
        this.#elements += this.#varint()
        return this.#bound(this.#elements, 1)
      case SPARSE:
        return this.#sparse(this.#varint())
      case BIGINT:
        this.#skip(Math.floor(this.#varint() / 2))
        return
      case REGEXP:
        // its source, a string like any other, then its flags
        if (FOLLOWS[this.#bytes[this.#at++] as number] !== LENGTH_AND_BYTES) this.#fail('a RegExp without source')
        this.#skip(this.#varint())
        this.#varint()
        return
      case APART:
        this.apart.push(this.#varint())
        return
      case HOST:
        return this.#host(this.#varint())
      default:
        this.#fail(`unknown kind of value ${tag}`)
    }
  }

  #sparse(length: number): void {
    if (length > LONGEST_FLAT) return
    this.#holes += length
    this.#bound(this.#holes, HOLES_PER_BYTE)
  }

  #host(tag: number): void {
    if (tag < VIEW_KINDS) this.#skip(this.#varint())
    else if (tag === TAG.outOfBand) {
      this.#varint()
      this.#varint()
    } else if (tag > TAG.function || tag < TAG.url) this.#fail(`unknown kind of object ${tag}`)
    // what a stand-in holds are values like any other
  }

  #skip(byteLength: number): void {
    this.#at += byteLength
  }

  #bound(elements: number, perByte: number): void {
    if (elements > this.#bytes.byteLength * perByte) this.#fail('an array longer than the bytes it came in')
  }

  #varint(): number {
    const first = this.#bytes[this.#at++] as number
    if (first < 128) return first
    let value = first & 127
    for (let unit = 128; ; unit *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined || unit > 2 ** 49) this.#fail('a number that does not end')
      value += (byte & 127) * unit
      if (byte < 128) return value
    }
  }

  #fail(why: string): never {
    throw new SerializationError(why)
  }
}
