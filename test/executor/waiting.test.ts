/** Waiting for jobs and calls: what there is by then, whoever made it, planned or not; and what stats say of it. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, type Job, JobError, type TaskContext, TimeoutError } from '../../src/entry/index.ts'

let exec: FunctionExecutor
beforeAll(() => {
  exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false, logLevel: 'silent' })
})
afterAll(() => exec.shutdown({ cancelFutures: true }))

/** Runs until it is stopped. */
const endless = (_: unknown, task: TaskContext) =>
  new Promise<never>((_resolve, reject) => task.signal.addEventListener('abort', () => reject(new Error('stopped'))))
const some = async (n: number, task: TaskContext) => (n < 0 ? endless(n, task) : n)
/** Items of which the first never comes. */
async function* unread(): AsyncGenerator<number> {
  yield await new Promise(() => undefined)
}

async function stop(...jobs: Job<unknown, unknown>[]): Promise<void> {
  for (const job of jobs) {
    job.cancel({ running: true })
    await job.exception().catch(() => undefined)
  }
}

describe('exec.wait', () => {
  it.each([
    ['ALWAYS', undefined],
    ['ALL_COMPLETED', 5],
    [100, 5],
  ] as const)('of a job that is never planned returns with nothing (%s, timeout %s)', async (returnWhen, timeout) => {
    const job = exec.map((n: number) => n, unread())
    expect(await exec.wait(job, { returnWhen, timeout })).toEqual({ done: [], notDone: [] })
    await stop(job)
  })

  it('of a job that is never planned ends with its signal', async () => {
    const job = exec.map((n: number) => n, unread())
    const abort = new AbortController()
    const waits = [
      exec.wait(job, { signal: abort.signal }),
      exec.getResult(job, { signal: abort.signal }),
      job.futures({ signal: abort.signal }),
      job.planned({ signal: abort.signal }),
      job.certificate({ signal: abort.signal }),
      job.result({ signal: abort.signal }),
    ]
    abort.abort(new Error('enough'))
    for (const wait of waits) await expect(wait).rejects.toThrow('enough')
    expect(job.done()).toBe(false)
    await stop(job)
  })

  it('counts a percentage up, over jobs and calls together', async () => {
    const job = exec.map(some, [1, 2, -1], { chunksize: 1 })
    const call = exec.callAsync((n: number) => n, 3)
    const { done, notDone } = await exec.wait([job, call], { returnWhen: 51 })
    expect(done.length).toBeGreaterThanOrEqual(3)
    expect(notDone.map(({ callId, jobId }) => `${jobId}/${callId}`)).toEqual([`${job.jobId}/00002`])
    await stop(job)
    await call
  })

  it('of what is no future is refused', async () => {
    await expect(exec.wait([1 as never])).rejects.toThrow(/wait: expected futures of an executor or its jobs, got 1/)
    await expect(exec.getResult([{}] as never)).rejects.toThrow(/getResult.*: expected futures/)
  })
})

describe('exec.getResult', () => {
  it('over time carries what is done and what is not, of lists, jobs and several jobs', async () => {
    const job = exec.map(some, [1, -1], { chunksize: 1 })
    const futures = await job.futures()
    await exec.wait(job, { returnWhen: 'ANY_COMPLETED' })
    for (const given of [futures, job, undefined]) {
      const error = await exec.getResult(given as typeof job, { timeout: 1 }).catch((e: unknown) => e)
      expect(error).toBeInstanceOf(TimeoutError)
      expect(error).toMatchObject({ done: [futures[0]], notDone: [futures[1]] })
    }
    await stop(job)
  })

  it('with throwExcept: false gives what became of a job; without, every failure once', async () => {
    const own = new FunctionExecutor({ backend: 'inline', showProgressbar: false, logLevel: 'silent' })
    const fail = (n: number) => {
      if (n === 2) throw new Error('two')
      return n
    }
    const jobs = [own.map(fail, [1, 2]), own.map(fail, [1]), own.map(fail, [2])]
    expect(await own.getResult(jobs[0] as Job<number[], number>, { throwExcept: false })).toMatchObject({
      status: 'rejected',
    })
    const left = await own.getResult(undefined, { throwExcept: false })
    expect(left).toMatchObject([{ status: 'fulfilled', value: [1] }, { status: 'rejected' }])
    expect(await own.getResult()).toEqual([])
    own.map(fail, [2])
    own.map(fail, [2, 1])
    const error = await own.getResult().catch((e: unknown) => e)
    expect(error).toBeInstanceOf(JobError)
    expect(error).toMatchObject({ errors: [{ name: 'JobError' }, { name: 'JobError' }], jobId: 'M003, M004' })
    expect(await own.getResult()).toEqual([])
    await own.shutdown()
  })
})

describe('cancelling in this process', () => {
  it('tells a call that runs by its signal, and the next can run', async () => {
    const own = new FunctionExecutor({ backend: 'inline', showProgressbar: false, logLevel: 'silent' })
    const running = own.map(endless, [1])
    const [future] = await running.futures()
    await expect.poll(() => future?.running()).toBe(true)
    expect(future?.cancel()).toBe(false)
    expect(future?.cancel({ running: true })).toBe(true)
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await own.callAsync((n: number) => n, 5)).toBe(5)
    await own.shutdown()
  })
})

