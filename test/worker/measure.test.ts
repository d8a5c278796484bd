/** Processor time of calls that are shorter than it is worth to ask for. */
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ProcessMeter } from '../../src/worker/measure.ts'

let asked = 0
let clockMs = 0
/** What the process has used so far, us. */
let used = { user: 0, system: 0 }

function meterOf(calls: number): ProcessMeter {
  asked = 0
  clockMs = 50
  used = { user: 7_000, system: 3_000 }
  vi.spyOn(performance, 'now').mockImplementation(() => clockMs)
  vi.spyOn(process, 'cpuUsage').mockImplementation((before = { user: 0, system: 0 }) => {
    asked += 1
    return { user: used.user - before.user, system: used.system - before.system }
  })
  return new ProcessMeter(calls)
}

/** A call that takes so long and uses so much; what it is told. */
function call(meter: ProcessMeter, tookMs: number, userUs: number, systemUs = 0) {
  clockMs += tookMs
  used = { user: used.user + userUs, system: used.system + systemUs }
  return meter.takeCpu(clockMs)
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the processor time of calls', () => {
  it('adds up to what was used, however long they took', () => {
    const took = fc.record({
      tookMs: fc.double({ min: 0, max: 3, noNaN: true }),
      userUs: fc.nat(2_000),
      systemUs: fc.nat(99),
    })
    fc.assert(
      fc.property(fc.array(took, { minLength: 1, maxLength: 40 }), (calls) => {
        const meter = meterOf(calls.length)
        const told = calls.map(({ tookMs, userUs, systemUs }) => call(meter, tookMs, userUs, systemUs))
        const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0)
        const [userMs, systemMs] = [(used.user - 7_000) / 1_000, (used.system - 3_000) / 1_000]
        expect(told.every((one) => one.cpuUserMs >= 0 && one.cpuSystemMs >= 0)).toBe(true)
        // what was told too much before the last call cannot be taken back
        expect(sum(told.map(({ cpuUserMs }) => cpuUserMs))).toBeGreaterThanOrEqual(userMs - 1e-6)
        expect(sum(told.map(({ cpuSystemMs }) => cpuSystemMs))).toBeGreaterThanOrEqual(systemMs - 1e-6)
      }),
    )
  })

  it('is measured for each call that takes a millisecond or more', () => {
    const meter = meterOf(3)
    expect(call(meter, 1, 600, 300)).toEqual({ cpuUserMs: 0.6, cpuSystemMs: 0.3 })
    expect(call(meter, 20, 4_000)).toMatchObject({ cpuUserMs: expect.closeTo(4), cpuSystemMs: expect.closeTo(0) })
    expect(call(meter, 5, 10, 20)).toMatchObject({ cpuUserMs: expect.closeTo(0.01), cpuSystemMs: expect.closeTo(0.02) })
  })

  it('is shared out among shorter ones by how long they took, and the last has the rest', () => {
    const meter = meterOf(4)
    expect(call(meter, 0.2, 100)).toMatchObject({ cpuUserMs: 0.1 })
    const atFirst = asked
    // half of the time was used until now, so half of it is told
    expect(call(meter, 0.1, 90).cpuUserMs).toBeCloseTo(0.05)
    expect(call(meter, 0.3, 110).cpuUserMs).toBeCloseTo(0.15)
    expect(asked).toBe(atFirst)
    expect(call(meter, 0.1, 100).cpuUserMs).toBeCloseTo(0.1)
    expect(asked).toBe(atFirst + 1)
  })

  it('is asked for about once a millisecond of short calls', () => {
    const meter = meterOf(1_000)
    for (let i = 0; i < 1_000; i++) call(meter, 0.01, 10)
    expect(asked).toBeGreaterThan(5)
    expect(asked).toBeLessThan(15)
  })
})
