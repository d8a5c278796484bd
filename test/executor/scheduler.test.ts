import { describe, expect, it } from 'vitest'
import { Scheduler } from '../../src/executor/scheduler.ts'
import type { SchedulerCommand, SchedulerJob } from '../../src/executor/scheduler-protocol.ts'
import { DEFAULT_SPECULATION } from '../../src/executor/stragglers.ts'
import { NO_STATS } from '../support/no-stats.ts'

const map = (calls: number, options: Partial<SchedulerJob> = {}): SchedulerJob => ({ id: 'M000', calls, ...options })

function reduce(groups: readonly (readonly number[])[], spawnReducer: number): SchedulerJob {
  const spec = { mapJob: 'M000', spawnReducer, anyOrder: false, groups: groups.map((maps) => ({ maps })) }
  return { id: 'R000', calls: groups.length, reduces: spec }
}

const of = (commands: readonly SchedulerCommand[], type: SchedulerCommand['type']) =>
  commands.filter((c) => c.type === type)

describe('the scheduler', () => {
  const limits = { slots: 2, waitingSlots: 1 }
  const started = (invocation: number, call: number, job = 'M000') =>
    ({ type: 'attempt', event: { type: 'started', job, call, invocation } }) as const
  const result = new Uint8Array(0)
  const succeeded = (invocation: number, call: number, job = 'M000') =>
    ({ type: 'attempt', event: { type: 'succeeded', job, call, invocation, result, stats: NO_STATS } }) as const
  const failed = (invocation: number, call: number) =>
    ({ type: 'attempt', event: { type: 'failed', job: 'M000', call, invocation, error: result } }) as const
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
    expect(of(scheduler.handle({ type: 'fed', invocation, call: 0 }, 500), 'wake')).toEqual([
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

  it('lets a neighbour go on when a call that waits behind it in a worker is cancelled, and stops it when it begins', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    scheduler.handle({ type: 'submitted', jobs: [map(3, { chunksize: 3 })] }, 0)
    scheduler.handle(started(1, 0), 1)
    const reason = new Error('not this one')
    const cancelled = scheduler.handle({ type: 'cancel', job: 'M000', calls: [1], running: true, reason }, 2)
    expect(of(cancelled, 'settle')).toMatchObject([{ call: 1, attempts: 0, outcome: { type: 'cancelled' } }])
    expect(of(cancelled, 'stop')).toEqual([])
    scheduler.handle(succeeded(1, 0), 3)
    expect(of(scheduler.handle(started(1, 1), 3), 'stop')).toEqual([{ type: 'stop', invocation: 1 }])
    scheduler.handle(lost(1, 1, true), 4)
    scheduler.handle(lost(1, 2, false), 4)
    const again = scheduler.handle({ type: 'ended', invocation: 1 }, 4)
    expect(of(again, 'invoke')).toMatchObject([{ calls: [{ call: 2, attempt: 1 }] }])
  })

  it('stops at once what has nothing left to run, also before it has begun', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    scheduler.handle({ type: 'submitted', jobs: [map(3, { chunksize: 3 })] }, 0)
    scheduler.handle(started(1, 2), 0)
    scheduler.handle(succeeded(1, 2), 0)
    const cancel = (call: number) =>
      scheduler.handle({ type: 'cancel', job: 'M000', calls: [call], running: true, reason: new Error('enough') }, 1)
    expect(of(cancel(1), 'stop')).toEqual([])
    expect(of(cancel(0), 'stop')).toEqual([{ type: 'stop', invocation: 1 }])
  })

  it('does not hold it against a call that it began while its worker was stopped for another', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    scheduler.handle({ type: 'submitted', jobs: [map(2, { chunksize: 2 })] }, 0)
    scheduler.handle(started(1, 0), 1)
    scheduler.handle({ type: 'cancel', job: 'M000', calls: [0], running: true, reason: new Error('enough') }, 2)
    scheduler.handle(succeeded(1, 0), 3)
    scheduler.handle(started(1, 1), 3)
    scheduler.handle(lost(1, 1, true), 4)
    const again = scheduler.handle({ type: 'ended', invocation: 1 }, 4)
    expect(of(again, 'invoke')).toMatchObject([{ calls: [{ call: 1, attempt: 2 }] }])
  })

  it('keeps a silence deadline from the last sign of life, whatever it was, and says what its worker did', () => {
    const activity = { state: 'R', cpuMs: 100, overMs: 100 }
    const asked: [number, number][] = []
    const scheduler = new Scheduler(limits, Math.random, (...asks) => {
      asked.push(asks)
      return activity
    })
    scheduler.handle({ type: 'submitted', jobs: [map(1, { silenceTimeoutMs: 100 })] }, 0)
    scheduler.handle(started(1, 0), 10)
    scheduler.handle({ type: 'heard', invocation: 1 }, 90)
    expect(of(scheduler.handle({ type: 'time' }, 110), 'wake')).toEqual([{ type: 'wake', atMs: 190 }])
    scheduler.handle(
      { type: 'attempt', event: { type: 'progress', job: 'M000', call: 0, invocation: 1, bytesRead: 1 } },
      180,
    )
    expect(of(scheduler.handle({ type: 'time' }, 190), 'settle')).toEqual([])
    const silent = scheduler.handle({ type: 'time' }, 280)
    expect(of(silent, 'settle')).toMatchObject([{ outcome: { why: { by: 'silence', timeoutMs: 100, activity } } }])
    expect(asked).toEqual([[1, 100]])
    expect(of(silent, 'stop')).toEqual([{ type: 'stop', invocation: 1 }])
  })

  it('fails what is queued too long, from each time it is, sent or not; what runs has been in time', () => {
    const scheduler = new Scheduler({ slots: 2, waitingSlots: 0 })
    const retries = { attempts: 2, baseMs: 0, maxMs: 0 }
    scheduler.handle({ type: 'submitted', jobs: [map(5, { chunksize: 2, queueTimeoutMs: 100, retries })] }, 0)
    scheduler.handle(started(1, 0), 10)
    scheduler.handle(started(2, 2), 10)
    scheduler.handle(lost(2, 2, true), 50)
    scheduler.handle({ type: 'time' }, 60)
    const over = scheduler.handle({ type: 'time' }, 100)
    const late = of(over, 'settle').map((c) => c.type === 'settle' && c.call)
    // call 2 is queued since 60
    expect(late).toEqual([1, 3, 4])
    expect(of(over, 'settle')).toMatchObject([{ outcome: { why: { by: 'queue', timeoutMs: 100 } } }, {}, {}])
    expect(of(scheduler.handle({ type: 'time' }, 160), 'settle')).toMatchObject([{ call: 2 }])
  })

  it('lets a reduce be queued as long as its maps take', () => {
    const scheduler = new Scheduler(limits)
    const jobs = [map(1), { ...reduce([[0]], 100), queueTimeoutMs: 10 }]
    expect(of(scheduler.handle({ type: 'submitted', jobs }, 0), 'wake')).toEqual([])
    expect(of(scheduler.handle({ type: 'time' }, 100), 'settle')).toEqual([])
  })

  it('sends calls that want other memory on their own', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    const retries = { attempts: 3, baseMs: 0, maxMs: 0 }
    scheduler.handle({ type: 'submitted', jobs: [map(4, { chunksize: 2, memoryMiB: 100, retries })] }, 0)
    scheduler.handle(started(1, 0), 1)
    const death = { reason: 'outOfMemory' } as const
    const ref = { type: 'lost', job: 'M000', invocation: 1, death } as const
    scheduler.handle({ type: 'attempt', event: { ...ref, call: 0, started: true } }, 2)
    scheduler.handle({ type: 'attempt', event: { ...ref, call: 1, started: false } }, 2)
    scheduler.handle({ type: 'time' }, 2)
    const sent = [...of(scheduler.handle({ type: 'ended', invocation: 1 }, 3), 'invoke')]
    for (let invocation = 2; invocation < 4; invocation++) {
      sent.push(...of(scheduler.handle({ type: 'ended', invocation }, 4), 'invoke'))
    }
    const told = sent.map((c) => c.type === 'invoke' && [c.memoryMiB, c.calls.map(({ call }) => call)])
    expect(told).toEqual([
      [undefined, [1]],
      [200, [0]],
      [undefined, [2, 3]],
    ])
  })

  it('settles what had ended before, and never runs it; what is told later ends what runs', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    const outcome = { type: 'succeeded', result: new Uint8Array(0), stats: NO_STATS } as const
    const restored = [{ call: 0, attempts: 3, outcome }]
    const commands = scheduler.handle({ type: 'submitted', jobs: [map(3, { chunksize: 1, restored })] }, 0)
    expect(of(commands, 'settle')).toMatchObject([{ call: 0, attempts: 3 }])
    expect(of(commands, 'invoke')).toMatchObject([{ calls: [{ call: 1, attempt: 1 }] }])
    scheduler.handle(started(1, 1), 1)
    const told = scheduler.handle({ type: 'restore', job: 'M000', call: 1, attempts: 1, outcome }, 2)
    expect(of(told, 'settle')).toMatchObject([{ call: 1, attempts: 1 }])
    expect(of(told, 'stop')).toEqual([{ type: 'stop', invocation: 1 }])
    expect(scheduler.handle({ type: 'divided', job: 'M000', call: 1, added: 1, keeps: 1 }, 3)).toEqual([])
  })

  it('takes nothing that had ended for a measure of stragglers', () => {
    const outcome = { type: 'succeeded', result: new Uint8Array(0), stats: NO_STATS } as const
    const restored = Array.from({ length: 90 }, (_, call) => ({ call, attempts: 1, outcome }))
    const scheduler = new Scheduler({ slots: 10, waitingSlots: 0 })
    const job = map(100, { chunksize: 1, restored, speculate: DEFAULT_SPECULATION })
    scheduler.handle({ type: 'submitted', jobs: [job] }, 0)
    for (let i = 1; i <= 10; i++) scheduler.handle(started(i, 89 + i), 0)
    for (let i = 1; i <= 5; i++) {
      scheduler.handle(succeeded(i, 89 + i), 1_000)
      scheduler.handle({ type: 'ended', invocation: i }, 1_000)
    }
    expect(of(scheduler.handle({ type: 'time' }, 3_000), 'invoke')).toEqual([])
    expect(of(scheduler.handle({ type: 'time' }, 3_001), 'invoke')).toHaveLength(5)
  })

  it('parks a call that may be divided, and queues it with its new part, as if neither had failed', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    const retries = { attempts: 2, baseMs: 0, maxMs: 0 }
    const jobs = [map(1, { retries, divides: () => true }), reduce([[0]], 100)]
    scheduler.handle({ type: 'submitted', jobs }, 0)
    const fail = (invocation: number, call: number, ms: number) => [
      ...scheduler.handle(started(invocation, call), ms),
      ...scheduler.handle(failed(invocation, call), ms),
      ...scheduler.handle({ type: 'ended', invocation }, ms),
      ...scheduler.handle({ type: 'time' }, ms + 1),
    ]
    expect(of(fail(1, 0, 10), 'divide')).toEqual([])
    expect(of(fail(2, 0, 20), 'divide')).toMatchObject([{ job: 'M000', call: 0, outcome: { type: 'failed' } }])
    const divided = scheduler.handle({ type: 'divided', job: 'M000', call: 0, added: 1 }, 30)
    expect(of(divided, 'appended')).toEqual([{ type: 'appended', job: 'M000', call: 0, first: 1, added: 1 }])
    expect(of(divided, 'invoke')).toMatchObject([{ calls: [{ call: 0, attempt: 3 }] }])
    // a second answer comes too late
    expect(scheduler.handle({ type: 'divided', job: 'M000', call: 0, added: 1 }, 31)).toEqual([])
    const outcome = { type: 'failed', why: { by: 'error', error: new Error('bad record') }, quarantined: true } as const
    expect(scheduler.handle({ type: 'resolve', job: 'M000', call: 0, outcome }, 32)).toEqual([])
    expect(of(fail(3, 0, 40), 'divide')).toEqual([])
    const next = of(fail(4, 1, 50), 'invoke')
    expect(next).toMatchObject([{ calls: [{ call: 0, attempt: 4 }] }])
    expect(of(fail(5, 0, 60), 'divide')).toHaveLength(1)
    const resolved = scheduler.handle({ type: 'resolve', job: 'M000', call: 0, outcome }, 70)
    expect(of(resolved, 'settle')).toMatchObject([{ call: 0, tolerated: true, attempts: 4 }])
    const last = scheduler.handle(succeeded(6, 1), 80)
    expect(of([...last, ...scheduler.handle({ type: 'ended', invocation: 6 }, 80)], 'invoke')).toMatchObject([
      { job: 'R000' },
    ])
  })

  it('does not count what is quarantined among the failures that are allowed', () => {
    const scheduler = new Scheduler({ slots: 1, waitingSlots: 0 })
    const job = map(3, { chunksize: 1, maxFailures: { count: 1 }, divides: (call) => call === 0 })
    scheduler.handle({ type: 'submitted', jobs: [job] }, 0)
    const fail = (invocation: number, call: number) =>
      [started(invocation, call), failed(invocation, call), { type: 'ended', invocation } as const].flatMap((event) => [
        ...scheduler.handle(event, 1),
      ])
    fail(1, 0)
    const why = { by: 'error', error: new Error('bad record') } as const
    const outcome = { type: 'failed', why, quarantined: true } as const
    scheduler.handle({ type: 'resolve', job: 'M000', call: 0, outcome }, 2)
    expect(of(fail(2, 1), 'settle')).toMatchObject([{ call: 1, tolerated: true }])
    expect(of(fail(3, 2), 'settle')).toMatchObject([{ call: 2, tolerated: false }])
  })

  describe('a backup', () => {
    /** Call 1 runs in invocation 2 and has been sent to invocation 3 too. */
    function backedUp(options: Partial<SchedulerJob> = {}): Scheduler {
      const scheduler = new Scheduler({ slots: 2, waitingSlots: 0 })
      const speculate = { minCalls: 1, minDoneFraction: 0, factor: 1 }
      scheduler.handle({ type: 'submitted', jobs: [map(2, { chunksize: 1, speculate, ...options })] }, 0)
      scheduler.handle(started(1, 0), 0)
      scheduler.handle(started(2, 1), 0)
      scheduler.handle(succeeded(1, 0), 10)
      scheduler.handle({ type: 'ended', invocation: 1 }, 10)
      const backup = scheduler.handle({ type: 'time' }, 200)
      expect(of(backup, 'invoke')).toMatchObject([{ invocation: 3, calls: [{ call: 1, attempt: 2 }] }])
      return scheduler
    }

    it('that the backend does not take leaves the first try as it is', () => {
      const scheduler = backedUp()
      const refused = scheduler.handle({ type: 'refused', invocation: 3, error: new Error('no') }, 201)
      expect(of(refused, 'settle')).toEqual([])
      const end = of(scheduler.handle(succeeded(2, 1), 202), 'settle')
      expect(end).toMatchObject([{ call: 1, attempts: 1, outcome: { type: 'succeeded' } }])
    })

    it('waits for a slot that no call to be tried again will want', () => {
      const scheduler = new Scheduler({ slots: 3, waitingSlots: 0 })
      const retries = { attempts: 2, baseMs: 1_000_000, maxMs: 1_000_000 }
      const speculate = { minCalls: 1, minDoneFraction: 0, factor: 1 }
      scheduler.handle({ type: 'submitted', jobs: [map(5, { chunksize: 1, speculate, retries })] }, 0)
      for (const [invocation, call] of [
        [1, 0],
        [2, 1],
        [3, 2],
      ] as const) {
        scheduler.handle(started(invocation, call), call)
      }
      scheduler.handle(succeeded(1, 0), 10)
      scheduler.handle({ type: 'ended', invocation: 1 }, 10)
      scheduler.handle(started(4, 3), 10)
      scheduler.handle(failed(4, 3), 11)
      scheduler.handle({ type: 'ended', invocation: 4 }, 11)
      scheduler.handle(started(5, 4), 12)
      // calls 1, 2 and 4 run, call 3 waits to be tried again
      scheduler.handle(succeeded(5, 4), 13)
      const ended = scheduler.handle({ type: 'ended', invocation: 5 }, 300)
      expect(of(ended, 'invoke')).toEqual([])
      const reason = new Error('enough')
      const free = scheduler.handle({ type: 'cancel', job: 'M000', calls: [3], running: true, reason }, 301)
      // one slot for two stragglers: it goes to the one that is later
      expect(of(free, 'invoke')).toMatchObject([{ calls: [{ call: 1, attempt: 2 }] }])
    })

    it('that is lost before it began leaves a call that runs, and is queued nowhere', () => {
      const scheduler = backedUp()
      scheduler.handle(lost(3, 1, false), 201)
      const reason = new Error('enough')
      expect(of(scheduler.handle({ type: 'cancel', job: 'M000', running: false, reason }, 202), 'settle')).toEqual([])
      expect(of(scheduler.handle(succeeded(2, 1), 203), 'settle')).toMatchObject([{ call: 1, attempts: 1 }])
    })

    it('that is lost before it began leaves the call with how its first try failed', () => {
      const scheduler = backedUp()
      expect(of(scheduler.handle(failed(2, 1), 201), 'settle')).toEqual([])
      const end = of(scheduler.handle(lost(3, 1, false), 202), 'settle')
      expect(end).toMatchObject([{ call: 1, attempts: 1, outcome: { why: { by: 'function' } } }])
    })

    it('goes on with the input that a division leaves, where its invocation keeps the call', () => {
      const scheduler = backedUp()
      scheduler.handle(started(3, 1), 201)
      const divided = scheduler.handle({ type: 'divided', job: 'M000', call: 1, added: 1, keeps: 2 }, 210)
      expect(of(divided, 'appended')).toMatchObject([{ call: 1, first: 2, added: 1 }])
      expect(of(divided, 'stop')).toEqual([{ type: 'stop', invocation: 3 }])
      // what the stopped try gives is of the whole input
      expect(of(scheduler.handle(succeeded(3, 1), 211), 'settle')).toEqual([])
      const taken = scheduler.handle({ type: 'ended', invocation: 3 }, 212)
      expect(of(taken, 'invoke')).toMatchObject([{ calls: [{ call: 2, attempt: 1 }] }])
      expect(of(scheduler.handle(succeeded(2, 1), 213), 'settle')).toMatchObject([{ call: 1 }])
    })
  })

  it('has no cost a call that grows with their number, in one job or in one job each', () => {
    for (const jobs of [
      [map(100_000, { chunksize: 1 })],
      Array.from({ length: 20_000 }, (_, i) => ({ id: `A${i}`, calls: 1 })),
    ]) {
      const scheduler = new Scheduler({ slots: 2, waitingSlots: 1 })
      const open: { invocation: number; job: string; call: number }[] = []
      const perform = (commands: readonly SchedulerCommand[]) => {
        for (const command of commands) {
          if (command.type !== 'invoke') continue
          open.push({ invocation: command.invocation, job: command.job, call: command.calls[0]?.call as number })
        }
      }
      for (const job of jobs) perform(scheduler.handle({ type: 'submitted', jobs: [job] }, 0))
      for (let each = open.pop(); each !== undefined; each = open.pop()) {
        scheduler.handle({ type: 'attempt', event: { ...each, type: 'started' } }, 0)
        scheduler.handle(succeeded(each.invocation, each.call, each.job), 0)
        perform(scheduler.handle({ type: 'ended', invocation: each.invocation }, 0))
      }
      expect(scheduler.idle).toBe(true)
    }
  })
})
