/** Calls that give a part of their partition to slots that have nothing to do: the same results, in plan order. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectPartition } from '../../partitioner/partition.ts'
import { sum } from '../../reducers/built-in/sum.ts'
import { FunctionExecutor, objects } from '../../src/entry/index.ts'

const LINES = 400_000
const lineOf = (i: number) => `${String(i).padStart(7, '0')} ${'some text of a line, '.repeat(3 + (i % 3))}`

/** Slow until it is relieved of a part, so that there is something to relieve it of. Gives what it has read. */
async function firstAndLast(part: ObjectPartition) {
  const { end } = part.range
  let [count, first, last] = [0, '', '']
  for await (const lines of part.lineBatches()) {
    if (count === 0) first = (lines[0] as string).slice(0, 7)
    last = (lines[lines.length - 1] as string).slice(0, 7)
    count += lines.length
    if (part.range.start === 0 && part.range.end === end) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return { count, first: Number(first), last: Number(last) }
}

let folder = ''
let exec: FunctionExecutor
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-split-'))
  writeFileSync(path.join(folder, 'long.txt'), Array.from({ length: LINES }, (_, i) => `${lineOf(i)}\n`).join(''))
  writeFileSync(path.join(folder, 'short.txt'), 'one line\n')
  const storageRoot = path.join(folder, 'store')
  exec = new FunctionExecutor({ maxWorkers: 2, storageRoot, config: {}, logLevel: 'silent' })
})
afterAll(async () => {
  await exec.shutdown()
  rmSync(folder, { recursive: true, force: true })
})

const source = () => objects([path.join(folder, 'long.txt'), path.join(folder, 'short.txt')])

describe('splittable', () => {
  it.each([
    ['durable', { durable: true }],
    ['not durable', { durable: false }],
  ])('the idle slot takes a part of the long call; every line is read once, in plan order (%s)', async (_, options) => {
    const job = exec.map(firstAndLast, source(), { splittable: true, ...options })
    const results = await job
    expect(results.length).toBeGreaterThan(2)
    // the parts of the long object, then the short one
    const parts = results.slice(0, -1)
    expect(parts.reduce((all, { count }) => all + count, 0)).toBe(LINES)
    let next = 0
    for (const { first, last } of parts) {
      expect(first).toBe(next)
      next = last + 1
    }
    expect(results.at(-1)?.count).toBe(1)
    const certificate = await job.certificate()
    expect(certificate.complete).toBe(true)
    expect(certificate.objects[0]?.records).toBe(LINES)
    expect(await job.futures()).toHaveLength(results.length)
  })

  it('a reducer that has started is given the new part too', async () => {
    const count = async (part: ObjectPartition) => {
      const { end } = part.range
      let lines = 0
      for await (const batch of part.lineBatches()) {
        lines += batch.length
        if (part.range.start === 0 && part.range.end === end) await new Promise((resolve) => setTimeout(resolve, 5))
      }
      return lines
    }
    const options = { splittable: true, spawnReducer: 0 } as const
    const job = exec.mapReduce(count, source(), sum(), options)
    expect(await job).toBe(LINES + 1)
    expect(job.mapJob.progress.calls).toBeGreaterThan(2)
    const byKey = exec.mapReduce(count, source(), (counts: number[]) => counts, { ...options, objReduceByKey: true })
    const [long, short] = [...(await byKey).values()]
    expect(long?.length).toBeGreaterThan(1)
    expect(long?.reduce((a, b) => a + b, 0)).toBe(LINES)
    expect(short).toEqual([1])
  })

  it('a function that has not said so keeps its partitions', async () => {
    const ends = async (part: ObjectPartition) => {
      for await (const lines of part.lineBatches()) if (lines.length === 0) return []
      return [part.range.start, part.range.end]
    }
    const results = await exec.map(ends, source())
    expect(results).toHaveLength(2)
  })
})
