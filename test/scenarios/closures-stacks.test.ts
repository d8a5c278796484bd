/** Closures through an executor: stacks that lead to the user's source, functions in arguments, what is sent how often. */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { FunctionExecutor } from '../../src/entry/index.ts'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const PROGRAM = fileURLToPath(new URL('../functions/closures/stacks.ts', import.meta.url))
const NODES = (process.env.QUERN_TEST_NODES ?? '').split(':').filter((path) => path !== '')
const exec = new FunctionExecutor({ showProgressbar: false, maxWorkers: 2 })

afterAll(() => exec.shutdown())

/** From 1, of the line of a file that ends so. */
async function lineOf(file: string, end: string): Promise<number> {
  const lines = (await readFile(file, 'utf8')).split('\n')
  return lines.findIndex((line) => line.endsWith(end)) + 1
}

async function runStacks(node: string, flags: readonly string[]): Promise<Record<string, string>> {
  const env = { ...process.env, STACKS: '1', NODE_OPTIONS: '' }
  return JSON.parse((await run(node, [...flags, PROGRAM], { cwd: ROOT, env })).stdout) as Record<string, string>
}

describe('stacks', () => {
  const runners: [string, () => Promise<Record<string, string>>][] = [
    ['tsx', () => runStacks(process.execPath, ['--import', 'tsx'])],
    ['vitest', async () => (await import('../functions/closures/stacks.ts')).stacks],
    ...NODES.map((node): [string, () => Promise<Record<string, string>>] => [node, () => runStacks(node, [])]),
  ]
  it.each(runners)('under %s say file and line of the source', async (_name, tell) => {
    const { alone, captured, helper } = await tell()
    expect(alone).toContain(`stacks.ts:${await lineOf(PROGRAM, '// alone')}:`)
    expect(captured).toContain(`stacks.ts:${await lineOf(PROGRAM, '// captured')}:`)
    expect(helper).toContain(`stacks.ts:${await lineOf(PROGRAM, '// a helper')}:`)
    expect(helper).toContain(`stacks.ts:${await lineOf(PROGRAM, "thrower('helped'),")}:`)
    expect(`${alone}${captured}${helper}`).not.toMatch(/quern=|\.function\.js/)
  })

  it('from a worker process', async () => {
    const limit = 3
    const job = exec.callAsync((x: number) => {
      if (x < limit) throw new RangeError(`${x} is below ${limit}`) // thrown in a worker
    }, 1)
    const error = (await job.exception()) as Error & { readonly cause?: Error }
    const stack = `${error.stack}\n${error.cause?.stack}`
    const file = fileURLToPath(import.meta.url)
    expect(stack).toContain(`closures-stacks.test.ts:${await lineOf(file, '// thrown in a worker')}:`)
  })
})

describe('closures in an executor', () => {
  it('a map of 10,000 calls loads its function once a worker', async () => {
    const state = { loads: 0, calls: 0 }
    const seen = await exec.map(
      (n: number) => {
        state.calls += 1
        return [process.pid, state.calls, n] as const
      },
      Array.from({ length: 10_000 }, (_, i) => i),
    )
    const last = new Map(seen.map(([pid, calls]) => [pid, calls]))
    // each worker's copy counted all calls of that worker: it was made once
    expect([...last.values()].reduce((sum, calls) => sum + calls, 0)).toBe(10_000)
    expect(state.calls).toBe(0)
  })

  it('functions in items and extra arguments', async () => {
    const offset = 10
    const items = [{ apply: (x: number) => x + offset }, { apply: (x: number) => x * offset }]
    const finish = (x: number) => -x - offset
    const call = (item: (typeof items)[number], end: typeof finish) => end(item.apply(2))
    const job = exec.map<(typeof items)[number], number, [typeof finish]>(call, items, { extraArgs: [finish] })
    expect(await job).toEqual([-22, -30])
  })

  it('a function that cannot travel in an item is refused with its path', async () => {
    const job = exec.map((item: { run: () => unknown }) => item.run(), [{ run: () => nowhere }])
    await expect(Promise.resolve(job)).rejects.toThrow(/item\.run.*'nowhere'/)
  })
})

declare const nowhere: number
