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
  progress = { stopped: false, cpuTicks: 5 }
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
    progress = { stopped: true, cpuTicks: 5 }
    vi.advanceTimersByTime(10_000)
    expect(worker.killed).toBe(0)
    vi.advanceTimersByTime(1_000)
    expect(worker.killed).toBe(1)
    worker.exit({ signal: 'SIGKILL' })
    expect(deaths).toMatchObject([{ reason: 'frozen', signal: 'SIGKILL' }])
  })

  it.each([
    ['computes without a pause', (at: number): Progress => ({ stopped: false, cpuTicks: at })],
    ['waits for something', (): Progress => ({ stopped: false, cpuTicks: 5 })],
    ['is stopped and continued in turns', (at: number): Progress => ({ stopped: true, cpuTicks: at })],
    ['was stopped nine times in ten', (at: number): Progress => ({ stopped: at % 10 > 0, cpuTicks: 5 })],
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

  it('is not asked where it has no process', () => {
    runOne({})
    vi.advanceTimersByTime(20_000)
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
