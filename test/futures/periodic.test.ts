/** Periodic functions and the worker that calls them, by a clock that only the tests move. */
import { describe, expect, it, vi } from 'vitest'
import { RejectedSubmission } from '../../src/core/errors.ts'
import { AsyncExecutor } from '../../src/futures/async-executor.ts'
import { isPeriodic, NeverAgain, periodic } from '../../src/futures/periodic.ts'
import { nextCallMs, type PeriodicStrategy, STRATEGIES } from '../../src/futures/periodic-strategy.ts'
import { existingExecutor, PeriodicWorker, type PeriodicWorkerOptions } from '../../src/futures/periodic-worker.ts'
import { SynchronousExecutor } from '../../src/futures/synchronous-executor.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

const START_MS = 10_000

function stage(options: PeriodicWorkerOptions = {}) {
  const clock = new ManualClock(START_MS)
  const ran: string[] = []
  const log = vi.fn()
  const worker = new PeriodicWorker([], { clock, log, random: () => 0.5, ...options })
  const note = (name: string, ms = 0) => {
    ran.push(`${name} at ${clock.nowMs() - START_MS}`)
    clock.pass(ms)
  }
  const every = (spacing: number, name: string, more: { runImmediately?: boolean; takes?: number } = {}) => {
    const { takes, ...marks } = more
    return periodic({ spacing, ...marks })(() => note(name, takes))
  }
  return { clock, ran, log, worker, note, every }
}

describe('periodic', () => {
  const noop = () => undefined

  it('marks a function, which stays what it is; disabled ones are periodic too', () => {
    const fn = () => 7
    expect(isPeriodic(fn)).toBe(false)
    expect(periodic({ spacing: '1s' })(fn)).toBe(fn)
    expect([isPeriodic(fn), fn(), Object.keys(fn)]).toEqual([true, 7, []])
    expect(isPeriodic(periodic({ spacing: 5, enabled: false })(() => undefined))).toBe(true)
    expect([isPeriodic(7), isPeriodic(undefined), isPeriodic({})]).toEqual([false, false, false])
  })

  it.each([
    [{ spacing: 0 }, 'periodic options.spacing: expected more than 0'],
    [{ spacing: -1, enabled: true }, 'periodic options.spacing: expected more than 0'],
    [{ spacing: 'soon' }, 'periodic options.spacing: expected milliseconds'],
    [{}, 'periodic options.spacing: expected milliseconds'],
    [{ spacing: 1, runImmediatly: true }, "did you mean 'runImmediately'"],
  ])('refuses %j', (options, message) => {
    expect(() => periodic(options as never)(noop)).toThrow(message)
  })

  it('takes a spacing below 0 of what is disabled alone', () => {
    expect(isPeriodic(periodic({ spacing: -1, enabled: false })(() => undefined))).toBe(true)
    expect(() => periodic({ spacing: 1 })(7 as never)).toThrow('periodic: expected a function, got 7')
  })
})

describe('a strategy', () => {
  // spacing 2, started at 2, finished at 3 or 5
  it.each([
    ['last_finished', 3, 5],
    ['last_started', 3, 4],
    ['aligned_last_finished', 5, 6],
    ['aligned_last_finished', 4, 6],
    ['last_started', 50, 4],
  ] as const)('%s after an end at %d: next at %d', (strategy, finishedMs, expected) => {
    expect(nextCallMs(strategy, 2, { startedMs: 2, finishedMs }, 0.9)).toBe(expected)
  })

  it.each(STRATEGIES)('%s: with jitter up to 5 %% later', (strategy) => {
    const base = strategy.replace('_jitter', '') as PeriodicStrategy
    const call = { startedMs: 1_000, finishedMs: 1_500 }
    const plain = nextCallMs(base, 200, call, 0)
    const latest = nextCallMs(`${base}_jitter` as PeriodicStrategy, 200, call, 0.999)
    expect(latest - plain).toBeCloseTo(200 * 0.05 * 0.999)
    expect(nextCallMs(`${base}_jitter` as PeriodicStrategy, 200, call, 0)).toBe(plain)
  })

  it('that does not exist is refused with the names of those that do', () => {
    expect(() => new PeriodicWorker([], { strategy: 'sometimes' as never })).toThrow(/expected one of 'last_started', /)
  })

  it.each([
    ['last_started', ['a at 100', 'a at 200', 'a at 300', 'a at 400']],
    ['last_finished', ['a at 100', 'a at 230', 'a at 360']],
    // START_MS is a multiple of 100
    ['aligned_last_finished', ['a at 100', 'a at 200', 'a at 300', 'a at 400']],
    ['last_finished_jitter', ['a at 100', 'a at 232.5', 'a at 365']],
  ] as const)('%s is what the worker goes by', async (strategy, expected) => {
    const { clock, ran, worker, every } = stage({ strategy })
    worker.add(every(100, 'a', { takes: 30 }))
    const running = worker.start()
    await clock.advance(400)
    expect(ran).toEqual(expected)
    worker.stop()
    await running
  })
})

