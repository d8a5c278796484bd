/** What is kept of the calls of a job, in columns. */
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { emptyCounts } from '../../src/core/tally.ts'
import { CallTable, PAGE_CALLS, TIMES } from '../../src/executor/call-table.ts'
import { SpillFile } from '../../src/executor/spill-file.ts'
import { StatsColumns } from '../../src/executor/stats-columns.ts'
import { readNumber, readStats, restOf, STATS_BYTES, writeStats } from '../../src/job/stats-bytes.ts'
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
    table.sent(2, 20, 5)
    table.started(2, 21)
    table.end(2, 'cancelled', 22)
    const unknown = Number.NaN
    expect(Array.from(table.times(1))).toEqual([
      ...[11, STATS.startedAt, STATS.endedAt, 15],
      ...[20, 21, 22, unknown],
      ...[unknown, unknown, unknown, unknown],
    ])
    expect(table.facts(0)).toEqual({ attempts: 0 })
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

const columnsOf = (calls: number) =>
  new StatsColumns(new DataView(new ArrayBuffer(calls * STATS_BYTES)), new Uint8Array(calls), new Map())

describe('what is known of very many calls', () => {
  it.each([
    ['in a file, each page written once', true],
    ['in memory, where no file can be written', false],
  ])('is the same where it lies %s', (_, takes) => {
    const file = new SpillFile()
    const written = vi.spyOn(file, 'write')
    if (!takes) written.mockReturnValue(undefined)
    const table = new CallTable(file)
    const count = 25 * PAGE_CALLS + 7
    for (let calls = 0; calls < count; calls += 1_000) table.append(Math.min(1_000, count - calls))
    expect(table.count).toBe(count)
    const order = Array.from({ length: count }, (_, i) => (i * 7) % count)
    for (const call of order) {
      table.sent(call, call + 1, call % 9)
      table.started(call, call + 2)
      const rest = call % 1_000 === 0 ? { requests: { s3: emptyCounts() } } : {}
      table.measured(call, (call % 5) + 1, { ...STATS, resultBytes: call, ...rest })
      if (call % 10 === 3) table.end(call, 'failed', call + 3, new Error(`no ${call}`))
      else table.end(call, 'succeeded', call + 3)
      if (call % 4 === 0) table.read(call, call + 4)
    }
    // 16 and the one that is not full are in memory
    expect(written.mock.calls.length).toBe(25 - 16)
    const moments = table.times(0)
    // from page to page, to and fro
    for (const call of [0, count - 1, ...order.filter((_, i) => i % 501 === 0), 0]) {
      const [requests, readAt] = [call % 1_000 === 0 ? emptyCounts() : undefined, call % 4 === 0 ? call + 4 : undefined]
      const times = { sentAt: call + 1, startedAt: call + 2, endedAt: call + 3, readAt }
      const facts = table.facts(call)
      expect(facts).toMatchObject({ ...times, attempts: (call % 5) + 1, dataBytes: call % 9 })
      expect([facts.worker?.resultBytes, facts.worker?.requests?.s3]).toEqual([call, requests])
      expect(Array.from(moments.subarray(TIMES * call, TIMES * (call + 1)))).toEqual([
        ...[call + 1, STATS.startedAt, STATS.endedAt, readAt ?? Number.NaN],
      ])
      expect(table.standing(call)).toBe(call % 10 === 3 ? 'failed' : 'succeeded')
      if (readAt !== undefined) expect(table.read(call, 1)).toBe(false)
      expect(table.error(call)?.message).toBe(call % 10 === 3 ? `no ${call}` : undefined)
    }
    expect(order.slice(0, 3).map((_, place) => table.ending(place))).toEqual(order.slice(0, 3))
    if (takes) expect(written.mock.calls.length).toBe(25)
  })
})

describe('what workers measured', () => {
  it('comes back from columns as it was, whatever fields each call brought', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(7), anyStats), { maxLength: 20 }), (brought) => {
        const columns = columnsOf(8)
        const last = new Map<number, WorkerStats>()
        for (const [call, stats] of brought) {
          columns.set(call, stats)
          last.set(call, stats)
        }
        for (let call = 0; call < 8; call++) expect(columns.get(call)).toEqual(last.get(call))
      }),
    )
  })

  it('gives one number, where it was brought', () => {
    const columns = columnsOf(3)
    columns.set(0, STATS)
    columns.set(1, { ...STATS, peakRssBytes: 9 })
    expect([0, 1, 2].map((call) => columns.number(call, 'peakRssBytes'))).toEqual([undefined, 9, undefined])
  })

  it('comes back from its bytes as it was', () => {
    fc.assert(
      fc.property(anyStats, (stats) => {
        const framed = new DataView(new ArrayBuffer(4 + STATS_BYTES + 4))
        writeStats(framed, 4, stats)
        expect([framed.getUint32(0), framed.getUint32(4 + STATS_BYTES)]).toEqual([0, 0])
        const rest = restOf(stats)
        const carried = rest === undefined ? undefined : JSON.parse(JSON.stringify(rest))
        expect(readStats(framed, 4, carried)).toEqual(stats)
        for (const name of ['workerPid', 'peakRssBytes'] as const) {
          expect(readNumber(framed, 4, name)).toBe(stats[name])
        }
      }),
    )
    expect(restOf(STATS)).toBeUndefined()
  })
})
