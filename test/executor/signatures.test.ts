/** What the types of the public methods accept and infer; tsc checks most of this file, the tests run it. */
import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from 'vitest'
import { FunctionExecutor, objects, type TaskContext } from '../../src/entry/index.ts'

let exec: FunctionExecutor

beforeAll(() => {
  exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
})

afterAll(() => exec.shutdown())

describe('extra arguments', () => {
  it('reach a function that names their types and leaves the context out', async () => {
    const job = exec.map((n: number, factor: number) => n * factor, [1, 2], { extraArgs: [3] })
    expectTypeOf(job).resolves.toEqualTypeOf<number[]>()
    expect(await job).toEqual([3, 6])
  })

  it('give a function that names no types theirs, and the context after them', async () => {
    const job = exec.map((n, factor, task) => [n * factor, task.index], [1, 2], { extraArgs: [3] })
    expect(await job).toEqual([
      [3, 0],
      [6, 1],
    ])
  })

  it('are none where the option is left out', async () => {
    expect(await exec.map((n: number) => n, [1])).toEqual([1])
    expect(await exec.map((n: number, task: TaskContext) => n + task.index, [1, 1])).toEqual([1, 2])
  })

  it('reach map and reduce of a mapReduce apart', async () => {
    const job = exec.mapReduce(
      (n: number, factor: number) => n * factor,
      [1, 2],
      (products: number[], unit: string) => `${products.join('+')} ${unit}`,
      { extraArgs: [10], extraArgsReduce: ['g'] },
    )
    expectTypeOf(job).resolves.toEqualTypeOf<string>()
    expect(await job).toBe('10+20 g')
  })
})

describe('what is refused', () => {
  it('is a function that wants what it is not given, and a source that is cut and is no selection', () => {
    const wrong = [
      // @ts-expect-error its third argument is the context, no text
      () => exec.map((n: number, _factor: number, _unit: string) => n, [1], { extraArgs: [3] }),
      // @ts-expect-error the extra argument is no text
      () => exec.map((n: number, _unit: string) => n, [1], { extraArgs: [3] }),
      // @ts-expect-error items are not cut
      () => exec.map((n: number) => n, [1], { objChunkSize: 5 }),
      // @ts-expect-error a selection gives partitions
      () => exec.map((n: number) => n, objects('data/')),
    ]
    expect(wrong).toHaveLength(4)
  })
})
