/** Every stage at which a worker can die: what its task gets, what the others get, and that the executor goes on. */
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { OutOfMemoryError, TerminatedWorkerError } from '../../src/core/errors.ts'
import type { PoolExecutorOptions } from '../../src/futures/pool-options.ts'
import { ProcessPoolExecutor } from '../../src/futures/process-pool-executor.ts'
import { ThreadPoolExecutor } from '../../src/futures/thread-pool-executor.ts'
import { Gates, isAlive, until, waitFor } from '../support/task-gates.ts'

const gates = new Gates()
const opened: (ProcessPoolExecutor | ThreadPoolExecutor)[] = []

const Executors = { ProcessPoolExecutor, ThreadPoolExecutor }

function open(name: keyof typeof Executors, options: PoolExecutorOptions = {}) {
  const executor = new Executors[name]({ maxWorkers: 2, stderr: 'ignore', ...options })
  opened.push(executor)
  return executor
}

afterEach(async () => {
  await Promise.all(opened.splice(0).map((executor) => executor.shutdown({ killWorkers: true })))
})
afterAll(() => gates.remove())

const PROCESSES = 'ProcessPoolExecutor' as const
const THREADS = 'ThreadPoolExecutor' as const

type Crash = readonly [
  name: string,
  where: readonly (keyof typeof Executors)[],
  crash: () => unknown,
  expected: Record<string, unknown>,
]

const CRASHES: readonly Crash[] = [
  ['exit with a code', [PROCESSES, THREADS], () => process.exit(42), { code: 'TERMINATED_WORKER', exitCode: 42 }],
  ['exit as if all were well', [PROCESSES, THREADS], () => process.exit(0), { code: 'TERMINATED_WORKER', exitCode: 0 }],
  [
    'exit while it waits',
    [PROCESSES, THREADS],
    () => new Promise(() => setTimeout(() => process.exit(5), 1)),
    { code: 'TERMINATED_WORKER', exitCode: 5 },
  ],
  ['a kill from outside', [PROCESSES], () => process.kill(process.pid, 'SIGKILL'), { signal: 'SIGKILL' }],
  [
    'a crash in native code',
    [PROCESSES],
    () => {
      process.kill(process.pid, 'SIGSEGV')
      for (;;);
    },
    { code: 'TERMINATED_WORKER', signal: 'SIGSEGV' },
  ],
  ['abort', [PROCESSES], () => process.abort(), { code: 'TERMINATED_WORKER', signal: 'SIGABRT' }],
  [
    'exit while its result is encoded',
    [PROCESSES, THREADS],
    () => ({
      get x() {
        return process.exit(7)
      },
    }),
    { code: 'TERMINATED_WORKER', exitCode: 7 },
  ],
  [
    'an error nobody caught',
    [PROCESSES, THREADS],
    () =>
      new Promise(() => {
        setTimeout(() => {
          throw new RangeError('late')
        }, 1)
      }),
    { name: 'RangeError', message: 'late' },
  ],
  [
    'a rejection nobody caught',
    [PROCESSES, THREADS],
    () =>
      new Promise(() => {
        void Promise.reject(new RangeError('dropped'))
      }),
    { name: 'RangeError', message: 'dropped' },
  ],
]

const CASES = CRASHES.flatMap(([name, where, crash, expected]) =>
  where.map((executor) => [executor, name, crash, expected] as const),
)

describe.each(CASES)('%s: %s', (name, _, crash, expected) => {
  it('fails its task alone; the executor goes on', async () => {
    const executor = open(name)
    const add = (a: number, b: number) => a + b
    const before = Array.from({ length: 10 }, (_, i) => executor.submit(add, i, 1))
    const crashed = [executor.submit(crash), executor.submit(crash), executor.submit(crash)]
    const after = Array.from({ length: 10 }, (_, i) => executor.submit(add, i, 2))
    expect(await Promise.all(before)).toEqual(Array.from({ length: 10 }, (_, i) => i + 1))
    expect(await Promise.all(after)).toEqual(Array.from({ length: 10 }, (_, i) => i + 2))
    for (const future of crashed) expect(await future.exception()).toMatchObject(expected)
    expect(executor.broken).toBe(false)
    expect(executor.statistics).toMatchObject({ executed: 23, failures: 3 })
  })

  it('onCrash break: everything fails, each with an error of its own, unless the task itself is to blame', async () => {
    const executor = open(name, { onCrash: 'break' })
    const gate = gates.gate()
    const futures = [executor.submit(crash), ...[1, 2, 3].map(() => executor.submit(waitFor, gate))]
    const errors = await Promise.all(futures.map((future) => future.exception()))
    expect(errors[0]).toMatchObject(expected)
    for (const error of errors.slice(1)) expect(error).toBeInstanceOf(TerminatedWorkerError)
    expect(new Set(errors).size).toBe(4)
    expect(executor.broken).toBe(true)
    expect(() => executor.submit(() => 1)).toThrow(TerminatedWorkerError)
    await executor.shutdown()
    expect(executor.workers).toEqual([])
  })
})

