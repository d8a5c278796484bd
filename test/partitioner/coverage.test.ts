import { describe, expect, it } from 'vitest'
import { certify, type PartitionOutcome } from '../../partitioner/coverage.ts'
import type { ReadReport } from '../../partitioner/delivery.ts'
import { openPartition } from '../../partitioner/read.ts'
import { CoverageError } from '../../src/core/errors.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { planOf, READERS, readWith } from '../support/read-partitions.ts'

// cuts 0, 10, 20, 30; boundaries 0, 12, 24, 30
const { object } = bytesBackend('x'.repeat(30))
const plan = planOf(object, { objChunkSize: 10 })
const WHOLE: readonly ReadReport[] = [
  { start: 0, end: 12, deliveredEnd: 12, records: 3 },
  { start: 12, end: 24, deliveredEnd: 24, records: 2 },
  { start: 24, end: 30, deliveredEnd: 30, records: 1 },
]
const COVERED: readonly ReadReport[] = [
  { start: 0, end: 22, deliveredEnd: 22 },
  { empty: true, deliveredEnd: 10 },
  { start: 22, end: 30, deliveredEnd: 30 },
]

describe('certify', () => {
  it('a job that read everything is complete', () => {
    const certificate = certifyReports(WHOLE)
    expect(certificate).toMatchObject({ complete: true, unread: [], failed: [] })
    expect(certificate.objects[0]).toMatchObject({
      url: object.url,
      etag: 'v1',
      pin: 'etag',
      sizeBytes: 30,
      deliveredBytes: 30,
      records: 6,
    })
    expect(certificate.objects[0]?.spans.map(({ start, end }) => [start, end])).toEqual([
      [0, 12],
      [12, 24],
      [24, 30],
    ])
  })

  it('a partition that owns nothing joins the edges of its neighbours', () => {
    const certificate = certifyReports(COVERED)
    expect(certificate.complete).toBe(true)
    expect(certificate.objects[0]?.spans[1]).toEqual({ index: 1, start: 22, end: 22, state: 'delivered' })
  })

  it.each([
    {
      defect: 'neighbours resolved the cut differently',
      reports: [WHOLE[0], { start: 13, end: 24, deliveredEnd: 24 }, WHOLE[2]],
    },
    {
      defect: 'they differ across an empty one',
      reports: [{ start: 0, end: 21, deliveredEnd: 21 }, COVERED[1], COVERED[2]],
    },
    {
      defect: 'an empty one between edges that differ',
      reports: [WHOLE[0], { empty: true, deliveredEnd: 10 }, WHOLE[2]],
    },
    {
      defect: 'the first record was not the first',
      reports: [{ start: 1, end: 12, deliveredEnd: 12 }, WHOLE[1], WHOLE[2]],
    },
    {
      defect: 'the last record does not end the object',
      reports: [WHOLE[0], WHOLE[1], { start: 24, end: 29, deliveredEnd: 29 }],
    },
    {
      defect: 'more was delivered than is owned',
      reports: [{ start: 0, end: 12, deliveredEnd: 13 }, WHOLE[1], WHOLE[2]],
    },
    {
      defect: 'more was delivered than is owned, and less elsewhere',
      reports: [{ start: 0, end: 12, deliveredEnd: 13 }, { start: 12, end: 24, deliveredEnd: 12 }, WHOLE[2]],
    },
    {
      defect: 'a start before the nominal range',
      reports: [{ start: 0, end: 9, deliveredEnd: 9 }, { start: 9, end: 24, deliveredEnd: 24 }, WHOLE[2]],
    },
    {
      defect: 'a start past the nominal range',
      reports: [{ start: 0, end: 21, deliveredEnd: 21 }, { start: 21, end: 24, deliveredEnd: 24 }, WHOLE[2]],
    },
    {
      defect: 'everything empty',
      reports: [
        { empty: true, deliveredEnd: 0 },
        { empty: true, deliveredEnd: 10 },
        { empty: true, deliveredEnd: 20 },
      ],
    },
  ])('refuses: $defect', ({ reports }) => {
    expect(() => certifyReports(reports as ReadReport[])).toThrow(CoverageError)
    expect(() => certifyReports(reports as ReadReport[])).toThrow(/memory:\/\/b\/text \(30 bytes\): .*\d/)
  })

  it('an early stop leaves its span unread, and is no error', () => {
    const certificate = certifyReports([
      WHOLE[0] as ReadReport,
      { start: 12, deliveredEnd: 15 },
      WHOLE[2] as ReadReport,
    ])
    expect(certificate.complete).toBe(false)
    expect(certificate.unread).toEqual([{ url: object.url, start: 15, end: 24 }])
    expect(certificate.objects[0]?.deliveredBytes).toBe(21)
    expect(certificate.objects[0]?.records).toBeUndefined()
  })

  it('one that stopped before its end was known is whole when its neighbour resolved the edge there', () => {
    expect(
      certifyReports([{ start: 0, deliveredEnd: 12 }, WHOLE[1] as ReadReport, WHOLE[2] as ReadReport]).complete,
    ).toBe(true)
  })

  it('partitions that were never read, or failed, are listed and the spans still tile', () => {
    const outcomes: PartitionOutcome[] = [
      { state: 'committed', report: { deliveredEnd: 0 } },
      { state: 'failed', error: 'boom' },
      { state: 'committed', report: WHOLE[2] as ReadReport },
    ]
    const certificate = certify(plan, outcomes, () => 'etag')
    expect(certificate.unread).toEqual([{ url: object.url, start: 0, end: 10 }])
    expect(certificate.failed).toEqual([{ url: object.url, index: 1, start: 10, end: 24, error: 'boom' }])
    const spans = certificate.objects[0]?.spans ?? []
    expect([0, ...spans.map(({ end }) => end)]).toEqual([...spans.map(({ start }) => start), 30])
  })

  it('an empty object is complete', () => {
    const empty = planOf(bytesBackend('').object, { objChunkNumber: 3 })
    const report = { start: 0, end: 0, deliveredEnd: 0 }
    expect(certify(empty, [{ state: 'committed', report }], () => 'etag')).toMatchObject({ complete: true })
  })
})

