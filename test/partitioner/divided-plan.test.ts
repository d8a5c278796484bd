import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certify, type PartitionOutcome } from '../../partitioner/coverage.ts'
import { DividedPlan } from '../../partitioner/divided-plan.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { planOf } from '../support/read-partitions.ts'

const { object } = bytesBackend('0123456789'.repeat(30))
const other = bytesBackend('x'.repeat(50), { key: 'other' }).object
const plan = {
  partitions: [...planOf(object, { objChunkNumber: 3 }).partitions, ...planOf(other, { objChunkNumber: 1 }).partitions],
}

describe('DividedPlan', () => {
  it('a divided call keeps what lies before the cut; the next number has the rest and stands after it', () => {
    const divided = new DividedPlan(plan)
    expect(divided.divide(1, 150)).toEqual({ parent: 1, at: 150, child: 4 })
    expect(divided.divide(1, 120)).toEqual({ parent: 1, at: 120, child: 5 })
    expect(divided.divide(4, 180)).toEqual({ parent: 4, at: 180, child: 6 })
    expect(divided.order()).toEqual([0, 1, 5, 4, 6, 2, 3])
    expect(divided.calls).toBe(7)
    expect(divided.partitions().map(({ range, index, count }) => [range.start, range.end, index, count])).toEqual([
      [0, 100, 0, 6],
      [100, 120, 1, 6],
      [120, 150, 2, 6],
      [150, 180, 3, 6],
      [180, 200, 4, 6],
      [200, 300, 5, 6],
      [0, 50, 0, 1],
    ])
    expect(divided.divisions.map(({ child }) => child)).toEqual([4, 5, 6])
  })

  it('parts have an index of their own within the object, and no part is taken for a whole object', () => {
    const divided = new DividedPlan(plan)
    divided.divide(3, 25)
    divided.divide(3, 10)
    const parts = [3, 4, 5].map((call) => divided.inputOf(call).partition)
    expect(parts.map(({ index }) => index)).toEqual([0, 1, 2])
    expect(parts.every(({ count }) => count > 1)).toBe(true)
  })

  it('known edges stay with the side they belong to', () => {
    const edges = [undefined, { start: 103, end: 206 }, undefined, undefined]
    const divided = new DividedPlan(plan, edges)
    divided.divide(1, 150)
    expect(divided.inputOf(1).edges).toEqual({ start: 103 })
    expect(divided.inputOf(4).edges).toEqual({ end: 206 })
    divided.divide(4, 170)
    expect(divided.inputOf(4).edges).toBeUndefined()
    expect(divided.inputOf(5).edges).toEqual({ end: 206 })
  })

  it.each([[100], [200], [99], [300], [Number.NaN]])('refuses a cut of [100, 200) at %d', (at) => {
    expect(() => new DividedPlan(plan).divide(1, at)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
  })

  it('refuses what is read by one GET, and calls it does not have', () => {
    const [whole] = plan.partitions
    const uncut = { partitions: [{ ...(whole as NonNullable<typeof whole>), uncut: 'no ranges' as const }] }
    expect(() => new DividedPlan(uncut).divide(0, 5)).toThrow(/no ranges/)
    expect(() => new DividedPlan(plan).inputOf(4)).toThrow(/no call 4/)
  })

  it('whatever is divided, the ranges tile the objects in order, and their certificate is complete', () => {
    const steps = fc.array(fc.tuple(fc.nat({ max: 20 }), fc.integer({ min: 1, max: 299 })), { maxLength: 25 })
    fc.assert(
      fc.property(steps, (divisions) => {
        const divided = new DividedPlan(plan)
        for (const [call, at] of divisions) {
          const parent = call % divided.calls
          const { range } = divided.inputOf(parent).partition
          if (at > range.start && at < range.end) divided.divide(parent, at)
        }
        const order = divided.order()
        expect(order.toSorted((a, b) => a - b)).toEqual(Array.from({ length: divided.calls }, (_, i) => i))
        const partitions = divided.partitions()
        const outcomes = partitions.map(({ range }): PartitionOutcome => {
          return { state: 'committed', report: { ...range, deliveredEnd: range.end } }
        })
        const certificate = certify({ partitions }, outcomes, () => 'etag')
        expect(certificate.complete).toBe(true)
        expect(certificate.objects.map(({ deliveredBytes }) => deliveredBytes)).toEqual([300, 50])
      }),
      { numRuns: 500 },
    )
  })
})

describe('certify, of records that were set aside', () => {
  const partitions = planOf(object, { objChunkNumber: 3 }).partitions
  const read = (start: number, end: number): PartitionOutcome => ({
    state: 'committed',
    report: { start, end, deliveredEnd: end, records: 2 },
  })
  const record = (start: number, end: number): PartitionOutcome => ({
    state: 'quarantined',
    error: 'bad record',
    range: { start, end },
  })

  it('lists the record by its own bytes, which may reach past the nominal range', () => {
    const certificate = certify({ partitions }, [read(0, 103), record(103, 250), read(250, 300)], () => 'etag')
    expect(certificate).toMatchObject({ complete: false, unread: [], failed: [] })
    expect(certificate.quarantined).toEqual([{ url: object.url, index: 1, start: 103, end: 250, error: 'bad record' }])
    expect(certificate.objects[0]).toMatchObject({ deliveredBytes: 153, spans: { length: 3 } })
    expect(certificate.objects[0]?.records).toBeUndefined()
  })

  it.each([
    { defect: 'begins elsewhere than its neighbour ended', outcome: record(104, 250) },
    { defect: 'ends elsewhere than its neighbour began', outcome: record(103, 251) },
    { defect: 'lies before its nominal range', outcome: record(99, 250) },
    { defect: 'ends within its nominal range', outcome: record(103, 199) },
  ])('a record that $defect is an error', ({ outcome }) => {
    const outcomes = [read(0, 103), outcome, read(250, 300)]
    expect(() => certify({ partitions }, outcomes, () => 'etag')).toThrow(expect.objectContaining({ code: 'COVERAGE' }))
  })
})
