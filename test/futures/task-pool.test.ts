/** What a pool of tasks sends, takes back and settles, with workers that the test plays. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import type { Task } from '../../src/futures/executor.ts'
import { TaskFuture } from '../../src/futures/task-future.ts'
import { TaskPool, type TaskPoolOptions } from '../../src/futures/task-pool.ts'
import { resultMessage, returnedMessage, unfitMessage } from '../../src/futures/worker-messages.ts'
import { FEED, MESSAGE, NO_BYTES } from '../../src/pool/protocol.ts'
import { FakeWorker } from '../support/fake-worker.ts'

let workers: FakeWorker[]

beforeEach(() => {
  workers = []
})

function makePool(options: Partial<TaskPoolOptions> = {}): TaskPool {
  return new TaskPool({
    maxWorkers: 1,
    startWorker: (profile, events) => workers[workers.push(new FakeWorker(profile, events)) - 1] as FakeWorker,
    startup: NO_BYTES,
    idleTimeoutMs: undefined,
    memoryMiB: undefined,
    onCrash: 'replace',
    onOutput: () => undefined,
    onGrowth: () => undefined,
    ...options,
  })
}

function worker(index: number): FakeWorker {
  const found = workers[index]
  if (found === undefined) throw new Error(`only ${workers.length} workers were started`)
  return found
}

const echo = (x: number) => x

function taskOf(x: number, fn: Task['fn'] = echo): Task {
  return { future: new TaskFuture<unknown>(systemClock), fn, args: [x], priority: 0 }
}

/** What was submitted in one turn leaves at its end. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

/** The next task of the bundle has ended. */
function tell(from: FakeWorker, bundle: number, value: unknown): void {
  from.events.onFrame(MESSAGE, bundle, resultMessage(0.01, value))
}

/** What its worker has not begun will not begin there. */
function giveBack(from: FakeWorker, bundle: number, running: boolean, behind: readonly number[] = []): void {
  from.events.onFrame(MESSAGE, bundle, returnedMessage(running, behind))
}

/** What became of each: what it gave, the code of its error, or how far it is. */
function fates(tasks: readonly Task[]): unknown[] {
  return tasks.map(({ future }) => {
    if (!future.done() || future.cancelled()) return future.state
    const { exception, result } = future.snapshot()
    return (exception as { code?: string } | undefined)?.code ?? result
  })
}

/** A pool with a ready worker whose first task is done and was short: more of its kind travel together. */
async function warmPool(options: Partial<TaskPoolOptions> = {}): Promise<TaskPool> {
  const pool = makePool(options)
  pool.accept(taskOf(0))
  await turn()
  worker(0).ready()
  tell(worker(0), 1, 0)
  worker(0).end(1)
  return pool
}

/** Of six, four are in bundle 2, which runs, and two in bundle 3, which lies behind it. */
async function submitSix(pool: TaskPool): Promise<Task[]> {
  const tasks = Array.from({ length: 6 }, (_, i) => taskOf(i))
  for (const task of tasks) pool.accept(task)
  expect(worker(0).invoked).toEqual([1])
  await turn()
  expect(worker(0).invoked).toEqual([1, 2, 3])
  return tasks
}

describe('tasks that travel together', () => {
  it('a death fails the one that ran; what had not begun runs once, by another worker', async () => {
    const pool = await warmPool()
    const tasks = await submitSix(pool)
    tell(worker(0), 2, 'a')
    worker(0).exit({ exitCode: 9 })
    expect(fates(tasks)).toEqual(['a', 'TERMINATED_WORKER', 'RUNNING', 'RUNNING', 'RUNNING', 'RUNNING'])
    worker(1).ready()
    expect(worker(1).invoked).toEqual([3, 4])
    for (const value of ['e', 'f']) tell(worker(1), 3, value)
    worker(1).end(3)
    for (const value of ['c', 'd']) tell(worker(1), 4, value)
    expect(pool.isBusy).toBe(false)
    worker(1).end(4)
    expect(fates(tasks)).toEqual(['a', 'TERMINATED_WORKER', 'c', 'd', 'e', 'f'])
    await pool.whenIdle()
  })

  it('that were given back run before what came later, in their order; who fell behind them is not run', async () => {
    const pool = await warmPool()
    const tasks = await submitSix(pool)
    const later = taskOf(6)
    pool.accept(later)
    expect(pool.load).toEqual({ running: 1, queued: 6 })
    giveBack(worker(0), 2, true, [3])
    expect(pool.load).toEqual({ running: 1, queued: 6 })
    tell(worker(0), 2, 'a')
    worker(0).end(2)
    worker(0).end(3)
    await turn()
    expect(worker(0).invoked).toEqual([1, 2, 3, 4])
    for (const value of ['b', 'c', 'd', 'e', 'f']) tell(worker(0), 4, value)
    expect(fates([...tasks, later])).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'RUNNING'])
  })

  it('that were given back are not run a second time when their worker dies', async () => {
    const pool = await warmPool()
    const tasks = await submitSix(pool)
    giveBack(worker(0), 2, true, [3])
    await turn()
    pool.resize(2)
    await turn()
    worker(1).ready()
    worker(0).exit({ exitCode: 9 })
    expect(fates(tasks)[0]).toBe('TERMINATED_WORKER')
    for (const bundle of [4, 5, 6]) {
      expect(worker(1).invoked).toContain(bundle)
      for (let told = 0; told < 3; told++) tell(worker(1), bundle, bundle)
      worker(1).end(bundle)
    }
    expect(fates(tasks).slice(1)).toEqual([4, 4, 4, 5, 6])
    await pool.whenIdle()
    expect(worker(1).invoked).toEqual([4, 5, 6])
  })

  it('that had begun are not cancelled with what waits, though they were given back', async () => {
    const pool = await warmPool()
    const tasks = await submitSix(pool)
    const later = taskOf(6)
    later.future.addDoneCallback(() => pool.withdrawn())
    pool.accept(later)
    giveBack(worker(0), 2, false, [3])
    void pool.stop({ cancelFutures: true, killWorkers: false })
    expect(fates([...tasks, later])).toEqual([...Array(6).fill('RUNNING'), 'CANCELLED'])
    expect(pool.backlog).toBe(6)
  })

  it('of a bundle that ended before them fail: the first as if it had run, the others run', async () => {
    const pool = await warmPool()
    const tasks = await submitSix(pool)
    worker(0).end(2)
    expect(fates(tasks)).toEqual(['TERMINATED_WORKER', ...Array(5).fill('RUNNING')])
    expect(tasks[0]?.future.snapshot().exception?.message).toContain('ended a bundle before its tasks')
    expect(worker(0).invoked).toEqual([1, 2, 3, 4])
  })
})

