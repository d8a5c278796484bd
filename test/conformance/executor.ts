/** What every Executor must do (src/futures/executor.ts), as tests: PEP 3148's, futurist's, and quern's own additions. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CheckAndReject, Executor } from '../../src/futures/executor.ts'
import type { Future } from '../../src/futures/future.ts'
import { rejectWhenReached } from '../../src/futures/rejection.ts'
import { executorCancelling, executorShutdown, executorStatistics } from './executor-endings.ts'
import { executorMapping } from './executor-mapping.ts'
import { blowUp, echo, echoLater, note, power, waitAtGate } from './executor-tasks.ts'

/** What the suite may expect of an executor beyond the contract. */
export interface ExecutorTraits {
  /** Tasks wait when all workers are busy. Without: each begins in `submit`. */
  readonly queues: boolean
  /** Arguments and results are copied to and from workers. */
  readonly runsInWorkers: boolean
  /** Of what waits, the highest priority runs first. */
  readonly ordersByPriority: boolean
  /** `maxWorkers` is an option of it. */
  readonly hasMaxWorkers: boolean
}

export interface ExecutorChoice {
  readonly maxWorkers?: number
  readonly checkAndReject?: CheckAndReject
}

export type MakeExecutor = (choice: ExecutorChoice) => Executor

/** Gates and logs in a folder of their own, and executors that are ended with the test. */
export interface Stage {
  make(choice?: ExecutorChoice): Executor
  /** A gate that tasks wait at until it is opened. */
  gate(name?: string): Gate
}

export interface Gate {
  readonly file: string
  open(): void
  /** Names of those who came to it, in that order. */
  arrived(): string[]
  /** Resolves when so many have come. */
  whenArrived(count: number): Promise<void>
}

export function executorConformance(name: string, make: MakeExecutor, traits: ExecutorTraits): void {
  describe(`executor ${name}`, () => {
    let folder: string
    let made: Executor[]
    const stage: Stage = {
      make(choice = {}) {
        const executor = make(choice)
        made.push(executor)
        return executor
      },
      gate: (gateName = 'gate') => newGate(join(folder, gateName)),
    }
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'quern-executor-'))
      made = []
    })
    afterEach(async () => {
      await Promise.all(made.map((executor) => executor.shutdown({ killWorkers: true })))
      rmSync(folder, { recursive: true, force: true })
    })
    submitting(stage, traits)
    executorMapping(stage, traits)
    executorStatistics(stage)
    executorCancelling(stage, traits)
    executorShutdown(stage, traits)
  })
}

function newGate(file: string): Gate {
  const log = `${file}.log`
  const arrived = () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [])
  return {
    file,
    open: () => writeFileSync(file, ''),
    arrived,
    whenArrived: (count) => vi.waitFor(() => expect(arrived().length).toBeGreaterThanOrEqual(count), 20_000),
  }
}

/** What a promise comes to, as data. */
export async function outcome(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ['value', value],
    (error: unknown) => ['error', (error as Error).name, (error as Error).message],
  )
}

