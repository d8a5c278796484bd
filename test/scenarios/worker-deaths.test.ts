/** Calls that take their worker with them, or give what cannot travel: each settles with a clear error, siblings finish. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor } from '../../src/entry/index.ts'

interface Case {
  readonly name: string
  readonly error: { readonly code: string; readonly message: RegExp; readonly [field: string]: unknown }
  readonly victim: (item: number) => unknown
  readonly timeout?: number
}

const cases: readonly Case[] = [
  {
    name: 'exits',
    error: { code: 'TERMINATED_WORKER', message: /call 00002 of M\d+.*exit code 7/, exitCode: 7 },
    victim: (item) => (item === 2 ? process.exit(7) : item * 10),
  },
  {
    name: 'is killed by a signal',
    error: { code: 'TERMINATED_WORKER', message: /signal SIGKILL/, signal: 'SIGKILL' },
    victim: async (item) => {
      if (item === 2) process.kill(process.pid, 'SIGKILL')
      if (item === 2) await new Promise(() => undefined)
      return item * 10
    },
  },
  {
    name: 'runs out of memory',
    error: { code: 'OUT_OF_MEMORY', message: /limit of 64 MiB.*runtimeMemory/, limitMiB: 64 },
    victim: (item) => {
      const hoard: number[][] = []
      while (item === 2) hoard.push(new Array(100_000).fill(item).map((x, i) => x + i))
      return item * 10
    },
  },
  {
    name: 'never returns',
    error: { code: 'TIMEOUT', message: /call 00002 of M\d+ ran longer than its timeout of 1.0 s/ },
    victim: (item) => {
      while (item === 2);
      return item * 10
    },
    timeout: 1_000,
  },
  {
    name: 'gives what cannot travel',
    error: { code: 'CALL', message: /call 00002 of M\d+ failed: SerializationError: .*function/ },
    victim: (item) => (item === 2 ? { answer: () => item } : item * 10),
  },
  {
    name: 'throws after it has returned',
    error: { code: 'CALL', message: /too late/ },
    victim: async (item) => {
      if (item !== 2) return item * 10
      setTimeout(() => {
        throw new Error('too late')
      })
      return new Promise(() => undefined)
    },
  },
  {
    name: 'leaves a rejection behind',
    error: { code: 'CALL', message: /nobody caught this/ },
    victim: async (item) => {
      if (item !== 2) return item * 10
      Promise.reject(new Error('nobody caught this'))
      return new Promise(() => undefined)
    },
  },
]

describe('a call that', () => {
  let exec: FunctionExecutor
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 2, runtimeMemory: 64, showProgressbar: false, logLevel: 'error' })
  })
  afterAll(() => exec.shutdown())

  for (const { name, error, victim, timeout } of cases) {
    for (const chunksize of [1, 5]) {
      it(`${name} settles with its reason, ${chunksize} calls an invocation, and its siblings finish`, async () => {
        const job = exec.map(victim as (item: number) => unknown, [0, 1, 2, 3, 4], { chunksize, timeout })
        const settled = await exec.getResult(await job.futures(), { throwExcept: false })
        expect(settled.map((each) => (each.status === 'fulfilled' ? each.value : 'failed'))).toEqual([
          0,
          10,
          'failed',
          30,
          40,
        ])
        const { message, ...fields } = error
        const thrown = (settled[2] as PromiseRejectedResult).reason
        expect(thrown).toMatchObject(fields)
        expect(thrown.message).toMatch(message)
        await expect(job).rejects.toMatchObject({ code: 'JOB', failedCalls: ['00002'], callCount: 5 })
      })
    }
  }

  it('dies leaves an executor that goes on', async () => {
    const alive = exec.map((item: number) => item + 1, [1, 2, 3])
    expect(await alive).toEqual([2, 3, 4])
  })
})
