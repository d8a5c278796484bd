/** How tasks of every Executor end, and how it ends itself: statistics, cancelling, shutdown. */
import { expect, it, vi } from 'vitest'
import type { ExecutorTraits, Stage } from './executor.ts'
import { blowUp, echo, echoLater, note, waitAtGate } from './executor-tasks.ts'

export function executorStatistics(stage: Stage): void {
  it('counts what ran, failed and was cancelled, in snapshots that do not change', async () => {
    const executor = stage.make()
    const none = executor.statistics
    expect(none).toEqual({ executed: 0, failures: 0, cancelled: 0, runtime: 0, averageRuntime: undefined })
    await executor.submit(blowUp, 'doh!').exception()
    await executor.submit(() => new Promise((resolve) => setTimeout(resolve, 50)))
    await executor.submit(echo, 1)
    executor.submitAfter('1h', echo, 1).cancel()
    const { runtime, averageRuntime, ...counts } = executor.statistics
    expect(counts).toEqual({ executed: 3, failures: 1, cancelled: 1 })
    expect(runtime).toBeGreaterThanOrEqual(49)
    expect(averageRuntime).toBe(runtime / 3)
    expect(none.executed).toBe(0)
    expect(Object.isFrozen(executor.statistics)).toBe(true)
  })
}

export function executorCancelling(stage: Stage, traits: ExecutorTraits): void {
  it('does not begin what its signal had aborted before', async () => {
    const executor = stage.make()
    const gate = stage.gate()
    const signal = AbortSignal.abort(new RangeError('enough'))
    const future = executor.submitWith({ signal }, waitAtGate, gate.file, 'x')
    expect(future.cancelled()).toBe(true)
    await expect(future).rejects.toMatchObject({ code: 'CANCELLED', cause: new RangeError('enough') })
    expect(gate.arrived()).toEqual([])
    expect(executor.statistics).toMatchObject({ executed: 0, cancelled: 1 })
  })

  it.runIf(traits.queues)('never begins what is cancelled, or whose signal aborts, while it waits', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const running = executor.submit(waitAtGate, gate.file, 'running')
    await gate.whenArrived(1)
    const controller = new AbortController()
    const { signal } = controller
    const cancelled = executor.submit(note, `${gate.file}.log`, 'cancelled')
    const aborted = executor.submitWith({ signal }, note, `${gate.file}.log`, 'aborted')
    const last = executor.submit(note, `${gate.file}.log`, 'last')
    expect([running.cancel(), cancelled.cancel(), cancelled.cancel()]).toEqual([false, true, true])
    // what waits for it to be taken note of need not wait until its turn would have come
    expect(cancelled.state).toBe('CANCELLED_AND_NOTIFIED')
    controller.abort(new RangeError('enough'))
    await expect(aborted).rejects.toMatchObject({ code: 'CANCELLED', cause: new RangeError('enough') })
    expect(executor.queueSize).toBe(1)
    gate.open()
    await Promise.all([running, last])
    expect(gate.arrived()).toEqual(['running', 'last'])
  })

  it('ends a running future when its signal aborts, and goes on', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const controller = new AbortController()
    const aborted = executor.submitWith({ signal: controller.signal }, waitAtGate, gate.file, 'aborted')
    await gate.whenArrived(1)
    const after = executor.submit(echo, 'after')
    controller.abort(new RangeError('enough'))
    await expect(aborted).rejects.toMatchObject({ code: 'CANCELLED', cause: new RangeError('enough') })
    gate.open()
    expect(await after).toBe('after')
    controller.abort()
    expect(executor.statistics).toMatchObject({ executed: 1, cancelled: 1 })
  })

  it('leaves nothing on a signal whose tasks are over, and one listener for many', async () => {
    const executor = stage.make()
    const { signal } = new AbortController()
    const [add, remove] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
    await Promise.all([1, 2, 3].map((n) => executor.submitWith({ signal }, echoLater, n)))
    expect(add.mock.calls.length).toBe(1)
    expect(remove).toHaveBeenCalledTimes(1)
  })
}