describe.each([PROCESSES, THREADS])('%s', (name) => {
  it('an error nobody caught fails no task that travelled with the one that threw it', async () => {
    const executor = open(name, { maxWorkers: 1 })
    const drop = (n: number) => {
      if (n % 5 !== 4) return n
      return new Promise(() => {
        void Promise.reject(new RangeError(`dropped ${n}`))
      })
    }
    // its pace is known after these: the next ones travel together
    await Promise.all(Array.from({ length: 200 }, () => executor.submit(drop, 0)))
    const futures = Array.from({ length: 20 }, (_, n) => executor.submit(drop, n))
    const outcomes = await Promise.all(futures.map(async (future) => (await future.exception())?.message ?? future))
    expect(outcomes).toEqual(Array.from({ length: 20 }, (_, n) => (n % 5 === 4 ? `dropped ${n}` : n)))
  })

  it('a worker out of memory', async () => {
    const executor = open(name, { runtimeMemory: 24, maxWorkers: 1 })
    const hoard = () => {
      const all: unknown[] = []
      for (;;) all.push(new Array(1_000).fill(all.length))
    }
    const error = await executor.submit(hoard).exception()
    expect(error).toBeInstanceOf(OutOfMemoryError)
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', limitMiB: 24 })
    expect(await executor.submit(() => 'well')).toBe('well')
  })

  it('a result is not lost when the worker ends right after it', async () => {
    const executor = open(name, { maxWorkers: 1 })
    const parting = (x: number) => {
      setImmediate(() => process.exit(0))
      return x
    }
    for (let i = 0; i < 5; i++) {
      expect(await executor.submit(parting, i)).toBe(i)
      await until(() => executor.workers.length === 0, 'the worker is gone')
    }
    expect(executor.statistics.failures).toBe(0)
  })

  it('in the middle of many that travel together: what ended stays, what had not begun runs once', async () => {
    const executor = open(name)
    const log = gates.gate()
    const work = (path: string, i: number) => {
      if (i === 60) process.exit(9)
      process.getBuiltinModule('node:fs').appendFileSync(path, `${i}\n`)
      return i
    }
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 20 }, () => executor.submit(work, '/dev/null', 0)))
    }
    const futures = Array.from({ length: 200 }, (_, i) => executor.submit(work, log, i))
    const settled = await Promise.allSettled(futures)
    for (const [i, outcome] of settled.entries()) {
      if (i !== 60) expect(outcome).toEqual({ status: 'fulfilled', value: i })
      else expect(outcome).toMatchObject({ status: 'rejected', reason: { exitCode: 9 } })
    }
    const ran = gates.lines(log).map(Number)
    expect(ran.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i).filter((i) => i !== 60))
  })

  it('in a chunk of a map', async () => {
    const executor = open(name)
    const work = (i: number) => (i === 3 ? process.exit(9) : i)
    const results = executor.map(work, [0, 1, 2, 3, 4, 5, 6, 7], { chunksize: 4 })
    const seen: unknown[] = []
    const drain = async () => {
      for await (const each of results) seen.push(each)
    }
    await expect(drain()).rejects.toMatchObject({ exitCode: 9 })
    expect(seen).toEqual([0, 1, 2])
  })

  it('while its task is large: nobody waits for ever', async () => {
    const executor = open(name, { maxWorkers: 1 })
    const large = new Uint8Array(32 * 2 ** 20).fill(1)
    const die = () => {
      setTimeout(() => process.exit(1), 1)
      return 0
    }
    const deaths = [executor.submit(die), executor.submit(die)]
    const echoes = Array.from({ length: 4 }, () => executor.submit((bytes: Uint8Array) => bytes.byteLength, large))
    const settled = await Promise.allSettled([...deaths, ...echoes])
    for (const outcome of settled) {
      if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(TerminatedWorkerError)
    }
    expect(await executor.submit((bytes: Uint8Array) => bytes.byteLength, large)).toBe(large.byteLength)
  })

  it('callbacks that throw, or submit more, harm nobody', async () => {
    const executor = open(name)
    const order: number[] = []
    const ended = new Promise<void>((resolve) => {
      const next = (i: number) => {
        if (i === 100) return resolve()
        executor
          .submit((x: number) => x, i)
          .addDoneCallback((future) => {
            order.push(future.snapshot().result as number)
            next(i + 1)
          })
      }
      next(0)
    })
    await ended
    expect(order).toEqual(Array.from({ length: 100 }, (_, i) => i))
  })
})