describe('a worker', () => {
  it('calls at 3, 5, 9 and 11, each as often as its spacing wants, first added first', async () => {
    const { clock, ran, worker, every } = stage()
    for (const spacing of [3, 5, 9, 11]) worker.add(every(spacing, `${spacing}`))
    const running = worker.start()
    await clock.advance(45)
    expect(worker.watchers.map(({ runs }) => runs)).toEqual([15, 9, 5, 4])
    expect(ran.filter((each) => each.endsWith(' at 45'))).toEqual(['3 at 45', '5 at 45', '9 at 45'])
    worker.stop()
    await running
    await clock.advance(100)
    expect(ran).toHaveLength(33)
    expect(clock.sleeping).toBe(0)
  })

  it('calls at once what wants it, also what is added while it waits, with its arguments', async () => {
    const { clock, ran, worker, every, note } = stage()
    worker.add(every(50, 'first', { runImmediately: true }))
    const running = worker.start()
    expect(ran).toEqual(['first at 0'])
    await clock.advance(10)
    const watcher = worker.add(periodic({ spacing: 50, runImmediately: true })(note), 'added', 0)
    await clock.advance(0)
    expect(ran).toEqual(['first at 0', 'added at 10'])
    await clock.advance(50)
    expect(ran).toEqual(['first at 0', 'added at 10', 'first at 50', 'added at 60'])
    expect(watcher).toMatchObject({ runs: 2, work: { args: ['added', 0], spacingMs: 50, name: 'note' } })
    worker.stop()
    await running
  })

  it('takes ten more while it runs', async () => {
    const { clock, worker, every } = stage()
    const running = worker.start({ allowEmpty: true })
    for (let i = 0; i < 10; i++) worker.add(every(10, `${i}`))
    await clock.advance(10)
    expect(worker.watchers.map(({ runs }) => runs)).toEqual(new Array(10).fill(1))
    worker.stop()
    await running
  })

  it('is not started twice, nor with nothing to call', async () => {
    const { worker, every } = stage()
    await expect(worker.start()).rejects.toThrow('only started with allowEmpty')
    worker.add(every(1, 'a'))
    const running = worker.start()
    await expect(worker.start()).rejects.toMatchObject({
      code: 'INVALID_STATE',
      message: 'a PeriodicWorker cannot be started twice',
    })
    expect(() => worker.reset()).toThrow('stop it first')
    worker.stop()
    await running
  })

  it('passes over what is disabled, and refuses what is not periodic', () => {
    const disabled = periodic({ spacing: 1, enabled: false })(() => undefined)
    const worker = new PeriodicWorker([disabled, [periodic({ spacing: 1 })((_n: number) => undefined), 7]])
    expect([worker.length, worker.add(disabled), worker.watchers[0]?.work.args]).toEqual([1, undefined, [7]])
    for (const wrong of [() => undefined, 7]) {
      expect(() => new PeriodicWorker([wrong as never])).toThrow('expected a function that periodic() was applied to')
      expect(() => worker.add(wrong as never)).toThrow('expected a function that periodic() was applied to')
    }
  })

  it('tells of failures, goes on, and goes on though it could not tell', async () => {
    const onFailure = vi.fn(() => {
      throw new RangeError('nobody listens')
    })
    const { clock, worker, log } = stage({ onFailure })
    const failure = new TypeError('doh!')
    const fails = periodic({ spacing: 100, runImmediately: true })(() => {
      throw failure
    })
    const watcher = worker.add(fails)
    const running = worker.start()
    await clock.advance(100)
    expect(onFailure.mock.calls).toEqual([
      [fails, 'IMMEDIATE', 100, failure],
      [fails, 'PERIODIC', 100, failure],
    ])
    expect(log).toHaveBeenCalledWith('onFailure of periodic (anonymous) threw:', new RangeError('nobody listens'))
    expect(watcher).toMatchObject({ runs: 2, failures: 2, successes: 0, requestedStop: false })
    worker.stop()
    await running
    expect(() => new PeriodicWorker([], { onFailure: 7 as never })).toThrow('onFailure: expected a function, got 7')
    const silent = stage()
    silent.worker.add(periodic({ spacing: 1, runImmediately: true })(() => JSON.parse('{')))
    void silent.worker.start()
    await settle()
    expect(silent.log).toHaveBeenCalledWith(expect.stringMatching(/^periodic .* failed:$/), expect.any(SyntaxError))
    silent.worker.stop()
  })

  it('measures its calls; reset begins them at 0, and then it can be started again', async () => {
    const { clock, ran, worker, every } = stage()
    const watcher = worker.add(every(100, 'a', { takes: 10 }))
    expect(watcher?.averageElapsed).toBeUndefined()
    const first = worker.start()
    await clock.advance(300)
    expect(watcher).toMatchObject({ runs: 3, successes: 3, elapsed: 30, averageElapsed: 10, averageElapsedWaiting: 0 })
    worker.stop()
    await first
    expect(await worker.wait()).toBe(true)
    worker.reset()
    expect(watcher).toMatchObject({ runs: 0, successes: 0, failures: 0, elapsed: 0, averageElapsed: undefined })
    const waiting = worker.wait({ timeout: 50 })
    const second = worker.start()
    await clock.advance(100)
    expect([await waiting, watcher?.runs, ran.length]).toEqual([false, 1, 4])
    worker.stop()
    await second
  })

  it('waits for what runs when it is stopped, never runs a function beside itself, and ends its executor', async () => {
    const clock = new ManualClock()
    const executor = new AsyncExecutor({ clock })
    const { worker } = stage({ clock, executorFactory: () => executor })
    let open: (() => void) | undefined
    const calls = vi.fn(() => new Promise<void>((resolve) => (open = resolve)))
    const watcher = worker.add(periodic({ spacing: 10 })(calls))
    let over = false
    const running = worker.start().then(() => {
      over = true
    })
    await clock.advance(100)
    expect(calls).toHaveBeenCalledTimes(1)
    worker.stop()
    await settle()
    expect([over, worker.active, executor.alive]).toEqual([false, true, true])
    open?.()
    await running
    expect([worker.active, executor.alive, watcher?.runs, watcher?.elapsed]).toEqual([false, false, 1, 90])
  })

  it('waits for what runs in an executor that stays, too', async () => {
    const clock = new ManualClock()
    const { worker } = stage({ clock, executorFactory: existingExecutor(new AsyncExecutor({ clock })) })
    let open: (() => void) | undefined
    worker.add(periodic({ spacing: 1, runImmediately: true })(() => new Promise<void>((resolve) => (open = resolve))))
    const running = worker.start()
    await clock.advance(0)
    worker.stop()
    await settle()
    expect(worker.active).toBe(true)
    open?.()
    await running
    expect(worker.active).toBe(false)
  })

  it('leaves an existing executor alive', async () => {
    const clock = new ManualClock()
    const executor = new SynchronousExecutor({ clock })
    for (const shutdown of [undefined, false, true]) {
      const { worker, every } = stage({ clock, executorFactory: existingExecutor(executor, { shutdown }) })
      worker.add(every(1, 'a'))
      const running = worker.start()
      worker.stop()
      await running
      expect(executor.alive).toBe(shutdown !== true)
    }
  })

  it('calls never again what says so: that was a good call, the others go on', async () => {
    const { clock, ran, worker, every } = stage()
    const once = vi.fn(() => {
      throw new NeverAgain('enough')
    })
    const watcher = worker.add(periodic({ spacing: 10 })(once))
    worker.add(every(10, 'other'))
    const running = worker.start()
    await clock.advance(30)
    expect([once.mock.calls.length, ran.length]).toEqual([1, 3])
    expect(watcher).toMatchObject({ runs: 1, successes: 1, failures: 0, requestedStop: true })
    worker.stop()
    await running
  })

  it('ends by itself when nothing is left, and what is added then never runs', async () => {
    const { clock, ran, worker, every } = stage()
    for (const spacing of [10, 20]) {
      worker.add(
        periodic({ spacing, runImmediately: true })(() => {
          throw new NeverAgain()
        }),
      )
    }
    await worker.start({ autoStopWhenEmpty: true })
    expect(worker.watchers.map(({ runs }) => runs)).toEqual([1, 1])
    worker.add(every(1, 'late', { runImmediately: true }))
    await clock.advance(100)
    expect([ran, await worker.wait({ timeout: 0 })]).toEqual([[], true])
    await stage().worker.start({ allowEmpty: true, autoStopWhenEmpty: true })
  })

  it('tries again about a second after its executor refused', async () => {
    let refusals = 2
    const clock = new ManualClock(START_MS)
    const executor = new SynchronousExecutor({
      clock,
      checkAndReject: () => {
        if (refusals-- > 0) throw new RejectedSubmission('full')
      },
    })
    const { ran, worker, log } = stage({ clock, executorFactory: () => executor })
    const fn = periodic({ spacing: 10, runImmediately: true })(() => void ran.push(`${clock.nowMs() - START_MS}`))
    worker.add(fn)
    const running = worker.start()
    await clock.advance(2_000)
    expect([ran, log.mock.calls.length]).toEqual([['2000'], 2])
    expect(log.mock.calls[0]?.[0]).toBe('periodic (anonymous) was refused and will be tried again:')
    worker.stop()
    await running
  })

  it('waits for its end, so long as it is told to', async () => {
    const { clock, worker, every } = stage()
    worker.add(every(10, 'a'))
    const controller = new AbortController()
    const [short, long] = [worker.wait({ timeout: '1s' }), worker.wait()]
    const aborted = worker.wait({ signal: controller.signal })
    const running = worker.start()
    await clock.advance(1_000)
    expect(await short).toBe(false)
    controller.abort(new RangeError('enough'))
    await expect(aborted).rejects.toThrow('enough')
    worker.stop()
    expect(await long).toBe(true)
    await running
  })

  it('stopped before it is started calls nothing', async () => {
    const { ran, worker, every } = stage()
    worker.add(every(1, 'a', { runImmediately: true }))
    worker.stop()
    await worker.start()
    expect(ran).toEqual([])
  })
})
