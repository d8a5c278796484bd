/** The scheduler over simulated schedules, by the thousand: what must hold whatever fails, dies, stalls or is cancelled. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SchedulerJob } from '../../src/executor/scheduler-protocol.ts'
import { play, type Simulation, type World } from '../support/simulated-schedule.ts'

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const option = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

const reduceOf = (groups: readonly (readonly number[])[], spawnReducer: number): SchedulerJob => {
  const reduces = { mapJob: 'M000', spawnReducer, anyOrder: false, groups: groups.map((maps) => ({ maps })) }
  return { id: 'R000', calls: groups.length, reduces }
}

function groupsOf(maps: number, size: number): number[][] {
  const groups: number[][] = []
  for (let at = 0; at < maps; at += size) groups.push(range(at, Math.min(maps, at + size)))
  return groups
}

function restoredCall(call: number) {
  const outcome = { type: 'succeeded', result: new Uint8Array(0), stats: undefined as never } as const
  return { call, attempts: 1, outcome }
}

const policies = fc
  .record({ retries: fc.integer({ min: 0, max: 3 }), budget: option(fc.integer({ min: 0, max: 10 })) })
  .map(({ retries, budget }) => (retries === 0 ? undefined : { attempts: retries + 1, baseMs: 10, maxMs: 100, budget }))

const tolerances = fc.oneof(
  fc.constant(undefined),
  fc.nat({ max: 5 }).map((count) => ({ count })),
  fc.integer({ min: 0, max: 100 }).map((percent) => ({ percent })),
)

/** Failures of every kind, none of it in half of the worlds. */
const troubles = fc.record({
  fails: fc.constantFrom(0, 0, 0.1, 0.5),
  dies: fc.constantFrom(0, 0, 0.1, 0.4),
  diesUnstarted: fc.constantFrom(0, 0, 0.2),
  stalls: fc.constantFrom(0, 0, 0.05),
  refuses: fc.constantFrom(0, 0, 0, 0.05),
  splits: fc.constantFrom(0, 0, 0.1),
  stopMs: fc.constantFrom(0, 20),
})

const worlds = fc
  .record({
    slots: fc.integer({ min: 1, max: 6 }),
    waitingSlots: fc.integer({ min: 0, max: 2 }),
    maps: fc.integer({ min: 0, max: 40 }),
    groupSize: fc.integer({ min: 1, max: 10 }),
    spawnReducer: fc.integer({ min: 0, max: 100 }),
    seed: fc.integer(),
    troubles,
    retries: policies,
    job: fc.record({
      chunksize: option(fc.integer({ min: 1, max: 7 })),
      timeoutMs: option(fc.integer({ min: 5, max: 60 })),
      queueTimeoutMs: option(fc.integer({ min: 50, max: 400 })),
      silenceTimeoutMs: option(fc.integer({ min: 15, max: 60 })),
    }),
    ending: fc.oneof(
      fc.record({ failFast: fc.boolean() }),
      tolerances.map((maxFailures) => ({ maxFailures })),
    ),
    speculate: option(
      fc.record({
        minCalls: fc.nat(12),
        minDoneFraction: fc.double({ min: 0, max: 1, noNaN: true }),
        factor: fc.integer({ min: 1, max: 4 }),
      }),
    ),
    divides: fc.constantFrom(false, false, true),
    restored: fc.subarray(range(0, 40)),
    restores: fc.boolean(),
    cancels: fc.array(
      fc.record({
        atMs: fc.integer({ min: 0, max: 200 }),
        job: fc.constantFrom('M000', 'R000'),
        calls: option(fc.array(fc.nat(39), { maxLength: 5 })),
        running: fc.boolean(),
      }),
      { maxLength: 2 },
    ),
  })
  .map(({ slots, waitingSlots, maps, groupSize, spawnReducer, seed, cancels, ...rest }): World => {
    const done = rest.restores ? rest.restored.filter((call) => call < maps) : []
    const restored = done.map(restoredCall)
    const shared = { retries: rest.retries, speculate: rest.speculate }
    const map: SchedulerJob = { id: 'M000', calls: maps, restored, ...shared, ...rest.job, ...rest.ending }
    const divided = rest.divides ? { divides: () => true } : {}
    const reduce = { ...reduceOf(groupsOf(maps, groupSize), spawnReducer), ...shared, timeoutMs: rest.job.timeoutMs }
    const jobs = [{ ...map, ...divided }, reduce]
    return {
      ...rest.troubles,
      limits: { slots, waitingSlots },
      jobs,
      seed,
      maxMs: 30,
      cancels: cancels.map(({ calls, ...cancel }) => {
        const most = cancel.job === 'M000' ? maps : reduce.calls
        return calls === undefined ? cancel : { ...cancel, calls: calls.filter((call) => call < most) }
      }),
    }
  })

