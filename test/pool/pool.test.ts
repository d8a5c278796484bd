import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { PoolDeath } from '../../src/pool/death.ts'
import type { PoolInvocation } from '../../src/pool/invocation.ts'
import { type PoolOptions, WorkerPool } from '../../src/pool/pool.ts'
import { DROP, FEED, INVOKE, MESSAGE, NO_BYTES, SHARED, START, USE } from '../../src/pool/protocol.ts'
import type { LinkEvents, SpawnProfile } from '../../src/pool/worker-link.ts'
import { FakeWorker } from '../support/fake-worker.ts'

let workers: FakeWorker[]
let told: string[]
let deaths: Map<number, PoolDeath | undefined>

function makePool(options: Partial<PoolOptions> = {}): WorkerPool {
  const startWorker = (profile: SpawnProfile, events: LinkEvents) => {
    const worker = new FakeWorker(profile, events)
    workers.push(worker)
    return worker
  }
  return new WorkerPool(
    { slots: 2, waitingSlots: 0, startup: Buffer.from('start'), startWorker, ...options },
    {
      onMessage: (id) => told.push(`message ${id}`),
      onEnd: (id, death) => {
        told.push(`end ${id}`)
        deaths.set(id, death)
      },
    },
  )
}

function invocation(id: number, more: Partial<PoolInvocation> = {}): PoolInvocation {
  return { id, shared: { id: 'job', bytes: NO_BYTES }, payload: NO_BYTES, ...more }
}

function worker(index: number): FakeWorker {
  const found = workers[index]
  if (found === undefined) throw new Error(`only ${workers.length} workers were started`)
  return found
}

beforeEach(() => {
  workers = []
  told = []
  deaths = new Map()
  vi.useFakeTimers()
})

afterEach(() => {
  vi.useRealTimers()
})

describe('workers', () => {
  it('are started for work, told their start first, and used again before another is started', () => {
    const pool = makePool()
    pool.submit(invocation(1))
    expect(worker(0).sent).toEqual([{ type: START, id: 0 }])
    worker(0).ready()
    worker(0).end(1)
    pool.submit(invocation(2))
    expect([workers.length, worker(0).invoked]).toEqual([1, [1, 2]])
    pool.submit(invocation(3))
    expect(workers.length).toBe(2)
  })

  it('take work from each other: who is free first runs it', () => {
    const pool = makePool()
    pool.submit(invocation(1))
    worker(0).ready()
    pool.submit(invocation(2))
    worker(0).end(1)
    expect(worker(0).invoked).toEqual([1, 2])
    worker(1).ready()
    expect(worker(1).invoked).toEqual([])
  })

  it('are replaced when a heap limit is wanted that none has', () => {
    const pool = makePool({ slots: 1 })
    pool.submit(invocation(1))
    worker(0).ready()
    pool.submit(invocation(2, { memoryMiB: 512 }))
    expect(workers.length).toBe(1)
    worker(0).end(1)
    expect(worker(0).retired).toBe(1)
    expect(worker(1).profile).toEqual({ memoryMiB: 512 })
    worker(1).ready()
    expect(worker(1).invoked).toEqual([2])
  })

  it('leave when idle for too long, and not while they work', () => {
    const pool = makePool({ idleTimeoutMs: 1_000 })
    pool.submit(invocation(1))
    worker(0).ready()
    vi.advanceTimersByTime(5_000)
    expect(worker(0).retired).toBe(0)
    worker(0).end(1)
    vi.advanceTimersByTime(999)
    expect(worker(0).retired).toBe(0)
    vi.advanceTimersByTime(1)
    expect(worker(0).retired).toBe(1)
    pool.submit(invocation(2))
    expect(workers.length).toBe(2)
  })

  it('stay when the idle timeout is infinite', () => {
    const pool = makePool({ idleTimeoutMs: Infinity })
    pool.submit(invocation(1))
    worker(0).ready()
    worker(0).end(1)
    vi.advanceTimersByTime(2 ** 31)
    expect(worker(0).retired).toBe(0)
  })

  it('that are not ready in time are killed and started anew', () => {
    const pool = makePool({ startTimeoutMs: 1_000 })
    pool.submit(invocation(1))
    vi.advanceTimersByTime(1_000)
    expect(worker(0).killed).toBe(1)
    worker(0).exit({ signal: 'SIGKILL' })
    worker(1).ready()
    expect(worker(1).invoked).toEqual([1])
    vi.advanceTimersByTime(10_000)
    expect(worker(1).killed).toBe(0)
  })

  it('are warmed up to the slots and no further', () => {
    const pool = makePool()
    pool.warm()
    pool.warm()
    expect(workers.length).toBe(2)
    pool.submit(invocation(1))
    expect(workers.length).toBe(2)
  })
})

