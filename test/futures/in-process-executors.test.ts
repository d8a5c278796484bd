/** What SynchronousExecutor and AsyncExecutor do beyond the contract of all executors. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { describe, expect, it } from 'vitest'
import { AsyncExecutor } from '../../src/futures/async-executor.ts'
import type { Executor } from '../../src/futures/executor.ts'
import { rejectWhenReached } from '../../src/futures/rejection.ts'
import { SynchronousExecutor } from '../../src/futures/synchronous-executor.ts'
import { isCollected } from '../support/collected.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

interface Gate {
  readonly passed: Promise<void>
  open(): void
}

function newGate(): Gate {
  let open: (() => void) | undefined
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { passed, open: () => open?.() }
}

describe('SynchronousExecutor', () => {
  it('has run a task when submit returns; an async one still runs', async () => {
    const executor = new SynchronousExecutor()
    const [done, failed] = [executor.submit(() => 1), executor.submit(() => JSON.parse('{'))]
    expect([done.state, done.snapshot().result, failed.failed()]).toEqual(['FINISHED', 1, true])
    const gate = newGate()
    const running = executor.submit(async () => gate.passed)
    expect([running.state, running.cancel(), executor.submit(() => 2).done()]).toEqual(['RUNNING', false, true])
    gate.open()
    await running
  })

  it('restarts after its end alone, with statistics from 0', async () => {
    const executor = new SynchronousExecutor()
    expect(() => executor.restart()).toThrow('restart: the executor was not shut down')
    await executor.submit(() => 1)
    const gate = newGate()
    const running = executor.submit(() => gate.passed)
    const over = executor.shutdown()
    expect(() => executor.restart()).toThrow(expect.objectContaining({ code: 'SHUTDOWN_EXECUTOR' }))
    gate.open()
    await Promise.all([over, running])
    executor.restart()
    expect([executor.alive, executor.statistics.executed]).toEqual([true, 0])
    expect(await executor.submit(() => 3)).toBe(3)
    expect(executor.statistics.executed).toBe(1)
    await executor.shutdown()
    expect(executor.alive).toBe(false)
  })

  it('gives each piece of work to runWorkFunc, which may keep it, lose it or fail', async () => {
    const kept: (() => void)[] = []
    const executor = new SynchronousExecutor({
      runWorkFunc: (work) => kept.push(work),
      checkAndReject: rejectWhenReached(2),
    })
    const futures = [executor.submit(() => 'ran'), executor.submit(() => 'cancelled')]
    expect([executor.queueSize, futures[0]?.state]).toEqual([2, 'PENDING'])
    expect(() => executor.submit(() => 3)).toThrow('Current backlog 2 is not allowed to go beyond 2')
    expect([futures[1]?.cancel(), executor.queueSize]).toEqual([true, 1])
    for (const work of kept) work()
    for (const work of kept) work()
    expect([await futures[0], executor.statistics]).toMatchObject(['ran', { executed: 1, cancelled: 1 }])
    const waiting = executor.submit(() => 4)
    await executor.shutdown({ cancelFutures: true })
    expect([waiting.cancelled(), executor.alive]).toEqual([true, false])

    const broken = new SynchronousExecutor({
      runWorkFunc: () => {
        throw new RangeError('no room')
      },
    })
    await expect(broken.submit(() => 1)).rejects.toThrow(new RangeError('no room'))
    expect(broken.queueSize).toBe(0)
    expect(() => new SynchronousExecutor({ runWorkFunc: 7 as never })).toThrow(
      'runWorkFunc: expected a function, got 7',
    )
  })

  it('measures by its clock the time that tasks run', async () => {
    const clock = new ManualClock()
    const kept: (() => void)[] = []
    const executor = new SynchronousExecutor({ clock, runWorkFunc: (work) => kept.push(work) })
    const sleep = (ms: number) => () => clock.pass(ms)
    executor.submit(sleep(200))
    executor.submit(sleep(100))
    clock.pass(10_000)
    for (const work of kept) work()
    expect(executor.statistics).toMatchObject({ executed: 2, runtime: 300, averageRuntime: 150 })
  })
})

describe('AsyncExecutor', () => {
  it('starts tasks after submit, so many at once, and the next as one ends', async () => {
    const executor = new AsyncExecutor({ maxWorkers: 2 })
    const gates = [newGate(), newGate(), newGate()]
    const futures = gates.map((gate) => executor.submit(() => gate.passed))
    expect(futures.map(({ state }) => state)).toEqual(['PENDING', 'PENDING', 'PENDING'])
    await settle()
    expect([futures.map(({ state }) => state), executor.numWorkers]).toEqual([['RUNNING', 'RUNNING', 'PENDING'], 2])
    gates[1]?.open()
    await futures[1]
    await settle()
    expect(futures[2]?.state).toBe('RUNNING')
    for (const gate of gates) gate.open()
    await executor.shutdown()
    expect(executor.numWorkers).toBe(0)
  })

  it('keeps the place of a function that goes on after its future was ended', async () => {
    const executor = new AsyncExecutor({ maxWorkers: 1 })
    const gate = newGate()
    const controller = new AbortController()
    const aborted = executor.submitWith({ signal: controller.signal }, () => gate.passed)
    const after = executor.submit(() => 'after')
    await settle()
    controller.abort()
    await settle()
    expect([aborted.cancelled(), after.state, executor.numWorkers]).toEqual([true, 'PENDING', 1])
    gate.open()
    expect(await after).toBe('after')
    // whose outcome is dropped may be ended by shutdown without waiting for it
    const endless = executor.submit(() => new Promise(() => undefined))
    await settle()
    await executor.shutdown({ killWorkers: true })
    await expect(endless).rejects.toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
  })

  it('leaves the event loop to others between many tasks that never wait', async () => {
    const executor = new AsyncExecutor()
    let ran = 0
    const futures = Array.from({ length: 5_000 }, () => executor.submit(() => ran++))
    const ranBefore = await new Promise<number>((resolve) => setImmediate(() => resolve(ran)))
    expect(ranBefore).toBeLessThan(5_000)
    await Promise.all(futures)
    expect(ran).toBe(5_000)
  })

  it('runs a task in the async context it was submitted in', async () => {
    const context = new AsyncLocalStorage<string>()
    const executor = new AsyncExecutor({ maxWorkers: 1 })
    const futures = ['a', 'b'].map((name) => context.run(name, () => executor.submit(async () => context.getStore())))
    expect(await Promise.all(futures)).toEqual(['a', 'b'])
  })

  it('drops what it holds of cancelled tasks, and counts the others', async () => {
    const executor = new AsyncExecutor({ maxWorkers: 1 })
    const gate = newGate()
    const running = executor.submit(() => gate.passed)
    await settle()
    const futures = Array.from({ length: 10 }, (_, i) => executor.submit(() => i))
    futures[9]?.cancel()
    expect(executor.queueSize).toBe(9)
    for (const future of futures.slice(2)) future.cancel()
    expect(executor.queueSize).toBe(2)
    futures[0]?.cancel()
    expect(executor.queueSize).toBe(1)
    gate.open()
    await running
    expect(await futures[1]).toBe(1)
    expect([executor.queueSize, executor.statistics.cancelled]).toEqual([0, 9])
  })

  it('refuses what it cannot do, and what was refused is not waited for', async () => {
    expect(() => new AsyncExecutor({ maxWorker: 1 } as never)).toThrow("did you mean 'maxWorkers'")
    const executor = new AsyncExecutor()
    const move = () => executor.submitWith({ transfer: [] }, () => 1)
    expect(move).toThrow('submitWith options.transfer: nothing travels in this executor')
    await executor.shutdown()
    expect(executor.alive).toBe(false)
    expect(() => rejectWhenReached(-1)).toThrow('rejectWhenReached: expected a whole number from 0, got -1')
  })
})

describe.each([
  ['SynchronousExecutor', () => new SynchronousExecutor()],
  ['AsyncExecutor', () => new AsyncExecutor()],
] as const)('%s holds nothing of', (_name, make: () => Executor) => {
  it('a task that is over: neither its function, its arguments nor its result', async () => {
    const executor = make()
    const submit = () => {
      const [argument, result] = [{ argument: 1 }, { result: 1 }]
      const fn = Object.assign((_argument: object) => result, { big: new Uint8Array(1_000) })
      executor.submit(fn, argument)
      return [fn, argument, result].map((each) => new WeakRef<object>(each))
    }
    for (const reference of submit()) expect(await isCollected(reference)).toBe(true)
    expect(executor.alive).toBe(true)
  })

  it('the results of a map that were taken', async () => {
    const results = make().map((n: number) => ({ n }), [1, 2])
    const take = async () => {
      const { value } = await results.next()
      expect(value).toEqual({ n: 1 })
      return new WeakRef<object>(value)
    }
    expect(await isCollected(await take())).toBe(true)
    expect(await results.next()).toEqual({ done: false, value: { n: 2 } })
  })
})
