/** What a pool gives ahead, takes back and tells, with workers that the test plays. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { PoolDeath } from '../../src/pool/death.ts'
import type { PoolInvocation } from '../../src/pool/invocation.ts'
import { type PoolOptions, WorkerPool } from '../../src/pool/pool.ts'
import { FEED, INVOKE, NO_BYTES, RECYCLE } from '../../src/pool/protocol.ts'
import { FakeWorker } from '../support/fake-worker.ts'

let workers: FakeWorker[]
let told: string[]
let deaths: Map<number, PoolDeath | undefined>

beforeEach(() => {
  workers = []
  told = []
  deaths = new Map()
})

function makePool(options: Partial<PoolOptions> = {}): WorkerPool {
  return new WorkerPool(
    {
      slots: 1,
      waitingSlots: 0,
      prefetch: 2,
      startup: NO_BYTES,
      startWorker: (profile, events) => workers[workers.push(new FakeWorker(profile, events)) - 1] as FakeWorker,
      ...options,
    },
    {
      onMessage: (id) => told.push(`message ${id}`),
      onEnd: (id, death) => {
        told.push(`end ${id}`)
        deaths.set(id, death)
      },
      onWorkerStart: ({ id }) => told.push(`worker ${id} started`),
      onWorkerExit: ({ id }, { reason }) => told.push(`worker ${id} ${reason}`),
      onBroken: (error) => told.push(error.code),
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

/** A pool of one ready worker that runs the first of these and has the others, as far as they go, ahead. */
function busyPool(ids: readonly number[], options: Partial<PoolOptions> = {}): WorkerPool {
  const pool = makePool(options)
  for (const id of ids) pool.submit(invocation(id))
  worker(0).ready()
  return pool
}

describe('what is given ahead', () => {
  it('is no more than prefetch, in the order of the line, and follows as ends come', () => {
    const pool = busyPool([1, 2, 3, 4, 5])
    expect(worker(0).invoked).toEqual([1, 2, 3])
    expect(pool.counts).toEqual({ workers: 1, idle: 0, starting: 0, queued: 4, running: 1 })
    worker(0).end(1)
    expect(worker(0).invoked).toEqual([1, 2, 3, 4])
    expect(pool.workers()).toEqual([{ id: 1, threadId: 7, state: 'busy', running: 2 }])
  })

  it('is nothing by default', () => {
    busyPool([1, 2, 3], { prefetch: undefined })
    expect(worker(0).invoked).toEqual([1])
  })

  it('goes to the worker with the least ahead, and only once every slot is taken', () => {
    const pool = makePool({ slots: 2 })
    pool.submit(invocation(1))
    worker(0).ready()
    pool.submit(invocation(2))
    expect([workers.length, worker(0).invoked]).toEqual([2, [1]])
    for (const id of [3, 4, 5]) pool.submit(invocation(id))
    worker(1).ready()
    expect([worker(0).invoked, worker(1).invoked]).toEqual([
      [1, 3, 4],
      [2, 5],
    ])
  })

  it('is spread evenly over workers that are all busy', () => {
    const pool = makePool({ slots: 2 })
    for (const id of [1, 2]) pool.submit(invocation(id))
    for (const each of workers) each.ready()
    for (const id of [3, 4, 5, 6]) pool.submit(invocation(id))
    expect(workers.map(({ invoked }) => invoked)).toEqual([
      [1, 3, 5],
      [2, 4, 6],
    ])
  })

  it.each([
    ['to run alone', { alone: true }],
    ['whose value was moved', { direct: { value: NO_BYTES, transfer: [new ArrayBuffer(1)] } }],
  ])('is never one %s: it waits for an idle worker, and nobody overtakes it', (_name, more) => {
    const pool = busyPool([1])
    pool.submit(invocation(2, more))
    pool.submit(invocation(3))
    expect(worker(0).invoked).toEqual([1])
    worker(0).end(1)
    expect(worker(0).invoked.slice(0, 2)).toEqual([1, 2])
  })

  it('does not go to a worker that runs something alone, waits, or has another heap', () => {
    const pool = makePool({ slots: 1, waitingSlots: 1 })
    pool.submit(invocation(1, { alone: true }))
    worker(0).ready()
    pool.submit(invocation(2, { waits: true }))
    worker(1).ready()
    pool.submit(invocation(3))
    expect([worker(0).invoked, worker(1).invoked]).toEqual([[1], [2]])
    const other = makePool()
    other.submit(invocation(1))
    worker(2).ready()
    other.submit(invocation(2, { memoryMiB: 64 }))
    expect(worker(2).invoked).toEqual([1])
  })

  it('does not go to a worker that is being ended', () => {
    const pool = busyPool([1])
    void pool.stop(1)
    pool.submit(invocation(2))
    expect(worker(0).invoked).toEqual([1])
    worker(0).exit({ signal: 'SIGKILL' })
    worker(1).ready()
    expect(worker(1).invoked).toEqual([2])
  })

  it('hears what was sent to it when its turn comes, after its payload', () => {
    const pool = busyPool([1, 2])
    pool.send(2, NO_BYTES)
    expect(worker(0).sent.filter(({ type }) => type === FEED)).toEqual([])
    worker(0).end(1)
    expect(worker(0).sent.at(-1)).toEqual({ type: FEED, id: 2 })
  })

  it('ends when its turn comes if it was stopped: it takes its worker with it', async () => {
    const pool = busyPool([1, 2, 3])
    await pool.stop(2)
    expect(worker(0).killed).toBe(0)
    worker(0).end(1)
    expect(worker(0).killed).toBe(1)
    worker(0).exit({ signal: 'SIGKILL' })
    expect(deaths.get(2)?.reason).toBe('stopped')
    worker(1).ready()
    expect(worker(1).invoked).toEqual([3])
  })
})

