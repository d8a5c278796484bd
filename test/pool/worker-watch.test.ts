/** What a pool sees of its workers from outside, with a system and workers that the test plays. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { PoolDeath } from '../../src/pool/death.ts'
import { WorkerPool } from '../../src/pool/pool.ts'
import { MEMORY, NO_BYTES } from '../../src/pool/protocol.ts'
import type { Progress } from '../../src/pool/vitals.ts'
import { FakeWorker } from '../support/fake-worker.ts'

const MIB = 2 ** 20
const BASE = 40 * MIB
/** No process has it, whoever is told to kill it. */
const PID = 2 ** 30

let pool: WorkerPool
let worker: FakeWorker
let deaths: (PoolDeath | undefined)[]
let progress: Progress | undefined
let resident: number | undefined
let kills: number
let asked: number

/** A pool with one worker, ready, that runs invocation 1. */
function runOne({ memoryMiB, pid }: { memoryMiB?: number; pid?: number | undefined } = { pid: PID }): void {
  pool = new WorkerPool(
    {
      slots: 1,
      waitingSlots: 0,
      startup: NO_BYTES,
      startWorker: (profile, events) => {
        worker = new FakeWorker(profile, events)
        Object.assign(worker, { pid })
        return worker
      },
      vitals: {
        progress: () => {
          asked += 1
          return progress
        },
        residentBytes: () => resident,
        kernelKills: () => kills,
      },
    },
    { onMessage: () => undefined, onEnd: (_id, death) => deaths.push(death) },
  )
  pool.submit({ id: 1, shared: { id: 's', bytes: NO_BYTES }, payload: NO_BYTES, memoryMiB })
  worker.ready()
}

beforeEach(() => {
  vi.useFakeTimers()
  deaths = []
  progress = { state: 'S', cpuTicks: 5 }
  resident = BASE
  kills = 0
  asked = 0
})
afterEach(async () => {
  const closed = pool.close()
  worker.exit()
  vi.useRealTimers()
  await closed
})