describe('slots', () => {
  /** What runs now, by what the workers were told and what has ended. */
  const running = () => workers.flatMap(({ invoked }) => invoked).filter((id) => !told.includes(`end ${id}`))
  const readyAll = () => {
    for (let i = 0; i < workers.length; i++) if (worker(i).sent.length === 1) worker(i).ready()
  }

  it('bound what runs and, apart from that, what waits, however many workers there are', () => {
    const pool = makePool({ slots: 1, waitingSlots: 2 })
    for (const id of [1, 2, 3]) pool.submit(invocation(id, { waits: true }))
    readyAll()
    expect(running()).toEqual([1, 2])
    for (const id of [11, 12]) pool.submit(invocation(id))
    readyAll()
    expect(running()).toEqual([1, 2, 11])
    workers.find(({ invoked }) => invoked.includes(1))?.end(1)
    readyAll()
    expect(running().sort((a, b) => a - b)).toEqual([2, 3, 11])
    workers.find(({ invoked }) => invoked.includes(3))?.end(3)
    readyAll()
    // the idle worker of the waiting lane takes no plain work beyond the slots
    expect(running().sort((a, b) => a - b)).toEqual([2, 11])
  })
})

describe('the shared parts a worker keeps', () => {
  const ids = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i)

  /** Runs an invocation of each job in turn; what was sent of shared parts, in order. */
  function runJobs(jobs: readonly number[]): string[] {
    const pool = makePool({ slots: 1 })
    jobs.forEach((job, id) => {
      pool.submit(invocation(id, { shared: { id: `${job}`, bytes: NO_BYTES } }))
      if (id === 0) worker(0).ready()
      worker(0).end(id)
    })
    const names = new Map([
      [SHARED, 'shared'],
      [USE, 'use'],
      [DROP, 'drop'],
    ])
    return worker(0).sent.flatMap(({ type, id }) => (names.has(type) ? [`${names.get(type)} ${id}`] : []))
  }

  it('are sent once, named when another was in use since, and not named twice', () => {
    expect(runJobs([1, 1, 2, 1, 1])).toEqual(['shared 1', 'shared 2', 'use 1'])
  })

  it('are sixteen: the next one pushes out the one used longest ago, which is sent again when wanted', () => {
    const sent = runJobs([...ids(1, 16), 1, 17, 1, 2])
    expect(sent.slice(0, 16)).toEqual(ids(1, 16).map((id) => `shared ${id}`))
    expect(sent.slice(16)).toEqual(['use 1', 'shared 17', 'drop 2', 'use 1', 'shared 18', 'drop 3'])
  })
})