const nameOf = ({ job, call }: { job: string; call: number }) => `${job}/${call}`

/** Each try that began is one, and workers that die three times before they begin a call. */
function expectExactAttempts(world: World, { settled, began }: Simulation): void {
  const [map] = world.jobs as [SchedulerJob]
  const most = map.divides === undefined ? (map.retries?.attempts ?? 1) : Number.POSITIVE_INFINITY
  for (const each of settled) {
    const tries = began.get(nameOf(each)) ?? []
    const job = world.jobs.find(({ id }) => id === each.job)
    if (tries.length === 0 && job?.restored?.some(({ call }) => call === each.call) === true) continue
    if (each.outcome === 'succeeded') expect(each.attempts).toBe(Math.max(...tries))
    expect(each.attempts).toBeGreaterThanOrEqual(tries.length)
    expect(each.attempts).toBeLessThanOrEqual(tries.length + (world.diesUnstarted > 0 ? most : 0))
  }
}

/** What failed was tried as often as its policy says, where there was budget for it. */
function expectNoneGivenUp(world: World, { settled }: Simulation): void {
  const [map] = world.jobs as [SchedulerJob]
  if (map.divides !== undefined || world.diesUnstarted > 0 || map.retries?.budget !== undefined) return
  for (const each of settled) {
    if (each.job !== 'M000' || !['function', 'death', 'timeout', 'silence'].includes(each.why ?? '')) continue
    expect(each.attempts).toBeGreaterThanOrEqual(map.retries?.attempts ?? 1)
  }
}

/** One slot, a reducer that may start at once, and a call that waits to be divided while nothing else wants the slot. */
const DIVIDED_ALONE: World = {
  fails: 0.1,
  dies: 0.4,
  diesUnstarted: 0,
  limits: { slots: 1, waitingSlots: 0 },
  jobs: [{ id: 'M000', calls: 3, restored: [restoredCall(0)], divides: () => true }, reduceOf([[0, 1, 2]], 0)],
  seed: 0,
  maxMs: 30,
  cancels: [],
}

