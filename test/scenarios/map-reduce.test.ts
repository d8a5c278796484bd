/** Whole map-reduce jobs on worker processes: order, groups, early reducers, failures, certificates. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collect, count, mean, mergeCounts, sum } from '../../reducers/index.ts'
import { FunctionExecutor, type ObjectPartition, objects, type TaskContext } from '../../src/entry/index.ts'

const LINES = [
  'alpha beta',
  'gamma',
  '',
  'beta beta delta',
  'a much longer line than all the others, to cross edges',
  'end',
]

async function countWords(part: ObjectPartition) {
  const counts = new Map<string, number>()
  for await (const line of part.lines()) {
    for (const word of line.split(/\W+/)) if (word) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}

function countedDirectly(texts: readonly string[]) {
  const counts = new Map<string, number>()
  for (const word of texts.join('\n').match(/\w+/g) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1)
  return counts
}

for (const maxWorkers of [1, 2]) {
  describe(`mapReduce with ${maxWorkers} worker(s)`, () => {
    let exec: FunctionExecutor
    let folder: string
    const texts = ['a', 'b', 'c'].map((name, i) => [...LINES, name].slice(i).join('\n'))

    beforeAll(() => {
      exec = new FunctionExecutor({ maxWorkers, showProgressbar: false, logLevel: 'error' })
      folder = mkdtempSync(path.join(tmpdir(), 'quern-'))
      texts.forEach((text, i) => {
        writeFileSync(path.join(folder, `${i}.txt`), text)
      })
    })
    afterAll(async () => {
      await exec.shutdown()
      rmSync(folder, { recursive: true })
    })

    for (const spawnReducer of [0, 1, 20, 50, 100]) {
      it(`counts words exactly, the reducer started after ${spawnReducer} % of the maps`, async () => {
        const job = exec.mapReduce(countWords, objects(`${folder}/*.txt`), mergeCounts(), {
          objChunkSize: 7,
          spawnReducer,
        })
        expect(await job).toEqual(countedDirectly(texts))
        const certificate = await job.certificate()
        expect(certificate.complete).toBe(true)
        expect(certificate.objects.map(({ deliveredBytes }) => deliveredBytes)).toEqual(
          texts.map((text) => text.length),
        )
      })
    }

    it('gives a reduce function the results in plan order, whatever order they came in', async () => {
      const late = async (n: number) => {
        await new Promise((resolve) => setTimeout(resolve, n === 0 ? 40 : 1))
        return n
      }
      const job = exec.mapReduce(late, [0, 1, 2, 3, 4], (results: number[]) => results, {
        chunksize: 1,
        spawnReducer: 0,
      })
      expect(await job).toEqual([0, 1, 2, 3, 4])
    })

    it('folds a floating-point sum in plan order', async () => {
      const values = Array.from({ length: 50 }, (_, i) => (i % 2 === 0 ? 1e16 : 1) / (i + 1))
      const job = exec.mapReduce((n: number) => n, values, sum(), { chunksize: 3, spawnReducer: 10 })
      expect(await job).toBe(values.reduce((a, b) => a + b, 0))
    })

    it('reduces by object, each told its object, in plan order', async () => {
      const lines = async (part: ObjectPartition) => {
        let n = 0
        for await (const _ of part.records()) n += 1
        return n
      }
      const total = (counts: number[], task: TaskContext) =>
        `${task.object?.key.slice(-5)} ${counts.reduce((a, b) => a + b)}`
      const job = exec.mapReduce(lines, objects(folder), total, { objChunkSize: 9, objReduceByKey: true })
      const values = await job
      expect([...values.values()]).toEqual(['0.txt 7', '1.txt 6', '2.txt 5'])
      expect([...values.keys()].map((url) => url.startsWith('file:///'))).toEqual([true, true, true])
    })

    it('reduces nothing once, or not at all by object', async () => {
      expect(
        await exec.mapReduce(
          (n: number) => n,
          [],
          (results: number[]) => results.length,
        ),
      ).toBe(0)
      expect(await exec.mapReduce((n: number) => n, [], collect<number>())).toEqual([])
      const none = objects(`${folder}/none/*`, { allowMissing: true })
      expect(await exec.mapReduce(countWords, none, count(), { objReduceByKey: true })).toEqual(new Map())
    })

    it('fails the reduce at once with the error of the map it needs', async () => {
      const job = exec.mapReduce(
        (n: number) => (n === 1 ? Promise.reject(new RangeError('bad one')) : n),
        [0, 1, 2],
        mean(),
        { chunksize: 1 },
      )
      await expect(job).rejects.toThrow(/bad one/)
      await expect(job).rejects.toMatchObject({ code: 'JOB' })
      await expect(job.mapJob).rejects.toMatchObject({ failedCalls: ['00001'] })
    })

    it('hands the results of its maps out too', async () => {
      const job = exec.mapReduce((n: number) => n * n, [1, 2, 3], sum())
      expect(await job).toBe(14)
      expect(await job.mapJob).toEqual([1, 4, 9])
    })

    it('moves results larger than the feed window through a reducer in bounded steps', async () => {
      const big = (n: number) => new Uint8Array(3 * 1024 * 1024).fill(n)
      const lengths = (results: Uint8Array[]) => results.map((bytes) => `${bytes[0]}:${bytes.byteLength}`)
      const job = exec.mapReduce(big, [1, 2, 3, 4, 5, 6, 7, 8], lengths, { chunksize: 1, spawnReducer: 0 })
      expect(await job).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((n) => `${n}:${3 * 1024 * 1024}`))
    })

    it('fails map and reduce when what was delivered does not tile the object', async () => {
      const lying = async (part: ObjectPartition) => {
        await part.bytes()
        const wrong = { start: 0, end: 3, deliveredEnd: 3 }
        Object.defineProperty(part, 'report', { value: () => wrong })
        return 1
      }
      const job = exec.mapReduce(lying, objects(`${folder}/0.txt`), sum())
      await expect(job.mapJob).rejects.toMatchObject({ code: 'COVERAGE' })
      await expect(job).rejects.toMatchObject({ code: 'COVERAGE' })
      await expect(job.certificate()).rejects.toMatchObject({ code: 'COVERAGE' })
    })

    it('says what was left unread when a function stops early', async () => {
      const first = async (part: ObjectPartition) => {
        for await (const line of part.lines()) return line
        return ''
      }
      const job = exec.map(first, objects(`${folder}/0.txt`))
      expect(await job).toEqual(['alpha beta'])
      const certificate = await job.certificate()
      expect(certificate.complete).toBe(false)
      expect(certificate.unread).toHaveLength(1)
    })

    it('runs a plan that was saved and edited', async () => {
      const plan = JSON.parse(JSON.stringify(await exec.plan(objects(`${folder}/*.txt`), { objChunkNumber: 2 })))
      expect(plan.partitions).toHaveLength(6)
      const job = exec.mapReduce(countWords, plan, mergeCounts())
      expect(await job).toEqual(countedDirectly(texts))
    })

    it('aligns partitions to a delimiter that can overlap itself', async () => {
      const file = path.join(folder, 'plus.dat')
      const text = 'a+++b++++c++d+++++++++e'
      writeFileSync(file, text)
      const records = async (part: ObjectPartition) => {
        const own: string[] = []
        for await (const record of part.records()) own.push(Buffer.from(record).toString())
        return own
      }
      const job = exec.map(records, objects(file), { objNewline: '++', objChunkSize: 1 })
      expect((await job).flat()).toEqual(text.split('++'))
      rmSync(file)
    })

    it('fails the partition of an object that changes after planning, never mixing bytes', async () => {
      const file = path.join(folder, 'changing.log')
      writeFileSync(file, 'one\ntwo\n')
      const plan = await exec.plan(objects(file))
      writeFileSync(file, 'eins\nzwei\n')
      const job = exec.map(countWords, plan)
      await expect(job).rejects.toMatchObject({ errors: [{ cause: { code: 'OBJECT_CHANGED' } }] })
      rmSync(file)
    })
  })
}