describe('tasks that wait while another worker is free', () => {
  const asked = () => worker(0).sent.flatMap(({ type, id }) => (type === FEED ? [id] : []))

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('are asked back from a chunk whose task does not end', async () => {
    const pool = makePool({ maxWorkers: 2 })
    pool.acceptChunk([0, 1].map((x) => taskOf(x)))
    await turn()
    worker(0).ready()
    vi.advanceTimersByTime(20)
    expect(asked()).toEqual([1])
  })

  it('are asked back from behind another that travelled alone', async () => {
    const pool = await warmPool()
    for (const x of [1, 2]) {
      pool.accept(taskOf(x))
      await turn()
    }
    expect(worker(0).invoked).toEqual([1, 2, 3])
    vi.advanceTimersByTime(20)
    expect(asked()).toEqual([])
    pool.resize(2)
    vi.advanceTimersByTime(20)
    expect(new Set(asked())).toEqual(new Set([2]))
  })
})

describe('a pool whose workers cannot start', () => {
  /** Two workers run two chunks; one died, and none that was to replace it came to be. */
  async function brokenPool(): Promise<{ pool: TaskPool; tasks: Task[] }> {
    const pool = makePool({ maxWorkers: 2 })
    const tasks = [0, 1, 2, 3].map((x) => taskOf(x))
    pool.acceptChunk(tasks.slice(0, 2))
    pool.acceptChunk(tasks.slice(2))
    await turn()
    for (const each of workers) each.ready()
    worker(0).exit({ exitCode: 9 })
    for (const index of [2, 3, 4]) worker(index).exit({ exitCode: 1 })
    expect(pool.isBroken).toBe(true)
    expect(fates(tasks)).toEqual(['TERMINATED_WORKER', 'BROKEN_EXECUTOR', 'RUNNING', 'RUNNING'])
    expect(() => pool.accept(taskOf(4))).toThrow('workers cannot start')
    return { pool, tasks }
  }

  it('lets what runs elsewhere end', async () => {
    const { pool, tasks } = await brokenPool()
    for (const value of ['c', 'd']) tell(worker(1), 2, value)
    worker(1).end(2)
    expect(fates(tasks).slice(2)).toEqual(['c', 'd'])
    await pool.whenIdle()
  })

  it.each<[string, () => void]>([
    ['given back', () => giveBack(worker(1), 2, true)],
    ['waiting in a worker that dies', () => worker(1).exit({ exitCode: 9 })],
  ])('fails what comes back, %s', async (_, comesBack) => {
    const { pool, tasks } = await brokenPool()
    comesBack()
    await turn()
    expect(fates(tasks)[3]).toBe('BROKEN_EXECUTOR')
    if (tasks[2]?.future.done() === false) {
      tell(worker(1), 2, 'c')
      worker(1).end(2)
    }
    await pool.whenIdle()
  })
})