export function executorShutdown(stage: Stage, traits: ExecutorTraits): void {
  it('accepts nothing after shutdown, is dead then, and may be shut down again', async () => {
    const executor = stage.make()
    expect(await executor.submit(echo, 1)).toBe(1)
    expect(executor.alive).toBe(true)
    await executor.shutdown()
    expect(executor.alive).toBe(false)
    const acts = [
      () => executor.submit(echo, 1),
      () => executor.submitWith({}, echo, 1),
      () => executor.submitAfter(1, echo, 1),
      () => executor.map(echo, [1]),
    ]
    for (const act of acts) {
      expect(act).toThrow(
        expect.objectContaining({
          code: 'SHUTDOWN_EXECUTOR',
          message: expect.stringContaining('cannot schedule new futures after shutdown'),
        }),
      )
    }
    await Promise.all([executor.shutdown(), executor.shutdown({ killWorkers: true })])
    expect(executor.statistics.executed).toBe(1)
  })

  it('that was never used is shut down like any other', async () => {
    const executor = stage.make()
    await executor.shutdown()
    expect(executor.alive).toBe(false)
    await executor[Symbol.asyncDispose]()
  })

  it('finishes what was accepted: fifty tasks, and those that wait for their time', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const futures = Array.from({ length: 50 }, (_, i) => executor.submit(echoLater, i))
    const delayed = executor.submitAfter(5, echo, 'delayed')
    await executor.shutdown()
    expect([...futures, delayed].every((future) => future.done())).toBe(true)
    expect(await Promise.all(futures)).toEqual(Array.from({ length: 50 }, (_, i) => i))
    expect(await delayed).toBe('delayed')
  })

  it('without wait returns at once and finishes what runs', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const future = executor.submit(waitAtGate, gate.file, 'x')
    await executor.shutdown({ wait: false })
    expect([future.done(), executor.alive]).toEqual([false, true])
    expect(() => executor.submit(echo, 1)).toThrow('after shutdown')
    gate.open()
    expect(await future).toBe('x')
    await executor.shutdown()
    expect(executor.alive).toBe(false)
  })

  it.runIf(traits.queues)('with cancelFutures cancels what has not begun, and only that', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const gate = stage.gate()
    const futures = Array.from({ length: 50 }, (_, i) => executor.submit(waitAtGate, gate.file, `${i}`))
    const delayed = executor.submitAfter('1h', echo, 1)
    await gate.whenArrived(2)
    const over = executor.shutdown({ cancelFutures: true })
    gate.open()
    await over
    const cancelled = futures.filter((future) => future.cancelled())
    expect(delayed.cancelled()).toBe(true)
    expect(cancelled.length).toBeGreaterThanOrEqual(20)
    const others = futures.filter((future) => !future.cancelled())
    expect(await Promise.all(others)).toEqual(gate.arrived().sort((a, b) => Number(a) - Number(b)))
    expect(executor.statistics).toMatchObject({ cancelled: cancelled.length + 1, executed: others.length, failures: 0 })
  })

  it('with killWorkers ends everything, each future with an error of its own', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const futures = Array.from({ length: 5 }, (_, i) => executor.submit(waitAtGate, gate.file, `${i}`))
    futures.push(executor.submitAfter('1h', echo, 'delayed'))
    await gate.whenArrived(1)
    const gently = executor.shutdown()
    await executor.shutdown({ killWorkers: true })
    await gently
    const errors = await Promise.all(futures.map((future) => future.exception()))
    for (const error of errors) expect(error).toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
    expect(new Set(errors).size).toBe(6)
    expect(executor.alive).toBe(false)
  })

  it('refuses an option of shutdown that it does not know', () => {
    const executor = stage.make()
    expect(() => executor.shutdown({ killWorker: true } as never)).toThrow("did you mean 'killWorkers'")
    expect(executor.alive).toBe(true)
  })

  it.runIf(traits.queues)('just after a cancellation does not hang', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const first = executor.submit(waitAtGate, gate.file, 'first')
    const second = executor.submit(echo, 2)
    second.cancel()
    gate.open()
    await executor.shutdown()
    expect([await first, second.cancelled()]).toEqual(['first', true])
  })
}