describe('for await (const future of job)', () => {
  it('may be asked ahead and left early; ends with what kept the job from being planned', async () => {
    const job = exec.map((n: number) => n, [1, 2, 3])
    const iterator = job[Symbol.asyncIterator]()
    const asked = await Promise.all([iterator.next(), iterator.next(), iterator.next(), iterator.next()])
    expect(asked.map(({ done }) => done)).toEqual([false, false, false, true])
    expect(new Set(asked.map(({ value }) => value?.callId)).size).toBe(4) // the last is undefined
    for await (const future of job) {
      expect(await future).toBeTypeOf('number')
      break
    }
    const never = exec.map((n: number) => n, unread())
    const waiting = never[Symbol.asyncIterator]().next()
    await stop(never)
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' })
  })
})

describe('stats', () => {
  it('follow a call from its submission to the reading of its result', async () => {
    const job = exec.map((n: number) => Array.from({ length: n }, (_, i) => i), [1_000, 1], { chunksize: 1 })
    const [large, small] = await job.futures()
    await exec.wait(job)
    expect([large?.callState, large?.stats.readAt]).toEqual(['Success', undefined])
    await job
    for (const future of [large, small]) {
      const { submittedAt, plannedAt, sentAt, startedAt, endedAt, readAt, worker } = future?.stats ?? {}
      const times = [submittedAt, plannedAt, sentAt, startedAt, endedAt, readAt] as number[]
      expect(times).toEqual(times.toSorted((a, b) => a - b))
      const own = [worker?.startedAt, worker?.runStartedAt, worker?.runEndedAt, worker?.endedAt] as number[]
      expect(own).toEqual(own.toSorted((a, b) => a - b))
      expect(future?.callState).toBe('Done')
      expect(worker?.cpuMs).toBeCloseTo((worker?.cpuUserMs ?? -1) + (worker?.cpuSystemMs ?? -1), 6)
      expect(worker?.peakRssBytes).toBeGreaterThan(10 * 2 ** 20)
    }
    expect(large?.stats.worker?.resultBytes).toBeGreaterThan(small?.stats.worker?.resultBytes ?? Number.NaN)
    expect(large?.stats.dataBytes).toBeGreaterThan(0)
    expect(large?.stats.functionBytes).toBe(job.stats.functionBytes)
    const sum = (pick: (stats: NonNullable<typeof large>['stats']) => number | undefined) =>
      [large, small].reduce((total, future) => total + (future === undefined ? 0 : (pick(future.stats) ?? 0)), 0)
    expect(job.stats.cpuUserMs).toBeCloseTo(
      sum(({ worker }) => worker?.cpuUserMs),
      6,
    )
    expect(job.stats.resultBytes).toBe(sum(({ worker }) => worker?.resultBytes))
  })

  it('count the CPU of the call alone, and say which call was the first of its worker', async () => {
    const processes = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false })
    const burn = (ms: number) => {
      const before = process.cpuUsage()
      while (process.cpuUsage(before).user < ms * 1_000);
    }
    const futures = await processes.map(burn, [150, 0, 0], { chunksize: 3 }).futures()
    await futures.wait()
    const [first, second] = futures.map(({ stats }) => stats.worker)
    expect(first?.cpuUserMs).toBeGreaterThanOrEqual(150)
    expect(second?.cpuMs).toBeLessThan(first?.cpuUserMs ?? 0)
    expect(futures.map(({ stats }) => stats.worker?.coldStart === true)).toEqual([true, false, false])
    await processes.shutdown()
  })

  it('name where a call stands in Lithops’ words', async () => {
    const job = exec.map(some, [-1], { chunksize: 1 })
    const failed = exec.callAsync(() => Promise.reject(new Error('no')), 0)
    const unsent = exec.map((n: number) => n, unread())
    const [call] = await job.futures()
    await expect.poll(() => call?.callState).toBe('Running')
    await failed.exception()
    expect(failed.callState).toBe('Error')
    await stop(job, unsent)
    expect(call?.callState).toBe('Cancelled')
    expect(await call?.status()).toMatchObject({ state: 'cancelled', error: undefined })
  })
})

describe('plot and jobSummary', () => {
  it('tell of jobs that were read long ago, and of those given', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'quern-plot-'))
    const own = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
    await own.map((n: number) => n, [1, 2, 3])
    const call = own.callAsync((n: number) => n, 1)
    await call
    const dst = path.join(folder, 'new/run')
    expect(await own.plot(undefined, { dst })).toEqual([`${dst}_timeline.svg`, `${dst}_histogram.svg`])
    const dots = (file: string) => readFileSync(file, 'utf8').match(/M\d+ \d+h0/g)?.length ?? 0
    const all = dots(`${dst}_timeline.svg`)
    await own.plot(call, { dst, figsize: [4, 3] })
    expect(dots(`${dst}_timeline.svg`)).toBeLessThan(all)
    expect(readFileSync(`${dst}_histogram.svg`, 'utf8')).toContain('width="400" height="300"')
    const summary = await own.jobSummary({ dst: path.join(folder, 'summary.csv') })
    expect(summary.jobs).toMatchObject([
      { jobId: 'M000', calls: 3, succeeded: 3 },
      { jobId: 'A001', calls: 1 },
    ])
    expect(summary.total).toMatchObject({ calls: 4, succeeded: 4, attempts: 4 })
    expect(existsSync(path.join(folder, 'summary.csv'))).toBe(true)
    await expect(own.plot(call, { figsize: [1, 2] })).rejects.toThrow(/plot options\.figsize: expected two numbers/)
    await own.shutdown()
    rmSync(folder, { recursive: true })
  })
})
