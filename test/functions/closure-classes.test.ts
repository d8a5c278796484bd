import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, SERIALIZE, type TaskContext } from '../../src/entry/index.ts'

class Point {
  static readonly [SERIALIZE] = true
  readonly x: number
  constructor(x: number) {
    this.x = x
  }
  twice() {
    return this.x * 2
  }
}
class Money {
  static readonly [SERIALIZE] = {
    name: 'app.Money',
    encode: (money: Money) => money.cents,
    decode: (cents: number) => new Money(cents),
  }
  readonly #cents: number
  constructor(cents: number) {
    this.#cents = cents
  }
  get cents() {
    return this.#cents
  }
}
/** Only ever made in a worker. */
class Made {
  static readonly [SERIALIZE] = true
  readonly at = 'there'
}
const origin = new Point(7)

describe('classes that say how they travel', () => {
  let exec: FunctionExecutor
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false, logLevel: 'error' })
  })
  afterAll(() => exec.shutdown())

  it('their instances come back, those of classes that only the closure brings too', async () => {
    const [told] = await exec.map((n: number) => [new Point(n), new Money(n), new Made()] as const, [5])
    expect(told?.[0]).toStrictEqual(new Point(5))
    expect(told?.[1].cents).toBe(5)
    expect(told?.[2]).toStrictEqual(new Made())
  })

  it('captured instances are of the class that came with them', async () => {
    const told = await exec.callAsync(() => [origin.twice(), origin instanceof Point], undefined)
    expect(told).toEqual([14, true])
  })

  it('items and extra arguments are of the class that the function brings', async () => {
    const kinds = (a: Point, b: Money, _task: TaskContext) => [
      a instanceof Point,
      b instanceof Money,
      a.twice() + b.cents,
    ]
    expect(await exec.map(kinds, [new Point(3)], { extraArgs: [new Money(4)] })).toEqual([[true, true, 10]])
  })

  it('a captured instance whose class nobody brings ends in an error that names the class', async () => {
    const fresh = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false, logLevel: 'silent' })
    await expect(fresh.callAsync(() => origin.x, undefined)).rejects.toThrow(/class Point is not known here/)
    await fresh.shutdown()
  })
})
