/** Tasks that wait for their time, and the heap they wait in. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MinHeap } from '../../src/futures/min-heap.ts'
import { PriorityQueue } from '../../src/futures/priority-queue.ts'
import { rejectWhenReached } from '../../src/futures/rejection.ts'
import { SynchronousExecutor } from '../../src/futures/synchronous-executor.ts'
import { ManualClock, settle } from '../support/manual-clock.ts'

function stage(options: { maxBacklog?: number } = {}) {
  const clock = new ManualClock(1_000)
  const { maxBacklog } = options
  const checkAndReject = maxBacklog === undefined ? undefined : rejectWhenReached(maxBacklog)
  const executor = new SynchronousExecutor({ clock, checkAndReject })
  const ran: string[] = []
  const run = (name: string) => {
    ran.push(`${name} at ${clock.nowMs() - 1_000}`)
    return name
  }
  return { clock, executor, ran, run }
}

describe('a delayed task', () => {
  it('runs at its time, with its arguments, though nothing else is to do', async () => {
    const { clock, executor } = stage()
    const future = executor.submitAfter(100, (a: number, b: { c: number }) => a + b.c, 1, { c: 2 })
    await clock.advance(99)
    expect([future.state, executor.queueSize, executor.alive]).toEqual(['PENDING', 0, true])
    await clock.advance(1)
    expect(await future).toBe(3)
    expect(executor.submitWith({ delay: '2s' }, () => 1).done()).toBe(false)
  })

  it('runs in the order of the times, equals as they came, one without delay in the next turn', async () => {
    const { clock, executor, ran, run } = stage()
    const delays: [number, string][] = [
      [30, 'c'],
      [10, 'a'],
      [20, 'b'],
      [30, 'd'],
      [0, 'now'],
    ]
    for (const [delay, name] of delays) executor.submitAfter(delay, run, name)
    expect(ran).toEqual([])
    await clock.advance(30)
    expect(ran).toEqual(['now at 0', 'a at 10', 'b at 20', 'c at 30', 'd at 30'])
    executor.submitAfter(10, run, 'one')
    await clock.advance(10)
    executor.submitAfter(10, run, 'after the other')
    await clock.advance(10)
    expect(ran.slice(5)).toEqual(['one at 40', 'after the other at 50'])
  })

  it('goes before one that was submitted earlier and waits longer', async () => {
    const { clock, executor, ran, run } = stage()
    executor.submitAfter(100, run, 'long')
    await clock.advance(50)
    executor.submitAfter(10, run, 'short')
    await clock.advance(200)
    expect(ran).toEqual(['short at 60', 'long at 100'])
    expect(clock.sleeping).toBe(0)
  })

  it('is one of many', async () => {
    const { clock, executor, ran, run } = stage()
    const futures = Array.from({ length: 20 }, (_, i) => executor.submitAfter(((i * 7) % 20) + 1, run, `${i}`))
    await clock.advance(20)
    expect(await Promise.all(futures)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
    expect(ran).toHaveLength(20)
  })

  it('waits longer than a timer can', async () => {
    const { clock, executor, ran, run } = stage()
    const days = 24 * 3_600_000
    const slept = vi.spyOn(clock, 'sleep')
    executor.submitAfter('60d', run, 'late')
    await clock.advance(59 * days)
    expect(ran).toEqual([])
    await clock.advance(days)
    expect(ran).toEqual([`late at ${60 * days}`])
    for (const [ms] of slept.mock.calls) expect(ms).toBeLessThan(2 ** 31)
  })

  it('that is cancelled, or whose signal aborts, never runs and keeps no timer', async () => {
    const { clock, executor, ran, run } = stage()
    const controller = new AbortController()
    const cancelled = executor.submitAfter(10, run, 'cancelled')
    const aborted = executor.submitWith({ delay: 10, signal: controller.signal }, run, 'aborted')
    const stays = executor.submitAfter(20, run, 'stays')
    expect([cancelled.cancel(), cancelled.state]).toEqual([true, 'CANCELLED_AND_NOTIFIED'])
    controller.abort()
    await clock.advance(20)
    expect([aborted.cancelled(), ran]).toEqual([true, ['stays at 20']])
    await stays
    executor.submitAfter(10, run, 'x').cancel()
    await settle()
    expect([clock.sleeping, executor.statistics]).toMatchObject([0, { executed: 1, cancelled: 3 }])
  })

  it('that is cancelled by one that is due with it does not run', async () => {
    const { clock, executor, ran, run } = stage()
    executor.submitAfter(10, () => second.cancel())
    const second = executor.submitAfter(10, run, 'second')
    for (const name of ['third', 'fourth', 'fifth']) executor.submitAfter(10, run, name)
    await clock.advance(10)
    expect(ran).toEqual(['third at 10', 'fourth at 10', 'fifth at 10'])
    await executor.shutdown()
    expect(executor.alive).toBe(false)
  })

  it('hands on the error of its function, and that it was refused', async () => {
    const { clock, executor } = stage({ maxBacklog: 0 })
    const refused = executor.submitAfter(10, () => 1)
    await clock.advance(10)
    await expect(refused).rejects.toMatchObject({ code: 'REJECTED_SUBMISSION' })
    const other = stage()
    const failing = other.executor.submitAfter(10, () => JSON.parse('{'))
    await other.clock.advance(10)
    await expect(failing).rejects.toThrow(SyntaxError)
  })

  it('still runs after shutdown, which waits for it and accepts no other', async () => {
    const { clock, executor, ran, run } = stage()
    executor.submitAfter(100, run, 'x')
    let over = false
    const shutdown = executor.shutdown().then(() => {
      over = true
    })
    expect(() => executor.submitAfter(1, run, 'y')).toThrow('after shutdown')
    await clock.advance(99)
    expect([over, executor.alive]).toEqual([false, true])
    await clock.advance(1)
    await Promise.all([shutdown, executor.shutdown()])
    expect([ran, executor.alive]).toEqual([['x at 100'], false])
    const other = stage()
    const late = other.executor.submitAfter(5, other.run, 'z')
    await other.executor.shutdown({ wait: false })
    await other.clock.advance(5)
    expect(await late).toBe('z')
  })

  it('is cancelled by shutdown with cancelFutures, one that runs is not', async () => {
    const { clock, executor } = stage()
    let open: (() => void) | undefined
    const runs = executor.submitAfter(10, () => new Promise<void>((resolve) => (open = resolve)))
    const waits = executor.submitAfter(20, () => 1)
    await clock.advance(10)
    const over = executor.shutdown({ cancelFutures: true })
    expect([runs.state, waits.state, clock.sleeping]).toEqual(['RUNNING', 'CANCELLED_AND_NOTIFIED', 0])
    open?.()
    await over
    expect(runs.state).toBe('FINISHED')
  })

  it('keeps the program alive until its time; an executor without one does not', async () => {
    const program = fileURLToPath(new URL('../support/delayed-program.ts', import.meta.url))
    const printed = (mode: string) =>
      new Promise((resolve) => {
        const child = fork(program, [mode], { execArgv: ['--import', 'tsx'], silent: true })
        let text = ''
        child.stdout?.on('data', (chunk) => {
          text += chunk
        })
        child.on('close', (code) => resolve([code, text.trim()]))
      })
    expect(await Promise.all(['waiting', 'cancelled'].map(printed))).toEqual([
      [0, 'ran'],
      [0, ''],
    ])
  })
})

describe('MinHeap', () => {
  const before = (a: number, b: number) => a < b

  it('gives what was put in, smallest first, whatever was dropped on the way', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), fc.integer({ min: 1, max: 5 }), (numbers, divisor) => {
        const heap = new MinHeap(before)
        for (const n of numbers) heap.push(n)
        heap.keep((n) => n % divisor === 0)
        const kept = numbers.filter((n) => n % divisor === 0).sort((a, b) => a - b)
        expect([heap.size, heap.peek()]).toEqual([kept.length, kept[0]])
        const popped = kept.slice(0, 3).map(() => heap.pop())
        expect([...popped, ...heap.drain()]).toEqual(kept)
        expect([heap.size, heap.pop()]).toEqual([0, undefined])
      }),
    )
  })
})

describe('PriorityQueue', () => {
  it('gives the highest priority first, equals as they came, whatever was dropped on the way', () => {
    const items = fc.array(fc.record({ priority: fc.integer({ min: -3, max: 3 }), drop: fc.boolean() }), {
      maxLength: 200,
    })
    fc.assert(
      fc.property(items, fc.nat(20), (given, early) => {
        const queue = new PriorityQueue<number>()
        const left = given.map((item, i) => ({ ...item, i })).sort((a, b) => b.priority - a.priority || a.i - b.i)
        for (const [i, { priority }] of given.entries()) queue.push(i, priority)
        for (const { i } of left.splice(0, early)) expect(queue.shift()).toBe(i)
        expect(queue.size).toBe(left.length)
        queue.keep((i) => given[i]?.drop === false)
        const kept = left.filter(({ drop }) => !drop)
        expect(queue.size).toBe(kept.length)
        for (const { i } of kept) expect(queue.shift()).toBe(i)
        expect(queue.shift()).toBeUndefined()
      }),
    )
  })
})
