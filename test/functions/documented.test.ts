/** Every row of the tables in docs/functions.md, held to what it says. */
import { readFileSync } from 'node:fs'
import * as path from 'node:path'
import picomatch from 'picomatch'
import { describe, expect, it } from 'vitest'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { captureFunction } from '../../src/functions/capture.ts'
import { registerClass } from '../../src/functions/class-registry.ts'
import { decodeValue, encodeValue } from '../../src/functions/codec.ts'
import { loadFunction } from '../../src/functions/load-function.ts'
import { scale } from './closures/values.ts'

type Fn = (...args: never[]) => unknown
type Travels = readonly [fn: Fn, result: unknown]
type Refused = readonly [fn: unknown, message: RegExp]

const TABLES = tablesOf(readFileSync(new URL('../../docs/functions.md', import.meta.url), 'utf8'))
const roundTrip = <T>(value: T): T => decodeValue(encodeValue(value)) as T

const LIMIT = 10
let total = 0
const { max } = Math
const helper = (n: number): number => (n <= 1 ? 1 : n * helper(n - 1))
const table = { twice: (n: number) => n * 2 }
const marked = Object.assign(() => marked.label, { label: 'put on' })
async function later(n: number) {
  return n
}
function* upTo(n: number) {
  for (let i = 0; i < n; i++) yield i
}
// what becomes of an enum; enums themselves are in the table of closures
const Size = { Small: 'S' } as const
// biome-ignore lint/complexity/noStaticOnlyClass: the case
class Base {
  static readonly unit = 'mm'
}
class Point extends Base {
  x: number
  constructor(x: number) {
    super()
    this.x = x
  }
}
registerClass(Point)
class Session {
  #secret = 1
  isOpen = () => this.#secret > 0
}
const session = new Session()
const bound = function (this: { a: number }, b: number) {
  return this.a + b
}.bind({ a: 1 }, 2)
const origin = new Point(0)
declare const nowhere: number
declare const ofThisProgram: number
Object.assign(globalThis, { ofThisProgram: 1 })
const proxy = new Proxy(() => 1, {})
const { isOpen } = session
const { compare } = new Intl.Collator('de')
const timer = setTimeout(() => undefined, 0)
clearTimeout(timer)
const tied = {
  arrow() {
    return () => this
  },
  passed(..._args: unknown[]) {
    // biome-ignore lint/complexity/noArguments: the case
    return () => arguments.length
  },
}
const withGetter = Object.getOwnPropertyDescriptor({ get once() { return 1 } }, 'once')?.get // biome-ignore format: a case
const tooSoon = refusalNow(() => soon)

const TRAVELS: Readonly<Record<string, readonly Travels[]>> = {
  'its parameters, globals of Node, what it makes itself': [
    [(n = 1) => [n, new URL('a:b').href, Buffer.from('x').length], [1, 'a:b', 1]],
  ],
  'constants, `let`s, parameters and locals around it': [
    [() => LIMIT, 10],
    [() => total, 0],
    [((given: number) => { const own = 2; return () => given + own })(1), 3], // biome-ignore format: a case
  ],
  'functions: helpers, callbacks, recursion, in objects, with properties, async, generators': [
    [() => helper(4), 24],
    [() => [1, 2].map(table.twice), [2, 4]],
    [() => marked(), 'put on'],
    [() => later(1), 1],
    [() => [...upTo(3)], [0, 1, 2]],
  ],
  'classes, with their bases and static fields': [
    [() => [new Point(2).x, Point.unit, new Point(1) instanceof Base], [2, 'mm', true]],
    [() => origin.x, 0],
  ],
  'bound functions': [
    [bound, 3],
    [() => bound(), 3],
  ],
  'imports of built-in modules, packages and local modules': [
    [() => [path.basename('/a/b'), picomatch('*.ts')('a.ts'), scale(2)], ['b', true, 6]],
  ],
  '`require`, `import()`, `import.meta`': [
    [() => import.meta.url, import.meta.url],
    [async () => (await import('./closures/values.ts')).scale(1), 3],
  ],
  'enums, `Math.max` and other intrinsics under any name': [[() => [Size.Small, max(1, 2)], ['S', 2]]],
  'an export of a module that is not the program': [[scale, Number.NaN]],
}

