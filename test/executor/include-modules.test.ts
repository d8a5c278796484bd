import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as yaml from 'yaml'
import { sum } from '../../reducers/index.ts'
import { FunctionExecutor } from '../../src/entry/index.ts'
import { place } from '../functions/modules/placed.ts'

const BUNDLED = /quern-[0-9a-f]+\.cjs/

describe('includeModules and excludeModules', () => {
  let exec: FunctionExecutor
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false, logLevel: 'error' })
  })
  afterAll(() => exec.shutdown())

  it.each([
    [{}, false],
    [{ includeModules: [] }, false],
    [{ includeModules: null }, false],
    [{ includeModules: null, excludeModules: ['picomatch'] }, false],
    [{ includeModules: ['yaml'] }, true],
    [{ includeModules: ['./test/functions/modules/placed.ts'] }, true],
    [{ includeModules: ['yaml'], excludeModules: ['modules/placed.ts'] }, false],
    [{ excludeModules: ['picomatch'] }, true],
    [{ excludeModules: ['./modules/placed.ts'] }, false],
  ])('%j: a local module travels: %j', async (options, travels) => {
    const told = await exec.map((text: string) => [yaml.parse(text).a, place()] as const, ['a: 1', 'a: 2'], options)
    expect(told.map(([a, stack]) => [a, BUNDLED.test(stack)])).toEqual([
      [1, travels],
      [2, travels],
    ])
  })

  it('hold for calls, and for both functions of a mapReduce', async () => {
    expect(await exec.callAsync(() => place(), undefined, { includeModules: ['yaml'] })).toMatch(BUNDLED)
    const reduce = (stacks: readonly string[]) => [...stacks, place()]
    const both = await exec.mapReduce(() => place(), [1, 2], reduce, { includeModules: ['yaml'] })
    expect(both.map((stack) => BUNDLED.test(stack))).toEqual([true, true, true])
    expect(await exec.mapReduce((n: number) => n, [1, 2], sum(), { includeModules: ['yaml'] })).toBe(3)
  })

  it('a package that is not there fails the job, with its name', async () => {
    const job = exec.map((n: number) => n, [1], { includeModules: ['yaaml'] })
    await expect(job).rejects.toThrow(/includeModules\[0\]: expected a package that is installed .* got 'yaaml'/)
    expect(await exec.map((n: number) => n, [1])).toEqual([1])
  })

  it('what is no list of names is refused at once', () => {
    const give = (includeModules: unknown) => () => exec.map((n: number) => n, [1], { includeModules } as object)
    for (const wrong of ['yaml', [1], [''], {}]) {
      expect(give(wrong)).toThrow(/map options\.includeModules: expected a list of names of packages or paths/)
    }
    const exclude = () => exec.callAsync(() => 1, 1, { excludeModules: null } as object)
    expect(exclude).toThrow(/callAsync options\.excludeModules: expected a list of names of packages or paths/)
  })
})
