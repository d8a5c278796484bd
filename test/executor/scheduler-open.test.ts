/** Jobs whose calls come while they run, over simulated schedules: calls, source, reducer and job all end, each once. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Scheduler } from '../../src/executor/scheduler.ts'
import type { SchedulerCommand, SchedulerJob } from '../../src/executor/scheduler-protocol.ts'
import { NO_STATS } from '../support/no-stats.ts'
import { play, type World } from '../support/simulated-schedule.ts'

const reduceJob = (spawnReducer: number): SchedulerJob => {
  const reduces = { mapJob: 'M000', spawnReducer, anyOrder: false, groups: [{ maps: [] }], open: true }
  return { id: 'R000', calls: 1, reduces }
}

const option = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

const worlds = fc
  .record({
    limits: fc.record({ slots: fc.integer({ min: 1, max: 5 }), waitingSlots: fc.nat(2) }),
    begun: fc.nat(10),
    arrivals: fc.array(fc.record({ atMs: fc.nat(200), added: fc.integer({ min: 1, max: 8 }) }), { maxLength: 6 }),
    laterMs: fc.nat(100),
    fails: fc.boolean(),
    spawnReducer: fc.nat(100),
    seed: fc.integer(),
    troubles: fc.record({
      fails: fc.constantFrom(0, 0, 0.1, 0.5),
      dies: fc.constantFrom(0, 0, 0.2),
      diesUnstarted: fc.constantFrom(0, 0, 0.2),
      refuses: fc.constantFrom(0, 0, 0.05),
    }),
    policy: fc.record({
      chunksize: option(fc.integer({ min: 1, max: 5 })),
      queueTimeoutMs: option(fc.integer({ min: 50, max: 400 })),
      retries: option(fc.constant({ attempts: 2, baseMs: 10, maxMs: 50 })),
    }),
    ending: fc.oneof(
      fc.record({ failFast: fc.boolean() }),
      fc.record({ maxFailures: fc.oneof(fc.record({ count: fc.nat(4) }), fc.record({ percent: fc.nat(100) })) }),
    ),
    cancels: fc.array(fc.record({ atMs: fc.nat(300), job: fc.constantFrom('M000', 'R000'), running: fc.boolean() }), {
      maxLength: 1,
    }),
  })
  .map(({ limits, begun, arrivals, laterMs, fails, spawnReducer, seed, troubles, policy, ending, cancels }): World => {
    const map: SchedulerJob = { id: 'M000', calls: begun, open: true, ...policy, ...ending }
    const endsAtMs = Math.max(0, ...arrivals.map(({ atMs }) => atMs)) + laterMs
    const source = { job: 'M000', arrivals: arrivals.toSorted((a, b) => a.atMs - b.atMs), endsAtMs, fails }
    return { ...troubles, limits, jobs: [map, reduceJob(spawnReducer)], seed, maxMs: 30, source, cancels }
  })

const nameOf = ({ job, call }: { job: string; call: number }) => `${job}/${call}`

describe('an open job, over simulated schedules', () => {
  it('settles every call that came once, and its reducer, and comes to rest', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { broken, settled, names, idle, sizes } = play(world)
        expect(broken).toEqual([])
        expect(settled.map(nameOf).toSorted()).toEqual(names.toSorted())
        expect(idle).toBe(true)
        const [reduce] = settled.filter(({ job }) => job === 'R000')
        const lost = settled.some(
          ({ job, outcome, tolerated }) => job === 'M000' && outcome !== 'succeeded' && !tolerated,
        )
        if (lost || (world.source?.fails && world.cancels?.length === 0)) expect(reduce?.outcome).not.toBe('succeeded')
        // without failures all that was read is run
        const calm = [world.fails, world.dies, world.diesUnstarted, world.refuses].every((chance) => chance === 0)
        const all = world.source?.arrivals.reduce((sum, { added }) => sum + added, world.jobs[0]?.calls ?? 0)
        if (calm && world.cancels?.length === 0 && world.jobs[0]?.queueTimeoutMs === undefined) {
          expect(sizes.get('M000')).toBe(all)
          const [first] = world.jobs
          const stopped = world.source?.fails && first?.failFast === true
          if (!stopped)
            expect(settled.every(({ job, outcome }) => job !== 'M000' || outcome === 'succeeded')).toBe(true)
          if (world.source?.fails !== true) expect(reduce?.outcome).toBe('succeeded')
        }
      }),
      { numRuns: 700 },
    )
  })
})

describe('an open job', () => {
  const limits = { slots: 1, waitingSlots: 1 }
  const of = (commands: readonly SchedulerCommand[], type: SchedulerCommand['type']) =>
    commands.filter((command) => command.type === type)

  function begun(job: Partial<SchedulerJob> = {}) {
    const scheduler = new Scheduler(limits)
    const told = [...scheduler.handle({ type: 'submitted', jobs: [{ id: 'M000', calls: 0, open: true, ...job }] }, 0)]
    const tell = (event: Parameters<Scheduler['handle']>[0]) => {
      const commands = scheduler.handle(event, 0)
      told.push(...commands)
      return commands
    }
    /** The one invocation that runs gives these. */
    const fail = (call: number) => {
      const invocation = (of(told, 'invoke').at(-1) as { invocation: number }).invocation
      tell({ type: 'attempt', event: { type: 'started', job: 'M000', call, invocation } })
      return tell({
        type: 'attempt',
        event: { type: 'failed', job: 'M000', call, invocation, error: new Uint8Array(0) },
      })
    }
    return { scheduler, told, tell, fail }
  }

  it('without calls waits for some, and ends when it is sealed', () => {
    const { scheduler, told, tell } = begun()
    expect([scheduler.idle, told]).toEqual([false, []])
    expect(tell({ type: 'sealed', job: 'M000' })).toEqual([{ type: 'sealed', job: 'M000', reason: undefined }])
    expect(scheduler.idle).toBe(true)
  })

  it('takes no calls any more when it was cancelled, and is sealed by that', () => {
    const { scheduler, tell } = begun({ calls: 2 })
    const reason = new Error('enough')
    const commands = tell({ type: 'cancel', job: 'M000', running: true, reason })
    expect(commands[0]).toEqual({ type: 'sealed', job: 'M000', reason })
    expect(of(commands, 'settle').length).toBe(2)
    expect(tell({ type: 'extended', job: 'M000', added: 3 })).toEqual([])
    expect(tell({ type: 'sealed', job: 'M000' })).toEqual([])
    expect(scheduler.idle).toBe(true)
  })

  it('has deadlines for the calls that come to it', () => {
    const scheduler = new Scheduler(limits)
    const jobs = [{ id: 'M000', calls: 1, open: true, chunksize: 1, queueTimeoutMs: 50 }]
    scheduler.handle({ type: 'submitted', jobs }, 0)
    const came = scheduler.handle({ type: 'extended', job: 'M000', added: 1 }, 40)
    expect(of(came, 'extended')).toEqual([{ type: 'extended', job: 'M000', added: 1 }])
    expect(of(scheduler.handle({ type: 'time' }, 60), 'settle')).toMatchObject([{ call: 0 }])
    expect(of(scheduler.handle({ type: 'time' }, 95), 'settle')).toMatchObject([{ call: 1 }])
  })

  it('goes on when one of its calls is cancelled', () => {
    const { tell } = begun({ calls: 2 })
    const commands = tell({ type: 'cancel', job: 'M000', calls: [1], running: true, reason: new Error('that one') })
    expect(of(commands, 'sealed')).toEqual([])
    expect(of(tell({ type: 'extended', job: 'M000', added: 1 }), 'extended').length).toBe(1)
  })

  it.each([
    ['failFast', { failFast: true }, 1],
    ['maxFailures, a number', { maxFailures: { count: 1 } }, 2],
    ['maxFailures, percent of what is known', { maxFailures: { percent: 10 } }, 2],
    ['no limit of failures', {}, 0],
  ] as const)('is sealed by the failures that end it: %s', (_, policy, failures) => {
    const { tell, fail } = begun({ chunksize: 1, calls: 10, ...policy })
    for (let call = 0; call < 3; call++) {
      const commands = fail(call)
      const over = failures > 0 && call + 1 >= failures
      expect(of(commands, 'sealed').length).toBe(call + 1 === failures ? 1 : 0)
      if (over) break
      tell({ type: 'ended', invocation: call + 1 })
    }
  })

  it('whose source fails lets its calls end; with failFast none but those that have', () => {
    for (const failFast of [false, true]) {
      const { tell } = begun({ calls: 3, failFast })
      const commands = tell({ type: 'sealed', job: 'M000', error: new Error('rotten') })
      expect(of(commands, 'settle').length).toBe(failFast ? 3 : 0)
    }
  })

  it('is reduced when all of it is known, and what had ended by then counts', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 1 })
    const jobs = [{ id: 'M000', calls: 1, open: true, chunksize: 1 }, reduceJob(50)]
    const [invoked] = scheduler.handle({ type: 'submitted', jobs }, 0)
    expect(invoked).toMatchObject({ type: 'invoke', job: 'M000', invocation: 1 })
    const ref = { job: 'M000', call: 0, invocation: 1 }
    scheduler.handle({ type: 'attempt', event: { ...ref, type: 'started' } }, 0)
    const event = { ...ref, type: 'succeeded', result: new Uint8Array(0), stats: NO_STATS } as const
    expect(of(scheduler.handle({ type: 'attempt', event }, 0), 'invoke')).toEqual([])
    expect(of(scheduler.handle({ type: 'extended', job: 'M000', added: 1 }, 0), 'invoke')).toEqual([])
    expect(of(scheduler.handle({ type: 'sealed', job: 'M000' }, 0), 'invoke')).toMatchObject([
      { job: 'R000', waits: true },
    ])
  })
})
