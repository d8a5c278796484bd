import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type GrowthRule, growthStep, settledSize } from '../../src/futures/thread-growth.ts'

const rule = (minWorkers: number, maxWorkers: number): GrowthRule => ({
  minWorkers,
  maxWorkers,
  growThreshold: 0.8,
  shrinkThreshold: 0.4,
})

describe('settledSize, as futurist maintains its threads', () => {
  it.each([
    ['the least is one', { workers: 0, idle: 0, queued: 0 }, rule(1, 10), 1],
    ['the least is made sure of', { workers: 0, idle: 0, queued: 0 }, rule(42, 100), 42],
    ['idle ones go, down to the least', { workers: 100, idle: 100, queued: 0 }, rule(42, 200), 42],
    ['all busy at the most: unchanged', { workers: 100, idle: 0, queued: 0 }, rule(1, 100), 100],
    ['busy ones grow until the load is below the threshold', { workers: 100, idle: 0, queued: 0 }, rule(1, 200), 126],
    ['within the range: unchanged', { workers: 100, idle: 50, queued: 0 }, rule(1, 200), 100],
    ['what waits counts', { workers: 100, idle: 30, queued: 20 }, rule(1, 200), 113],
    ['busy ones never go', { workers: 4, idle: 0, queued: 0 }, rule(1, 4), 4],
  ] as const)('%s', (_, load, limits, size) => {
    expect(settledSize(load, limits)).toBe(size)
  })
})

describe('growthStep', () => {
  it.each([
    ['below the least', { workers: 1, idle: 1, queued: 0 }, rule(2, 4), 1],
    ['at the grow threshold', { workers: 5, idle: 1, queued: 0 }, rule(1, 9), 1],
    ['just below it', { workers: 10, idle: 3, queued: 0 }, rule(1, 99), 0],
    ['at the shrink threshold', { workers: 5, idle: 3, queued: 0 }, rule(1, 9), -1],
    ['just above it', { workers: 10, idle: 5, queued: 0 }, rule(1, 99), 0],
    ['at the least', { workers: 1, idle: 1, queued: 0 }, rule(1, 9), 0],
    ['at the most', { workers: 9, idle: 0, queued: 50 }, rule(1, 9), 0],
  ] as const)('%s', (_, load, limits, step) => {
    expect(growthStep(load, limits)).toBe(step)
  })

  it('comes to an end within the limits, where no step is left', () => {
    const loads = fc.record({
      busy: fc.nat(50),
      idle: fc.nat(50),
      queued: fc.nat(50),
      min: fc.integer({ min: 1, max: 40 }),
    })
    fc.assert(
      fc.property(loads, fc.nat(60), ({ busy, idle, queued, min }, more) => {
        const limits = rule(min, min + more)
        const workers = busy + idle
        const size = settledSize({ workers, idle, queued }, limits)
        expect(growthStep({ workers: size, idle: size - busy, queued }, limits)).toBe(0)
        expect(size).toBeGreaterThanOrEqual(Math.min(min, Math.max(workers, min)))
        expect(size).toBeLessThanOrEqual(Math.max(workers, limits.maxWorkers))
      }),
    )
  })
})