describe('when a worker leaves', () => {
  it('by death, only what it ran ends with it; what lay ahead runs first, in order, with what it was sent', () => {
    const pool = busyPool([1, 2, 3, 4])
    pool.send(3, NO_BYTES)
    worker(0).exit({ exitCode: 9 })
    expect(told).toEqual(['worker 1 started', 'end 1', 'worker 1 exited'])
    expect(deaths.get(1)).toMatchObject({ reason: 'exited', exitCode: 9 })
    worker(1).ready()
    expect(worker(1).invoked).toEqual([2, 3, 4])
    worker(1).end(2)
    expect(worker(1).sent.filter(({ type }) => type === FEED)).toEqual([{ type: FEED, id: 3 }])
  })

  it('by death, what was stopped ahead in it ends and is not run again', async () => {
    const pool = busyPool([1, 2, 3])
    const stopped = pool.stop(2)
    worker(0).exit({ exitCode: 9 })
    await stopped
    expect([...deaths].map(([id, death]) => [id, death?.reason])).toEqual([
      [1, 'exited'],
      [2, 'stopped'],
    ])
    worker(1).ready()
    expect(worker(1).invoked).toEqual([3])
  })

  it('after the end of one, the next is what it ran', () => {
    busyPool([1, 2, 3])
    worker(0).end(1)
    worker(0).exit({ exitCode: 9 })
    expect([...deaths.keys()]).toEqual([1, 2])
    worker(1).ready()
    expect(worker(1).invoked).toEqual([3])
  })

  it('at its own wish, it is sent nothing more and is replaced', () => {
    busyPool([1, 2, 3, 4])
    worker(0).end(1, RECYCLE)
    expect([worker(0).retired, worker(0).invoked]).toEqual([1, [1, 2, 3]])
    expect(workers.length).toBe(2)
    worker(1).ready()
    expect(worker(1).invoked).toEqual([2, 3, 4])
    worker(0).exit({ exitCode: 0 })
    expect(told).toEqual(['worker 1 started', 'end 1', 'worker 2 started', 'worker 1 closed'])
  })

  it('because another was stopped too late, the one it ran is told as a death', async () => {
    const pool = busyPool([1, 2])
    const stopped = pool.stop(1)
    worker(0).end(1)
    worker(0).exit({ signal: 'SIGKILL' })
    await stopped
    expect(deaths.get(2)).toMatchObject({ reason: 'exited', signal: 'SIGKILL' })
  })

  it('idle, it is simply replaced on demand', () => {
    const pool = busyPool([1])
    worker(0).end(1)
    worker(0).exit({ signal: 'SIGKILL' })
    expect(told.at(-1)).toBe('worker 1 exited')
    pool.submit(invocation(2))
    expect(workers.length).toBe(2)
  })
})

