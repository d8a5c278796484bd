/** The same jobs on threads as on processes: what comes out does not tell where it ran. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor } from '../../src/entry/index.ts'

const BACKENDS = ['localhost', 'threads'] as const

describe('threads and processes', () => {
  let executors: FunctionExecutor[]
  beforeAll(() => {
    executors = BACKENDS.map(
      (backend) => new FunctionExecutor({ backend, maxWorkers: 2, showProgressbar: false, logLevel: 'error' }),
    )
  })
  afterAll(() => Promise.all(executors.map((exec) => exec.shutdown())))

  const onEach = async <T>(run: (exec: FunctionExecutor) => PromiseLike<T>): Promise<T[]> => {
    const results: T[] = []
    for (const exec of executors) results.push(await run(exec))
    return results
  }

  it('map to the same results, in order', async () => {
    const factor = 3
    const results = await onEach((exec) => exec.map(async (item: number) => item * factor, [1, 2, 3, 4, 5]))
    expect(results).toEqual([
      [3, 6, 9, 12, 15],
      [3, 6, 9, 12, 15],
    ])
  })

  it('map and reduce to the same result', async () => {
    const results = await onEach((exec) =>
      exec.mapReduce(
        (word: string) => ({ word, length: word.length }),
        ['one', 'three', 'eleven'],
        (counted: { length: number }[]) => counted.reduce((sum, { length }) => sum + length, 0),
      ),
    )
    expect(results).toEqual([14, 14])
  })

  it('fail with the same error, and end a call that never returns at its time-out', async () => {
    const failed = await onEach(async (exec) => {
      const job = exec.map(
        (item: number) => {
          if (item === 2) throw new RangeError(`no ${item}`)
          while (item === 3);
          return item
        },
        [1, 2, 3],
        { timeout: 1_500 },
      )
      const settled = await exec.getResult(await job.futures(), { throwExcept: false })
      return settled.map((each) => (each.status === 'fulfilled' ? each.value : each.reason.code))
    })
    expect(failed).toEqual([
      [1, 'CALL', 'TIMEOUT'],
      [1, 'CALL', 'TIMEOUT'],
    ])
  })

  it('run calls where they say: in this process, or in others', async () => {
    const pids = await onEach((exec) => exec.map(() => process.pid, [1, 2]))
    expect(pids[1]).toEqual([process.pid, process.pid])
    expect(pids[0]).not.toContain(process.pid)
  })
})
