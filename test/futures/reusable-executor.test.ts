import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { getReusableExecutor, type ReusableExecutor } from '../../src/futures/reusable-executor.ts'
import { cpuCount } from '../../src/pool/cpu-count.ts'
import { Gates, until, waitFor } from '../support/task-gates.ts'

const gates = new Gates()
const identity = (x: number) => x

afterEach(async () => {
  await (await getReusableExecutor({ reuse: true })).shutdown({ killWorkers: true })
})
afterAll(() => gates.remove())

describe('getReusableExecutor', () => {
  it('gives the same one for the same options, a new one after shutdown, with a higher id', async () => {
    const first = await getReusableExecutor({ maxWorkers: 2, env: { A: '1' }, initargs: [[1], 'x'] })
    const second = await getReusableExecutor({ maxWorkers: 2, env: { A: '1' }, initargs: [[1], 'x'] })
    expect(second).toBe(first)
    expect(second.reusedTimes).toBe(1)
    await first.shutdown()
    const third = await getReusableExecutor({ maxWorkers: 2, env: { A: '1' } })
    expect(third).not.toBe(first)
    expect(third.executorId).toBeGreaterThan(first.executorId)
    expect(third.reusedTimes).toBe(0)
  })

  it.each([
    ['another time-out', { timeout: '5s' }],
    ['another environment', { env: { A: '2' } }],
    ['another initializer', { initializer: () => undefined }],
    ['other arguments of it', { initargs: [2] }],
    ['reuse: false', { reuse: false as const }],
  ])('replaces it for %s', async (_, options) => {
    const first = await getReusableExecutor({ maxWorkers: 1 })
    const second = await getReusableExecutor({ maxWorkers: 1, ...options })
    expect(second).not.toBe(first)
    expect(first.alive).toBe(false)
  })

  it('reuse: true keeps size and options; then the default makes a new one', async () => {
    const first = await getReusableExecutor({ maxWorkers: 3, timeout: '42s' })
    expect(await getReusableExecutor({ reuse: true })).toBe(first)
    expect(await getReusableExecutor({ reuse: true, timeout: '1s', env: { B: '1' } })).toBe(first)
    expect(first.maxWorkers).toBe(3)
    const next = await getReusableExecutor()
    expect(next).not.toBe(first)
    expect(next.maxWorkers).toBe(cpuCount())
    expect(await getReusableExecutor()).toBe(next)
  })

  it('resizes: waits for what runs, says so, keeps workers', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    const executor = await getReusableExecutor({ maxWorkers: 2 })
    const [gate, started] = [gates.gate(), gates.gate()]
    const running = [1, 2].map(() => executor.submit(waitFor, gate, started))
    await until(() => gates.lines(started).length === 2, 'both run')
    const pids = executor.workers.map(({ pid }) => pid)
    let resized = false
    const smaller = getReusableExecutor({ maxWorkers: 1 }).then((same) => {
      resized = true
      return same
    })
    await until(() => warned.mock.calls.length > 0, 'the warning')
    expect(resized).toBe(false)
    expect(warned.mock.calls[0]?.[0]).toBe(
      'Trying to resize an executor with running jobs: waiting for jobs completion before resizing.',
    )
    gates.open(gate)
    await Promise.all(running)
    expect(await smaller).toBe(executor)
    warned.mockRestore()
    await until(() => executor.workers.length === 1, 'one worker')
    expect(pids).toContain(executor.workers[0]?.pid)
    const [kept] = executor.workers
    expect(await getReusableExecutor({ maxWorkers: 2 })).toBe(executor)
    expect(executor.maxWorkers).toBe(2)
    expect(executor.workers.map(({ pid }) => pid)).toContain(kept?.pid)
  })

  it('resized again and again without waiting, nothing is lost', async () => {
    const warned = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined)
    for (const reuse of [true, 'auto', false] as const) {
      const results: Promise<number>[] = []
      for (const maxWorkers of [3, 2, 1, 4, 2, 1]) {
        const executor = await getReusableExecutor({ maxWorkers, reuse })
        expect(executor.maxWorkers).toBe(maxWorkers)
        results.push(executor.submit(identity, maxWorkers).result())
      }
      expect(await Promise.all(results)).toEqual([3, 2, 1, 4, 2, 1])
    }
    warned.mockRestore()
  })

  it('killWorkers ends what the replaced one runs', async () => {
    const executor = await getReusableExecutor({ maxWorkers: 1 })
    const endless = executor.submit(waitFor, gates.gate())
    await until(() => endless.running(), 'it runs')
    const next = await getReusableExecutor({ maxWorkers: 1, env: { C: '1' }, killWorkers: true })
    expect(await endless.exception()).toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
    expect(await next.submit(() => process.env.C)).toBe('1')
  })

  it('whoever holds a replaced one still submits, to its replacement', async () => {
    const old = await getReusableExecutor({ maxWorkers: 1 })
    const held = old.submit(identity, 1)
    const replaced = getReusableExecutor({ maxWorkers: 1, env: { D: '1' } })
    const during = old.submit(identity, 2)
    const current = await replaced
    expect(await Promise.all([held, during, old.submit(identity, 3)])).toEqual([1, 2, 3])
    expect(await old.submit(() => process.env.D)).toBe('1')
    expect(await old.submitWith({ priority: 1 }, identity, 4)).toBe(4)
    const seen: number[] = []
    for await (const x of old.map(identity, [5, 6])) seen.push(x)
    expect(seen).toEqual([5, 6])
    await current.shutdown()
    expect(() => old.submit(identity, 1)).toThrow('after shutdown')
  })

  it('concurrent callers with options of their own: each submits, none is lost', async () => {
    const results = await Promise.all(
      Array.from({ length: 10 }, async (_, i) => {
        const executor = await getReusableExecutor({ maxWorkers: 1 + (i % 2), env: { E: String(i % 3) } })
        return Promise.all([executor.submit(identity, i), executor.submit(identity, -i)])
      }),
    )
    expect(results).toEqual(Array.from({ length: 10 }, (_, i) => [i, -i]))
  })

  it('is replaced when it is broken', async () => {
    const broken: ReusableExecutor = await getReusableExecutor({
      maxWorkers: 1,
      initializer: () => {
        throw new Error('no')
      },
    })
    expect(await broken.submit(identity, 1).exception()).toMatchObject({ code: 'BROKEN_EXECUTOR' })
    const next = await getReusableExecutor({ maxWorkers: 1, reuse: true })
    expect(next).not.toBe(broken)
    expect(await next.submit(identity, 1)).toBe(1)
  })

  it.each([
    [{ maxWorkers: 0 }, 'maxWorkers must be greater than 0'],
    [{ maxWorkers: -1 }, 'maxWorkers must be greater than 0'],
    [{ reuse: 'never' }, "reuse: expected 'auto', true or false"],
    [{ timeout: 'soon' }, 'timeout: expected'],
    [{ kill_workers: true }, "did you mean 'killWorkers'?"],
  ])('refuses %o and keeps what there is', async (options, message) => {
    const executor = await getReusableExecutor({ maxWorkers: 1 })
    await expect(getReusableExecutor(options as never)).rejects.toThrow(message)
    expect(await getReusableExecutor({ maxWorkers: 1 })).toBe(executor)
  })
})
