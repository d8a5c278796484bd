import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DEFAULT_SPECULATION, MedianOf, stragglerMs } from '../../src/executor/stragglers.ts'

function medianOf(values: readonly number[]): MedianOf {
  const median = new MedianOf()
  for (const value of values) median.add(value)
  return median
}

describe('the median of what was added', () => {
  it('is the lower one in the middle of the sorted values, whatever their order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 60 }), (values) => {
        const sorted = values.toSorted((a, b) => a - b)
        const median = medianOf(values)
        expect(median.median).toBe(sorted[Math.ceil(values.length / 2) - 1])
        expect(median.count).toBe(values.length)
      }),
    )
    expect(new MedianOf().median).toBeNaN()
  })
})

describe('a call is a straggler', () => {
  const of = (calls: number, took: readonly number[], policy = {}) =>
    stragglerMs({ ...DEFAULT_SPECULATION, ...policy }, calls, medianOf(took))
  const times = (count: number, ms: number) => new Array<number>(count).fill(ms)

  it.each([
    ['beyond three medians', of(10, times(5, 1_000)), 3_000],
    ['never among nine calls', of(9, times(8, 1_000)), undefined],
    ['never before half of the calls have succeeded', of(10, times(4, 1_000)), undefined],
    ['by the median, not the mean', of(10, [1_000, 1_000, 1_000, 1_000, 90_000]), 3_000],
    ['not before 100 ms, where calls are short', of(1_000, times(500, 2)), 100],
    ['by what was asked for', of(4, times(1, 500), { minCalls: 4, minDoneFraction: 0.25, factor: 2 }), 1_000],
    ['never before any has succeeded', of(10, [], { minDoneFraction: 0 }), undefined],
  ])('%s', (_, limitMs, expected) => {
    expect(limitMs).toBe(expected)
  })

  it('or is to be looked at again after 100 ms, before which none can be one and the median is not needed', () => {
    const limits = (tookMs: number, took: MedianOf) => stragglerMs(DEFAULT_SPECULATION, 10, took, tookMs)
    const unasked = Object.defineProperty(medianOf(times(5, 1_000)), 'median', { get: () => Number.NaN })
    expect([limits(0, unasked), limits(100, unasked)]).toEqual([100, 100])
    expect([limits(101, unasked), limits(101, medianOf(times(5, 1_000)))]).toEqual([Number.NaN, 3_000])
    expect(limits(50, medianOf(times(4, 1_000)))).toBeUndefined()
  })
})
