/** What every Monitor must do (src/monitor/monitor.ts), as tests. */
import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Report } from '../../src/job/messages.ts'
import { encodeReport } from '../../src/job/report-bytes.ts'
import type { AttemptEvent, Monitor, WorkerStats } from '../../src/monitor/monitor.ts'

const STATS: WorkerStats = {
  startedAt: 1,
  endedAt: 2,
  runMs: 1,
  cpuMs: 1,
  bytesRead: 0,
  recordsRead: 0,
  resultBytes: 1,
  rssBytes: 1,
  workerPid: 1,
}

export function testMonitor(name: string, create: () => Monitor): void {
  describe(`monitor ${name}`, () => {
    let monitor: Monitor
    let events: AttemptEvent[]
    const told = () => events.map(({ type, call }) => `${type} ${call}`)
    const say = (...reports: Report[]) => monitor.message(1, Buffer.concat(reports.map(encodeReport)))
    beforeEach(() => {
      monitor = create()
      events = []
      monitor.listen((event) => events.push(event))
    })

    it('passes reports on in order, with job and invocation', () => {
      monitor.watch(1, 'M000', [4, 5])
      say(started(4), succeeded(4), started(5))
      say({ type: 'progress', call: 5, bytesRead: 10 }, failed(5))
      monitor.ended(1)
      expect(told()).toEqual(['started 4', 'succeeded 4', 'started 5', 'progress 5', 'failed 5'])
      expect(events[1]).toMatchObject({ job: 'M000', invocation: 1, stats: STATS })
      const [, ok] = events
      expect(ok?.type === 'succeeded' ? Buffer.from(ok.result).toString() : undefined).toBe('result 4')
    })

    it('tells what an ended invocation had not ended as lost, and whether it had started', () => {
      monitor.watch(1, 'M000', [0, 1, 2])
      say(started(0), succeeded(0), started(1))
      const death = { reason: 'exited', exitCode: 9 } as const
      monitor.ended(1, death)
      expect(events.slice(3)).toEqual([
        { type: 'lost', job: 'M000', call: 1, invocation: 1, started: true, death },
        { type: 'lost', job: 'M000', call: 2, invocation: 1, started: false, death },
      ])
    })

    it('tells calls as lost that an invocation ended without, though it died of nothing', () => {
      monitor.watch(1, 'M000', [0])
      monitor.ended(1)
      expect(events).toMatchObject([{ type: 'lost', started: false, death: undefined }])
    })

    it('ignores what comes after an end, for unknown calls and for unknown invocations', () => {
      monitor.watch(1, 'M000', [0])
      say(started(0), failed(0), succeeded(0), failed(0), started(0), started(7), succeeded(7))
      monitor.message(2, encodeReport(started(0)))
      monitor.ended(1)
      monitor.ended(1)
      say(started(0))
      monitor.ended(2)
      expect(told()).toEqual(['started 0', 'failed 0'])
    })

    it.each([
      ['too short', Buffer.from([1, 2])],
      ['no JSON', Buffer.concat([Buffer.from([3, 0, 0, 0]), Buffer.from('xyz')])],
      ['a length beyond its end', Buffer.from([255, 255, 255, 127, 1])],
      ['JSON null', Buffer.concat([Buffer.from([4, 0, 0, 0]), Buffer.from('null')])],
      ['of no known type', encodeReport({ type: 'celebrated', call: 0 } as unknown as Report)],
      ['a result cut short', encodeReport(succeeded(0)).subarray(0, -1)],
    ])('ends attempts as lost when a report is %s', (_what, bytes) => {
      monitor.watch(1, 'M000', [0, 1])
      say(started(0))
      expect(() => monitor.message(1, bytes)).not.toThrow()
      say(succeeded(0))
      monitor.ended(1)
      expect(told()).toEqual(['started 0', 'lost 0', 'lost 1'])
    })

    it('gives exactly one end per attempt, whatever is reported', () => {
      const report = fc.oneof(
        fc.nat(3).map(started),
        fc.nat(3).map(succeeded),
        fc.nat(3).map(failed),
        fc.nat(3).map((call): Report => ({ type: 'log', call, text: 'x', stream: 'stdout' })),
      )
      fc.assert(
        fc.property(fc.array(report, { maxLength: 20 }), fc.boolean(), (reports, damaged) => {
          monitor = create()
          events = []
          monitor.listen((event) => events.push(event))
          monitor.watch(1, 'M000', [0, 1, 2])
          for (const one of reports) say(one)
          if (damaged) monitor.message(1, Buffer.from('damaged'))
          monitor.ended(1)
          for (const call of [0, 1, 2]) expectOneEnd(events.filter((event) => event.call === call))
        }),
      )
    })
  })
}

function expectOneEnd(events: readonly AttemptEvent[]): void {
  const ends = events.filter(({ type }) => type === 'succeeded' || type === 'failed' || type === 'lost')
  expect(ends).toEqual(events.slice(-1))
  expect(events.filter(({ type }) => type === 'started').length).toBeLessThanOrEqual(1)
}

function started(call: number): Report {
  return { type: 'started', call }
}

function succeeded(call: number): Report {
  return { type: 'succeeded', call, result: Buffer.from(`result ${call}`), stats: STATS }
}

function failed(call: number): Report {
  return { type: 'failed', call, error: Buffer.from('error') }
}
