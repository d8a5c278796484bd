/** Failing ranges halved until single records are left, against the sequential reader. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boundariesOf, bytesAt, halve } from '../../partitioner/halve.ts'
import type { ByteRange } from '../../src/core/bytes.ts'
import { Bisection } from '../../src/executor/bisection.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { chunkedBackend } from '../support/chunked-backend.ts'
import { type SequentialRecord, sequentialRecords } from '../support/sequential-reader.ts'

const DELIMITERS = ['\n', '\r\n', '++', 'abab', '|*|', '→', 'aaab']

interface Found {
  readonly records: readonly ByteRange[]
  /** Calls that were tried, failed ones included. */
  readonly attempts: number
  readonly gaveUp: boolean
  readonly bytesRead: number
}

/** Calls fail when they own a record that `fails` names; failed ones are divided as a job would. */
async function bisect(
  text: Buffer,
  delimiter: Buffer,
  ranges: readonly ByteRange[],
  fails: (own: readonly SequentialRecord[]) => boolean,
  maxQuarantined = 1_000,
): Promise<Found> {
  const { object, ...inner } = bytesBackend(text)
  const backend = chunkedBackend(inner, { chunk: 7 })
  const boundaryOf = boundariesOf(object, delimiter, { backend })
  const records = sequentialRecords(text, delimiter)
  const bisection = new Bisection(maxQuarantined)
  const queue = ranges.map((range, call) => ({ call, range }))
  let [calls, attempts] = [ranges.length, 0]
  let gaveUp = false
  const found: ByteRange[] = []
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { call, range } = next
    const own = records.filter(({ start }) => start >= range.start && start < range.end)
    attempts += 1
    if (!fails(own)) {
      bisection.succeeded(call)
      continue
    }
    if (!bisection.failed(call)) {
      gaveUp = true
      continue
    }
    const halving = await halve(range, object.size, boundaryOf)
    if (halving.type === 'none') expect(own).toEqual([])
    if (halving.type === 'record') {
      expect([halving.range]).toEqual(own.map(({ start, end }) => ({ start, end })))
      const bytes = await bytesAt(object, halving.range, 5, { backend })
      expect(bytes).toEqual(text.subarray(halving.range.start, Math.min(halving.range.end, halving.range.start + 5)))
      found.push(halving.range)
    }
    if (halving.type !== 'cut') continue
    const { at } = halving
    // records on both sides, one of which begins at the cut
    expect(own.some(({ start }) => start === at)).toBe(true)
    expect(own[0]?.start).toBeLessThan(at)
    bisection.cut(call, calls)
    queue.push(
      { call, range: { start: range.start, end: at } },
      { call: calls++, range: { start: at, end: range.end } },
    )
  }
  const bytesRead = backend.gets.reduce((sum, { taken }) => sum + taken, 0)
  return { records: found.toSorted((a, b) => a.start - b.start), attempts, gaveUp, bytesRead }
}

const cases = fc.constantFrom(...DELIMITERS).chain((delimiter) => {
  const bytes = [...Buffer.from(delimiter)].map((byte) => Buffer.from([byte]))
  const other = ['a', 'b', '+', '\r', 'é', 'x'.repeat(60)].map((text) => Buffer.from(text))
  const piece = fc.constantFrom(Buffer.from(delimiter), Buffer.from(delimiter), ...bytes, ...other)
  return fc.record({
    text: fc.array(piece, { minLength: 1, maxLength: 40 }).map((pieces) => Buffer.concat(pieces)),
    delimiter: fc.constant(Buffer.from(delimiter)),
    parts: fc.integer({ min: 1, max: 3 }),
    poison: fc.uniqueArray(fc.nat({ max: 30 }), { minLength: 1, maxLength: 5 }),
  })
})

function rangesOf(size: number, parts: number): ByteRange[] {
  const cuts = Array.from({ length: parts + 1 }, (_, i) => Math.floor((size * i) / parts))
  return cuts.slice(1).flatMap((end, i) => (end > (cuts[i] as number) ? [{ start: cuts[i] as number, end }] : []))
}

