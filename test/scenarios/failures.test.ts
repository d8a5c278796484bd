/** Failures on real workers: tried again, backed up, tolerated, found overdue. */
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  FunctionExecutor,
  type JobError,
  type ObjectPartition,
  objects,
  type TaskContext,
} from '../../src/entry/index.ts'

let exec: FunctionExecutor
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quern-failures-'))
  exec = new FunctionExecutor({ maxWorkers: 2, runtimeMemory: 96, showProgressbar: false, logLevel: 'error' })
})

afterAll(async () => {
  await exec.shutdown({ cancelFutures: true })
  await rm(folder, { recursive: true, force: true })
})

const range = (count: number) => Array.from({ length: count }, (_, i) => i)

describe('retries', () => {
  it('try a call again until it succeeds, each try once, with its number', async () => {
    const file = join(folder, 'tries')
    const job = exec.map(
      async (item: number, into: string, task: TaskContext) => {
        await appendFile(into, `${item}:${task.attempt}\n`)
        if (task.attempt <= item % 3) throw new Error(`try ${task.attempt} of ${item}`)
        return item * 10
      },
      range(6),
      { extraArgs: [file], retries: { retries: 2, backoff: 1 } },
    )
    expect(await job).toEqual([0, 10, 20, 30, 40, 50])
    expect((await job.futures()).map(({ stats }) => stats.attempts)).toEqual([1, 2, 3, 1, 2, 3])
    expect(job.stats).toMatchObject({ attempts: 12, succeeded: 6, failed: 0 })
    const tries = (await readFile(file, 'utf8')).trim().split('\n').sort()
    expect(tries).toEqual(range(6).flatMap((item) => range((item % 3) + 1).map((i) => `${item}:${i + 1}`)))
  })

  it('ask retryIf with what the function threw, and spend no more than the budget', async () => {
    const asked: string[] = []
    const failing = (item: number) => {
      throw item === 0 ? new RangeError('never mind') : new Error('again')
    }
    const refusing = exec.map(failing, [0, 1], {
      retries: {
        retries: 2,
        backoff: 0,
        retryIf: (error, attempt) => {
          asked.push(`${error.name} ${attempt}`)
          return !(error instanceof RangeError)
        },
      },
    })
    await expect(refusing).rejects.toMatchObject({ code: 'JOB', failedCalls: ['00000', '00001'] })
    expect((await refusing.futures()).map(({ stats }) => stats.attempts)).toEqual([1, 3])
    expect(asked.toSorted()).toEqual(['Error 1', 'Error 2', 'RangeError 1'])
    const frugal = exec.map(failing, range(8), { retries: { retries: 3, backoff: 0, budget: 4 } })
    await frugal.exception()
    expect(frugal.stats).toMatchObject({ attempts: 12, failed: 8 })
  })

  it('give a call more memory after it ran out of it', async () => {
    const job = exec.map(
      (item: number) => {
        const hoard: number[][] = []
        while (item === 1 && hoard.length < 200) hoard.push(new Array(100_000).fill(item).map((x, i) => x + i / 2))
        return item + hoard.length
      },
      [0, 1, 2],
      { retries: { retries: 2, backoff: 0, memoryFactor: 6 } },
    )
    expect(await job).toEqual([0, 201, 2])
    expect((await job.futures()).map(({ stats }) => stats.attempts)).toEqual([1, 2, 1])
  })
})

describe('a backup', () => {
  it('takes the place of a call whose worker is frozen, which is stopped', async () => {
    const job = exec.map(
      (item: number, task: TaskContext) => {
        if (item === 3 && task.attempt === 1) process.kill(process.pid, 'SIGSTOP')
        return item
      },
      range(12),
      { speculate: true, chunksize: 1 },
    )
    // without retries, the death of the frozen worker would have failed the call
    expect(await job).toEqual(range(12))
    expect((await job.futures())[3]?.stats.attempts).toBe(2)
    expect(await exec.callAsync((x: number) => x, 7)).toBe(7)
  })
})

describe('a backup of a reduce', () => {
  it('is fed all of its results again', async () => {
    const files = range(12).map((i) => join(folder, `part-${i}.txt`))
    await Promise.all(files.map((file, i) => appendFile(file, `${i}\n`.repeat(10))))
    const job = exec.mapReduce(
      async (part: ObjectPartition) => Number.parseInt(await part.text(), 10),
      objects(files),
      (results: number[], task: TaskContext) => {
        if (results[0] === 5 && task.attempt === 1) process.kill(process.pid, 'SIGSTOP')
        return results.join()
      },
      { objReduceByKey: true, objChunkSize: 10, speculate: true, durable: false },
    )
    expect([...(await job).values()]).toEqual(range(12).map((i) => new Array<number>(i < 10 ? 2 : 3).fill(i).join()))
    expect((await job.futures())[5]?.stats.attempts).toBe(2)
  })
})