function submitting(stage: Stage, traits: ExecutorTraits): void {
  it('runs a function with its arguments, and waits for its promise', async () => {
    const executor = stage.make()
    expect(await executor.submit(power, 2, 8)).toBe(256)
    expect(await executor.submit(echoLater, 'later')).toBe('later')
    expect(await executor.submit(() => undefined)).toBeUndefined()
    expect(await executor.submit(() => null)).toBeNull()
  })

  it('hands arguments through that are named like options', async () => {
    const options = { fn: 1, self: 2, signal: 3, timeout: 4, chunksize: 5, delay: 6 }
    const executor = stage.make()
    expect(await executor.submit(echo, options)).toEqual(options)
    expect(await executor.submitWith({}, echo, options)).toEqual(options)
  })

  it(traits.runsInWorkers ? 'gives copies of what it is given' : 'gives the very thing it is given', async () => {
    const value = { a: [1, new Map([['b', new Uint8Array([1, 2])]])], c: undefined }
    const result = await stage.make().submit(echo, value)
    expect(result).toEqual(value)
    expect(result === value).toBe(!traits.runsInWorkers)
  })

  it('gives the error a function throws: kind, message and data', async () => {
    const executor = stage.make()
    for (const future of [executor.submit(blowUp, 'doh!'), executor.submit(async () => blowUp('doh!'))]) {
      const error = await future.exception()
      expect(error).toMatchObject({ name: 'TypeError', message: 'doh!', detail: { code: 42 } })
      expect(error?.stack).toContain('blowUp')
      await expect(future.result()).rejects.toBe(error)
    }
    const thrown = await executor
      .submit(() => {
        throw 'a text'
      })
      .exception()
    expect(thrown).toBeInstanceOf(Error)
    expect(`${thrown?.message} ${thrown?.cause}`).toContain('a text')
    expect(await executor.submit(power, 2, 3)).toBe(8)
  })

  it.each([
    ['submit of what is no function', (e: Executor) => e.submit(7 as never), /submit: expected a function, got 7/],
    [
      'an unknown option',
      (e: Executor) => e.submitWith({ prioriti: 1 } as never, echo, 1),
      /unknown option, did you mean 'priority'/,
    ],
    ['a delay below 0', (e: Executor) => e.submitAfter(-1, echo, 1), /submitAfter\.delay: expected milliseconds/],
    [
      'a signal that is none',
      (e: Executor) => e.submitWith({ signal: 1 as never }, echo, 1),
      /expected an AbortSignal/,
    ],
  ])('refuses %s', (_what, act, message) => {
    const executor = stage.make()
    expect(() => act(executor)).toThrow(
      expect.objectContaining({ code: 'VALIDATION', message: expect.stringMatching(message) }),
    )
    expect(executor.statistics.executed).toBe(0)
  })

  it.runIf(traits.hasMaxWorkers).each([0, -1])('refuses %d workers', (maxWorkers) => {
    expect(() => stage.make({ maxWorkers })).toThrow('maxWorkers must be greater than 0')
  })

  it('calls back with the future, and takes what a callback submits: chains of them, in order', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    for (const length of [100, 50, 60]) {
      const seen: number[] = []
      await new Promise<void>((resolve) => {
        const next = (n: number) => {
          executor.submit(echoLater, n).addDoneCallback((future) => {
            seen.push(future.snapshot().result as number)
            if (n + 1 < length) next(n + 1)
            else resolve()
          })
        }
        next(0)
      })
      expect(seen).toEqual(Array.from({ length }, (_, i) => i))
    }
  })

  it('calls back for five that succeed and five that fail', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const [happy, unhappy]: [unknown[], unknown[]] = [[], []]
    const futures = Array.from(
      { length: 10 },
      (_, i): Future<unknown> => executor.submit(i % 2 ? echo : blowUp, `${i}`),
    )
    for (const future of futures) future.addDoneCallback((each) => (each.failed() ? unhappy : happy).push(each))
    await Promise.allSettled(futures)
    expect([happy.length, unhappy.length]).toEqual([5, 5])
  })

  it('serves ten users at once that mix map, submit and cancel', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const user = async (id: number) => {
      const futures = Array.from({ length: 20 }, (_, i) => executor.submit(echo, id * 100 + i))
      const cancelled = futures.filter((future, i) => i % 3 === id % 3 && future.cancel())
      const mapped: number[] = []
      for await (const value of executor.map((n: number) => n * 2, [id, id + 1, id + 2])) mapped.push(value)
      expect(mapped).toEqual([2 * id, 2 * id + 2, 2 * id + 4])
      for (const [i, future] of futures.entries()) {
        if (!cancelled.includes(future)) expect(await future).toBe(id * 100 + i)
      }
      return cancelled.length
    }
    const counts = await Promise.all(Array.from({ length: 10 }, (_, id) => user(id)))
    const cancelled = counts.reduce((sum, n) => sum + n, 0)
    expect(executor.statistics).toMatchObject({ cancelled, executed: 10 * 23 - cancelled, failures: 0 })
  })

  it.runIf(traits.queues)('runs at most maxWorkers at once, and all in the end', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const gate = stage.gate()
    const futures = Array.from({ length: 30 }, (_, i) => executor.submit(waitAtGate, gate.file, `${i}`))
    await gate.whenArrived(2)
    expect(await executor.submitAfter(0, echo, 1).cancel()).toBe(true)
    expect(gate.arrived()).toHaveLength(2)
    expect(executor.queueSize).toBe(28)
    gate.open()
    expect(await Promise.all(futures)).toEqual(Array.from({ length: 30 }, (_, i) => `${i}`))
    expect(executor.queueSize).toBe(0)
  })

  it.runIf(traits.ordersByPriority)('runs the highest priority first, equals in order of submission', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const first = executor.submit(waitAtGate, gate.file, 'first')
    await gate.whenArrived(1)
    const log = `${gate.file}.log`
    const futures = [
      ...[0, -1, 5, 0, 5].map((priority, i) => executor.submitWith({ priority }, note, log, `${priority}#${i}`)),
      executor.submit(note, log, 'default'),
    ]
    gate.open()
    await Promise.all([first, ...futures])
    expect(gate.arrived()).toEqual(['first', '5#2', '5#4', '0#0', '0#3', 'default', '-1#1'])
  })

  it('lets a check refuse a task before it is taken', async () => {
    const refusing = stage.make({
      checkAndReject: (executor, backlog) => {
        if (executor.statistics.executed >= 1) throw new RangeError(`no more, ${backlog} wait`)
      },
    })
    expect(await refusing.submit(echo, 1)).toBe(1)
    expect(() => refusing.submit(echo, 2)).toThrow(new RangeError('no more, 0 wait'))
    expect(await outcome(refusing.submitAfter(0, echo, 3))).toEqual(['error', 'RangeError', 'no more, 0 wait'])
    expect(await outcome(refusing.map(echo, [1]).next())).toEqual(['error', 'RangeError', 'no more, 0 wait'])
  })

  it.runIf(traits.queues)('refuses the third task of one worker and a backlog of one', async () => {
    const executor = stage.make({ maxWorkers: 1, checkAndReject: rejectWhenReached(1) })
    const gate = stage.gate()
    const running = executor.submit(waitAtGate, gate.file, 'running')
    await gate.whenArrived(1)
    const queued = executor.submit(echo, 'queued')
    const third = () => executor.submit(echo, 'third')
    expect(third).toThrow(
      expect.objectContaining({
        code: 'REJECTED_SUBMISSION',
        message: 'Current backlog 1 is not allowed to go beyond 1',
      }),
    )
    queued.cancel()
    const instead = executor.submit(echo, 'instead')
    gate.open()
    expect(await Promise.all([running, instead])).toEqual(['running', 'instead'])
  })
}