describe('the pool', () => {
  it('grows and shrinks: idle workers leave at once, busy ones when they have ended what they have', () => {
    const pool = makePool({ slots: 3, prefetch: 0 })
    for (const id of [1, 2, 3]) pool.submit(invocation(id))
    for (const each of workers) each.ready()
    worker(0).end(1)
    pool.resize(1)
    expect(workers.map(({ retired }) => retired)).toEqual([1, 0, 0])
    pool.submit(invocation(4))
    worker(1).end(2)
    expect([worker(1).retired, worker(2).retired]).toEqual([1, 0])
    worker(2).end(3)
    expect(worker(2).invoked).toEqual([3, 4])
    pool.resize(2)
    pool.submit(invocation(5))
    expect(workers.length).toBe(4)
    expect(() => pool.resize(0)).toThrow(/pool slots: expected a whole number from 1, got 0/)
  })

  it('closes: what lies ahead ends with what runs; kill ends idle workers too', async () => {
    const pool = busyPool([1, 2, 3, 4])
    const closed = pool.close()
    expect([worker(0).killed, told.at(-1)]).toEqual([1, 'end 4'])
    worker(0).exit({ signal: 'SIGKILL' })
    await closed
    expect([1, 2, 3, 4].map((id) => deaths.get(id)?.reason)).toEqual(['closed', 'closed', 'closed', 'closed'])
    const other = busyPool2()
    void other.close({ kill: true })
    expect(worker(1).killed).toBe(1)
    worker(1).exit()
  })

  it('that is broken says so once, and ends what comes back to it', () => {
    const pool = busyPool([1, 2], { slots: 2, prefetch: 2 })
    worker(1).ready()
    for (const id of [3, 4]) pool.submit(invocation(id))
    worker(1).exit({ exitCode: 1 })
    for (const index of [2, 3, 4]) worker(index).exit({ exitCode: 1 })
    expect(told.filter((line) => line === 'BROKEN_EXECUTOR')).toHaveLength(1)
    worker(0).exit({ exitCode: 1 })
    expect([...deaths.keys()].sort()).toEqual([1, 2, 3, 4])
  })

  it('refuses what cannot travel: by throwing, or by its end when it had to wait', () => {
    const pool = busyPool([1], { prefetch: 0 })
    pool.submit(invocation(2))
    pool.submit(invocation(3))
    worker(0).refusal = new Error('cannot travel')
    worker(0).end(1)
    expect(deaths.get(2)).toMatchObject({ reason: 'unsendable', error: { message: 'cannot travel' } })
    expect(() => pool.submit(invocation(4))).toThrow('cannot travel')
    worker(0).refusal = undefined
    pool.submit(invocation(5))
    expect([worker(0).invoked, pool.counts.running]).toEqual([[1, 5], 1])
    expect(worker(0).sent.filter(({ type }) => type === INVOKE)).toHaveLength(2)
  })
})

/** A pool whose only worker, the second of the test, is idle. */
function busyPool2(): WorkerPool {
  const pool = makePool()
  pool.warm()
  worker(1).ready()
  return pool
}
