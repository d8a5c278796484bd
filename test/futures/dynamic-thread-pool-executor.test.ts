import { afterAll, afterEach, describe, expect, it } from 'vitest'
import {
  DynamicThreadPoolExecutor,
  type DynamicThreadPoolOptions,
} from '../../src/futures/dynamic-thread-pool-executor.ts'
import { Gates, until, waitFor } from '../support/task-gates.ts'

const gates = new Gates()
let executor: DynamicThreadPoolExecutor | undefined

function open(options: DynamicThreadPoolOptions): DynamicThreadPoolExecutor {
  executor = new DynamicThreadPoolExecutor(options)
  return executor
}

afterEach(() => executor?.shutdown({ killWorkers: true }))
afterAll(() => gates.remove())

describe('DynamicThreadPoolExecutor', () => {
  it('stays at the least for tasks in sequence', async () => {
    const executor = open({ maxWorkers: 10 })
    for (let i = 0; i < 10; i++) {
      expect(await executor.submit((x: number) => x, i)).toBe(i)
      expect(executor.numWorkers).toBe(1)
    }
  })

  it('grows while tasks block, shrinks when maintained', async () => {
    const executor = open({ maxWorkers: 6 })
    const [gate, started] = [gates.gate(), gates.gate()]
    const futures = Array.from({ length: 6 }, () => executor.submit(waitFor, gate, started))
    await until(() => gates.lines(started).length === 6, 'all run')
    expect([executor.numWorkers, executor.idleWorkers]).toEqual([6, 0])
    executor.maintain()
    expect(executor.numWorkers).toBe(6)
    gates.open(gate)
    await Promise.all(futures)
    await until(() => executor.idleWorkers === 6, 'all idle')
    executor.maintain()
    expect(executor.numWorkers).toBe(1)
    expect(await executor.submit(() => 'well')).toBe('well')
  })

  it('maintain makes sure of the least', async () => {
    const executor = open({ minWorkers: 2, maxWorkers: 3 })
    expect(executor.numWorkers).toBe(0)
    executor.maintain()
    await until(() => executor.idleWorkers === 2, 'two idle')
  })

  it('shutdown waits for what is queued', async () => {
    const executor = open({ maxWorkers: 2 })
    const futures = Array.from({ length: 20 }, (_, i) => executor.submit((x: number) => x, i))
    await executor.shutdown()
    expect(futures.map((future) => future.snapshot().result)).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })

  it.each([
    [{ minWorkers: 0 }, 'minWorkers: expected a whole number from 1'],
    [{ minWorkers: 3, maxWorkers: 3 }, 'minWorkers: expected fewer than maxWorkers 3, got 3'],
    [{ growThreshold: 0 }, 'growThreshold: expected a number above 0, at most 1'],
    [{ growThreshold: 1.1 }, 'growThreshold: expected'],
    [{ shrinkThreshold: -0.1 }, 'shrinkThreshold: expected a number from 0, below 1'],
    [{ shrinkThreshold: 1 }, 'shrinkThreshold: expected'],
    [{ growThreshold: 0.4, shrinkThreshold: 0.4 }, 'shrinkThreshold: expected less than growThreshold 0.4, got 0.4'],
    [{ growTreshold: 0.5 }, "did you mean 'growThreshold'?"],
  ])('refuses %o', (options, message) => {
    expect(() => new DynamicThreadPoolExecutor(options as never)).toThrow(message)
  })
})