describe('a worker process that runs something', () => {
  it('and is stopped for ten looks, a second apart, is ended, and its invocation with it', () => {
    runOne()
    progress = { state: 'T', cpuTicks: 5 }
    vi.advanceTimersByTime(10_000)
    expect(worker.killed).toBe(0)
    vi.advanceTimersByTime(1_000)
    expect(worker.killed).toBe(1)
    worker.exit({ signal: 'SIGKILL' })
    expect(deaths).toMatchObject([{ reason: 'frozen', signal: 'SIGKILL' }])
  })

  it.each([
    ['computes without a pause', (at: number): Progress => ({ state: 'R', cpuTicks: at })],
    ['waits for something', (): Progress => ({ state: 'S', cpuTicks: 5 })],
    ['is stopped and continued in turns', (at: number): Progress => ({ state: 'T', cpuTicks: at })],
    ['was stopped nine times in ten', (at: number): Progress => ({ state: at % 10 > 0 ? 'T' : 'S', cpuTicks: 5 })],
    ['cannot be looked at', () => undefined],
  ])('and %s is left alone', (_what, at) => {
    runOne()
    for (let second = 0; second < 100; second++) {
      progress = at(second)
      vi.advanceTimersByTime(1_000)
    }
    expect(worker.killed).toBe(0)
  })

  it('is looked at only until it has ended', () => {
    runOne()
    vi.advanceTimersByTime(5_000)
    expect(asked).toBe(5)
    worker.end(1)
    vi.advanceTimersByTime(60_000)
    expect(asked).toBe(5)
    expect(vi.getTimerCount()).toBeLessThanOrEqual(1)
  })

  it('is looked at again when it runs again', () => {
    runOne()
    worker.end(1)
    vi.advanceTimersByTime(60_000)
    pool.submit({ id: 2, shared: { id: 's', bytes: NO_BYTES }, payload: NO_BYTES })
    vi.advanceTimersByTime(2_000)
    expect(asked).toBe(2)
  })

  it.each([
    ['what it did lately, as far as it was looked at', 5_500, { state: 'R', cpuMs: 2_750, overMs: 5_500 }, 7],
    ['no more of the past than is asked for', 2_000, { state: 'R', cpuMs: 750, overMs: 1_500 }, 7],
    ['no more than the last looks', 60_000, { state: 'R', cpuMs: 4_750, overMs: 9_500 }, 30],
    ['what it does, where it was not looked at yet', 60_000, { state: 'R' }, 0],
  ])('is said to have done %s', (_what, withinMs, expected, seconds) => {
    runOne()
    for (let second = 1; second <= seconds; second++) {
      progress = { state: 'S', cpuTicks: 50 * second }
      vi.advanceTimersByTime(1_000)
    }
    vi.advanceTimersByTime(500)
    progress = { state: 'R', cpuTicks: 50 * seconds + 25 }
    expect(pool.activityOf(1, withinMs)).toEqual(expected)
  })

  it('is said to do something until it has ended or is gone', () => {
    runOne()
    expect([pool.activityOf(1, 1_000), pool.activityOf(2, 1_000)]).toEqual([{ state: 'S' }, undefined])
    progress = undefined
    expect(pool.activityOf(1, 1_000)).toBeUndefined()
    progress = { state: 'S', cpuTicks: 5 }
    worker.end(1)
    expect(pool.activityOf(1, 1_000)).toBeUndefined()
  })

  it('is not asked where it has no process', () => {
    runOne({})
    vi.advanceTimersByTime(20_000)
    expect(pool.activityOf(1, 1_000)).toBeUndefined()
    expect([asked, worker.killed]).toEqual([0, 0])
  })

  it('and holds more than its limit beyond what it held when ready is ended with what it held', () => {
    runOne({ memoryMiB: 100, pid: PID })
    resident = BASE + 164 * MIB
    vi.advanceTimersByTime(1_000)
    expect(worker.killed).toBe(0)
    resident += 4_096
    vi.advanceTimersByTime(100)
    expect(worker.killed).toBe(1)
    worker.exit({ signal: 'SIGKILL' })
    expect(deaths).toMatchObject([{ reason: 'outOfMemory', memoryLimitMiB: 100, heldBytes: 164 * MIB + 4_096 }])
    expect(deaths[0]?.probably).toBeUndefined()
  })

  it('may hold what it likes where it has no limit', () => {
    runOne()
    resident = 1e12
    vi.advanceTimersByTime(10_000)
    expect(worker.killed).toBe(0)
  })

  it('may tell itself that it is over', () => {
    runOne({ memoryMiB: 100 })
    worker.events.onFrame(MEMORY, 300, NO_BYTES)
    expect(worker.killed).toBe(1)
    worker.exit({ exitCode: 1 })
    expect(deaths).toMatchObject([{ reason: 'outOfMemory', memoryLimitMiB: 100, heldBytes: 300 * MIB }])
  })

  it.each([
    ['near its limit', 91, 0, 'outOfMemory'],
    ['far from it', 89, 0, 'exited'],
    ['while the kernel killed for memory', 1, 1, 'outOfMemory'],
  ])('and is killed from outside %s is reported so', (_what, heldMiB, newKills, reason) => {
    runOne({ memoryMiB: 100, pid: PID })
    resident = BASE + heldMiB * MIB
    vi.advanceTimersByTime(1_000)
    kills += newKills
    worker.exit({ signal: 'SIGKILL' })
    expect(deaths[0]?.reason).toBe(reason)
    expect(deaths[0]?.probably).toBe(reason === 'outOfMemory' ? true : undefined)
  })

  it('and is killed long after the kernel killed another is not said to have died of memory', () => {
    runOne()
    kills = 1
    vi.advanceTimersByTime(1_000)
    worker.exit({ signal: 'SIGKILL' })
    expect(deaths[0]?.reason).toBe('exited')
  })

  it('and ends by another signal near its limit has not died of memory', () => {
    runOne({ memoryMiB: 100, pid: PID })
    resident = BASE + 95 * MIB
    vi.advanceTimersByTime(1_000)
    kills = 1
    worker.exit({ signal: 'SIGTERM' })
    expect(deaths[0]?.reason).toBe('exited')
  })
})
