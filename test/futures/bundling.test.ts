import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bundleSize, isShort, mayLeave, observe, type Pace, UNKNOWN_PACE } from '../../src/futures/bundling.ts'

/** What is known after so many bundles of tasks of `ms`, each as large as the policy allows. */
function paceAfter(bundles: number, ms: number, from: Pace = UNKNOWN_PACE): Pace {
  let pace = from
  for (let i = 0; i < bundles; i++) {
    const tasks = bundleSize(pace, 1e6, 1)
    pace = observe(pace, { tasks, totalMs: tasks * ms, longestMs: ms })
  }
  return pace
}

describe('bundleSize', () => {
  it.each([
    ['an unknown function travels alone', UNKNOWN_PACE, 1_000, 2, 1],
    ['a slow one too', paceAfter(9, 5), 1_000, 2, 1],
    ['a short one grows by what was tried', paceAfter(1, 0.001), 1_000, 2, 4],
    ['up to about a millisecond of work', paceAfter(9, 0.01), 10_000, 2, 100],
    ['and no further', paceAfter(20, 0.0001), 100_000, 2, 512],
    ['the last ones are spread over the workers', paceAfter(20, 0.0001), 10, 4, 3],
    ['one task is one task', paceAfter(20, 0.0001), 1, 4, 1],
  ] as const)('%s', (_, pace, queued, workers, size) => {
    expect(bundleSize(pace, queued, workers)).toBe(size)
  })

  it('predicted work of more than one task never exceeds a millisecond', () => {
    const measured = fc.record({
      tasks: fc.integer({ min: 1, max: 512 }),
      mean: fc.double({ min: 1e-4, max: 50, noNaN: true }),
      longest: fc.double({ min: 1, max: 4, noNaN: true }),
    })
    fc.assert(
      fc.property(
        fc.array(measured, { maxLength: 20 }),
        fc.nat(100_000),
        fc.integer({ min: 1, max: 64 }),
        (all, n, w) => {
          let pace = UNKNOWN_PACE
          for (const { tasks, mean, longest } of all) {
            pace = observe(pace, { tasks, totalMs: tasks * mean, longestMs: mean * longest })
          }
          const size = bundleSize(pace, n, w)
          expect(size).toBeGreaterThanOrEqual(1)
          if (size > 1) expect(size * (pace.taskMs as number)).toBeLessThanOrEqual(1)
        },
      ),
    )
  })
})

describe('observe', () => {
  const fast = paceAfter(20, 0.001)

  it('believes slowness at once', () => {
    const slow = observe(fast, { tasks: 500, totalMs: 300, longestMs: 299 })
    expect(isShort(slow)).toBe(false)
    expect(bundleSize(slow, 1_000, 2)).toBe(1)
  })

  it('believes shortness only as often as it is seen', () => {
    const slow = observe(fast, { tasks: 500, totalMs: 300, longestMs: 299 })
    expect(isShort(paceAfter(8, 0.001, slow))).toBe(false)
    expect(isShort(paceAfter(9, 0.001, slow))).toBe(true)
  })

  it('takes a hiccup of one task for what it is', () => {
    const hiccup = observe(fast, { tasks: 500, totalMs: 8, longestMs: 7.5 })
    expect(bundleSize(hiccup, 10_000, 2)).toBeGreaterThan(50)
  })

  it('learns nothing from a bundle of which nothing ended', () => {
    expect(observe(fast, { tasks: 0, totalMs: 0, longestMs: 0 })).toBe(fast)
  })
})

describe('mayLeave', () => {
  const short = paceAfter(20, 0.001)
  it.each([
    ['to a free worker, whatever it is', { out: 1, short: 0 }, UNKNOWN_PACE, true],
    ['nothing slow ahead', { out: 2, short: 2 }, paceAfter(3, 5), false],
    ['nothing unknown ahead', { out: 2, short: 2 }, UNKNOWN_PACE, false],
    ['a short one ahead of short ones', { out: 2, short: 2 }, short, true],
    ['one for each worker', { out: 3, short: 3 }, short, true],
    ['and no more', { out: 4, short: 4 }, short, false],
    ['none behind what runs alone', { out: 2, short: 0 }, short, false],
  ] as const)('%s', (_, out, pace, leaves) => {
    expect(mayLeave(out, 2, pace)).toBe(leaves)
  })
})
