import { describe, expect, it } from 'vitest'
import { ClassTable, registerClass, SERIALIZE } from '../../src/functions/class-registry.ts'
import { decodeValue, decodeValueWith, encodeValue } from '../../src/functions/codec.ts'

const roundTrip = <T>(value: T): T => decodeValue(encodeValue(value)) as T
const refused = (message: string) =>
  expect.objectContaining({ code: 'SERIALIZATION', message: expect.stringContaining(message) })

class Point {
  x: number
  next: unknown
  constructor(x: number, next?: unknown) {
    constructed += 1
    this.x = x
    this.next = next
  }
  twice() {
    return this.x * 2
  }
}
let constructed = 0
class Money {
  readonly #cents: number
  readonly of: unknown
  constructor(cents: number, of?: unknown) {
    this.#cents = cents
    this.of = of
  }
  get cents() {
    return this.#cents
  }
}
class Span {
  readonly from: Point
  readonly to: Point
  constructor(from: Point, to: Point) {
    if (!(from.x <= to.x)) throw new RangeError('from lies after to')
    this.from = from
    this.to = to
  }
}
class Marked {
  static readonly [SERIALIZE] = true
  readonly a = 1
}
class Wrapped extends Array<number> {}
class Private {
  #secret = 1
  show() {
    return this.#secret
  }
}
registerClass(Point)
registerClass(Money, {
  name: 'app.Money',
  encode: (money: Money) => ({ cents: money.cents, of: money.of }),
  decode: (data: { cents: number; of: unknown }) => new Money(data.cents, data.of),
})
registerClass(Span, {
  encode: ({ from, to }: Span) => [from, to],
  decode: ([from, to]: Point[]) => new Span(from as Point, to as Point),
})

describe('codec: classes', () => {
  it('a registered instance by its fields, its constructor not run', () => {
    const points = [new Point(2, new Map([['p', new Point(3)]])), new Point(4)]
    const before = constructed
    const back = roundTrip(points)
    expect(back).toStrictEqual(points)
    expect([back[0]?.twice(), constructed]).toEqual([4, before])
  })

  it('sharing and cycles through instances', () => {
    const a = new Point(1)
    const b = new Point(2, a)
    a.next = { list: [b, a], at: new Map([[a, b]]) }
    const back = roundTrip({ a, b })
    const next = back.a.next as { list: Point[]; at: Map<Point, Point> }
    expect(next.list).toEqual([back.b, back.a])
    expect(next.list[1]).toBe(back.a)
    expect(back.b.next).toBe(back.a)
    expect(next.at.get(back.a)).toBe(back.b)
  })

  it('private state by encode and decode, shared once', () => {
    const money = new Money(5, new Money(7))
    const back = roundTrip({ a: money, list: [money], at: new Map([[money, new Set([money])]]) })
    expect([back.a.cents, (back.a.of as Money).cents]).toEqual([5, 7])
    expect(back.list[0]).toBe(back.a)
    expect([...(back.at.get(back.a) as Set<Money>)][0]).toBe(back.a)
  })

  it('decode is given what is complete, whatever holds it', () => {
    const one = new Point(1)
    const owner: Record<string, unknown> = {}
    // the error reaches the owner, and by it the span, which must be built before either is filled
    owner.error = Object.assign(new Error('e'), { owner })
    owner.back = { owner }
    owner.span = new Span(one, new Point(2, one))
    owner.late = one
    const back = roundTrip(owner) as { error: Error & { owner: unknown }; span: Span; late: Point }
    expect(back.span).toBeInstanceOf(Span)
    expect(back.span.from).toBe(back.late)
    expect(back.span.to.next).toBe(back.late)
    expect(back.error.owner).toBe(back)
  })

  it('an instance that its class builds may not hold itself', () => {
    const holder: { money?: Money } = {}
    holder.money = new Money(1, holder)
    expect(() => encodeValue({ a: holder })).toThrow(refused('value.a.money: instance of app.Money holds itself'))
    const ring: Record<string, unknown> = {}
    ring.d = { deeper: { ring } }
    ring.money = new Money(1, ring.d)
    expect(() => encodeValue([ring])).toThrow(refused('value[0].money: instance of app.Money holds itself'))
    class Same {}
    const classes = new ClassTable([[Same, { encode: (it: Same) => it, decode: (it: Same) => it }]] as never)
    expect(() => encodeValue(new Same(), 'v', { classes })).toThrow(refused('v: instance of Same holds itself'))
  })

  it('a class may say so itself', () => {
    expect(roundTrip([new Marked()])[0]).toBeInstanceOf(Marked)
  })

  it('tables: their own way, first, and only where they are given', () => {
    const classes = new ClassTable([
      [Point, { encode: (p: Point) => p.x + 5, decode: (x: number) => new Point(x * 7) }],
      [Date, { name: 'day', encode: (d: Date) => d.getTime(), decode: (t: number) => `day ${t}` }],
    ] as never)
    const bytes = encodeValue([new Point(1), new Date(3), new Map([['k', new Date(4)]])], 'value', { classes })
    expect(decodeValue(bytes, { classes })).toStrictEqual([new Point(42), 'day 3', new Map([['k', 'day 4']])])
    expect(() => decodeValue(bytes)).toThrow(refused('class Point has no decode here'))
    const day = encodeValue([new Date(3)], 'value', { classes })
    expect(() => decodeValue(day)).toThrow(refused('class day is not known here'))
    expect(roundTrip(new Date(3))).toEqual(new Date(3))
    expect(decodeValue(encodeValue(new Date(3), 'v', { classes }), { classes })).toBe('day 3')
  })

  it('refusals: unknown where it arrives, subclasses, slots, what encode and decode throw', () => {
    class Gone {}
    const bytes = encodeValue(new Gone(), 'v', { classes: new ClassTable([[Gone, {}]]) })
    expect(() => decodeValue(bytes)).toThrow(
      refused('class Gone is not known here: registerClass(Gone) has to run on both'),
    )
    class Sub extends Point {}
    expect(() => encodeValue([new Sub(1)])).toThrow(
      refused('value[0]: instance of Sub cannot travel: registerClass(Sub)'),
    )
    expect(() => encodeValue(new Wrapped(1), 'v', { classes: new ClassTable([[Wrapped, {}]]) })).toThrow(
      refused('v: instance of Wrapped, more than its fields, cannot travel'),
    )
    const torn = new ClassTable([[Gone, { encode: () => { throw new Error('no') }, decode: () => 1 }]] as never) // biome-ignore format: short
    expect(() => encodeValue({ g: new Gone() }, 'v', { classes: torn })).toThrow(
      refused('v.g: encode of class Gone threw: no'),
    )
    const span = Buffer.from(encodeValue(new Span(new Point(1), new Point(2))))
    span[span.lastIndexOf(Buffer.from([0x78, 0x49, 2])) + 2] = 40
    expect(() => decodeValue(span)).toThrow(refused('decode of class Span threw: from lies after to'))
    expect(() => encodeValue({ p: new Money(1, new Private()) })).toThrow(
      refused(
        'value.p.of: instance of Private, private state, cannot travel: registerClass(Private, { encode, decode })',
      ),
    )
  })

  it.each<[string, () => void, string]>([
    ['private state', () => registerClass(Private), 'Private has private state'],
    ['no class', () => registerClass(3 as never), 'expected a class'],
    ['one hook', () => registerClass(Point, { encode: (p: Point) => p } as never), 'come together'],
    ['an unknown option', () => registerClass(Point, { decod: 1 } as never), "did you mean 'decode'"],
    ['no name', () => registerClass(class {}), 'needs one'],
  ])('bad registrations: %s', (_name, register, message) => {
    expect(register).toThrow(expect.objectContaining({ code: 'VALIDATION', message: expect.stringContaining(message) }))
  })
})