describe('executors within executors', () => {
  const FUTURES = new URL('../../src/entry/futures.ts', import.meta.url).href

  it('killWorkers ends what workers of workers run', async () => {
    const executor = open(PROCESSES, { maxWorkers: 1 })
    const pids = gates.gate()
    const nest = async (futures: string, pids: string) => {
      const { ProcessPoolExecutor } = await import(futures)
      const inner = new ProcessPoolExecutor({ maxWorkers: 2 })
      const spin = (path: string) => {
        process.getBuiltinModule('node:fs').appendFileSync(path, `${process.pid}\n`)
        for (;;);
      }
      await Promise.all([inner.submit(spin, pids), inner.submit(spin, pids)])
    }
    const future = executor.submit(nest, FUTURES, pids)
    await until(() => gates.lines(pids).length === 2, 'both spin')
    await executor.shutdown({ killWorkers: true })
    expect(await future.exception()).toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
    await until(() => gates.lines(pids).map(Number).filter(isAlive).length === 0, 'nobody spins any more')
  })

  it('not deeper than QUERN_MAX_DEPTH', async () => {
    const executor = open(PROCESSES, { maxWorkers: 1, env: { QUERN_MAX_DEPTH: '2' } })
    const nest = async (futures: string) => {
      const { ProcessPoolExecutor } = await import(futures)
      const inner = new ProcessPoolExecutor({ maxWorkers: 1 })
      const error = await inner
        .submit(async (url: string) => {
          const own = await import(url)
          return new own.ProcessPoolExecutor({ maxWorkers: 1 })
        }, futures)
        .exception()
      await inner.shutdown()
      return [error.code, error.message]
    }
    const [code, message] = await executor.submit(nest, FUTURES)
    expect(code).toBe('RECURSION')
    expect(message).toContain('QUERN_MAX_DEPTH')
  })
})

describe('worker processes that are killed from outside', () => {
  it('idle: nobody notices; with onCrash break the executor is broken', async () => {
    for (const onCrash of ['replace', 'break'] as const) {
      const executor = open(PROCESSES, { onCrash })
      const pid = await executor.submit(() => process.pid)
      await until(() => executor.idleWorkers === 1, 'it is idle')
      process.kill(pid, 'SIGKILL')
      await until(() => executor.workers.length === 0, 'it is gone')
      expect(executor.broken).toBe(onCrash === 'break')
      if (onCrash === 'replace') expect(await executor.submit(() => 1)).toBe(1)
      else expect(() => executor.submit(() => 1)).toThrow('SIGKILL')
    }
  })

  it.each([1, 2, 5])('by each other, %i at a time', async (count) => {
    const executor = open(PROCESSES, { maxWorkers: count })
    const [gate, pids] = [gates.gate(), gates.gate()]
    const meet = async (gate: string, pids: string, count: number) => {
      const fs = await import('node:fs')
      fs.appendFileSync(pids, `${process.pid}\n`)
      while (fs.readFileSync(pids, 'utf8').split('\n').length <= count) await new Promise((r) => setTimeout(r, 1))
      for (const pid of fs.readFileSync(pids, 'utf8').trim().split('\n')) {
        try {
          process.kill(Number(pid), 'SIGKILL')
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
        }
      }
      while (!fs.existsSync(gate)) await new Promise((r) => setTimeout(r, 1))
    }
    const futures = Array.from({ length: count }, () => executor.submit(meet, gate, pids, count))
    for (const future of futures) expect(await future.exception()).toMatchObject({ signal: 'SIGKILL' })
    expect(await executor.submit(() => 'well')).toBe('well')
    expect(gates.lines(pids).map(Number).filter(isAlive)).toEqual([])
  })
})
