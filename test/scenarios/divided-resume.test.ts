/** Jobs whose calls were divided and whose driver then went away: resumed, they go on with the same parts. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ObjectPartition } from '../../partitioner/partition.ts'
import { FunctionExecutor, type Job, objects, type TaskContext } from '../../src/entry/index.ts'

const LINES = 200_000
const lineOf = (i: number) => `${i} ${'text of a line, '.repeat(4)}`

let folder = ''
const executors: FunctionExecutor[] = []
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-divided-'))
})
afterEach(async () => {
  await Promise.all(executors.splice(0).map((exec) => exec.shutdown({ cancelFutures: true })))
  rmSync(folder, { recursive: true, force: true })
})

function executor(): FunctionExecutor {
  const storageRoot = path.join(folder, 'store')
  const exec = new FunctionExecutor({
    maxWorkers: 2,
    storageRoot,
    config: {},
    logLevel: 'silent',
    showProgressbar: false,
  })
  executors.push(exec)
  return exec
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Ends the driver's part in it without a last word on the results. */
async function interrupted(job: Job<unknown, unknown>): Promise<string> {
  job.cancel({ running: true })
  await job.exception().catch(() => undefined)
  await executors[0]?.shutdown()
  return job.name
}

describe('resuming a job whose calls were divided', () => {
  it('bisected: what was found is not looked for again, and the result is that of the undisturbed job', async () => {
    const file = path.join(folder, 'poison.txt')
    const go = path.join(folder, 'go')
    const poison = new Set([10, 1_500])
    const lines = Array.from({ length: 2_000 }, (_, i) => `${i}${poison.has(i) ? ' POISON' : ''}`)
    writeFileSync(file, `${lines.join('\n')}\n`)
    // parts without a poison record wait for the sign
    const careful = async (part: ObjectPartition, sign: string, _task: TaskContext) => {
      const { existsSync } = await import('node:fs')
      const read: number[] = []
      for await (const line of part.lines()) {
        if (line.endsWith('POISON')) throw new RangeError(`cannot read ${line}`)
        read.push(Number(line))
      }
      while (!existsSync(sign)) await new Promise((resolve) => setTimeout(resolve, 5))
      return read
    }
    const options = { onFailure: 'bisect', durable: true, extraArgs: [go] } as const
    const first = executor().map(careful, objects(file), options)
    await until(() => first.progress.calls >= 4)
    const name = await interrupted(first as Job<unknown, unknown>)
    writeFileSync(go, '')
    const resumed = executor().resume(name) as Job<(number[] | undefined)[], number[]>
    const results = await resumed
    expect(results.flatMap((each) => each ?? [])).toEqual(lines.flatMap((_, i) => (poison.has(i) ? [] : [i])))
    const found = await resumed.quarantined()
    expect(found.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(['10 POISON\n', '1500 POISON\n'])
    const certificate = await resumed.certificate()
    expect(certificate).toMatchObject({ failed: [], unread: [], quarantined: { length: 2 } })
    // when all is over, others read it from the journal
    const reader = executor()
    const { calls } = resumed.progress
    const kept = async () => (await reader.jobs()).find((each) => each.name === name)
    while ((await kept())?.state !== 'succeeded') await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await kept()).toMatchObject({ calls, committed: calls, quarantined: 2 })
    const read = reader.resume(name) as typeof resumed
    expect(await read).toEqual(results)
    const told = await read.quarantined()
    expect(told.map(({ error, ...record }) => ({ ...record, why: error.message }))).toEqual(
      found.map(({ error, ...record }) => ({ ...record, why: error.message })),
    )
    expect(told[0]?.error).toMatchObject({
      code: 'CALL',
      cause: { name: 'RangeError', message: 'cannot read 10 POISON' },
    })
    expect(await read.certificate()).toEqual(certificate)
  })

  it.each([
    ['has', false],
    ['lacks, as its driver died before it got to it', true],
  ])('split: a call that gave a part away keeps its shorter range, which the log %s', async (_, isLogLost) => {
    const file = path.join(folder, 'long.txt')
    const go = path.join(folder, 'go')
    writeFileSync(file, Array.from({ length: LINES }, (_, i) => `${lineOf(i)}\n`).join(''))
    const slow = async (part: ObjectPartition, sign: string, _task: TaskContext) => {
      const { existsSync } = await import('node:fs')
      const { start, end } = part.range
      const read: number[] = []
      for await (const batch of part.lineBatches()) {
        for (const line of batch) read.push(Number.parseInt(line, 10))
        if (start === 0 && part.range.end === end && !existsSync(sign)) await new Promise((done) => setTimeout(done, 5))
      }
      while (!existsSync(sign)) await new Promise((resolve) => setTimeout(resolve, 5))
      return [read.length, read[0], read.at(-1)]
    }
    const options = { splittable: true, durable: true, extraArgs: [go] } as const
    const first = executor().map(slow, objects(file), options)
    await until(() => first.progress.calls >= 2)
    const name = await interrupted(first as Job<unknown, unknown>)
    writeFileSync(go, '')
    const log = path.join(folder, `store/quern/quern.jobs/${name}/divisions`)
    expect(readdirSync(log)).toHaveLength(1)
    if (isLogLost) rmSync(log, { recursive: true })
    const resumed = executor().resume(name) as Job<number[][], number[]>
    const results = await resumed
    expect(results.length).toBeGreaterThanOrEqual(2)
    let next = 0
    for (const [count, from, to] of results) {
      expect(from).toBe(next)
      expect((to as number) - (from as number) + 1).toBe(count)
      next = (to as number) + 1
    }
    expect(next).toBe(LINES)
    expect((await resumed.certificate()).complete).toBe(true)
  })
})