describe('the scheduler, over simulated schedules', () => {
  // in parts, so that none takes long on a busy machine
  it.each([1, 2, 3, 4])(
    'settles every call once, within the slots, whatever happens, and comes to rest (%i of 4)',
    () => {
      fc.assert(
        fc.property(worlds, (world) => {
          const played = play(world)
          expect(played.broken).toEqual([])
          expect(played.settled.map(nameOf).toSorted()).toEqual(played.names.toSorted())
          expect(played.idle).toBe(true)
          // as if all tries had come one after the other, each found dead after three seconds
          expect(played.lastMs).toBeLessThan((played.invoked.length + 1) * 4_000)
          expectExactAttempts(world, played)
          expectNoneGivenUp(world, played)
        }),
        { numRuns: 600, examples: [[DIVIDED_ALONE]] },
      )
    },
  )

  it('spends no more retries than the budget of the job, and all of it before it gives up', () => {
    const failing = fc.record({
      maps: fc.integer({ min: 1, max: 30 }),
      attempts: fc.integer({ min: 2, max: 5 }),
      budget: fc.nat({ max: 20 }),
      fails: fc.constantFrom(0.3, 0.7, 1),
      seed: fc.integer(),
    })
    fc.assert(
      fc.property(failing, ({ maps, attempts, budget, fails, seed }) => {
        const retries = { attempts, baseMs: 5, maxMs: 20, budget }
        const job = { id: 'M000', calls: maps, chunksize: 1, retries }
        const played = play({
          limits: { slots: 3, waitingSlots: 0 },
          jobs: [job],
          seed,
          fails,
          dies: 0,
          diesUnstarted: 0,
          maxMs: 10,
        })
        const spent = played.invoked.length - maps
        expect(spent).toBeLessThanOrEqual(budget)
        const early = played.settled.some((each) => each.outcome === 'failed' && each.attempts < attempts)
        if (early) expect(spent).toBe(budget)
      }),
      { numRuns: 300 },
    )
  })

  it('tolerates so many failures, tells reducers of no more, and ends the job with the next', () => {
    const failing = fc.record({
      maps: fc.integer({ min: 1, max: 30 }),
      maxFailures: tolerances,
      fails: fc.constantFrom(0, 0.1, 0.3),
      groupSize: fc.integer({ min: 1, max: 30 }),
      seed: fc.integer(),
    })
    fc.assert(
      fc.property(failing, ({ maps, maxFailures = { count: 0 }, fails, groupSize, seed }) => {
        const allowed = 'count' in maxFailures ? maxFailures.count : Math.floor((maxFailures.percent * maps) / 100)
        const jobs = [{ id: 'M000', calls: maps, maxFailures }, reduceOf(groupsOf(maps, groupSize), 100)]
        const courseOf = (job: string) => (job === 'R000' ? ({ ms: 1, end: 'succeeds' } as const) : undefined)
        const limits = { slots: 3, waitingSlots: 1 }
        const { settled } = play({ limits, jobs, seed, fails, dies: 0, diesUnstarted: 0, maxMs: 10, courseOf })
        const failed = settled.filter(({ job, outcome }) => job === 'M000' && outcome === 'failed')
        expect(failed.filter(({ tolerated }) => tolerated).length).toBe(Math.min(failed.length, allowed))
        expect(failed.length).toBeLessThanOrEqual(allowed + 1)
        const rest = settled.filter(({ job, outcome }) => job === 'M000' && outcome === 'cancelled')
        if (failed.length <= allowed) {
          expect(rest).toEqual([])
          expect(settled.filter(({ job }) => job === 'R000').every(({ outcome }) => outcome === 'succeeded')).toBe(true)
        } else for (const { atMs } of rest) expect(atMs).toBe(failed.at(-1)?.atMs)
      }),
      { numRuns: 350 },
    )
  })

  it('without failures runs every call once and every reducer after its share of maps', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const calm = { ...world, fails: 0, dies: 0, diesUnstarted: 0, stalls: 0, refuses: 0, splits: 0, cancels: [] }
        const jobs = calm.jobs.map((job) => {
          return {
            ...job,
            timeoutMs: undefined,
            queueTimeoutMs: undefined,
            silenceTimeoutMs: undefined,
            speculate: undefined,
          }
        })
        const { settled, invoked } = play({ ...calm, jobs })
        expect(settled.every(({ outcome }) => outcome === 'succeeded')).toBe(true)
        const calls = invoked.flatMap((each) => each.calls.map((call) => `${each.job}/${call}`))
        expect(new Set(calls).size).toBe(calls.length)
        const spec = jobs[1]?.reduces
        for (const { job, calls, endedMaps } of invoked) {
          if (job !== 'R000') continue
          const size = spec?.groups[calls[0] as number]?.maps.length ?? 0
          expect(endedMaps).toBeGreaterThanOrEqual(Math.ceil(((spec?.spawnReducer ?? 0) * size) / 100))
        }
      }),
      { numRuns: 350 },
    )
  })
})
