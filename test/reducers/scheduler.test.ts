import { describe, expect, it } from 'vitest'
import { type ReduceGroup, ReduceScheduler } from '../../reducers/scheduler.ts'

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const one = (n: number): ReduceGroup[] => [{ maps: range(0, n) }]
const PLENTY = { free: 1_000, wantedByMaps: 0, waitingFree: 1_000 }
const none = { free: 0, wantedByMaps: 0, waitingFree: 0 }

describe('ReduceScheduler: the threshold', () => {
  it.each([
    [0, 10, 0],
    [20, 10, 2],
    [20, 11, 3],
    [20, 1, 1],
    [1, 1000, 10],
    [0.07, 10_000, 7],
    [7, 100, 7],
    [99.9, 10, 10],
    [100, 10, 10],
    [50, 0, 0],
  ])('%d percent of %d maps: after %d', (percent, n, threshold) => {
    const scheduler = new ReduceScheduler(one(n), percent)
    for (let map = 0; map < threshold; map++) {
      expect(scheduler.take(PLENTY)).toEqual([])
      scheduler.mapEnded(map, map % 2 === 0 ? 'succeeded' : 'tolerated')
    }
    expect(scheduler.take(PLENTY)).toHaveLength(1)
    expect(scheduler.take(PLENTY)).toEqual([])
    expect(scheduler.unstarted).toBe(0)
  })

  it.each([-1, 101, NaN])('refuses %d percent', (percent) => {
    expect(() => new ReduceScheduler(one(1), percent)).toThrow(expect.objectContaining({ code: 'VALIDATION' }))
  })
})

describe('ReduceScheduler: slots', () => {
  const ready = () => new ReduceScheduler(one(2), 0)
  it.each([
    ['a waiting slot first', { free: 1, wantedByMaps: 0, waitingFree: 1 }, [{ group: 0, waits: true }]],
    ['an ordinary one that no map wants', { free: 2, wantedByMaps: 1, waitingFree: 0 }, [{ group: 0, waits: false }]],
    ['none that a map wants', { free: 2, wantedByMaps: 2, waitingFree: 0 }, []],
    [
      'a waiting one although maps want the rest',
      { free: 0, wantedByMaps: 9, waitingFree: 1 },
      [{ group: 0, waits: true }],
    ],
    ['nothing free', none, []],
  ])('incomplete: %s', (_name, slots, starts) => {
    expect(ready().take(slots)).toEqual(starts)
  })

  it.each([
    ['an ordinary slot', { free: 1, wantedByMaps: 0, waitingFree: 1 }, [{ group: 0, waits: false }]],
    ['none that a map wants', { free: 1, wantedByMaps: 1, waitingFree: 0 }, []],
    ['never a waiting one', { free: 0, wantedByMaps: 0, waitingFree: 5 }, []],
  ])('complete: %s', (_name, slots, starts) => {
    const scheduler = ready()
    scheduler.mapEnded(0, 'succeeded')
    scheduler.mapEnded(1, 'succeeded')
    expect(scheduler.take(slots)).toEqual(starts)
  })

  it('complete groups before incomplete ones, each kind in order of arrival', () => {
    const groups = [{ maps: [0, 1] }, { maps: [2, 3] }, { maps: [4] }, { maps: [] }, { maps: [5, 6] }]
    const scheduler = new ReduceScheduler(groups, 50)
    for (const map of [5, 2, 4, 3]) scheduler.mapEnded(map, 'succeeded')
    expect(scheduler.take({ free: 4, wantedByMaps: 0, waitingFree: 0 })).toEqual([
      { group: 3, waits: false },
      { group: 2, waits: false },
      { group: 1, waits: false },
      { group: 4, waits: false },
    ])
    scheduler.mapEnded(0, 'succeeded')
    expect(scheduler.take(PLENTY)).toEqual([{ group: 0, waits: true }])
  })

  it('one worker: the reducer starts only when no map is left to run', () => {
    const scheduler = new ReduceScheduler(one(3), 0)
    for (const map of [0, 1]) {
      expect(scheduler.take({ free: 1, wantedByMaps: 3 - map, waitingFree: 0 })).toEqual([])
      scheduler.mapEnded(map, 'succeeded')
    }
    expect(scheduler.take({ free: 1, wantedByMaps: 1, waitingFree: 0 })).toEqual([])
    scheduler.mapEnded(2, 'succeeded')
    expect(scheduler.take({ free: 1, wantedByMaps: 0, waitingFree: 0 })).toEqual([{ group: 0, waits: false }])
  })
})

