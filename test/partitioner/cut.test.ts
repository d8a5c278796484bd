import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nominalRange, nominalRanges, rangeCount } from '../../partitioner/cut.ts'

const LARGEST = Number.MAX_SAFE_INTEGER

describe('nominal cuts', () => {
  it.each([
    { size: 0, cutting: {}, ranges: [[0, 0]] },
    { size: 0, cutting: { chunkNumber: 4 }, ranges: [[0, 0]] },
    { size: 0, cutting: { chunkSize: 4 }, ranges: [[0, 0]] },
    { size: 1, cutting: { chunkSize: 4 }, ranges: [[0, 1]] },
    { size: 10, cutting: {}, ranges: [[0, 10]] },
    {
      size: 9,
      cutting: { chunkSize: 4 },
      ranges: [
        [0, 4],
        [4, 8],
        [8, 9],
      ],
    },
    {
      size: 8,
      cutting: { chunkSize: 4 },
      ranges: [
        [0, 4],
        [4, 8],
      ],
    },
    {
      size: 7,
      cutting: { chunkSize: 4 },
      ranges: [
        [0, 4],
        [4, 7],
      ],
    },
    {
      size: 10,
      cutting: { chunkNumber: 4 },
      ranges: [
        [0, 3],
        [3, 6],
        [6, 8],
        [8, 10],
      ],
    },
    {
      size: 2,
      cutting: { chunkNumber: 4 },
      ranges: [
        [0, 1],
        [1, 2],
      ],
    },
    {
      size: 10,
      cutting: { chunkSize: 1, chunkNumber: 2 },
      ranges: [
        [0, 5],
        [5, 10],
      ],
    },
  ])('$size bytes by $cutting', ({ size, cutting, ranges }) => {
    expect(nominalRanges(size, cutting).map(({ start, end }) => [start, end])).toEqual(ranges)
  })

  it('tile the object, near-equal by number, for any size', () => {
    const size = fc.oneof(fc.nat(500), fc.maxSafeNat())
    fc.assert(
      fc.property(size, fc.integer({ min: 1, max: 300 }), (bytes, n) => {
        const ranges = nominalRanges(bytes, { chunkNumber: n })
        expect(ranges.length).toBe(Math.max(1, Math.min(n, bytes)))
        expect(ranges[0]?.start).toBe(0)
        expect(ranges.at(-1)?.end).toBe(bytes)
        for (const [i, range] of ranges.entries()) if (i > 0) expect(range.start).toBe(ranges[i - 1]?.end)
        const lengths = ranges.map(({ start, end }) => end - start)
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1)
      }),
    )
  })

  it('is exact up to 2^53', () => {
    expect(rangeCount(LARGEST, { chunkSize: LARGEST - 1 })).toBe(2)
    expect(nominalRange(LARGEST, { chunkSize: LARGEST - 1 }, 1)).toEqual({ start: LARGEST - 1, end: LARGEST })
    const chunkSize = 8 * 2 ** 20
    const count = rangeCount(LARGEST, { chunkSize })
    expect(count).toBe(2 ** 30)
    expect(nominalRange(LARGEST, { chunkSize }, count - 1)).toEqual({ start: LARGEST - chunkSize + 1, end: LARGEST })
    const number = { chunkNumber: 1_000_003 }
    const sum = BigInt(LARGEST)
    for (const i of [0, 1, 499_999, 1_000_002]) {
      const quotient = sum / 1_000_003n
      const rest = Number(sum % 1_000_003n)
      expect(BigInt(nominalRange(LARGEST, number, i).start)).toBe(BigInt(i) * quotient + BigInt(Math.min(i, rest)))
    }
  })
})