const REFUSED: Readonly<Record<string, readonly Refused[]>> = {
  'writing to a captured variable': [
    [() => { total = 1 }, /'total' .* it is assigned to/], // biome-ignore format: a case
    [() => ++total, /'total' .* it is assigned to/],
  ],
  '`this`, `super`, `arguments`, `new.target` of a scope around it': [
    [tied.arrow(), /it uses `this`/],
    [tied.passed(), /the arguments of the function around it/],
  ],
  'a name that is not defined, or has no value yet': [
    [() => nowhere, /'nowhere' .* not defined here/],
    [tooSoon, /'soon' .* not (?:initialised yet|defined here)/],
  ],
  'a global your program added': [[() => ofThisProgram, /a global of this program/]],
  'native functions of instances, Proxies': [
    [() => compare('a', 'b'), /native/],
    [proxy, /it is a Proxy/],
  ],
  'instances of classes nobody registered, streams, sockets, timers': [
    [() => session, /instance of Session/],
    [() => process.stdout && timer, /instance of Timeout/],
  ],
  'direct `eval`, `with`, private (`#`) names of a class around it, getters': [
    // biome-ignore lint/security/noGlobalEval: the case
    [() => eval('1'), /direct eval/],
    [isOpen, /#secret/],
    [withGetter, /getter|accessor/],
    [new Function('o', 'with (o) { return a }'), /with/],
  ],
  'a class as the function itself': [[Point, /it is a class\. Pass a function/]],
}

const VALUES: Readonly<Record<string, () => void>> = {
  'numbers (`NaN`, `-0`), strings, booleans, `bigint`, `null`, `undefined`': () =>
    same([NaN, -0, 'é', true, 2n ** 70n, null, undefined]),
  'plain objects, also without a prototype; arrays, holes as holes': () => {
    same([{ a: 1 }, Object.assign(Object.create(null), { b: 1 }), Object.assign([1], { 2: 2 })])
    expect(roundTrip(Object.freeze({ get a() { return 1 } }))).toStrictEqual({ a: 1 }) // biome-ignore format: a case
    expect(Object.isFrozen(roundTrip(Object.freeze([])))).toBe(false)
  },
  '`Map`, `Set`, `Date`, `RegExp` with its `lastIndex`, boxed primitives': () => {
    same([new Map([[{ a: 1 }, 1]]), new Set([1]), new Date(1), /a/g, Object('s')])
    expect(roundTrip(Object.assign(/a/g, { lastIndex: 3 })).lastIndex).toBe(3)
  },
  'typed arrays, `DataView`, `Buffer`, `ArrayBuffer`': () => {
    const { buffer } = Float64Array.of(1, 2)
    same([Float64Array.of(1), new DataView(buffer, 8), Buffer.from('x'), buffer])
    const [a, b] = roundTrip([new Uint8Array(buffer), new Uint8Array(buffer)])
    expect(a?.buffer).not.toBe(b?.buffer)
    const message = encodeValue(Buffer.alloc(70_000))
    expect((decodeValue(message, { adopt: true }) as Uint8Array).buffer).toBe(message.buffer)
  },
  '`URL`, `CloudObject`, symbols of `Symbol.for` and the well-known ones': () => {
    same([{ ...cloudObject({ backend: 'aws_s3', bucket: 'b', key: 'k', size: 1, etag: 'e' }) }])
    expect(roundTrip(new URL('a:b')).href).toBe('a:b')
    expect(roundTrip([Symbol.for('s'), Symbol.iterator])).toEqual([Symbol.for('s'), Symbol.iterator])
  },
  errors: () => {
    const cause = new RangeError('far')
    const error = Object.assign(new AggregateError([cause], 'm', { cause }), { code: 'E', at: [1] })
    const back = roundTrip(error)
    expect(back).toBeInstanceOf(AggregateError)
    expect(back).toMatchObject({ message: 'm', code: 'E', at: [1], stack: error.stack, name: error.name })
    expect(back.cause).toBeInstanceOf(RangeError)
    expect(back.errors[0]).toBe(back.cause)
    expect(depthOf(roundTrip(nested(30)))).toBe(16)
  },
  '`DOMException`': () => expect(roundTrip(new DOMException('m', 'AbortError'))).toMatchObject({ name: 'AbortError' }),
  'the same object twice, cycles': () => {
    const object: Record<string, unknown> = {}
    Object.assign(object, { self: object, error: new Error('e', { cause: object }), point: new Point(1) })
    const [a, b] = roundTrip([object, object]) as [typeof object, typeof object]
    expect([b, a.self, (a.error as Error).cause]).toEqual([a, a, a])
  },
  'instances of registered classes': () => expect(roundTrip(new Point(3))).toStrictEqual(new Point(3)),
  'properties under symbols, and what was put on a view': () => {
    expect(Reflect.ownKeys(roundTrip({ [Symbol.for('s')]: 1, a: 1 }))).toEqual(['a'])
    expect('put' in roundTrip(Object.assign(new Uint8Array(1), { put: 1 }))).toBe(false)
  },
}

describe('docs/functions.md', () => {
  it('has a case for every row, and a row for every case', () => {
    const documented = Object.fromEntries(TABLES)
    expect(documented).toEqual({
      'what a function uses': Object.keys(TRAVELS),
      refused: Object.keys(REFUSED),
      value: Object.keys(VALUES),
    })
  })

  it.each(Object.entries(TRAVELS))('travels: %s', async (row, cases) => {
    for (const [fn, result] of cases) {
      const shipped = captureFunction(fn, row)
      const loaded = (await loadFunction(JSON.parse(JSON.stringify(shipped)))) as Fn
      expect(await loaded()).toEqual(result)
    }
  })

  it.each(Object.entries(REFUSED))('refused: %s', (row, cases) => {
    for (const [fn, message] of cases) {
      expect(() => (fn instanceof Error ? rethrow(fn) : captureFunction(fn, row))).toThrow(
        expect.objectContaining({ code: 'SERIALIZATION', message: expect.stringMatching(message) }),
      )
    }
  })

  it.each(Object.entries(VALUES))('as a value: %s', (_row, check) => check())
})

const soon = 'now'

/** What capturing it says while variables further down have no value yet. */
function refusalNow(fn: Fn): unknown {
  try {
    return captureFunction(fn, 'f')
  } catch (error) {
    return error
  }
}

function rethrow(error: Error): never {
  throw error
}

function same(value: unknown): void {
  expect(roundTrip(value)).toStrictEqual(value)
}

function nested(depth: number): Error {
  return depth === 0 ? new Error('last') : new Error('m', { cause: nested(depth - 1) })
}

function depthOf(error: unknown): number {
  return error instanceof Error ? 1 + depthOf(error.cause) : 0
}

/** First cells of the rows of each table, by the head of that column. */
function tablesOf(text: string): [head: string, rows: string[]][] {
  return [...text.matchAll(/(?:^\|.*\n)+/gm)].map(([table]) => {
    const cells = table.trim().split('\n').map((line) => line.split('|')[1]?.trim() ?? '') // biome-ignore format: one line
    const [head = '', , ...rows] = cells
    return [head, rows]
  })
}