describe('a pool', () => {
  it('whose initializer failed fails everything, each with an error of its own, and ends its workers', async () => {
    const pool = makePool({ maxWorkers: 2 })
    const tasks = [0, 1, 2].map((x) => taskOf(x))
    for (const task of tasks) pool.accept(task)
    await turn()
    worker(0).ready()
    worker(0).events.onFrame(MESSAGE, 1, unfitMessage(new TypeError('no database')))
    expect(fates(tasks)).toEqual(Array(3).fill('BROKEN_EXECUTOR'))
    expect(new Set(tasks.map(({ future }) => future.snapshot().exception)).size).toBe(3)
    expect(workers.map(({ killed }) => killed > 0)).toEqual([true, true])
    void pool.stop({ cancelFutures: false, killWorkers: true })
    expect(() => pool.accept(taskOf(3))).toThrow('no database')
  })

  it.each<['replace' | 'break', boolean]>([
    ['replace', false],
    ['break', true],
  ])('with onCrash %s is broken by a death: %s; by that of a worker that was let go never', async (onCrash, breaks) => {
    const idle = await warmPool({ onCrash })
    worker(0).exit({ signal: 'SIGKILL' })
    expect(idle.isBroken).toBe(breaks)
    workers = []
    const busy = await warmPool({ onCrash })
    const [, other] = await submitSix(busy)
    worker(0).exit({ signal: 'SIGKILL' })
    const message = other?.future.snapshot().exception?.message ?? ''
    expect([busy.isBroken, message.includes('while another task ran in it')]).toEqual([breaks, breaks])
    workers = []
    const stopping = await warmPool({ onCrash })
    const stopped = stopping.stop({ cancelFutures: false, killWorkers: false })
    worker(0).exit({ exitCode: 0 })
    await stopped
    expect([stopping.isBroken, stopping.isStopped]).toEqual([false, true])
  })

  it('that is killed fails everything, each with an error of its own, whoever asked for a gentler end before', async () => {
    const pool = await warmPool()
    const tasks = await submitSix(pool)
    const stopped = [false, true].map((killWorkers) => pool.stop({ cancelFutures: false, killWorkers }))
    expect(fates(tasks)).toEqual(Array(6).fill('SHUTDOWN_EXECUTOR'))
    expect(new Set(tasks.map(({ future }) => future.snapshot().exception)).size).toBe(6)
    expect([worker(0).killed > 0, pool.isStopped]).toEqual([true, false])
    worker(0).exit({ signal: 'SIGKILL' })
    await Promise.all(stopped)
    expect(pool.isStopped).toBe(true)
  })

  it('ends the worker of a task that is interrupted, and of no other', async () => {
    const pool = makePool({ maxWorkers: 2, onCrash: 'break' })
    const tasks = [0, 1].map((x) => ({ ...taskOf(x), signal: new AbortController().signal }))
    for (const task of tasks) pool.accept(task)
    await turn()
    for (const each of workers) each.ready()
    tasks[1]?.future.abort('enough')
    pool.interrupt(tasks[1] as Task)
    expect(workers.map(({ killed }) => killed > 0)).toEqual([false, true])
    pool.interrupt(taskOf(2))
    worker(1).exit({ signal: 'SIGKILL' })
    expect([worker(0).killed, pool.isBroken]).toEqual([0, false])
  })

  it('waits for a worker that has told of all its tasks, rather than to start another', async () => {
    const pool = makePool({ maxWorkers: 2 })
    pool.accept(taskOf(0))
    await turn()
    worker(0).ready()
    tell(worker(0), 1, 'a')
    pool.accept(taskOf(1))
    await turn()
    expect([workers.length, worker(0).invoked]).toEqual([1, [1]])
    worker(0).end(1)
    expect([workers.length, worker(0).invoked]).toEqual([1, [1, 2]])
  })

  it('sends a task to an idle worker, though another is about to be free', async () => {
    const pool = makePool({ maxWorkers: 2 })
    for (const x of [0, 1]) pool.accept(taskOf(x))
    await turn()
    for (const [i, each] of workers.entries()) {
      each.ready()
      tell(each, i + 1, 'done')
    }
    worker(1).end(2)
    pool.accept(taskOf(2))
    await turn()
    expect(workers.map(({ invoked }) => invoked)).toEqual([[1], [2, 3]])
  })

  it('keeps chunks apart, and is idle when all of it is done', async () => {
    const pool = makePool()
    expect(pool.isBusy).toBe(false)
    await pool.whenIdle()
    const tasks = [0, 1, 2, 3].map((x) => taskOf(x))
    pool.acceptChunk(tasks.slice(0, 2))
    pool.acceptChunk(tasks.slice(2))
    expect(pool.isBusy).toBe(true)
    let idle = false
    const whenIdle = pool.whenIdle().then(() => {
      idle = true
    })
    await turn()
    worker(0).ready()
    expect(pool.load).toEqual({ running: 1, queued: 3 })
    for (const bundle of [1, 2]) {
      expect([pool.isBusy, worker(0).invoked.at(-1)]).toEqual([true, bundle])
      for (const value of ['x', 'y']) tell(worker(0), bundle, value)
      expect(idle).toBe(false)
      worker(0).end(bundle)
      await turn()
    }
    await whenIdle
    expect(fates(tasks)).toEqual(['x', 'y', 'x', 'y'])
  })
})