describe('codec: functions in values', () => {
  const double = (n: number) => n * 2
  const half = (n: number) => n / 2
  const known: Record<string, unknown> = { double, half }
  const encodeFunction = (fn: { name: string }, path: string) => ({ name: fn.name, path })
  const loadFunction = async (shipped: unknown) => known[(shipped as { name: string }).name]

  it('each is shipped once and loaded once, sharing and cycles kept', async () => {
    const value: Record<string, unknown> = {
      a: double,
      list: [half, double],
      m: new Map([[double, 1]]),
      url: new URL('a:b'),
    }
    value.self = value
    const paths: string[] = []
    const bytes = encodeValue(value, 'args[0]', {
      encodeFunction: (fn, path) => paths.push(path) && encodeFunction(fn, path),
    })
    let loads = 0
    const back = (await decodeValueWith(bytes, {
      loadFunction: (shipped) => {
        loads += 1
        return loadFunction(shipped)
      },
    })) as typeof value
    expect(paths).toEqual(['args[0].a', 'args[0].list[0]'])
    expect(loads).toBe(2)
    expect([back.a, back.list, back.self]).toEqual([double, [half, double], back])
    expect((back.m as Map<unknown, number>).get(double)).toBe(1)
    expect(() => decodeValue(bytes)).toThrow(refused('it holds functions'))
  })

  it('a function alone, and inside an error and an instance', async () => {
    expect(await decodeValueWith(encodeValue(double, 'f', { encodeFunction }), { loadFunction })).toBe(double)
    const held = [Object.assign(new Error('e'), { half }), new Point(1, half)]
    const back = (await decodeValueWith(encodeValue(held, 'f', { encodeFunction }), { loadFunction })) as typeof held
    expect([(back[0] as unknown as { half: unknown }).half, (back[1] as Point).next]).toEqual([half, half])
  })

  it('at once where there are none', () => {
    expect(decodeValueWith(encodeValue({ a: [1] }, 'v', { encodeFunction }), { loadFunction })).toEqual({ a: [1] })
  })

  it('what cannot be loaded rejects; what is shipped holds no functions', async () => {
    const bytes = encodeValue([double], 'v', { encodeFunction })
    const loading = decodeValueWith(bytes, { loadFunction: () => Promise.reject(new Error('gone')) })
    await expect(loading).rejects.toThrow('gone')
    expect(() => encodeValue({ f: double }, 'v', { encodeFunction: (fn) => [fn] })).toThrow(
      refused("v.f[0]: function 'double' cannot travel"),
    )
  })
})