describe('the circuit breaker', () => {
  const refuse = (index: number) => worker(index).exit({ exitCode: 1, stderrTail: 'cannot load' })

  it('breaks the pool after three starts in a row that failed', () => {
    const pool = makePool({ slots: 1 })
    pool.submit(invocation(1))
    pool.submit(invocation(2))
    refuse(0)
    refuse(1)
    expect(told).toEqual([])
    refuse(2)
    expect(told).toEqual(['end 1', 'end 2'])
    expect(deaths.get(2)).toMatchObject({ reason: 'neverStarted', exitCode: 1, stderrTail: 'cannot load' })
    expect(() => pool.submit(invocation(3))).toThrow(/3 tries in a row.*exit code 1\):\ncannot load/)
    expect(workers.length).toBe(3)
  })

  it('counts from zero once a worker was ready', () => {
    const pool = makePool({ slots: 2 })
    pool.submit(invocation(1))
    refuse(0)
    refuse(1)
    worker(2).ready()
    pool.submit(invocation(2))
    refuse(3)
    refuse(4)
    worker(5).ready()
    expect(worker(5).invoked).toEqual([2])
  })

  it('does not count deaths of workers that had been ready', () => {
    const pool = makePool({ slots: 1 })
    for (let round = 0; round < 5; round++) {
      pool.submit(invocation(round))
      worker(round).ready()
      worker(round).exit({ exitCode: 1 })
    }
    expect(told).toEqual(['end 0', 'end 1', 'end 2', 'end 3', 'end 4'])
    expect(deaths.get(4)?.reason).toBe('exited')
  })

  it('leaves alone what runs in healthy workers', () => {
    const pool = makePool()
    pool.submit(invocation(1))
    worker(0).ready()
    pool.submit(invocation(2))
    for (const index of [1, 2, 3]) refuse(index)
    expect(told).toEqual(['end 2'])
    worker(0).end(1)
    expect(told).toEqual(['end 2', 'end 1'])
    expect(deaths.get(1)).toBeUndefined()
  })
})

describe('an invocation', () => {
  it('that ends while it is being stopped ends once, and its worker takes no other', async () => {
    const pool = makePool({ slots: 1 })
    pool.submit(invocation(1))
    worker(0).ready()
    const stopped = pool.stop(1)
    worker(0).end(1)
    pool.submit(invocation(2))
    expect(worker(0).invoked).toEqual([1])
    worker(0).exit({ signal: 'SIGKILL' })
    await stopped
    expect(told).toEqual(['end 1'])
    worker(1).ready()
    expect(worker(1).invoked).toEqual([2])
  })

  it('hears what was sent before it ran, after its payload', () => {
    const pool = makePool({ slots: 1 })
    pool.submit(invocation(1))
    pool.send(1, Buffer.from('early'))
    worker(0).ready()
    expect(
      worker(0)
        .sent.slice(-2)
        .map(({ type }) => type),
    ).toEqual([INVOKE, FEED])
  })

  it('does not get the messages of another', () => {
    const pool = makePool({ slots: 1 })
    pool.submit(invocation(1))
    worker(0).ready()
    worker(0).events.onFrame(MESSAGE, 2, NO_BYTES)
    worker(0).end(2)
    worker(0).events.onFrame(MESSAGE, 1, NO_BYTES)
    expect(told).toEqual(['message 1'])
  })

  it('is refused when its id is in use', () => {
    const pool = makePool()
    pool.submit(invocation(1))
    expect(() => pool.submit(invocation(1))).toThrow(/id 1 is in use/)
    worker(0).ready()
    expect(() => pool.submit(invocation(1))).toThrow(/id 1 is in use/)
    worker(0).end(1)
    pool.submit(invocation(1))
    expect(worker(0).invoked).toEqual([1, 1])
  })

  it('may be followed by another from within its end', () => {
    const pool = new WorkerPool(
      {
        slots: 1,
        waitingSlots: 0,
        startup: NO_BYTES,
        startWorker: (p, e) => workers[workers.push(new FakeWorker(p, e)) - 1] as FakeWorker,
      },
      { onMessage: () => undefined, onEnd: (id) => id < 3 && pool.submit(invocation(id + 1)) },
    )
    pool.submit(invocation(1))
    worker(0).ready()
    worker(0).end(1)
    worker(0).end(2)
    expect([workers.length, worker(0).invoked]).toEqual([1, [1, 2, 3]])
  })
})
