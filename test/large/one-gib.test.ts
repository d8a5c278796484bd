/**
 * Real sizes, where QUERN_TEST_LARGE=1: a 1 GiB log counted exactly, a 2 GiB object in bounded memory, a million objects
 * planned. Otherwise a sixteenth of the log and a quarter of the object, which still is twice the memory allowed.
 */
import { execFileSync } from 'node:child_process'
import { createReadStream } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mergeCounts } from '../../reducers/index.ts'
import { FunctionExecutor, type ObjectPartition, objects } from '../../src/entry/index.ts'
import { temporaryFolder, writeAccessLog } from '../support/generated-files.ts'

const large = process.env.QUERN_TEST_LARGE === '1'
const MIB = 1024 * 1024
const LOG_MIB = large ? 1024 : 64
const OBJECT_MIB = large ? 2048 : 352

describe('large inputs', { timeout: 600_000 }, () => {
  const { folder, remove } = temporaryFolder()
  const log = path.join(folder, 'access.log')
  let exec: FunctionExecutor
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
  })
  afterAll(async () => {
    await exec.shutdown()
    remove()
  })

  it(`counts the words of a generated log of ${LOG_MIB} MiB like awk does`, async () => {
    const size = writeAccessLog(log, LOG_MIB * MIB)
    const job = exec.mapReduce(
      async (part: ObjectPartition) => {
        const counts = new Map<string, number>()
        for await (const lines of part.lineBatches()) {
          for (const line of lines) for (const word of line.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
        }
        return counts
      },
      objects(log),
      mergeCounts(),
      { objChunkSize: large ? '48MiB' : '7MiB' },
    )
    const counts = await job
    const awk = '{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print n[w], w }'
    const printed = execFileSync('awk', [awk, log], { maxBuffer: 1024 * MIB, encoding: 'utf8' })
    const expected = new Map<string, number>()
    for (const row of printed.trimEnd().split('\n')) {
      const space = row.indexOf(' ')
      expected.set(row.slice(space + 1), Number(row.slice(0, space)))
    }
    expect(counts.size).toBe(expected.size)
    expect([...counts].filter(([word, n]) => expected.get(word) !== n)).toEqual([])
    expect((await job.certificate()).objects[0]).toMatchObject({ sizeBytes: size, deliveredBytes: size })
  })

  it(`reads ${OBJECT_MIB} MiB in one partition of lineBatches() within 200 MiB above the idle worker`, async () => {
    const big = path.join(folder, 'big.log')
    writeAccessLog(big, OBJECT_MIB * MIB)
    const one = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false })
    const peak = () =>
      Number(/VmHWM:\s+(\d+)/.exec(process.getBuiltinModule('node:fs').readFileSync('/proc/self/status', 'utf8'))?.[1])
    const idleKib = await one.callAsync(peak, undefined)
    const [result] = await one.map(async (part: ObjectPartition) => {
      let lines = 0
      for await (const batch of part.lineBatches()) lines += batch.length
      const status = process.getBuiltinModule('node:fs').readFileSync('/proc/self/status', 'utf8')
      return { lines, peakKib: Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) }
    }, objects(big))
    await one.shutdown()
    let newlines = 0
    for await (const chunk of createReadStream(big, { highWaterMark: MIB })) {
      for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, at + 1)) newlines += 1
    }
    expect(result?.lines).toBe(newlines + 1)
    expect(((result?.peakKib ?? Number.NaN) - idleKib) / 1024).toBeLessThan(200)
  })

  const million = 'plans 1,000,000 listed objects within 1 GiB of the driver'
  it.skipIf(!large)(large ? million : `${million} (skipped: needs QUERN_TEST_LARGE=1, two minutes)`, () => {
    const program = fileURLToPath(new URL('../support/plan-a-million.ts', import.meta.url))
    const printed = execFileSync(process.execPath, ['--import', 'tsx', program], { encoding: 'utf8' })
    const { partitions, objects: planned, maxRssMiB } = JSON.parse(printed)
    expect({ partitions, planned }).toEqual({ partitions: 1_000_000, planned: 1_000_000 })
    expect(maxRssMiB).toBeLessThan(1024)
  })
})
