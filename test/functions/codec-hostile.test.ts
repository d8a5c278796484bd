import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { registerClass } from '../../src/functions/class-registry.ts'
import { decodeSegments, decodeValue, encodeSegments, encodeValue } from '../../src/functions/codec.ts'

class Held {
  fields: unknown
  constructor(fields: unknown) {
    this.fields = fields
  }
}
class Built {
  data: unknown
  constructor(data: unknown) {
    this.data = data
  }
}
registerClass(Held)
registerClass(Built, { encode: ({ data }: Built) => data, decode: (data) => new Built(data) })

const HEAD = [2, 0, 255, 15]
const varint = (n: number): number[] => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))])
const MOST = 2 ** 32 - 1
const FLAT = 2 ** 25 - 1
const repeat = (bytes: number[], times: number) => Buffer.alloc(bytes.length * times, Buffer.from(bytes))

/** Small inputs that ask for much. */
const BOMBS: [string, Uint8Array][] = [
  ['a sparse array', Buffer.from([...HEAD, 0x61, ...varint(FLAT), 0x40, 0, ...varint(FLAT)])],
  [
    'many sparse arrays',
    Buffer.from([...HEAD, 0x41, 100, ...repeat([0x61, ...varint(1e5), 0x40, 0, ...varint(1e5)], 100), 0x24, 0, 100]),
  ],
  [
    'sparse arrays that add up',
    Buffer.from([
      ...[...HEAD, 0x41, ...varint(300)],
      ...repeat([0x61, ...varint(1e4), 0x40, 0, ...varint(1e4)], 300),
      ...[0x24, 0, ...varint(300)],
    ]),
  ],
  ['a dense array', Buffer.from([...HEAD, 0x41, ...varint(MOST)])],
  [
    'dense arrays in dense arrays',
    Buffer.concat([Buffer.from(HEAD), repeat([0x41, ...varint(190_000)], 2_000), repeat([0x2d], 200_000)]),
  ],
  ['a resizable buffer', Buffer.from([...HEAD, 0x7e, 0, ...varint(4e9)])],
  ['a buffer', Buffer.from([...HEAD, 0x42, ...varint(MOST)])],
  ['a view', Buffer.from([...HEAD, 0x5c, 1, ...varint(MOST)])],
  ['a bigint', Buffer.from([...HEAD, 0x5a, ...varint(MOST)])],
  ['a string', Buffer.from([...HEAD, 0x22, ...varint(MOST)])],
  ['a number that does not end', Buffer.concat([Buffer.from([...HEAD, 0x41]), repeat([0xff], 100)])],
  ['objects a million deep', Buffer.concat([Buffer.from(HEAD), repeat([0x6f, 0x22, 1, 0x61], 1e6)])],
  ['arrays a million deep', Buffer.concat([Buffer.from(HEAD), repeat([0x41, 1], 1e6)])],
  ['maps a million deep', Buffer.concat([Buffer.from(HEAD), repeat([0x3b], 1e6)])],
  ['stand-ins a million deep', Buffer.concat([Buffer.from([2, 3, 255, 15]), repeat([0x5c, 64], 1e6)])],
  ['small arrays a million deep', Buffer.concat([Buffer.from([2, 2]), repeat([7, 1], 1e6)])],
  ['another engine’s format', Buffer.from([2, 0, 255, 16, 0x30])],
  ['an unknown layout', Buffer.from([2, 9, 255, 15, 0x30])],
  ['a segment that is missing', Buffer.from([...HEAD, 0x74, 0])],
  ['a class nobody knows', Buffer.from([2, 3, 255, 15, 0x5c, 67, 0x22, 1, 0x51])],
]

