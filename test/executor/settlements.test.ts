/** What follows from the end of a call: whom it stops, what its reducers are told, and how its job ends. */
import { beforeEach, describe, expect, it } from 'vitest'
import { CancelledError } from '../../src/core/errors.ts'
import { Scheduler } from '../../src/executor/scheduler.ts'
import type { SchedulerCommand, SchedulerEvent, SchedulerJob } from '../../src/executor/scheduler-protocol.ts'

let scheduler: Scheduler
beforeEach(() => {
  scheduler = new Scheduler({ slots: 3, waitingSlots: 0 })
})

const tell = (event: SchedulerEvent) => scheduler.handle(event, 0)

function map(calls: number, options: Partial<SchedulerJob> = {}): SchedulerJob {
  return { id: 'M000', calls, chunksize: 1, ...options }
}

/** It reads these maps of `M000`; every one of an open job. */
function reduce(groups: readonly (readonly number[])[], open = false): SchedulerJob {
  const spec = { mapJob: 'M000', spawnReducer: 100, anyOrder: false, groups: groups.map((maps) => ({ maps })), open }
  return { id: 'R000', calls: groups.length, reduces: spec }
}

/** The call, which runs in the invocation of its number and one, fails. */
function fail(call: number): readonly SchedulerCommand[] {
  const at = { job: 'M000', call, invocation: call + 1 }
  tell({ type: 'attempt', event: { ...at, type: 'started' } })
  return tell({ type: 'attempt', event: { ...at, type: 'failed', error: new Uint8Array(0) } })
}

function settled(commands: readonly SchedulerCommand[]) {
  return commands.flatMap((command) => {
    if (command.type !== 'settle') return []
    const { job, call, outcome } = command
    return [{ call: `${job}/${call}`, type: outcome.type, ...(outcome.type === 'failed' ? { why: outcome.why } : {}) }]
  })
}

function stopped(commands: readonly SchedulerCommand[]): number[] {
  return commands.flatMap((command) => (command.type === 'stop' ? [command.invocation] : []))
}

describe('a failure that is not tolerated', () => {
  it.each<[string, Partial<SchedulerJob>]>([
    ['failFast', { failFast: true }],
    ['maxFailures', { maxFailures: { count: 0 } }],
  ])('with %s stops what runs; the reducer fails for it, and not for what it cancelled', (_, ending) => {
    tell({ type: 'submitted', jobs: [map(4, ending), reduce([[0, 1, 2, 3]])] })
    const commands = fail(1)
    expect(settled(commands)).toEqual([
      { call: 'M000/1', type: 'failed', why: { by: 'function', error: new Uint8Array(0) } },
      { call: 'R000/0', type: 'failed', why: { by: 'input', mapJob: 'M000', call: 1 } },
      ...[0, 2, 3].map((call) => ({ call: `M000/${call}`, type: 'cancelled' })),
    ])
    expect(stopped(commands)).toEqual([1, 3])
    expect(scheduler.idle).toBe(true)
  })

  it('fails no reducer that does not read it, though others failed before', () => {
    tell({ type: 'submitted', jobs: [map(2, { divides: (call) => call === 1 }), reduce([[0], [1]])] })
    expect(settled(fail(0)).map(({ call }) => call)).toEqual(['M000/0', 'R000/0'])
    fail(1)
    const outcome = { type: 'failed', why: { by: 'error', error: new Error('bad record') }, quarantined: true } as const
    const commands = tell({ type: 'resolve', job: 'M000', call: 1, outcome })
    expect(settled(commands).map(({ call }) => call)).toEqual(['M000/1'])
    expect(commands).toContainEqual(expect.objectContaining({ type: 'settle', tolerated: true }))
  })
})

describe('what is cancelled', () => {
  it('without what runs: calls that wait to be tried again too', () => {
    tell({ type: 'submitted', jobs: [map(2, { retries: { attempts: 2, baseMs: 1_000, maxMs: 1_000 } })] })
    expect(settled(fail(0))).toEqual([])
    const commands = tell({ type: 'cancel', job: 'M000', running: false, reason: new Error('enough') })
    expect(settled(commands)).toEqual([{ call: 'M000/0', type: 'cancelled' }])
  })

  it.each([
    ['cancelled', new CancelledError('enough')],
    ['failed', new Error('rotten')],
  ])('where an open job is: its reducer is %s', (type, reason) => {
    tell({ type: 'submitted', jobs: [map(0, { open: true }), reduce([[]], true)] })
    const commands = tell({ type: 'cancel', job: 'M000', running: true, reason })
    expect(settled(commands)).toMatchObject([{ call: 'R000/0', type }])
    expect(scheduler.idle).toBe(true)
  })
})

it('all that is there fails when the workers are broken, and open jobs are sealed', () => {
  const jobs = [map(2), map(1, { id: 'M001', open: true }), map(0, { id: 'M002', open: true })]
  tell({ type: 'submitted', jobs })
  const error = new Error('no workers')
  const commands = tell({ type: 'broken', error })
  expect(commands.flatMap((command) => (command.type === 'sealed' ? [command.job] : []))).toEqual(['M001', 'M002'])
  const why = { by: 'error', error }
  expect(settled(commands)).toEqual(['M000/0', 'M000/1', 'M001/0'].map((call) => ({ call, type: 'failed', why })))
  expect(stopped(commands)).toEqual([1, 2, 3])
  expect(scheduler.idle).toBe(true)
})
