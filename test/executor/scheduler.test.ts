import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Scheduler } from '../../src/executor/scheduler.ts'
import type { SchedulerCommand, SchedulerJob } from '../../src/executor/scheduler-protocol.ts'
import { play, type World } from '../support/simulated-schedule.ts'

const map = (calls: number, options: Partial<SchedulerJob> = {}): SchedulerJob => ({ id: 'M000', calls, ...options })

function reduce(groups: readonly (readonly number[])[], spawnReducer: number): SchedulerJob {
  const spec = { mapJob: 'M000', spawnReducer, anyOrder: false, groups: groups.map((maps) => ({ maps })) }
  return { id: 'R000', calls: groups.length, reduces: spec }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
const of = (commands: readonly SchedulerCommand[], type: SchedulerCommand['type']) =>
  commands.filter((c) => c.type === type)

const worlds = fc
  .record({
    slots: fc.integer({ min: 1, max: 4 }),
    waitingSlots: fc.integer({ min: 0, max: 2 }),
    maps: fc.integer({ min: 0, max: 40 }),
    chunksize: fc.option(fc.integer({ min: 1, max: 7 }), { nil: undefined }),
    groupSize: fc.integer({ min: 1, max: 10 }),
    spawnReducer: fc.integer({ min: 0, max: 100 }),
    timeoutMs: fc.option(fc.integer({ min: 5, max: 40 }), { nil: undefined }),
    retries: fc.integer({ min: 0, max: 3 }),
    seed: fc.integer(),
    fails: fc.constantFrom(0, 0.1, 0.5),
    dies: fc.constantFrom(0, 0.1, 0.4),
    diesUnstarted: fc.constantFrom(0, 0.2),
    failFast: fc.boolean(),
  })
  .map(({ slots, waitingSlots, maps, chunksize, groupSize, spawnReducer, timeoutMs, retries, failFast, ...rest }) => {
    const groups: number[][] = []
    for (let at = 0; at < maps; at += groupSize) groups.push(range(at, Math.min(maps, at + groupSize)))
    const policy = retries === 0 ? undefined : { attempts: retries + 1, baseMs: 10, maxMs: 100 }
    const jobs = [map(maps, { chunksize, timeoutMs, retries: policy, failFast }), reduce(groups, spawnReducer)]
    return { ...rest, limits: { slots, waitingSlots }, jobs, maxMs: 30 } satisfies World
  })

describe('the scheduler, over simulated schedules', () => {
  it('settles every call exactly once, within the slots, whatever dies or fails, and comes to rest', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { settled, withinLimits, idle } = play(world)
        const names = settled.map(({ job, call }) => `${job}/${call}`)
        const expected = world.jobs.flatMap(({ id, calls }) => range(0, calls).map((call) => `${id}/${call}`))
        expect(names.toSorted()).toEqual(expected.toSorted())
        expect(withinLimits).toBe(true)
        expect(idle).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('tries no call more often than its policy allows, and fails none that could be tried again', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const attempts = world.jobs[0]?.retries?.attempts ?? 1
        for (const each of play(world).settled) {
          if (each.job !== 'M000') continue
          expect(each.attempts).toBeLessThanOrEqual(attempts)
          const calm = world.dies === 0 && world.diesUnstarted === 0
          if (each.outcome === 'failed' && (calm || each.why !== 'death')) expect(each.attempts).toBe(attempts)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('without failures runs every call once and every reducer after its share of maps', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const calm = { ...world, fails: 0, dies: 0, diesUnstarted: 0 }
        const jobs = calm.jobs.map((job) => ({ ...job, timeoutMs: undefined }))
        const { settled, invoked } = play({ ...calm, jobs })
        expect(settled.every(({ outcome }) => outcome === 'succeeded')).toBe(true)
        const calls = invoked.flatMap((each) => each.calls.map((call) => `${each.job}/${call}`))
        expect(new Set(calls).size).toBe(calls.length)
        const spec = jobs[1]?.reduces
        for (const {
          job,
          calls: [group],
          endedMaps,
        } of invoked) {
          if (job !== 'R000') continue
          const size = spec?.groups[group as number]?.maps.length ?? 0
          expect(endedMaps).toBeGreaterThanOrEqual(Math.ceil(((spec?.spawnReducer ?? 0) * size) / 100))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('the scheduler', () => {
  const limits = { slots: 2, waitingSlots: 1 }
  const started = (invocation: number, call: number, job = 'M000') =>
    ({ type: 'attempt', event: { type: 'started', job, call, invocation } }) as const
  const lost = (invocation: number, call: number, begun: boolean) =>
    ({
      type: 'attempt',
      event: { type: 'lost', job: 'M000', call, invocation, started: begun, death: { reason: 'exited' } },
    }) as const

  it('fails only the started call of a dead worker and sends the others again', () => {
    const scheduler = new Scheduler(limits)
    scheduler.handle({ type: 'submitted', jobs: [map(3, { chunksize: 3 })] }, 0)
    scheduler.handle(started(1, 0), 1)
    const first = scheduler.handle(lost(1, 0, true), 2)
    expect(of(first, 'settle')).toMatchObject([{ call: 0, outcome: { type: 'failed', why: { by: 'death' } } }])
    const after = [lost(1, 1, false), lost(1, 2, false), { type: 'ended', invocation: 1 } as const]
    const again = after.flatMap((event) => of(scheduler.handle(event, 2), 'invoke'))
    expect(again.flatMap((c) => (c.type === 'invoke' ? c.calls : []))).toEqual([
      { call: 1, attempt: 1 },
      { call: 2, attempt: 1 },
    ])
  })

  it('gives up a call whose worker died three times before it began', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    let invocation = 0
    const commands = [...scheduler.handle({ type: 'submitted', jobs: [map(1)] }, 0)]
    for (let i = 0; i < 5; i++) {
      const next = commands.splice(0).find((c) => c.type === 'invoke')
      if (next?.type !== 'invoke') break
      invocation = next.invocation
      commands.push(
        ...scheduler.handle(lost(invocation, 0, false), i),
        ...scheduler.handle({ type: 'ended', invocation }, i),
      )
    }
    expect(invocation).toBe(3)
    expect(scheduler.idle).toBe(true)
  })

  it('stops a call at its timeout, counted from its start, and asks to be woken for it', () => {
    const scheduler = new Scheduler(limits)
    scheduler.handle({ type: 'submitted', jobs: [map(1, { timeoutMs: 100 })] }, 0)
    expect(of(scheduler.handle(started(1, 0), 50), 'wake')).toEqual([{ type: 'wake', atMs: 150 }])
    expect(scheduler.handle({ type: 'time' }, 149).filter((c) => c.type !== 'wake')).toEqual([])
    const over = scheduler.handle({ type: 'time' }, 150)
    expect(of(over, 'stop')).toEqual([{ type: 'stop', invocation: 1 }])
    expect(of(over, 'settle')).toMatchObject([{ call: 0, outcome: { why: { by: 'timeout', timeoutMs: 100 } } }])
  })

  it("counts a reduce call's time from its last input", () => {
    const scheduler = new Scheduler(limits)
    const job = { ...reduce([[0]], 0), timeoutMs: 100 }
    const commands = scheduler.handle({ type: 'submitted', jobs: [map(1), job] }, 0)
    const invocation = commands.flatMap((c) =>
      c.type === 'invoke' && c.job === 'R000' ? [c.invocation] : [],
    )[0] as number
    expect(of(scheduler.handle(started(invocation, 0, 'R000'), 10), 'wake')).toEqual([])
    expect(of(scheduler.handle({ type: 'fed', job: 'R000', call: 0 }, 500), 'wake')).toEqual([
      { type: 'wake', atMs: 600 },
    ])
  })

  it('cancels what is queued, and what runs only when asked to', () => {
    const reason = new Error('enough')
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    scheduler.handle({ type: 'submitted', jobs: [map(3, { chunksize: 1 })] }, 0)
    scheduler.handle(started(1, 0), 1)
    const calm = scheduler.handle({ type: 'cancel', job: 'M000', running: false, reason }, 2)
    expect(of(calm, 'settle').map((c) => c.type === 'settle' && c.call)).toEqual([1, 2])
    expect(of(calm, 'stop')).toEqual([])
    const hard = scheduler.handle({ type: 'cancel', job: 'M000', running: true, reason }, 3)
    expect(of(hard, 'stop')).toEqual([{ type: 'stop', invocation: 1 }])
    expect(scheduler.idle).toBe(true)
  })

  it('fails a reduce call at once with the map that failed, and lets its siblings run', () => {
    const scheduler = new Scheduler(limits)
    scheduler.handle({ type: 'submitted', jobs: [map(3, { chunksize: 1 }), reduce([[0, 1], [2]], 100)] }, 0)
    scheduler.handle(started(1, 0), 1)
    const error = new Uint8Array(0)
    const failed = scheduler.handle(
      { type: 'attempt', event: { type: 'failed', job: 'M000', call: 0, invocation: 1, error } },
      2,
    )
    expect(of(failed, 'settle')).toMatchObject([
      { job: 'M000', call: 0 },
      { job: 'R000', call: 0, outcome: { type: 'failed', why: { by: 'input', mapJob: 'M000', call: 0 } } },
    ])
    expect(scheduler.idle).toBe(false)
  })
})