describe('halving a failing range', () => {
  it('ends at exactly the records on which the function fails, in O(log bytes) attempts each', async () => {
    const property = fc.asyncProperty(cases, async ({ text, delimiter, parts, poison }) => {
      const records = sequentialRecords(text, delimiter)
      const bad = poison.flatMap((i) => records[i] ?? []).toSorted((a, b) => a.start - b.start)
      const starts = new Set(bad.map(({ start }) => start))
      const ranges = rangesOf(text.length, parts)
      const { records: found, attempts } = await bisect(text, delimiter, ranges, (own) =>
        own.some(({ start }) => starts.has(start)),
      )
      expect(found).toEqual(bad.map(({ start, end }) => ({ start, end })))
      const depth = 2 * Math.ceil(Math.log2(text.length + 1)) + 2
      expect(attempts).toBeLessThanOrEqual(ranges.length + bad.length * depth)
    })
    await fc.assert(property, { numRuns: 1_500 })
  })

  it('a record longer than all others together costs no more attempts, wherever it stands', async () => {
    const long = `${'L'.repeat(50_000)}\n`
    const short = Array.from({ length: 200 }, (_, i) => `short ${i}\n`)
    for (const place of [0, 1, 100, 199, 200]) {
      const lines = [...short.slice(0, place), long, ...short.slice(place)]
      const text = Buffer.from(lines.join(''))
      const starts = lines.map((_, i) => lines.slice(0, i).join('').length)
      for (const bad of [0, place, Math.max(0, place - 1), 200]) {
        const fails = (own: readonly SequentialRecord[]) => own.some(({ start }) => start === starts[bad])
        const { records, attempts, bytesRead } = await bisect(text, Buffer.from('\n'), rangesOf(text.length, 1), fails)
        expect(records).toEqual([{ start: starts[bad], end: (starts[bad] as number) + (lines[bad] as string).length }])
        expect(attempts).toBeLessThan(50)
        expect(bytesRead).toBeLessThan(12 * text.length)
      }
    }
  })

  it('10,000 records, k bad ones: about 2 log n attempts each', async () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `record ${i}\n`)
    const text = Buffer.from(lines.join(''))
    const starts = new Set([7, 5_000, 5_001, 9_999].map((i) => lines.slice(0, i).join('').length))
    const { records, attempts } = await bisect(text, Buffer.from('\n'), rangesOf(text.length, 1), (own) =>
      own.some(({ start }) => starts.has(start)),
    )
    expect(records.map(({ start }) => start)).toEqual([...starts])
    expect(attempts).toBeLessThan(4 * 2 * 16)
  })

  it('a function that fails on everything is given up after about as many attempts as records may be set aside', async () => {
    const text = Buffer.from('line\n'.repeat(4_096))
    for (const max of [0, 1, 10]) {
      const { attempts, gaveUp, records } = await bisect(
        text,
        Buffer.from('\n'),
        rangesOf(text.length, 1),
        () => true,
        max,
      )
      expect(gaveUp).toBe(true)
      expect(records.length).toBeLessThanOrEqual(max)
      expect(attempts).toBeLessThanOrEqual(4 * (max + 1))
    }
  })

  it('more than maxQuarantined records give up, as many do not', async () => {
    const text = Buffer.from(Array.from({ length: 64 }, (_, i) => `${i}\n`).join(''))
    const records = sequentialRecords(text, Buffer.from('\n'))
    const bad = (count: number) =>
      new Set(
        records
          .filter((_, i) => i % 16 === 3)
          .slice(0, count)
          .map(({ start }) => start),
      )
    const run = (count: number, max: number) => {
      const starts = bad(count)
      const fails = (own: readonly SequentialRecord[]) => own.some(({ start }) => starts.has(start))
      return bisect(text, Buffer.from('\n'), rangesOf(text.length, 2), fails, max)
    }
    expect(await run(3, 3)).toMatchObject({ gaveUp: false, records: { length: 3 } })
    expect((await run(4, 3)).gaveUp).toBe(true)
  })

  it('a failure that goes away when halved is no suspicion any more', async () => {
    const text = Buffer.from('line\n'.repeat(256))
    const tooMany = (own: readonly SequentialRecord[]) => own.length > 16
    // 32 ranges fail at once, and none of their quarters does
    const found = await bisect(text, Buffer.from('\n'), rangesOf(text.length, 4), tooMany, 16)
    expect(found).toMatchObject({ gaveUp: false, records: [] })
    const bisection = new Bisection(1)
    for (let call = 0; call < 10; call++) {
      expect(bisection.failed(call)).toBe(true)
      bisection.cut(call, 100 + call)
      bisection.succeeded(call)
      bisection.succeeded(100 + call)
    }
  })

  it('one half that succeeds leaves the suspicion on the other', () => {
    const bisection = new Bisection(1)
    expect(bisection.failed(0)).toBe(true)
    bisection.cut(0, 1)
    bisection.succeeded(0)
    expect(bisection.failed(1)).toBe(true)
    expect(bisection.failed(2)).toBe(false)
  })

  it('no record begins in the range: nothing to cut', async () => {
    const { object, ...backend } = bytesBackend('one long record\n')
    const boundaryOf = boundariesOf(object, Buffer.from('\n'), { backend })
    expect(await halve({ start: 4, end: 8 }, object.size, boundaryOf)).toEqual({ type: 'none' })
    expect(await halve({ start: 0, end: 4 }, object.size, boundaryOf)).toEqual({
      type: 'record',
      range: { start: 0, end: 16 },
    })
  })
})
