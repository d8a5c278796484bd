/** Jobs whose items are read while they run: results, waits, failures, cancelling, reducers. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FunctionExecutor, type Job, type ResponseFuture, type TaskContext } from '../../src/entry/index.ts'
import { LEAD_CALLS } from '../../src/executor/item-stream.ts'

let exec: FunctionExecutor
beforeEach(() => {
  exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false, logLevel: 'silent' })
})
afterEach(() => exec.shutdown({ cancelFutures: true }))

const same = (n: number) => n
const odd = (n: number) => {
  if (n % 2 === 1) throw new Error(`odd ${n}`)
  return n
}
const until = (_: unknown, task: TaskContext) =>
  new Promise<never>((_resolve, reject) => task.signal.addEventListener('abort', () => reject(new Error('stopped'))))

/** Numbers that come one by one when they are asked for from outside, and what became of their source. */
function gated() {
  const state = { read: 0, left: 0 }
  let open: (() => void) | undefined
  let given = 0
  async function* items() {
    try {
      for (;;) {
        while (state.read >= given) await new Promise<void>((resolve) => (open = resolve))
        yield state.read++
      }
    } finally {
      state.left += 1
    }
  }
  const give = (count: number) => {
    given += count
    open?.()
  }
  return { state, give, items: items() }
}

/** Endless, and what became of it. */
function counting() {
  const state = { read: 0, left: 0 }
  function* numbers() {
    try {
      for (;;) yield state.read++
    } finally {
      state.left += 1
    }
  }
  return { state, numbers: numbers() }
}

async function firstOf<R>(job: Job<unknown, R>): Promise<ResponseFuture<R>> {
  for await (const future of job) return future
  throw new Error(`${job.jobId} has no calls`)
}

describe('a job over items that are read while it runs', () => {
  it('begins with the first, and gives its results in the order of the items', async () => {
    const own = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
    const seen: number[] = []
    async function* answers(): AsyncGenerator<number> {
      yield 10
      const first = await firstOf(job)
      seen.push(await first, job.progress.calls)
      expect(job.progress.open).toBe(true)
      yield 20
      yield 30
    }
    const job: Job<number[], number> = own.map(same, answers())
    expect(await job).toEqual([10, 20, 30])
    expect([seen, job.progress, job.stats.calls]).toMatchObject([[10, 1], { calls: 3, open: false, done: 3 }, 3])
    expect((await job.futures()).map(({ index }) => index)).toEqual([0, 1, 2])
    await own.shutdown()
  })

  it('of thousands of items has them all, and reads no further than the lead', async () => {
    const most = 2 * LEAD_CALLS
    let read = 0
    let ahead = 0
    function* numbers() {
      for (; read < most; read++) {
        ahead = Math.max(ahead, read - (job?.progress.done ?? 0))
        yield read
      }
    }
    let job: Job<number[], number> | undefined
    job = exec.map(same, numbers(), { chunksize: 16 })
    expect(await job).toEqual(Array.from({ length: most }, (_, i) => i))
    expect(ahead).toBeLessThanOrEqual(LEAD_CALLS + 16)
  })

  it('of few items that come at once knows them before it begins', async () => {
    const job = exec.map(same, new Map([[1, 2]]).values())
    await firstOf(job)
    expect(job.progress).toMatchObject({ open: false, calls: 1 })
    expect(await exec.map(same, new Map<number, number>().values())).toEqual([])
  })

  it('reads what is in memory at once, and all of a durable job', async () => {
    const set = new Set([1, 2, 3])
    const job = exec.map(same, set)
    set.delete(3)
    expect(await job).toEqual([1, 2, 3])
    const own = new FunctionExecutor({ backend: 'inline', storage: 'memory', showProgressbar: false })
    async function* few() {
      await new Promise((resolve) => setImmediate(resolve))
      yield 1
      expect(durable.progress).toMatchObject({ calls: 0, open: false })
      yield 2
    }
    const durable: Job<number[], number> = own.map(same, few(), { durable: true })
    expect(await durable).toEqual([1, 2])
    await own.shutdown()
  })

  it('that is endless is read as far as it is wanted', async () => {
    const { state, numbers } = counting()
    const job = exec.map(same, numbers)
    let sum = 0
    for await (const future of job) {
      sum += await future
      if (sum > 2_000) break
    }
    expect(job.cancel({ running: true })).toBe(true)
    await expect(job).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(state.left).toBe(1)
    const { read } = state
    await new Promise((resolve) => setImmediate(resolve))
    expect(state.read).toBe(read)
    expect((await job.failures()).length).toBe(0)
  })
})

describe('waiting for such a job', () => {
  it('for one end needs one call; for a share or all of them, all items', async () => {
    const { give, items } = gated()
    const job = exec.map(odd, items)
    expect(await exec.wait(job, { returnWhen: 'ALWAYS' })).toEqual({ done: [], notDone: [] })
    give(1)
    const others = gated()
    const other = exec.map(same, others.items)
    const any = await exec.wait([other, job], { returnWhen: 'ANY_COMPLETED' })
    expect(any.done.map(({ jobId, index }) => [jobId, index])).toEqual([[job.jobId, 0]])
    other.cancel({ running: true })
    const failing = exec.wait(job, { returnWhen: 'FIRST_EXCEPTION' })
    const half = exec.wait(job, { returnWhen: 50 })
    const listed = job.futures()
    give(1)
    expect((await failing).done.length).toBe(2)
    const over = await exec.wait(job, { returnWhen: 100, timeout: 1 })
    expect([over.done.length, over.notDone.length]).toEqual([2, 0])
    void items.return(undefined)
    give(1)
    expect((await half).done.length).toBeGreaterThanOrEqual(2)
    expect((await listed).length).toBe((await job.futures()).length)
    await expect(job).rejects.toThrow(/odd 1/)
  })
})