describe('codec: hostile bytes', () => {
  it.each(BOMBS)('%s ends in an error', (_name, bytes) => {
    expect(() => decodeValue(bytes)).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }))
  })

  it('none takes more memory than a few times its size', () => {
    const codec = fileURLToPath(new URL('../../src/functions/codec.ts', import.meta.url))
    const script = `
      import { readFileSync } from 'node:fs'
      const { decodeValue } = await import(${JSON.stringify(codec)})
      try { decodeValue(new Uint8Array(2)) } catch {}
      for (const text of readFileSync(0, 'utf8').split(',')) {
        const bytes = Buffer.from(text, 'base64')
        const taken = () => { const { heapUsed, arrayBuffers, external } = process.memoryUsage(); return heapUsed + arrayBuffers + external }
        const before = taken()
        try { decodeValue(bytes) } catch {}
        console.log(Math.max(0, taken() - before - 64 * bytes.length))
      }`
    const tried: typeof BOMBS = [...BOMBS, ['mostly holes', encodeValue(Object.assign([], { [FLAT - 1]: 1 }))]]
    const input = tried.map(([, bytes]) => Buffer.from(bytes).toString('base64')).join(',')
    const args = ['--import', 'tsx', '--max-old-space-size=2000', '--input-type=module', '-e', script]
    const lines = execFileSync(process.execPath, args, { input, encoding: 'utf8' }).trim().split('\n').map(Number)
    expect(lines).toHaveLength(tried.length)
    expect(lines.map((taken, i) => [tried[i]?.[0], taken < 32e6])).toEqual(tried.map(([name]) => [name, true]))
  })

  const rich = () => ({
    tiny: [1, 'x'],
    held: new Held([new Built({ a: 1n }), Symbol.for('s'), Symbol.iterator]),
    error: new TypeError('x', { cause: new DOMException('d', 'AbortError') }),
    bare: Object.assign(Object.create(null), { at: new Date(0) }),
    holes: Object.assign([1], { 3: 4 }),
    far: Object.assign([], { 900: 1 }),
    re: Object.assign(/a/g, { lastIndex: 2 }),
    url: new URL('a:b'),
    views: [new Float64Array(3), Buffer.from('abc'), new ArrayBuffer(3), new Map([[1, new Set(['y'])]])],
  })

  it('cut at every position', () => {
    const bytes = encodeValue(rich())
    for (let end = 0; end < bytes.length; end++) {
      expect(() => decodeValue(bytes.subarray(0, end))).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }))
    }
    expect(decodeValue(bytes)).toMatchObject({ tiny: [1, 'x'] })
  })

  it('with changed bytes: an error or a harmless value', () => {
    const good = [
      encodeValue(rich()),
      encodeValue([1, { a: 'b' }]),
      encodeValue({ big: 'x'.repeat(900), n: [1.5, null] }),
    ]
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.constantFrom(...good), changes, (bytes, flips) => {
        const bad = Buffer.from(bytes)
        for (const [at, byte] of flips) bad[at % bad.length] = byte
        try {
          decodeValue(bad)
        } catch (error) {
          expect(error).toMatchObject({ code: 'SERIALIZATION' })
        }
        expect([Object.keys(Object.prototype), Object.keys(Held.prototype), ({} as { a?: 1 }).a]).toEqual([
          [],
          [],
          undefined,
        ])
      }),
      { numRuns: 3_000 },
    )
  })

  it.each(['__proto__', 'constructor', 'prototype'])('an own key %s is a key, everywhere', (key) => {
    const evil = JSON.parse(`{"${key}": {"polluted": true}}`) as Record<string, unknown>
    const value = [evil, new Held(evil), new Held(1), new Built(evil), Object.assign(Object.create(null), evil)]
    Object.defineProperty(value[2], key, { value: 1, enumerable: true })
    const error = Object.defineProperty(new Error('x'), key, { value: { polluted: 1 }, enumerable: true })
    const back = decodeValue(encodeValue([...value, error])) as Record<string, unknown>[]
    for (const each of back.filter((item) => !(item instanceof Built || item === back[1]))) {
      expect(Object.hasOwn(each, key)).toBe(true)
    }
    expect(Object.getPrototypeOf(back[5])).toBe(Error.prototype)
    expect(Object.getPrototypeOf(back[2])).toBe(Held.prototype)
    expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
  })

  it('a small object whose bytes name __proto__ is refused', () => {
    const bytes = Buffer.from([2, 2, 8, 1, 9, ...Buffer.from('__proto__'), 1])
    expect(() => decodeValue(bytes)).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }))
  })
})

describe('codec: large memory apart', () => {
  const big = new Uint8Array(100_000).fill(3)

  it('segments are the memory itself, there and back', () => {
    const floats = new Float64Array(20_000).fill(1.5)
    const value = {
      big,
      floats,
      small: new Uint8Array([1]),
      buffer: new ArrayBuffer(70_000),
      again: big,
      url: new URL('a:b'),
    }
    const { head, segments } = encodeSegments(value)
    expect(segments[0]?.buffer).toBe(big.buffer)
    expect(head.byteLength).toBeLessThan(72_000)
    const back = decodeSegments({ head, segments }) as typeof value
    expect(back).toStrictEqual(value)
    expect(back.big.buffer).toBe(big.buffer)
    expect(back.again).toBe(back.big)
  })

  it('ArrayBuffers too, once each; unaligned segments are copied', () => {
    const buffer = new Uint8Array(80_000).fill(9).buffer
    const parts = encodeSegments([buffer, buffer, new Float64Array(buffer)])
    expect([parts.segments.length, parts.head.byteLength < 100]).toEqual([2, true])
    const moved = parts.segments.map((segment) => Buffer.concat([Buffer.of(0), segment]).subarray(1))
    const back = decodeSegments({ head: parts.head, segments: moved }) as [ArrayBuffer, ArrayBuffer, Float64Array]
    expect(back[0]).toBe(back[1])
    expect([new Uint8Array(back[0])[5], back[2].byteLength]).toEqual([9, 80_000])
    expect(() => decodeValue(parts.head)).toThrow('a segment is missing')
  })

  it('small values have none; adopted Buffers are not copied, others and other views are', () => {
    expect(encodeSegments([1]).segments).toEqual([])
    const bytes = encodeValue({ big: Buffer.from(big) })
    expect((decodeValue(bytes, { adopt: true }) as { big: Buffer }).big.buffer).toBe(bytes.buffer)
    expect((decodeValue(bytes) as { big: Buffer }).big.buffer).not.toBe(bytes.buffer)
    const views = encodeValue(new Uint8Array(big))
    expect((decodeValue(views, { adopt: true }) as Uint8Array).buffer.byteLength).toBe(big.byteLength)
    expect(decodeValue(encodeValue(new Float64Array(big.buffer)), { adopt: true })).toStrictEqual(
      new Float64Array(big.buffer),
    )
  })
})
