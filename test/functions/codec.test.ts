import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { decodeValue, encodeValue } from '../../src/functions/codec.ts'

const roundTrip = <T>(value: T): T => decodeValue(encodeValue(value)) as T

class Wallet {
  readonly #coins = 1
  count() {
    return this.#coins
  }
}

class Session {
  readonly user = 'ann'
}

describe('codec: comes back equal', () => {
  const twoByte = 'héllo 世界 \u{1f600} \ud800'
  const values: [string, unknown][] = [
    ['undefined', undefined],
    ['null', null],
    ['-0', -0],
    ['NaN', NaN],
    ['bigint', -(2n ** 70n)],
    ['string with surrogates', twoByte],
    ['empty string', ''],
    ['object', { a: 1, 'b c': [true, undefined], 3: null }],
    ['Map of Maps', new Map<unknown, unknown>([['k', new Map([[1, 2]])], [{ o: 1 }, NaN]])], // biome-ignore format: a case
    ['Set', new Set([1, 'x', [2]])],
    ['Date', new Date(1.5e12)],
    ['invalid Date', new Date(NaN)],
    ['RegExp', /a+\/b/giu],
    ['RegExp in the middle', [Object.assign(/a/g, { lastIndex: 3 }), 1]],
    [
      'symbols',
      {
        for: Symbol.for('s'),
        known: [Symbol.iterator],
        map: new Map([[Symbol.for('k'), Symbol.for('s')]]),
        set: new Set([Symbol.for('s')]),
      },
    ],
    ['a symbol alone', Symbol.for('alone')],
    ['mostly holes', Object.assign([new URL('a:b')], { 90: 1, 2000: undefined })],
    ['wide', Object.fromEntries(Array.from({ length: 3000 }, (_, i) => [`k${i}`, [i]]))],
    ['boxed', [Object(1), Object('s'), Object(true), Object(5n)]],
    ['ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['CloudObject', { ...cloudObject({ backend: 'aws_s3', bucket: 'b', key: 'k', size: 1, etag: 'e' }) }],
    ['regular expression match', 'x12'.match(/x(?<n>\d+)/)],
    ['own key __proto__', JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 2}')],
    ['Uint8Array', new Uint8Array([1, 2])],
    ['Int8Array', new Int8Array([-1])],
    ['Uint8ClampedArray', new Uint8ClampedArray([255])],
    ['Int16Array', new Int16Array([-300])],
    ['Uint16Array', new Uint16Array([60000])],
    ['Int32Array', new Int32Array([-70000])],
    ['Uint32Array', new Uint32Array([4e9])],
    ['Float32Array', new Float32Array([1.5])],
    ['Float64Array', new Float64Array([Math.PI, NaN, -0])],
    ['BigInt64Array', new BigInt64Array([-5n])],
    ['BigUint64Array', new BigUint64Array([5n])],
    ['DataView', new DataView(new Uint8Array([9, 8]).buffer)],
    ['empty array and view', [[], new Uint8Array(0)]],
    ['a thousand levels', nested(1000)],
  ]
  it.each(values)('%s', (_name, value) => {
    const back = roundTrip(value)
    expect(back).toStrictEqual(value)
    expect(Object.is(back, value) || typeof value === 'object').toBe(true)
    expect((back as RegExp[] | undefined)?.[0]?.lastIndex).toBe((value as RegExp[] | undefined)?.[0]?.lastIndex)
    expect(roundTrip([{ value }])).toStrictEqual([{ value }])
  })

  it('values of another realm come back as of this one', () => {
    const foreign = runInNewContext('({ a: [1, { b: 2 }], m: new Map([[1, new Set([2])]]), d: new Date(5), r: /x/ })')
    const same = { a: [1, { b: 2 }], m: new Map([[1, new Set([2])]]), d: new Date(5), r: /x/ }
    expect(roundTrip(foreign)).toStrictEqual(same)
    expect(roundTrip([foreign, new Error('x')])[0]).toStrictEqual(same)
  })

  it('holes stay holes, in short arrays and in long ones', () => {
    // biome-ignore lint/suspicious/noSparseArray: what is tested
    const short = [1, , 3]
    const long = new Array<number>(4e9)
    long[3.9e9] = 1
    expect(1 in roundTrip(short)).toBe(false)
    expect(Object.keys(roundTrip(long))).toEqual(['3900000000'])
    expect(roundTrip(long).length).toBe(4e9)
    expect(Object.keys(roundTrip([long, new URL('a:b')])[0] as object)).toEqual(['3900000000'])
  })

  it('objects without a prototype, also inside cycles', () => {
    const bare = Object.assign(Object.create(null), { a: 1 })
    bare.self = bare
    const back = roundTrip({ list: [bare, bare], groups: 'a1'.match(/(?<x>a)/)?.groups })
    expect(Object.getPrototypeOf(back.list[0])).toBe(null)
    expect(back.list[0]).toBe(back.list[1])
    expect(back.list[0].self).toBe(back.list[0])
    expect(Object.getPrototypeOf(back.groups)).toBe(null)
  })

  it('Buffer as Buffer, in memory of its own', () => {
    const message = Buffer.concat([Buffer.alloc(3), encodeValue({ b: Buffer.from('abc'), f: new Float64Array([1]) })])
    const back = decodeValue(message.subarray(3)) as { b: Buffer; f: Float64Array }
    message.fill(0)
    expect(Buffer.isBuffer(back.b)).toBe(true)
    expect(back.b.toString()).toBe('abc')
    expect(back.b.buffer.byteLength).toBe(3)
    expect(back.f[0]).toBe(1)
  })

  it('a view of a large buffer brings its own bytes only', () => {
    expect(encodeValue(new Uint8Array(new ArrayBuffer(1e6), 10, 4)).byteLength).toBeLessThan(64)
  })

  it('shared references and cycles', () => {
    const leaf = { n: 1, bytes: new Uint8Array([1]) }
    const value: Record<string, unknown> = { a: leaf, b: [leaf, leaf.bytes], m: new Map([[leaf, leaf]]) }
    value.self = value
    const back = roundTrip(value) as { a: object; b: [typeof leaf, Uint8Array]; m: Map<object, object>; self: object }
    expect(back.self).toBe(back)
    expect(back.b[0]).toBe(back.a)
    expect(back.b[1]).toBe(back.b[0].bytes)
    expect(back.m.get(back.a)).toBe(back.a)
  })

  it('a value shared 2^60 times over, in no time', () => {
    let value: unknown[] = [new Date(0)]
    for (let i = 0; i < 60; i++) value = [value, value]
    expect(roundTrip(value)).toHaveLength(2)
  })

  it('URL, shared and in every container', () => {
    const url = new URL('https://h:81/p?q=1#f')
    const back = roundTrip({
      a: [url],
      m: new Map([[url, new Set([url])]]),
      bare: Object.assign(Object.create(null), { url }),
    })
    expect(back.a[0]).toBeInstanceOf(URL)
    expect(back.a[0]?.href).toBe(url.href)
    expect([...back.m.keys()][0]).toBe(back.a[0])
    expect(back.bare.url).toBe(back.a[0])
    expect(Object.getPrototypeOf(back.bare)).toBe(null)
  })

  it('errors inside values, with what holds them', () => {
    const error = Object.assign(new TypeError('bad', { cause: new RangeError('deep') }), {
      code: 'E1',
      owner: {} as unknown,
    })
    const value = { errors: [error, error], settled: { status: 'rejected', reason: error } }
    error.owner = value
    const back = roundTrip(value)
    const [first] = back.errors
    expect(first).toBeInstanceOf(TypeError)
    expect(first).toMatchObject({ message: 'bad', code: 'E1', stack: error.stack })
    expect(first?.cause).toBeInstanceOf(RangeError)
    expect(back.errors[1]).toBe(first)
    expect(back.settled.reason).toBe(first)
    expect(first?.owner).toBe(back)
  })
})

describe('codec: refusals name the path', () => {
  const cases: [string, unknown, string][] = [
    ['a function', () => 1, "value: function 'anonymous'"],
    ['a method', { a: [{ run: () => 1 }] }, "value.a[0].run: function 'run'"],
    ['a symbol', { s: Symbol('x') }, 'value.s: Symbol(x)'],
    ['an instance', { users: [1, 2, 3, { session: new Session() }] }, 'value.users[3].session: instance of Session'],
    ['an instance in a Map', new Map([['k', new Session()]]), 'value.get(k): instance of Session'],
    ['an instance in a Set', new Set([1, new Session()]), 'value.values()[1]: instance of Session'],
    ['an instance as a key', { m: new Map([[new Session(), 1]]) }, 'value.m.get(…): instance of Session'],
    ['a subclass of Map', { m: new (class Counter extends Map {})() }, 'value.m: instance of Counter'],
    ['a subclass of Uint8Array', { m: new (class Frame extends Uint8Array {})(2) }, 'value.m: instance of Frame'],
    ['a Promise', { later: Promise.resolve(1) }, 'value.later: a Promise (await it first)'],
    ['a WeakRef', [new WeakRef({})], 'value[0]: instance of WeakRef (weak) cannot travel'],
    ['a getter that throws', { a: [{ get b() { throw new Error('not now') } }] }, 'value.a[0].b: what its getter threw (not now) cannot travel'], // biome-ignore format: a case
    ['a node stream', { s: process.stdin }, '(a stream) cannot travel: read it first'],
    ['a timer', { t: setTimeout(() => 1, 0) }, 'value.t: instance of Timeout (an open handle)'],
    ['a port', { p: new MessageChannel().port1 }, 'value.p: instance of MessagePort (a live port)'],
    ['a resizable buffer', { b: resizable() }, 'value.b: a resizable ArrayBuffer'],
    ['an iterator', [[1].values(), new Map().keys()][1], 'value: an iterator'],
    [
      'an instance with private state',
      { w: new Wallet() },
      'value.w: instance of Wallet, private state, cannot travel: registerClass(Wallet, { encode, decode })',
    ],
    [
      'a far instance in a wide object',
      { ...Object.fromEntries(Array.from({ length: 2000 }, (_, i) => [`k${i}`, i])), s: new Session() },
      'value.s: instance of Session',
    ],
    ['a WeakMap', [new WeakMap()], 'value[0]: instance of WeakMap'],
    ['a Proxy', { p: new Proxy({}, {}) }, 'value.p: a Proxy'],
    ['a stream', { s: new ReadableStream() }, 'value.s: instance of ReadableStream'],
    [
      'a generator',
      {
        g: (function* () {
          yield 1
        })(),
      },
      'value.g: ',
    ],
    ['an object on an object', { o: Object.create({ a: 1 }) }, 'value.o: an object with a prototype of its own'],
    ['a false Date', { d: Object.create(Date.prototype) }, 'value.d: instance of Date'],
    ['an odd key', { 'a b': { 7: Symbol('x') } }, 'value["a b"][7]: Symbol(x)'],
    ['a field of a Map', Object.assign(new Map(), { extra: 1 }), "value: instance of Map with a property 'extra'"],
    ['an instance beside an error', { e: new Error('x'), s: new Session() }, 'value.s: instance of Session'],
    ['shared memory', new SharedArrayBuffer(8), 'value: instance of SharedArrayBuffer'],
    [
      'an instance in a match',
      Object.assign('a'.match(/(?<x>a)/) as object, { s: new Session() }),
      'value.s: instance of',
    ],
  ]
  it.each(cases)('%s', (_name, value, message) => {
    expect(() => encodeValue(value)).toThrow(
      expect.objectContaining({ code: 'SERIALIZATION', message: expect.stringContaining(message) }),
    )
  })

  it('begins with the name it is given', () => {
    expect(() => encodeValue({ a: Symbol('s') }, 'result')).toThrow('result.a: Symbol(s) cannot travel')
  })

  it('nested too deeply for v8', () => {
    expect(() => encodeValue(nested(200_000))).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }))
  })
})

