import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { ShutdownExecutorError } from '../../src/core/errors.ts'
import { FunctionExecutor } from '../../src/entry/index.ts'
import type { Executor } from '../../src/futures/executor.ts'

let jobs: FunctionExecutor
let executor: Executor

beforeAll(() => {
  jobs = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
  executor = jobs.asExecutor()
})

afterAll(() => jobs.shutdown())

describe('a FunctionExecutor as an Executor', () => {
  it('runs functions of many arguments on its workers', async () => {
    const results = [executor.submit((a: number, b: number) => a ** b, 2, 8), executor.submit(() => process.pid)]
    expect(await results[0]).toBe(256)
    expect(await results[1]).not.toBe(process.pid)
  })

  it('fails with the error of the function, not with that of the call', async () => {
    const failing = executor.submit(() => {
      throw new RangeError('too far')
    })
    await expect(failing).rejects.toThrow(RangeError)
    expect(await executor.submit(() => 'next')).toBe('next')
  })

  it('maps in order, and several arguments by starmap', async () => {
    expect(await collect(executor.map((n: number) => n * n, [1, 2, 3, 4]))).toEqual([1, 4, 9, 16])
    const pairs: [number, number][] = [
      [7, 2],
      [9, 4],
    ]
    expect(await collect(executor.starmap((a: number, b: number) => a % b, pairs))).toEqual([1, 1])
  })

  it('refuses what cannot travel, and options that calls do not have', () => {
    const seen = new WeakSet()
    expect(() => executor.submit(() => seen.has({}))).toThrow(/submit function.*seen/s)
    expect(() => executor.submitWith({ priority: 3 }, () => 1)).toThrow(/options.priority.*got 3/)
    expect(() => executor.submitWith({ transfer: [] }, () => 1)).toThrow(/options.transfer/)
  })

  it('one argument that cannot travel fails its task only', async () => {
    const good = executor.submit((n: number) => n + 1, 1)
    const bad = executor.submit((n: unknown) => n as number, Symbol('local'))
    await expect(bad).rejects.toThrow(/Symbol\(local\)/)
    expect(await good).toBe(2)
  })

  it('a cancelled task does not run; one that runs is stopped by its signal', async () => {
    const pending = executor.submit(() => 1)
    expect(pending.cancel()).toBe(true)
    await expect(pending).rejects.toMatchObject({ code: 'CANCELLED' })
    const controller = new AbortController()
    const endless = executor.submitWith({ signal: controller.signal }, () => {
      for (;;);
    })
    while (!endless.running()) await new Promise((resolve) => setImmediate(resolve))
    expect(endless.cancel()).toBe(false)
    controller.abort(new Error('enough'))
    await expect(endless).rejects.toMatchObject({ code: 'CANCELLED', cause: { message: 'enough' } })
    expect(await executor.submit(() => 'still there')).toBe('still there')
  })

  it('takes what a function closes over as it is when the function is submitted', async () => {
    let factor = 1
    const scaled = (n: number) => n * factor
    expect(await executor.submit(scaled, 10)).toBe(10)
    factor = 2
    const doubled = executor.submit(scaled, 10)
    factor = 3
    expect(await Promise.all([doubled, executor.submit(scaled, 10)])).toEqual([20, 30])
  })

  it('makes one job of the tasks that are of one function and one turn', async () => {
    const prefix = 'n'
    const named = (n: number) => `${prefix}${n}`
    const map = vi.spyOn(jobs, 'map')
    const tasks = [1, 2, 3].map((n) => executor.submit(named, n))
    expect(await Promise.all(tasks)).toEqual(['n1', 'n2', 'n3'])
    expect(map).toHaveBeenCalledTimes(1)
    map.mockRestore()
  })

  it('counts what it ran', async () => {
    const counting = jobs.asExecutor()
    await Promise.allSettled([
      counting.submit(() => 1),
      counting.submit(() => {
        throw new Error('no')
      }),
    ])
    expect(counting.statistics).toMatchObject({ executed: 2, failures: 1 })
  })

  it('shuts down by itself: its tasks end, the jobs go on', async () => {
    const other = jobs.asExecutor()
    const last = other.submit(() => 'done')
    await other.shutdown()
    expect(last.done()).toBe(true)
    expect(other.alive).toBe(false)
    expect(() => other.submit(() => 1)).toThrow(ShutdownExecutorError)
    expect(await jobs.callAsync((n: number) => n, 5)).toBe(5)
  })

  it('killWorkers ends what runs', async () => {
    const other = jobs.asExecutor()
    const endless = other.submit(() => {
      for (;;);
    })
    while (!endless.running()) await new Promise((resolve) => setImmediate(resolve))
    await other.shutdown({ killWorkers: true })
    await expect(endless).rejects.toThrow(ShutdownExecutorError)
  })
})

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