describe('a reader that is left early', () => {
  const { object: text, ...backend } = bytesBackend('aa\nbb\ncc\ndd\nee')
  const [partition] = planOf(text, {}).partitions

  it.each([
    { name: 'records', deliveredEnd: 6 },
    { name: 'lines', deliveredEnd: 6 },
  ] as const)('$name reports only what it gave', async ({ name, deliveredEnd }) => {
    const reader = openPartition(partition as never, { backend, read: { objNewline: '\n' } })
    let given = 0
    for await (const _ of reader[name]()) if (++given === 2) break
    expect(reader.report()).toMatchObject({ start: 0, deliveredEnd, records: 2 })
    expect(certify(planOf(text, {}), [{ state: 'committed', report: reader.report() }], () => 'etag').complete).toBe(
      false,
    )
    await readWith(reader, 'lineBatches')
    expect(reader.report()).toEqual({ start: 0, end: 14, deliveredEnd: 14, records: 5 })
    for await (const _ of reader[name]()) break
    expect(reader.report().deliveredEnd).toBe(14)
  })

  it.each(READERS)('%s may be read again', async (name) => {
    const reader = openPartition(partition as never, { backend, read: { objNewline: '\n' } })
    expect(await readWith(reader, name)).toEqual(await readWith(reader, name))
    expect(reader.report()).toMatchObject({ start: 0, end: 14, deliveredEnd: 14 })
  })
})

function certifyReports(reports: readonly ReadReport[]) {
  const outcomes = reports.map((report) => ({ state: 'committed', report }) as const)
  return certify(plan, outcomes, () => 'etag')
}