describe('maxFailures', () => {
  const odd = (item: number) => {
    if (item % 5 === 4) throw new Error(`${item} is bad`)
    return item
  }

  it('leaves failed calls out of the reduce, which knows them, and lists them', async () => {
    const job = exec.mapReduce(
      odd,
      range(10),
      (results: number[], task: TaskContext) => ({ results, failed: [...task.failedInputs] }),
      { maxFailures: '20%' },
    )
    expect(await job).toEqual({ results: [0, 1, 2, 3, 5, 6, 7, 8], failed: ['00004', '00009'] })
    expect(await job.mapJob).toEqual([0, 1, 2, 3, undefined, 5, 6, 7, 8, undefined])
    const failures = await job.failures()
    expect(failures.map(({ jobId, callId, error }) => [jobId[0], callId, (error.cause as Error).message])).toEqual([
      ['M', '00004', '4 is bad'],
      ['M', '00009', '9 is bad'],
    ])
    expect(job.mapJob.stats).toMatchObject({ succeeded: 8, failed: 2, tolerated: 2, cancelled: 0 })
  })

  it('lets no one more fail: the job ends at once, with what failed as its error', async () => {
    const job = exec.mapReduce(
      async (item: number) => {
        if (item < 3) throw new Error(`${item} is bad`)
        await new Promise(() => undefined)
      },
      range(30),
      (results: unknown[]) => results.length,
      { maxFailures: 2, chunksize: 1 },
    )
    const error = (await job.mapJob.exception()) as JobError
    expect(error).toMatchObject({ code: 'JOB', failedCalls: ['00000', '00001', '00002'], callCount: 30 })
    expect(error.message).toContain('3 of 30 calls of M')
    expect(error.message).toContain('(27 were cancelled)')
    await expect(job).rejects.toMatchObject({ code: 'JOB' })
  })

  it('says of which object and range a tolerated failure was, and certifies the rest', async () => {
    const file = join(folder, 'lines.txt')
    await appendFile(file, 'good\nbad!\ngood\n')
    const job = exec.map(
      async (part) => {
        const text = await part.text()
        if (text.includes('bad')) throw new Error('bad line')
        return text
      },
      objects(file),
      { objChunkSize: 5, maxFailures: 1, durable: false },
    )
    expect(await job).toEqual(['good\n', undefined, 'good\n'])
    expect(await job.failures()).toMatchObject([
      { callId: '00001', range: { start: 5, end: 10 }, object: { size: 15 } },
    ])
    expect((await job.certificate()).complete).toBe(false)
  })
})

describe('deadlines', () => {
  const forEver = (item: number) => {
    while (item === 0);
    return new Promise<number>((resolve) => item !== 1 && resolve(item))
  }

  it('of silence: a call that blocks its worker and tells nothing is ended, one that waits is not', async () => {
    const job = exec.map(forEver, [0, 1], { silenceTimeout: '4s', chunksize: 1 })
    const [silent, waiting] = await job.futures()
    await expect(silent).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(
        /call 00000 of M\d+ gave no sign of life for its silenceTimeout of 4.0 s and was stopped(; its process used [\d.]+ m?s of processor in the last [\d.]+ m?s: it computes \(state [A-Z]\))?$/,
      ),
    })
    expect(waiting?.done()).toBe(false)
    job.cancel({ running: true })
  })

  it('of silence: what was said while the driver could not listen is heard', async () => {
    const job = exec.map((ms: number) => new Promise<number>((resolve) => setTimeout(resolve, ms, ms)), [2_600], {
      silenceTimeout: '1.7s',
    })
    while (job.progress.running === 0) await new Promise((resolve) => setTimeout(resolve, 5))
    // behind a phase of the event loop after which timers come before what was received
    await new Promise((resolve) => setImmediate(resolve))
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500)
    expect(await job).toEqual([2_600])
  })

  it('of the queue: a call that cannot start in time fails', async () => {
    const job = exec.map(forEver, [1, 1, 2], { queueTimeout: '1s', chunksize: 1 })
    const futures = await job.futures()
    await expect(futures[2]).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringMatching(/call 00002 of M\d+ was queued longer than its queueTimeout of 1.0 s/),
    })
    job.cancel({ running: true })
  })
})
