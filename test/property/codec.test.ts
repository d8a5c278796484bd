import { deserialize } from 'node:v8'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { registerClass } from '../../src/functions/class-registry.ts'
import { decodeValue, encodeValue } from '../../src/functions/codec.ts'
import { decodeError, encodeError } from '../../src/functions/error-codec.ts'

const plain = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withSparseArray: true,
  withNullPrototype: true,
  withBoxedValues: true,
  maxDepth: 4,
})

describe('codec property', () => {
  it('what is encoded comes back equal, and again equal', () => {
    fc.assert(
      fc.property(plain, (value) => {
        const back = decodeValue(encodeValue(value))
        expect(back).toStrictEqual(value)
        expect(decodeValue(encodeValue(back))).toStrictEqual(value)
      }),
      { numRuns: 1_000 },
    )
  })

  it('beside an error or a URL (the slow way) values come back as without them (the quick way)', () => {
    fc.assert(
      fc.property(plain, fc.webUrl(), fc.string(), (value, url, message) => {
        const held = {
          before: value,
          url: new URL(url),
          error: Object.assign(new RangeError(message), { value }),
          after: [value],
        }
        const back = decodeValue(encodeValue(held)) as typeof held
        expect([back.before, back.after[0], back.error.value]).toStrictEqual([value, value, value])
        expect([back.url.href, back.error.message, back.error instanceof RangeError]).toEqual([
          held.url.href,
          message,
          true,
        ])
        if (typeof value === 'object' && value !== null) expect(back.error.value).toBe(back.before)
      }),
      { numRuns: 500 },
    )
  })

  it('graphs with sharing and cycles keep their shape', () => {
    const edges = fc.array(fc.tuple(fc.nat(9), fc.nat(9)), { maxLength: 40 })
    fc.assert(
      fc.property(edges, fc.boolean(), (pairs, special) => {
        const nodes = Array.from({ length: 10 }, (_, id) => ({
          id,
          to: [] as unknown[],
          url: special ? new URL('a:b') : 0,
        }))
        for (const [a, b] of pairs) nodes[a]?.to.push(nodes[b])
        const back = decodeValue(encodeValue(nodes)) as typeof nodes
        const shape = (list: typeof nodes) => list.map(({ to }) => to.map((node) => list.indexOf(node as never)))
        expect(shape(back)).toEqual(shape(nodes))
      }),
    )
  })

  it('instances and errors in graphs of every shape, beside instances their class builds', () => {
    const edges = fc.array(fc.tuple(fc.nat(11), fc.nat(11)), { maxLength: 40 })
    fc.assert(
      fc.property(edges, (pairs) => {
        const nodes = Array.from({ length: 12 }, (_, id) => graphNode(id))
        // what is built holds only what comes after it: it may not lie in a cycle
        for (const [a, b] of pairs) if (a % 4 !== 3) link(nodes[a], nodes[b])
        const back = decodeValue(encodeValue(nodes)) as typeof nodes
        const shape = (list: typeof nodes) => list.map((node) => [...node.to].map((to) => list.indexOf(to as never)))
        expect(shape(back)).toEqual(shape(nodes))
        expect(back.map((node) => Object.getPrototypeOf(node))).toEqual(
          nodes.map((node) => Object.getPrototypeOf(node)),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('a class instance anywhere is refused', () => {
    class Session {}
    const place = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constantFrom(new Session(), () => 1, Symbol('s'), Promise.resolve(), new Proxy({}, {})),
        fc.tuple(fc.array(plain, { maxLength: 3 }), tie('value')).map(([around, inner]) => [...around, inner]),
        tie('value').map((inner) => ({ a: 1, inner })),
        tie('value').map((inner) => new Map([[1, inner]])),
        tie('value').map((inner) => new Set([inner])),
        tie('value').map((inner) => [new Error('beside'), inner]),
        tie('value').map((inner) => Object.assign(Object.create(null), { inner })),
      ),
    })).value
    fc.assert(
      fc.property(place, (value) => {
        expect(() => encodeValue(value)).toThrow(expect.objectContaining({ code: 'SERIALIZATION' }))
      }),
      { numRuns: 500 },
    )
  })

  it('mutated bytes give a value or a SerializationError, and touch nothing', () => {
    const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 })
    const held = plain.map((value) => ({ value, url: new URL('a:b'), e: new TypeError('x'), b: new Uint8Array(9) }))
    fc.assert(
      fc.property(held, flips, fc.option(fc.nat()), (value, changes, cut) => {
        const bytes = Buffer.from(encodeValue(value))
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte
        const hostile = cut === null ? bytes : bytes.subarray(0, cut % bytes.length)
        try {
          decodeValue(hostile)
        } catch (error) {
          expect(error).toMatchObject({ code: 'SERIALIZATION' })
        }
        expect(Object.keys(Object.prototype)).toEqual([])
        expect(decodeError(hostile)).toBeInstanceOf(Error)
      }),
      { numRuns: 2_000 },
    )
  })

  it('the payload of plain data is v8’s own', () => {
    const value = Array.from({ length: 100 }, (_, i) => ({ a: [i, 'x'] }))
    expect(deserialize(encodeValue(value).subarray(2))).toEqual(value)
  })

  it('anything thrown arrives as an error with its text', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withNullPrototype: true }), fc.string(), (data, message) => {
        const back = decodeError(encodeError(Object.assign(new TypeError(message), { data })))
        expect(back).toBeInstanceOf(TypeError)
        expect(back.message).toBe(message)
        expect(decodeError(encodeError(data))).toBeInstanceOf(Error)
      }),
    )
  })
})

class Linked {
  to: unknown[] = []
}
class Leaf {
  to: unknown[] = []
  #id: number
  constructor(id: number) {
    this.#id = id
  }
  get id() {
    return this.#id
  }
}
registerClass(Linked)
registerClass(Leaf, { encode: (leaf: Leaf) => leaf.id, decode: (id: number) => new Leaf(id) })

interface GraphNode {
  to: unknown[]
}

function graphNode(id: number): GraphNode {
  if (id % 4 === 0) return new Linked()
  if (id % 4 === 1) return Object.assign(new RangeError(String(id)), { to: [] })
  return id % 4 === 2 ? Object.assign(Object.create(null), { to: [] }) : new Leaf(id)
}

function link(from: GraphNode | undefined, to: GraphNode | undefined): void {
  from?.to.push(to)
}