describe('codec: hostile bytes', () => {
  const good = Buffer.from(
    encodeValue({ text: 'hello', list: [1, 2, 3], bytes: new Uint8Array(64), url: new URL('a:b') }),
  )
  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['another version', Buffer.concat([Buffer.of(9), good.subarray(1)])],
    ['no header', good.subarray(0, 2)],
    ['an unknown layout', Buffer.concat([good.subarray(0, 1), Buffer.of(7), good.subarray(2)])],
    ...Array.from(
      { length: good.length - 2 },
      (_, i) => [`cut at ${i + 2}`, good.subarray(0, i + 2)] as [string, Buffer],
    ),
  ])('%s', (_name, bytes) => {
    expect(() => decodeValue(bytes)).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }))
  })

  it('an own __proto__ pollutes nothing', () => {
    const value = JSON.parse('{"__proto__": {"polluted": true}, "e": 1}')
    roundTrip({ value, error: new Error('x') })
    roundTrip(Object.assign(new Error('x'), { data: value }))
    expect(({} as { polluted?: boolean }).polluted).toBe(undefined)
  })
})

function nested(levels: number): unknown {
  let value: unknown = 'end'
  for (let i = 0; i < levels; i++) value = i % 2 === 0 ? [value] : { value }
  return value
}

function resizable(): ArrayBuffer {
  return new (ArrayBuffer as unknown as new (bytes: number, options: object) => ArrayBuffer)(8, { maxByteLength: 16 })
}
