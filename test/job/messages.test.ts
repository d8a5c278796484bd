/** Payloads of invocations and reports come back as they were, in whichever of their forms they travel. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CallSpec, decodeCalls, encodeCalls, type Report } from '../../src/job/messages.ts'
import { decodeReports, encodeReport, encodeReports } from '../../src/job/report-bytes.ts'

const bytes = fc.uint8Array({ maxLength: 20 })
const item = fc.record({ type: fc.constant('item' as const), value: bytes })
const object = { backend: 'b', bucket: 'b', key: 'k', size: 1, etag: 'e', url: 'b://b/k' }
const others = fc.constantFrom(
  { type: 'results' as const, count: 3 },
  { type: 'partition' as const, partition: { object, range: { start: 0, end: 1 }, index: 0, count: 1 } },
)
const spec = (input: fc.Arbitrary<CallSpec['input']>): fc.Arbitrary<CallSpec> =>
  fc.record(
    { call: fc.nat(2 ** 32 - 1), attempt: fc.integer({ min: 1, max: 65_535 }), input, commit: fc.string() },
    { requiredKeys: ['call', 'attempt', 'input'] },
  )
const plain = fc.record({ call: fc.nat(2 ** 32 - 1), attempt: fc.integer({ min: 1, max: 65_535 }), input: item })

const numbers = { startedAt: 1, endedAt: 2, runMs: 0.5, cpuMs: 0.1, bytesRead: 2 ** 40, recordsRead: 0, resultBytes: 1 }
const stats = fc.constantFrom(
  { ...numbers, rssBytes: 5, workerPid: 7 },
  { ...numbers, rssBytes: 5, workerPid: 7, coldStart: true as const },
)
const call = fc.nat(2 ** 32 - 1)
const report: fc.Arbitrary<Report> = fc.oneof(
  fc.record({ type: fc.constant('started' as const), call }),
  fc.record({ type: fc.constant('succeeded' as const), call, result: bytes, stats }),
  fc.record({ type: fc.constant('succeeded' as const), call, result: bytes, stats, read: fc.constant({ records: 1 }) }),
  fc.record({ type: fc.constant('failed' as const), call, error: bytes, stats }),
  fc.record({ type: fc.constant('log' as const), call, text: fc.string(), stream: fc.constant('stdout' as const) }),
)

describe('the calls of an invocation', () => {
  it.each([
    ['items alone', fc.array(plain)],
    ['whatever they take', fc.array(spec(fc.oneof(item, others)))],
  ])('come back as they were: %s', (_what, calls) => {
    fc.assert(
      fc.property(calls as fc.Arbitrary<CallSpec[]>, (specs) => {
        // a payload lies anywhere in what was read
        const read = Buffer.concat([Buffer.from('?'), encodeCalls(specs)]).subarray(1)
        expect(decodeCalls(read)).toEqual(specs.map((one) => withBuffer(one)))
      }),
    )
  })
})

describe('reports', () => {
  it('come back as they were, alone, together and one behind the other', () => {
    fc.assert(
      fc.property(fc.array(report), (reports) => {
        const together = Buffer.concat([Buffer.from('?'), encodeReports(reports)]).subarray(1)
        expect(told(decodeReports(together))).toEqual(told(reports))
        expect(told(decodeReports(Buffer.concat(reports.map(encodeReport))))).toEqual(told(reports))
      }),
    )
  })
})

function withBuffer(one: CallSpec): CallSpec {
  return one.input.type === 'item' ? { ...one, input: { ...one.input, value: Buffer.from(one.input.value) } } : one
}

function told(reports: readonly Report[]): unknown[] {
  return reports.map((one) => {
    if (one.type === 'succeeded') return { ...one, result: [...one.result] }
    return one.type === 'failed' ? { ...one, error: [...one.error] } : one
  })
}
