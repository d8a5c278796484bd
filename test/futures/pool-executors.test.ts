/** What holds of every executor with workers, processes or threads. */
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import type { PoolExecutor } from '../../src/futures/pool-executor.ts'
import type { PoolExecutorOptions } from '../../src/futures/pool-options.ts'
import { ProcessPoolExecutor } from '../../src/futures/process-pool-executor.ts'
import { ThreadPoolExecutor } from '../../src/futures/thread-pool-executor.ts'
import { Gates, until, waitFor } from '../support/task-gates.ts'

const gates = new Gates()
const opened: PoolExecutor[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map((executor) => executor.shutdown({ killWorkers: true })))
})
afterAll(() => gates.remove())

describe.each([
  ['ProcessPoolExecutor', (options: PoolExecutorOptions) => new ProcessPoolExecutor(options)],
  ['ThreadPoolExecutor', (options: PoolExecutorOptions) => new ThreadPoolExecutor(options)],
] as const)('%s', (name, make) => {
  const open = (options: PoolExecutorOptions = {}) => {
    const executor = make({ maxWorkers: 2, ...options })
    opened.push(executor)
    return executor
  }

  it.each([
    [{ maxWorkers: 0 }, 'maxWorkers must be greater than 0, got 0'],
    [{ maxWorkers: -1 }, 'maxWorkers must be greater than 0, got -1'],
    [{ maxWorkers: 1.5 }, 'maxWorkers: expected a whole number from 1'],
    [{ maxWorker: 2 }, "unknown option, did you mean 'maxWorkers'?"],
    [{ idleTimeout: 'soon' }, 'idleTimeout: expected'],
    [{ idleTimeout: 0 }, 'idleTimeout: expected'],
    [{ maxTasksPerWorker: 0 }, 'maxTasksPerWorker: expected a whole number from 1'],
    [{ maxMemoryGrowth: '3 apples' }, 'maxMemoryGrowth: expected'],
    [{ runtimeMemory: -5 }, 'runtimeMemory: expected'],
    [{ onCrash: 'panic' }, "onCrash: expected one of 'replace', 'break'"],
    [{ env: { A: 1 } }, 'env: expected an object of texts'],
    [{ initializer: 'f' }, 'initializer: expected a function'],
    [{ initargs: 5 }, 'initargs: expected a list'],
    [{ checkAndReject: 1 }, 'checkAndReject: expected a function'],
    [{ stdout: 'elsewhere' }, "stdout: expected 'inherit', 'ignore' or a function"],
    [{ workerName: '' }, 'workerName: expected text'],
  ])('refuses %o', (options, message) => {
    expect(() => make(options as never)).toThrow(message)
    expect(() => make(options as never)).toThrow(`${name} options`)
  })

  it('starts no worker before there is work, and one for tasks in sequence', async () => {
    const executor = open()
    expect([executor.numWorkers, executor.idleWorkers, executor.queueSize]).toEqual([0, 0, 0])
    for (const x of [1, 2, 3]) expect(await executor.submit((y: number) => y * 2, x)).toBe(x * 2)
    expect(executor.numWorkers).toBe(1)
    await until(() => executor.idleWorkers === 1, 'an idle worker')
  })

  it('never has more workers than maxWorkers, and runs everything', async () => {
    const executor = open({ maxWorkers: 3 })
    const [gate, started] = [gates.gate(), gates.gate()]
    const futures = Array.from({ length: 45 }, () => executor.submit(waitFor, gate, started))
    await until(() => gates.lines(started).length === 3, 'three running')
    expect(executor.numWorkers).toBe(3)
    expect(executor.queueSize).toBe(42)
    gates.open(gate)
    await Promise.all(futures)
    expect(executor.numWorkers).toBe(3)
  })

  it('runs higher priority first, equals in order', async () => {
    const executor = open({ maxWorkers: 1 })
    const [gate, started] = [gates.gate(), gates.gate()]
    const blocker = executor.submit(waitFor, gate, started)
    await until(() => gates.lines(started).length === 1, 'the worker is taken')
    const order: number[] = []
    const futures = [0, 5, -1, 5, 0].map((priority, i) => executor.submitWith({ priority }, (n: number) => n, i))
    for (const [i, future] of futures.entries()) future.addDoneCallback(() => order.push(i))
    gates.open(gate)
    await Promise.all([blocker, ...futures])
    expect(order).toEqual([1, 3, 0, 4, 2])
  })

  it('cancels what waits; it never runs', async () => {
    const executor = open({ maxWorkers: 2 })
    const [gate, started, ran] = [gates.gate(), gates.gate(), gates.gate()]
    const blockers = [1, 2].map(() => executor.submit(waitFor, gate, started))
    await until(() => gates.lines(started).length === 2, 'both workers taken')
    const doomed = executor.submit(waitFor, gate, ran)
    const kept = executor.submit((x: number) => x, 7)
    expect(doomed.cancel()).toBe(true)
    expect(executor.queueSize).toBe(1)
    gates.open(gate)
    expect(await kept).toBe(7)
    await Promise.all(blockers)
    await expect(doomed.result()).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(gates.lines(ran)).toEqual([])
  })

  it('an abort ends even an endless loop; what comes after runs', async () => {
    const executor = open({ maxWorkers: 2 })
    const controller = new AbortController()
    const started = gates.gate()
    const spin = (path: string) => {
      process.getBuiltinModule('node:fs').writeFileSync(path, 'x\n')
      for (;;);
    }
    const doomed = executor.submitWith({ signal: controller.signal }, spin, started)
    await until(() => gates.lines(started).length === 1, 'it spins')
    const reason = new Error('enough')
    controller.abort(reason)
    await expect(doomed.result()).rejects.toMatchObject({ code: 'CANCELLED', cause: reason })
    expect(await Promise.all([1, 2, 3].map((x) => executor.submit((y: number) => y, x)))).toEqual([1, 2, 3])
  })

  it('an abort before or after it runs harms nobody', async () => {
    const executor = open()
    const before = AbortSignal.abort(new Error('never'))
    const never = executor.submitWith({ signal: before }, () => 1)
    await expect(never.result()).rejects.toMatchObject({ code: 'CANCELLED' })
    const controller = new AbortController()
    const done = executor.submitWith({ signal: controller.signal }, () => 2)
    expect(await done).toBe(2)
    const [worker] = executor.workers
    controller.abort()
    expect(await executor.submit(() => 3)).toBe(3)
    expect(executor.workers[0]?.id).toBe(worker?.id)
  })

  it('a value that cannot travel fails its task alone', async () => {
    const executor = open()
    const identity = (x: unknown) => x
    const trap = {
      get x(): number {
        throw new RangeError('trap')
      },
    }
    const bad = [() => 1, Symbol('s'), new WeakMap(), trap]
    const values = Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? bad[(i / 2) % bad.length] : i))
    const results = await Promise.allSettled(values.map((value) => executor.submit(identity, value)))
    for (const [i, result] of results.entries()) {
      if (i % 2 === 1) expect(result).toEqual({ status: 'fulfilled', value: i })
      else expect(result).toMatchObject({ status: 'rejected', reason: { code: 'SERIALIZATION' } })
    }
    const returned = executor.submit(() => ({ deep: [() => 1] }))
    await expect(returned.result()).rejects.toThrow('result.deep[0]')
    expect(await executor.submit(identity, 'well')).toBe('well')
  })

  it('keeps the errors of tasks: class, message, code, cause, data', async () => {
    const executor = open()
    const thrower = () => {
      throw Object.assign(new RangeError('too far', { cause: new TypeError('why') }), { code: 'E_FAR', at: [1, 2] })
    }
    const error = await executor.submit(thrower).exception()
    expect(error).toBeInstanceOf(RangeError)
    expect(error).toMatchObject({ message: 'too far', code: 'E_FAR', at: [1, 2], cause: { message: 'why' } })
    const nothing = await executor
      .submit(() => {
        throw undefined
      })
      .exception()
    expect(nothing).toBeInstanceOf(Error)
  })

  it('replaces a worker after so many tasks', async () => {
    const executor = open({ maxWorkers: 2, maxTasksPerWorker: 3 })
    const who = () => process.getBuiltinModule('node:worker_threads').threadId * 1e7 + process.pid
    const ids: number[] = []
    for (let i = 0; i < 7; i++) ids.push(await executor.submit(who))
    expect(new Set(ids.slice(0, 3)).size).toBe(1)
    expect(new Set(ids.slice(3, 6)).size).toBe(1)
    expect(new Set(ids).size).toBe(3)
    expect(await Promise.all(Array.from({ length: 20 }, (_, i) => executor.submit((x: number) => x, i)))).toHaveLength(
      20,
    )
    const chunked = executor.map((x: number) => x, [1, 2, 3, 4, 5, 6, 7, 8], { chunksize: 8 })
    const all: number[] = []
    for await (const x of chunked) all.push(x)
    expect(all).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('lets idle workers go, and starts others when there is work', async () => {
    const executor = open({ idleTimeout: 5 })
    for (let round = 0; round < 5; round++) {
      expect(await executor.submit((x: number) => x, round)).toBe(round)
      await until(() => executor.workers.length === 0, 'no worker')
    }
  })

  it('an idle time-out shorter than anything stalls nothing', async () => {
    const executor = open({ idleTimeout: 0.001 })
    const slow = (x: number) => new Promise<number>((resolve) => setTimeout(() => resolve(x), 3))
    for (let i = 0; i < 10; i++) {
      expect(await Promise.all([0, 1, 2].map((x) => executor.submit(slow, x)))).toEqual([0, 1, 2])
    }
    await executor.shutdown()
  })

  it('gives workers their environment before anything else, and leaves ours alone', async () => {
    const executor = open({ env: { QUERN_TEST_COLOUR: 'green' } })
    expect(await executor.submit(() => process.env.QUERN_TEST_COLOUR)).toBe('green')
    expect(process.env.QUERN_TEST_COLOUR).toBeUndefined()
  })

  it('runs the initializer in every worker before its first task', async () => {
    const initializer = async (text: string) => {
      await Promise.resolve()
      Object.assign(globalThis, { prepared: text })
    }
    const executor = open({ initializer, initargs: ['ready'] })
    const [gate, started] = [gates.gate(), gates.gate()]
    const blocked = [1, 2].map(() => executor.submit(waitFor, gate, started))
    await until(() => gates.lines(started).length === 2, 'two workers')
    gates.open(gate)
    await Promise.all(blocked)
    const read = () => (globalThis as { prepared?: string }).prepared
    expect(await Promise.all(Array.from({ length: 8 }, () => executor.submit(read)))).toEqual(Array(8).fill('ready'))
  })

  it('is broken by an initializer that throws, without a storm of starts', async () => {
    const starts = gates.gate()
    const initializer = (path: string) => {
      process.getBuiltinModule('node:fs').appendFileSync(path, 'x\n')
      throw new TypeError('no database')
    }
    const executor = open({ initializer, initargs: [starts] })
    const errors = await Promise.all(Array.from({ length: 30 }, () => executor.submit(() => 1).exception()))
    for (const error of errors) {
      expect(error).toMatchObject({ code: 'BROKEN_EXECUTOR', cause: { name: 'TypeError', message: 'no database' } })
    }
    expect(new Set(errors).size).toBe(30)
    expect(executor.broken).toBe(true)
    expect(() => executor.submit(() => 1)).toThrow('no database')
    await executor.shutdown()
    expect(gates.lines(starts).length).toBeLessThanOrEqual(2)
  })

  it('is broken by an initializer that ends the worker', async () => {
    const executor = open({ initializer: () => process.exit(3), stderr: 'ignore' })
    const errors = await Promise.all(Array.from({ length: 10 }, () => executor.submit(() => 1).exception()))
    for (const error of errors) expect(error).toMatchObject({ code: 'BROKEN_EXECUTOR' })
    expect(errors[0]?.message).toMatch(/EXIT\(3\)|exit code 3/)
    expect(() => executor.submit(() => 1)).toThrow('cannot start')
    await executor.shutdown()
  })

  it('refuses an initializer that cannot travel, at once', () => {
    const held = new WeakMap()
    expect(() => make({ initializer: () => held })).toThrow("'held'")
  })

  it('hands what workers print to whom it is given', async () => {
    const printed: string[] = []
    const executor = open({ stdout: (text) => printed.push(text), stderr: 'ignore' })
    await executor.submit(() => console.log('from afar'))
    await until(() => printed.join('').includes('from afar\n'), 'the text')
    await executor.submit(() => console.error('unheard'))
  })

  it('runs chunks of a map as they were cut, a failing item alone', async () => {
    const executor = open()
    const [gate, log] = [gates.gate(), gates.gate()]
    gates.open(gate)
    const note = async (path: string, x: number) => {
      const fs = await import('node:fs')
      const { threadId: thread } = await import('node:worker_threads')
      fs.appendFileSync(path, `${process.pid}-${thread}\n`)
      if (x === 4) throw new RangeError('four')
      return x
    }
    const results = executor.starmap(
      note,
      [1, 2, 3, 4, 5, 6].map((x) => [log, x]),
      { chunksize: 3 },
    )
    const seen: number[] = []
    await expect(async () => {
      for await (const x of results) seen.push(x)
    }).rejects.toThrow('four')
    expect(seen).toEqual([1, 2, 3])
    await executor.shutdown()
    const places = gates.lines(log)
    expect(new Set(places.slice(0, 3)).size).toBeLessThanOrEqual(2)
  })

  it('refuses when checkAndReject does, by what waits', async () => {
    const seen: number[] = []
    const checkAndReject = (_: unknown, backlog: number) => {
      seen.push(backlog)
      if (backlog >= 1) throw new RangeError('full')
    }
    const executor = open({ maxWorkers: 2, checkAndReject })
    const [gate, started] = [gates.gate(), gates.gate()]
    const first = executor.submit(waitFor, gate, started)
    await until(() => gates.lines(started).length === 1, 'it runs')
    const second = executor.submit(waitFor, gate, started)
    await until(() => gates.lines(started).length === 2, 'both run')
    const third = executor.submit(waitFor, gate, started)
    expect(() => executor.submit(() => 1)).toThrow('full')
    gates.open(gate)
    await Promise.all([first, second, third])
    expect(seen).toEqual([0, 0, 0, 1])
  })

  it('asks back what waits behind a task that takes longer than it used to', async () => {
    const executor = open({ maxWorkers: 2 })
    const maybe = async (gate: string | undefined) => {
      if (gate === undefined) return 0
      const { existsSync } = await import('node:fs')
      while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 2))
      return 1
    }
    for (let i = 0; i < 30; i++) await Promise.all(Array.from({ length: 20 }, () => executor.submit(maybe, undefined)))
    const gate = gates.gate()
    const stuck = executor.submit(maybe, gate)
    const others = Array.from({ length: 40 }, () => executor.submit(maybe, undefined))
    // those that shared a bundle with the first end although it does not
    expect(await Promise.all(others)).toEqual(Array(40).fill(0))
    expect(stuck.done()).toBe(false)
    gates.open(gate)
    expect(await stuck).toBe(1)
  })

  it('shuts down: waits for what it accepted, or cancels, or kills', async () => {
    const waits = open()
    const futures = Array.from({ length: 50 }, (_, i) => waits.submit((x: number) => x, i))
    await waits.shutdown()
    expect(await Promise.all(futures)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect([waits.alive, waits.workers.length]).toEqual([false, 0])
    expect(() => waits.submit(() => 1)).toThrow('cannot schedule new futures after shutdown')

    const kills = open()
    const [gate, started] = [gates.gate(), gates.gate()]
    const doomed = Array.from({ length: 20 }, () => kills.submit(waitFor, gate, started))
    await until(() => gates.lines(started).length === 2, 'two run')
    await kills.shutdown({ killWorkers: true })
    for (const future of doomed) expect(await future.exception()).toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
    expect(kills.workers).toEqual([])
  })
})