describe('ReduceScheduler: failed maps', () => {
  it('tells each group once, started or not, and starts none of them', () => {
    const scheduler = new ReduceScheduler([{ maps: [0, 1] }, { maps: [1, 2] }, { maps: [3] }], 0)
    expect(scheduler.take({ free: 0, wantedByMaps: 0, waitingFree: 1 })).toEqual([{ group: 0, waits: true }])
    expect(scheduler.mapFailed(1)).toEqual([0, 1])
    expect(scheduler.mapFailed(0)).toEqual([])
    scheduler.mapEnded(2, 'succeeded')
    expect(scheduler.unstarted).toBe(1)
    expect(scheduler.take(PLENTY)).toEqual([{ group: 2, waits: true }])
  })

  it('a map that feeds nothing concerns nobody', () => {
    const scheduler = new ReduceScheduler([{ maps: [1] }], 100)
    expect([scheduler.mapFailed(0), scheduler.mapFailed(7)]).toEqual([[], []])
    scheduler.mapEnded(1, 'succeeded')
    expect(scheduler.take(PLENTY)).toHaveLength(1)
  })

  it('a map told twice is a mistake of the caller', () => {
    const scheduler = new ReduceScheduler(one(2), 50)
    scheduler.mapEnded(0, 'succeeded')
    expect(() => scheduler.mapEnded(0, 'succeeded')).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
    expect(() => scheduler.mapFailed(0)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
  })
})

it('ReduceScheduler: a million maps in a hundred thousand groups, each started once', () => {
  const groups = range(0, 100_000).map((g) => ({ maps: range(g * 10, g * 10 + 10) }))
  const scheduler = new ReduceScheduler(groups, 30)
  const started = new Set<number>()
  for (let map = 0; map < 1_000_000; map++) {
    scheduler.mapEnded(map, 'succeeded')
    for (const { group } of scheduler.take({ free: 1, wantedByMaps: 1, waitingFree: 1 })) started.add(group)
  }
  expect([started.size, scheduler.unstarted]).toEqual([100_000, 0])
})

describe('ReduceScheduler: maps that are divided', () => {
  it('counts the new map in: the threshold is of all there are by then', () => {
    const scheduler = new ReduceScheduler(one(4), 50)
    scheduler.mapEnded(0, 'succeeded')
    scheduler.insert(1, 4)
    scheduler.mapEnded(4, 'succeeded')
    // two of five are less than half
    expect(scheduler.take(PLENTY)).toEqual([])
    scheduler.mapEnded(2, 'succeeded')
    expect(scheduler.take(PLENTY)).toEqual([{ group: 0, waits: true }])
  })

  it('takes back that a group may start, and lets it start later, once', () => {
    const scheduler = new ReduceScheduler(one(2), 50)
    scheduler.mapEnded(0, 'succeeded')
    scheduler.insert(1, 2)
    expect(scheduler.take(PLENTY)).toEqual([])
    scheduler.mapEnded(2, 'succeeded')
    expect(scheduler.take(PLENTY)).toEqual([{ group: 0, waits: true }])
    scheduler.mapEnded(1, 'succeeded')
    expect(scheduler.take(PLENTY)).toEqual([])
  })

  it('never takes a start back, and is complete only after the new one', () => {
    const scheduler = new ReduceScheduler([{ maps: [0] }, { maps: [1] }], 0)
    expect(scheduler.take(PLENTY)).toHaveLength(2)
    scheduler.insert(0, 2)
    expect(scheduler.take(PLENTY)).toEqual([])
    const half = new ReduceScheduler(one(2), 50)
    half.mapEnded(0, 'succeeded')
    expect(half.take(PLENTY)).toHaveLength(1)
    half.insert(1, 2)
    half.mapEnded(2, 'succeeded')
    half.mapEnded(1, 'succeeded')
    expect(half.take(PLENTY)).toEqual([])
    const whole = new ReduceScheduler(one(1), 100)
    whole.insert(0, 1)
    whole.mapEnded(0, 'succeeded')
    expect(whole.take(PLENTY)).toEqual([])
    whole.mapEnded(1, 'tolerated')
    expect(whole.take(PLENTY)).toEqual([{ group: 0, waits: false }])
  })

  it('a part of a part feeds the same groups; its failure fails them', () => {
    const scheduler = new ReduceScheduler([{ maps: [0] }, { maps: [1] }], 100)
    scheduler.insert(1, 2)
    scheduler.insert(2, 3)
    scheduler.mapEnded(0, 'succeeded')
    expect(scheduler.mapFailed(3)).toEqual([1])
    expect(scheduler.take(PLENTY)).toEqual([{ group: 0, waits: false }])
  })

  it('refuses a map that has ended, and a number that is taken', () => {
    const scheduler = new ReduceScheduler(one(2), 100)
    scheduler.mapEnded(0, 'succeeded')
    expect(() => scheduler.insert(0, 2)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
    expect(() => scheduler.insert(1, 1)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
    scheduler.insert(1, 2)
    expect(() => scheduler.insert(1, 2)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
    scheduler.mapEnded(2, 'succeeded')
    expect(() => scheduler.insert(2, 3)).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
    expect(() => scheduler.mapEnded(2, 'succeeded')).toThrow(expect.objectContaining({ code: 'INVALID_STATE' }))
  })
})
