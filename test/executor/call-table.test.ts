/** What is kept of the calls of a job, in columns. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CallTable } from '../../src/executor/call-table.ts'
import { StatsColumns } from '../../src/executor/stats-columns.ts'
import { decodeStats, encodeStats, STATS_BYTES } from '../../src/job/stats-bytes.ts'
import type { WorkerStats } from '../../src/monitor/monitor.ts'

const STATS: WorkerStats = {
  startedAt: 1_700_000_000_001,
  endedAt: 1_700_000_000_002,
  runMs: 0.1,
  cpuMs: 0,
  bytesRead: 2 ** 40,
  recordsRead: 0,
  resultBytes: 3,
  rssBytes: 5,
  workerPid: 77,
}

const anyStats: fc.Arbitrary<WorkerStats> = fc
  .record(
    {
      runStartedAt: fc.nat(),
      runEndedAt: fc.nat(),
      peakRssBytes: fc.nat(),
      coldStart: fc.constant(true as const),
      runMs: fc.double({ noNaN: true }),
      requests: fc.constant({ aws_s3: { get: 1 } }),
      fromTheFuture: fc.oneof(fc.nat(), fc.string()),
    },
    { requiredKeys: [] },
  )
  .map((some) => ({ ...STATS, ...some }) as unknown as WorkerStats)

describe('the table of calls', () => {
  it('holds what became of each, and nothing of those of which nothing is known', () => {
    const table = new CallTable()
    table.append(4)
    table.sent(1, 10, 0)
    table.sent(1, 11, 5)
    expect([table.started(1, 12), table.started(1, 13)]).toEqual([true, false])
    table.measured(1, 2, STATS)
    table.end(1, 'succeeded', 14)
    expect([table.read(1, 15), table.read(1, 16)]).toEqual([true, false])
    expect(table.facts(1)).toEqual({
      attempts: 2,
      dataBytes: 5,
      sentAt: 11,
      startedAt: 13,
      endedAt: 14,
      readAt: 15,
      worker: STATS,
    })
    expect(table.moments(1)).toEqual({
      ...{ sentAt: 11, startedAt: 13, endedAt: 14, readAt: 15 },
      ...{ workerStartedAt: STATS.startedAt, workerEndedAt: STATS.endedAt },
    })
    expect(table.facts(0)).toEqual({ attempts: 0 })
    expect(table.moments(0)).toEqual({})
  })

  it('tells an item of no bytes from none', () => {
    const table = new CallTable()
    table.append(2)
    table.sent(0, 1, 0)
    table.sent(1, 1, undefined)
    expect([table.facts(0).dataBytes, table.facts(1).dataBytes]).toEqual([0, undefined])
  })

  it('tells where calls stand, in which order they ended, and which failed', () => {
    const table = new CallTable()
    table.append(5)
    table.started(3, 1)
    table.end(4, 'failed', 2, new Error('four'))
    table.end(0, 'cancelled', 2)
    table.end(2, 'succeeded', 3)
    expect([0, 1, 2, 3, 4, 9].map((call) => table.standing(call))).toEqual([
      ...['cancelled', 'pending', 'succeeded', 'running', 'failed', 'pending'],
    ])
    expect([0, 1, 3].map((call) => table.isDone(call))).toEqual([true, false, false])
    expect([table.ended, table.ending(0), table.ending(1), table.ending(2)]).toEqual([3, 4, 0, 2])
    expect([...table.unsuccessful()]).toEqual([0, 4])
    expect([table.error(4)?.message, table.error(0)]).toEqual(['four', undefined])
  })

  it('keeps what it holds when calls are appended', () => {
    const table = new CallTable()
    table.append(1)
    table.measured(0, 3, STATS)
    table.sent(0, 7, 8)
    table.end(0, 'succeeded', 9)
    for (let i = 0; i < 40; i++) table.append(1)
    table.measured(40, 1, { ...STATS, runMs: 4 })
    table.end(40, 'failed', 9, new Error('no'))
    expect(table.count).toBe(41)
    expect(table.facts(0)).toMatchObject({ attempts: 3, sentAt: 7, dataBytes: 8, endedAt: 9, worker: STATS })
    expect(table.facts(40)).toMatchObject({ attempts: 1, worker: { runMs: 4 } })
    expect([table.ending(0), table.ending(1)]).toEqual([0, 40])
  })

  it('joins what a call printed', () => {
    const table = new CallTable()
    table.append(2)
    table.addLog(1, 'a\n')
    table.addLog(1, 'b\n')
    expect([table.log(0), table.log(1)]).toEqual(['', 'a\nb\n'])
  })
})

describe('what workers measured', () => {
  it('comes back from columns as it was, whatever fields each call brought', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(7), anyStats), { maxLength: 20 }), (brought) => {
        const columns = new StatsColumns()
        columns.resize(4)
        const last = new Map<number, WorkerStats>()
        brought.forEach(([call, stats], i) => {
          if (i === 3) columns.resize(8)
          const place = i < 3 ? call % 4 : call
          columns.set(place, stats)
          last.set(place, stats)
        })
        for (let call = 0; call < 8; call++) expect(columns.get(call)).toEqual(last.get(call))
      }),
    )
  })

  it('gives one number, where it was brought', () => {
    const columns = new StatsColumns()
    columns.resize(3)
    columns.set(0, STATS)
    columns.set(1, { ...STATS, peakRssBytes: 9 })
    expect([0, 1, 2].map((call) => columns.number(call, 'peakRssBytes'))).toEqual([undefined, 9, undefined])
  })

  it('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(anyStats, (stats) => {
        const { bytes, rest } = encodeStats(stats)
        expect(bytes.byteLength).toBe(STATS_BYTES)
        const framed = Buffer.concat([Buffer.from('head'), bytes, Buffer.from('tail')])
        const carried = rest === undefined ? undefined : JSON.parse(JSON.stringify(rest))
        expect(decodeStats(framed, 4, carried)).toEqual(stats)
      }),
    )
    expect(encodeStats(STATS).rest).toBeUndefined()
  })
})
