import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseSplits, type RunningRead, Splitting } from '../../src/executor/splitting.ts'

const MIB = 2 ** 20
const read = (call: number, restMiB: number, readMiB: number, ranMs: number): RunningRead => ({
  call,
  range: { start: 100, end: 100 + (restMiB + readMiB) * MIB },
  bytesRead: readMiB * MIB,
  ranMs,
})

describe('which calls are split, and where', () => {
  it('in the middle of what is left, so that both sides have as much to do', () => {
    expect(chooseSplits([read(0, 40, 10, 1_000)], 1)).toEqual([{ call: 0, at: 100 + 30 * MIB }])
  })

  it('the longest predicted remainder first, which is not the largest', () => {
    const slow = read(1, 20, 1, 5_000)
    const large = read(2, 500, 500, 1_000)
    expect(chooseSplits([large, slow], 1).map(({ call }) => call)).toEqual([1])
    expect(chooseSplits([large, slow], 2).map(({ call }) => call)).toEqual([1, 2])
  })

  it.each([
    ['8 MiB, however fast', read(0, 8, 8, 1), 1],
    ['less, and soon over', read(0, 7, 7, 1_999), 0],
    ['2 s, however few bytes', read(0, 1, 1, 2_000), 1],
    ['nothing', read(0, 0, 10, 60_000), 0],
    ['a rate that is not known', read(0, 100, 0, 60_000), 0],
    ['a single byte', { call: 0, range: { start: 0, end: 2 }, bytesRead: 1, ranMs: 60_000 }, 0],
  ])('what is left: %s', (_, running, orders) => {
    expect(chooseSplits([running], 4)).toHaveLength(orders)
  })

  it('no order without a slot', () => {
    expect(chooseSplits([read(0, 100, 10, 1_000)], 0)).toEqual([])
    expect(chooseSplits([read(0, 100, 10, 1_000)], -1)).toEqual([])
  })

  it('every cut lies past what was read and leaves both sides something', () => {
    const reads = fc.array(
      fc.record({
        call: fc.nat(),
        start: fc.nat({ max: 2 ** 40 }),
        size: fc.nat({ max: 2 ** 40 }),
        bytesRead: fc.nat({ max: 2 ** 41 }),
        ranMs: fc.nat({ max: 1e7 }),
      }),
      { maxLength: 10 },
    )
    fc.assert(
      fc.property(reads, fc.nat({ max: 5 }), (given, slots) => {
        const running = given.map(({ start, size, ...rest }) => ({ ...rest, range: { start, end: start + size } }))
        const orders = chooseSplits(running, slots)
        expect(orders.length).toBeLessThanOrEqual(slots)
        for (const { call, at } of orders) {
          const of = running.filter((each) => each.call === call)
          expect(of.some(({ range, bytesRead }) => at > range.start + bytesRead && at < range.end)).toBe(true)
        }
      }),
    )
  })
})

describe('Splitting', () => {
  const range = { start: 0, end: 100 * MIB }
  const rangeOf = () => range
  const running = () => {
    const splitting = new Splitting()
    splitting.started(3, 30, 0)
    splitting.progress(3, 30, 10 * MIB)
    return splitting
  }

  it('asks the invocation that runs the call, once until it has answered', () => {
    const splitting = running()
    expect(splitting.choose(2, 1_000, rangeOf)).toEqual([{ call: 3, invocation: 30, at: 55 * MIB }])
    expect(splitting.choose(2, 1_000, rangeOf)).toEqual([])
    splitting.answered(3, false)
    expect(splitting.choose(2, 1_000, () => ({ start: 0, end: 55 * MIB }))).toMatchObject([{ call: 3 }])
  })

  it('a call that kept everything is not asked again, until it is tried again', () => {
    const splitting = running()
    splitting.choose(1, 1_000, rangeOf)
    splitting.answered(3, true)
    expect(splitting.choose(1, 1_000, rangeOf)).toEqual([])
    splitting.started(3, 31, 2_000)
    splitting.progress(3, 31, MIB)
    expect(splitting.choose(1, 3_000, rangeOf)).toMatchObject([{ invocation: 31 }])
  })

  it('an open question takes its slot: another call is asked for the next one only', () => {
    const splitting = running()
    splitting.started(4, 40, 0)
    splitting.progress(4, 40, 20 * MIB)
    expect(splitting.choose(1, 1_000, rangeOf)).toMatchObject([{ call: 3 }])
    expect(splitting.choose(1, 1_000, rangeOf)).toEqual([])
    expect(splitting.choose(2, 1_000, rangeOf)).toMatchObject([{ call: 4 }])
  })

  it('what is over is not asked, and gives its slot back; a word from an earlier attempt counts for nothing', () => {
    const splitting = running()
    splitting.choose(1, 1_000, rangeOf)
    splitting.ended(3, 29)
    expect(splitting.choose(1, 1_000, rangeOf)).toEqual([])
    splitting.ended(3, 30)
    splitting.started(4, 40, 0)
    splitting.progress(4, 41, 50 * MIB)
    expect(splitting.choose(1, 1_000, rangeOf)).toEqual([])
    splitting.progress(4, 40, MIB)
    expect(splitting.choose(1, 1_000, rangeOf)).toMatchObject([{ call: 4 }])
  })
})
