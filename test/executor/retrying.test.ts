/** RetryingFunctionExecutor against every trap that Lithops' has (its retries return early, wait for each other, lose partitions). */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  FunctionExecutor,
  JobError,
  type ObjectPartition,
  objects,
  RetryingFunctionExecutor,
  type TaskContext,
} from '../../src/entry/index.ts'

let folder: string
let exec: FunctionExecutor
let retrying: RetryingFunctionExecutor

beforeAll(() => {
  exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
  retrying = new RetryingFunctionExecutor(exec, { retries: 2, backoff: 1 })
})
afterAll(() => retrying.shutdown())
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-retrying-'))
  return () => rmSync(folder, { recursive: true })
})

/** Fails its first `failures` attempts; leaves a file for each. */
const flaky = (failures: number, dir: string, task: TaskContext) => {
  writeFileSync(path.join(dir, `${task.callId}-${task.attempt}`), '')
  if (task.attempt <= failures) throw new Error(`attempt ${task.attempt}`)
  return task.attempt
}

const attemptsOf = (callId: string) => readdirSync(folder).filter((name) => name.startsWith(callId)).length

describe('RetryingFunctionExecutor', () => {
  it('has the whole interface of a FunctionExecutor', () => {
    const names = Reflect.ownKeys(FunctionExecutor.prototype).filter((name) => name !== 'constructor')
    expect(names.length).toBeGreaterThan(8)
    expect(names.filter((name) => !(name in retrying))).toEqual([])
    expect(retrying.executorId).toBe(exec.executorId)
    expect(retrying.storage).toBe(exec.storage)
  })

  it.each([
    ['awaiting the job', (job: ReturnType<typeof start>) => job],
    ['getResult', (job: ReturnType<typeof start>) => retrying.getResult(job)],
    [
      'wait, throwing',
      async (job: ReturnType<typeof start>) => {
        const { done, notDone } = await retrying.wait(job, { throwExcept: true })
        expect(notDone).toEqual([])
        return done.getResult()
      },
    ],
    [
      'wait for a percentage',
      async (job: ReturnType<typeof start>) => {
        for (const returnWhen of [1, 50, 100]) await retrying.wait(job, { returnWhen })
        return job
      },
    ],
  ])('tries again by default, with %s; counts exactly', async (_, read) => {
    expect(await read(start())).toEqual([1, 2, 3])
    expect(['00000', '00001', '00002'].map(attemptsOf)).toEqual([1, 2, 3])
  })

  const start = () => retrying.map(flaky, [0, 1, 2], { extraArgs: [folder], chunksize: 1 })

  it('fails after its last try, that call alone', async () => {
    const job = retrying.map(flaky, [0, 3, 1], { extraArgs: [folder] })
    const error = await job.exception()
    expect(error).toBeInstanceOf(JobError)
    expect(error).toMatchObject({ failedCalls: ['00001'], message: expect.stringContaining('attempt 3') })
    expect((await job.futures()).map(({ stats }) => stats.attempts)).toEqual([1, 3, 2])
    expect(attemptsOf('00001')).toBe(3)
  })

  it('tries again at once, while others run: there is no barrier', async () => {
    // the first call ends only when the second has been tried again
    const needsOther = async (role: string, dir: string, task: TaskContext) => {
      const marker = path.join(dir, 'tried-again')
      if (role === 'waits') {
        while (!existsSync(marker)) await new Promise((resolve) => setTimeout(resolve, 5))
      } else if (task.attempt === 1) throw new Error('first')
      else writeFileSync(marker, '')
      return role
    }
    const job = retrying.map(needsOther, ['waits', 'fails'], { extraArgs: [folder], chunksize: 1 })
    expect(await job).toEqual(['waits', 'fails'])
  })

  it('plans partitions once: each is tried again with the bytes it had, in one job', async () => {
    const file = path.join(folder, 'in.txt')
    writeFileSync(file, Array.from({ length: 100 }, (_, i) => `line ${i}\n`).join(''))
    const read = async (part: ObjectPartition, dir: string, task: TaskContext) => {
      const text = await part.text()
      writeFileSync(path.join(dir, `${task.callId}-${task.attempt}`), JSON.stringify([part.range, part.index, text]))
      if (task.attempt === 1) throw new Error('first')
      return text
    }
    const job = retrying.map(read, objects(file), { objChunkNumber: 6, extraArgs: [folder] })
    const texts = await job
    expect(texts).toHaveLength(6)
    expect(texts.join('')).toBe(readFileSync(file, 'utf8'))
    for (const future of await job.futures()) {
      const [first, second] = [1, 2].map((n) => readFileSync(path.join(folder, `${future.callId}-${n}`), 'utf8'))
      expect(second).toBe(first)
      expect({ attempts: future.stats.attempts, jobId: future.jobId }).toEqual({ attempts: 2, jobId: job.jobId })
    }
    expect((await job.certificate()).complete).toBe(true)
  })

  it('keeps results aligned with inputs, null and undefined included', async () => {
    const fn = (n: number, task: TaskContext) => {
      if (task.attempt === 1 && n % 2 === 1) throw new Error('odd')
      return [undefined, null, n][n % 3]
    }
    expect(await retrying.map(fn, [0, 1, 2, 3, 4, 5])).toEqual([undefined, null, 2, undefined, null, 5])
  })

  it('retries single calls, both sides of a map-reduce, and tasks of its executor', async () => {
    const once = (value: string, task: TaskContext) => {
      if (task.attempt === 1) throw new Error('first')
      return `${value}${task.attempt}`
    }
    const join = (values: string[], task: TaskContext) => {
      if (task.attempt === 1) throw new Error('first')
      return values.join(`-${task.attempt}-`)
    }
    expect(await retrying.callAsync(once, 'a')).toBe('a2')
    expect(await retrying.mapReduce(once, ['a', 'b'], join)).toBe('a2-2-b2')
    const touch = (dir: string) => {
      const tries = readdirSync(dir).length + 1
      writeFileSync(path.join(dir, `${tries}`), '')
      if (tries < 3) throw new Error('again')
      return tries
    }
    const tasks = retrying.asExecutor()
    expect(await tasks.submit(touch, folder)).toBe(3)
    await tasks.shutdown()
  })

  it.each([
    ['a number of its own', { retries: 3 }, 4],
    ['none', { retries: 0 }, 1],
    ['a policy, which keeps what it does not say', { retries: { retries: 1 } }, 2],
    ['a predicate', { retries: { retries: 5, retryIf: (_: Error, attempt: number) => attempt < 2 } }, 2],
  ] as const)('takes from the call: %s', async (_, options, attempts) => {
    const future = retrying.callAsync((n: number) => Promise.reject(new Error(`${n}`)), 1, options)
    await expect(future).rejects.toThrow()
    expect(future.stats.attempts).toBe(attempts)
  })

  it.each([
    ['an unknown option', { retrys: 1 }, /retrys.*did you mean 'retries'/],
    ['a wrong number', { retries: -1 }, /callAsync options\.retries/],
    ['no options at all', 'retries' as never, /callAsync options: expected an object/],
  ])('refuses %s as the executor does', (_, options, message) => {
    expect(() => retrying.callAsync((n: number) => n, 1, options as never)).toThrow(message)
  })
})
