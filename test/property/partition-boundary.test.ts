import { describe, expect, it } from 'vitest'
import { BoundaryScanner, canOverlap, safePoint, scanStart } from '../../partitioner/boundary.ts'
import { sequentialRecords } from '../support/sequential-reader.ts'

const CASES = [
  { delimiter: '\n', alphabet: ['a', '\n'], length: 10, overlaps: false },
  { delimiter: '\r\n', alphabet: ['a', '\r', '\n'], length: 8, overlaps: false },
  { delimiter: '|*|', alphabet: ['a', '|', '*'], length: 8, overlaps: true },
  { delimiter: '|*', alphabet: ['a', '|', '*'], length: 8, overlaps: false },
  { delimiter: '++', alphabet: ['a', '+'], length: 11, overlaps: true },
  { delimiter: 'abab', alphabet: ['a', 'b'], length: 12, overlaps: true },
  { delimiter: 'aaab', alphabet: ['a', 'b'], length: 11, overlaps: false },
  { delimiter: 'aa\naa', alphabet: ['a', '\n'], length: 12, overlaps: true },
  { delimiter: '\0', alphabet: ['a', '\0'], length: 9, overlaps: false },
  { delimiter: '§', alphabet: ['\xc2', '\xa7', 'a'], length: 8, overlaps: false },
]

describe.each(CASES)(
  'every string over $alphabet, delimiter $delimiter',
  ({ delimiter, alphabet, length, overlaps }) => {
    const needle = Buffer.from(delimiter)

    it(`can overlap itself: ${overlaps}`, () => {
      expect(canOverlap(needle)).toBe(overlaps)
    })

    it('every cut has the boundary of the sequential reader, under every chunking', async () => {
      let checked = 0
      for (const text of strings(alphabet, length)) {
        const starts = sequentialRecords(text, needle).map(({ start }) => start)
        for (let cut = 1; cut < text.length; cut++) {
          const expected = starts.find((start) => start >= cut) ?? text.length
          const from = overlaps ? backUp(text, needle, cut) : scanStart(needle, cut)
          const chunk = [1, 2, 7, text.length][checked++ % 4] as number
          const found = boundary(text, needle, cut, from, chunk)
          if (found !== expected) expect({ text: text.toString('latin1'), cut, chunk, found }).toEqual({ expected })
        }
      }
      expect(checked).toBeGreaterThan(1_000)
    })
  },
)

describe('safePoint', () => {
  it('finds the phase of a chain many blocks long, one block at a time', async () => {
    const chain = Buffer.from(`ab${'+'.repeat(400_001)}c`)
    let largest = 0
    const read = async ({ start, end }: { start: number; end: number }) => {
      largest = Math.max(largest, end - start)
      return chain.subarray(start, end)
    }
    expect(await safePoint(read, Buffer.from('++'), 300_000, 0, chain.length)).toBe(2)
    expect(await safePoint(read, Buffer.from('++'), 300_000, 200_002, chain.length)).toBe(200_002)
    expect(largest).toBeLessThan(70_000)
  })

  it.each([0, 1, 2, 3])('is not straddled, at block edges too (shift %i)', async (shift) => {
    const text = Buffer.from(`${'x'.repeat(65_535 + shift)}abababab${'x'.repeat(70_000)}`)
    const needle = Buffer.from('abab')
    const read = async ({ start, end }: { start: number; end: number }) => text.subarray(start, end)
    for (let at = 65_530; at < 65_550; at++) {
      const point = await safePoint(read, needle, at, 0, text.length)
      const chain = { start: 65_535 + shift, end: 65_535 + shift + 8 }
      expect(point).toBe(at > chain.start && at < chain.end ? chain.start : at)
    }
  })
})

function* strings(alphabet: readonly string[], length: number): Generator<Buffer> {
  for (let size = 1; size <= length; size++) {
    const total = alphabet.length ** size
    for (let n = 0; n < total; n++) {
      let text = ''
      for (let rest = n, i = 0; i < size; i++, rest = Math.floor(rest / alphabet.length))
        text += alphabet[rest % alphabet.length]
      yield Buffer.from(text, 'latin1')
    }
  }
}

/** The safe point, found here by trying every offset downwards. */
function backUp(text: Buffer, needle: Buffer, cut: number): number {
  for (let point = Math.max(0, cut - needle.length); point > 0; point--) {
    let straddled = false
    for (let start = Math.max(0, point - needle.length + 1); start < point; start++) {
      straddled ||= text.subarray(start, start + needle.length).equals(needle)
    }
    if (!straddled) return point
  }
  return 0
}

function boundary(text: Buffer, needle: Buffer, cut: number, from: number, chunk: number): number {
  const scanner = new BoundaryScanner(needle, cut, from)
  for (let at = from; at < text.length; at += chunk) {
    const found = scanner.feed(text.subarray(at, at + chunk), at)
    if (found !== undefined) return found
  }
  return text.length
}