describe('a source that fails', () => {
  it('fails the job with its error as the cause; what was read is run', async () => {
    async function* rotten() {
      yield 0
      await new Promise((resolve) => setImmediate(resolve))
      yield 2
      throw new TypeError('rotten')
    }
    const job = exec.map(odd, rotten())
    const ended: number[] = []
    for await (const future of job) ended.push(await future)
    expect(ended.toSorted()).toEqual([0, 2])
    const message = 'the source of M005 failed after 2 items: rotten'.replace('M005', job.jobId)
    await expect(job).rejects.toMatchObject({ code: 'JOB', message, cause: { name: 'TypeError' }, callCount: 2 })
    await expect(job.futures()).rejects.toThrow('rotten')
    expect((await exec.wait(job)).done.length).toBe(2)
  })

  it('before its first item does so too, and fails a reduce', async () => {
    const rotten = {
      next: (): IteratorResult<number> => {
        throw new Error('rotten')
      },
      [Symbol.iterator]: () => rotten,
    }
    const reduce = (all: number[]) => all.length
    const job = exec.mapReduce(same, rotten, reduce)
    await expect(job).rejects.toMatchObject({ code: 'JOB', message: expect.stringContaining('rotten') })
    await expect(job.mapJob).rejects.toMatchObject({ cause: { message: 'rotten' } })
    expect(await exec.mapReduce(same, [1], reduce)).toBe(1)
  })

  it('with failFast stops what runs', async () => {
    async function* rotten() {
      yield 0
      await new Promise((resolve) => setImmediate(resolve))
      throw new Error('rotten')
    }
    const job = exec.map(until, rotten(), { failFast: true })
    await expect(job).rejects.toThrow('rotten')
    expect(job.progress).toMatchObject({ calls: 1, cancelled: 1 })
  })
})

describe('such a job that ends before its source', () => {
  it.each([
    ['its signal', {}],
    ['failFast', { failFast: true }],
    ['maxFailures', { maxFailures: 2 }],
  ] as const)('by %s leaves the source, once', async (why, policy) => {
    const { state, numbers } = counting()
    const abort = new AbortController()
    const job = exec.map(odd, numbers, { ...policy, signal: abort.signal, chunksize: 1 })
    if (why === 'its signal') {
      await firstOf(job)
      abort.abort()
    }
    await expect(job).rejects.toMatchObject({ code: why === 'its signal' ? 'CANCELLED' : 'JOB' })
    expect(state.left).toBe(1)
    const { done, calls } = job.progress
    expect(done).toBe(calls)
    for (const future of job.known) expect(future.done()).toBe(true)
  })

  it('before anything came of it', async () => {
    const { state, give, items } = gated()
    const job = exec.mapReduce(same, items, (all: number[]) => all.length)
    await exec.wait(job.mapJob, { returnWhen: 'ALWAYS' })
    expect(job.cancel()).toBe(true)
    give(1)
    await expect(job).rejects.toMatchObject({ code: 'CANCELLED' })
    await expect(job.mapJob).rejects.toMatchObject({ code: 'CANCELLED' })
    await expect.poll(() => state.left).toBe(1)
  })

  it('when the executor is shut down', async () => {
    const own = new FunctionExecutor({ backend: 'inline', showProgressbar: false, logLevel: 'silent' })
    const { state, numbers } = counting()
    const job = own.map(same, numbers)
    await firstOf(job)
    await own.shutdown({ cancelFutures: true })
    await expect(job).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(state.left).toBe(1)
  })
})

describe('reducing such a job', () => {
  it.each([0, 20, 100])('begins when all items are known, and has them all (spawnReducer %i)', async (spawnReducer) => {
    const { give, items, state } = gated()
    const job = exec.mapReduce(same, items, (all: number[]) => all, { spawnReducer })
    give(3)
    await exec.wait(job.mapJob, { returnWhen: 'ANY_COMPLETED' })
    expect(job.progress.running).toBe(0)
    await expect.poll(() => state.read).toBe(3)
    void items.return(undefined)
    give(1)
    const all = await job
    expect(all).toEqual([0, 1, 2, 3].slice(0, all.length))
    expect(await job.mapJob).toEqual(all)
  })

  it('fails at once when a call fails that it needs', async () => {
    const { give, items, state } = gated()
    const job = exec.mapReduce(odd, items, (all: number[]) => all.length)
    give(2)
    await expect(job).rejects.toThrow(/odd 1/)
    expect(state.left).toBe(0)
    job.mapJob.cancel({ running: true })
    await expect(job.mapJob).rejects.toMatchObject({ code: 'CANCELLED' })
    give(1)
    await expect.poll(() => state.left).toBe(1)
  })
})
