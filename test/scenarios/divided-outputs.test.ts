/** Calls that are divided, for their bad records or for idle slots, and what they write: every byte in one output, once. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectPartition } from '../../partitioner/partition.ts'
import { FunctionExecutor, type Job, objects, type TaskContext } from '../../src/entry/index.ts'

const LINES = 200_000
/** Not while three of the four calls are done: what is long is divided before it has a backup. */
const SPECULATE = { minCalls: 2, minDoneFraction: 0.78, factor: 1 }
const lineOf = (i: number) => `${i} ${'text of a line, '.repeat(4)}`

let folder = ''
let long = ''
let exec: FunctionExecutor
let jobs = 0

function openExecutor(): FunctionExecutor {
  return new FunctionExecutor({
    maxWorkers: 3,
    storageRoot: path.join(folder, 'store'),
    config: {},
    logLevel: 'silent',
    showProgressbar: false,
  })
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-divided-out-'))
  long = Array.from({ length: LINES }, (_, i) => `${lineOf(i)}\n`).join('')
  mkdirSync(path.join(folder, 'in'))
  writeFileSync(path.join(folder, 'in/long.txt'), long)
  for (const name of ['a', 'b', 'c']) writeFileSync(path.join(folder, `in/short-${name}.txt`), `${name}\n`)
  exec = openExecutor()
})

afterAll(async () => {
  await exec.shutdown()
  const kept = path.join(folder, 'store/quern/quern.jobs')
  expect(readdirSync(folder).includes('store') && readdirSync(path.dirname(kept)).includes('quern.jobs')).toBe(false)
  rmSync(folder, { recursive: true, force: true })
})

interface Manifest {
  readonly outputs: readonly { key: string; sizeBytes: number; inputs: readonly { range: Range }[] }[]
  readonly missing: readonly { readonly url: string; readonly range: Range }[]
}
type Range = { readonly start: number; readonly end: number }

/** Runs a job with outputs; they are what lies below the prefix, and what the manifest names in order. */
async function written(submit: (to: string) => Job<unknown, unknown>) {
  const to = path.join(folder, `out-${++jobs}`)
  const job = submit(`${to}/`)
  const results = (await job) as ({ key: string } | undefined)[]
  const manifest = JSON.parse(readFileSync(path.join(to, '_quern/manifest.json'), 'utf8')) as Manifest
  const named = manifest.outputs.map(({ key }) => `/${key}`)
  expect(results.flatMap((each) => (each === undefined ? [] : `/${each.key}`))).toEqual(named)
  const there = readdirSync(to, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
  expect(there.sort()).toEqual([path.join(to, '_quern/manifest.json'), ...named].sort())
  const texts = named.map((name) => readFileSync(name, 'utf8'))
  expect(texts.map((text) => Buffer.byteLength(text))).toEqual(manifest.outputs.map(({ sizeBytes }) => sizeBytes))
  return { job, manifest, names: named.map((name) => path.relative(to, name)), text: texts.join('') }
}

/** Keeps the beginning of the long object slow until it is divided, and then waiting until a backup of it has begun. */
async function holdUp(part: ObjectPartition, whole: Range, backup: string, { attempt }: TaskContext): Promise<void> {
  if (whole.start > 0 || whole.end <= 100) return
  const { existsSync, writeFileSync } = await import('node:fs')
  if (attempt > 1) writeFileSync(backup, '')
  if (part.range.end === whole.end) await new Promise((resolve) => setTimeout(resolve, 40))
  else while (!existsSync(backup)) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('outputs of divided calls', () => {
  it('bisected: all but the bad records, which the manifest names by their bytes', async () => {
    const bad = [0, 7, 8, 12_345, 19_999]
    const lines = Array.from({ length: 20_000 }, (_, i) => `${bad.includes(i) ? 'POISON' : lineOf(i)}\n`)
    const file = path.join(folder, 'poison.txt')
    writeFileSync(file, lines.join(''))
    const copy = async function* (part: ObjectPartition) {
      for await (const batch of part.lineBatches())
        for (const line of batch) {
          if (line === 'POISON') throw new RangeError('it cannot be read')
          yield `${line}\n`
        }
    }
    const { job, manifest, text } = await written((output) =>
      exec.map(copy, objects(file), { objChunkNumber: 2, onFailure: 'bisect', output }),
    )
    expect(text).toBe(lines.filter((line) => line !== 'POISON\n').join(''))
    const ranges = (await job.quarantined()).map(({ range }) => range)
    expect(ranges.map(({ start, end }) => lines.join('').slice(start, end))).toEqual(bad.map(() => 'POISON\n'))
    expect(manifest.missing.map(({ range }) => range)).toEqual(ranges)
    const certificate = await job.certificate()
    expect(certificate).toMatchObject({ complete: false, failed: [], unread: [] })
    expect(certificate.quarantined.map(({ start, end }) => ({ start, end }))).toEqual(ranges)
  })

  it.each([
    ['split', {}],
    ['split, with backups', { speculate: SPECULATE }],
  ])('%s: the parts side by side, named after where they begin', async (_, options) => {
    const sign = path.join(folder, `backup-${jobs}`)
    if (!('speculate' in options)) writeFileSync(sign, '')
    const slow = async function* (part: ObjectPartition, backup: string, task: TaskContext) {
      const whole = part.range
      for await (const batch of part.lineBatches()) {
        await holdUp(part, whole, backup, task)
        yield batch.map((line) => `${line}\n`).join('')
      }
    }
    const { job, manifest, names, text } = await written((output) =>
      exec.map(slow, objects(path.join(folder, 'in/')), {
        ...{ splittable: true, output, ...options },
        extraArgs: [sign] as const,
      }),
    )
    expect(text).toBe(`${long}a\nb\nc\n`)
    expect(names.length).toBeGreaterThan(4)
    const [first, ...rest] = manifest.outputs.map(({ inputs }) => inputs[0]?.range as Range)
    expect(names[0]).toMatch(/long\.txt$/)
    expect(names.slice(1, -3)).toEqual(
      rest.slice(0, -3).map(({ start }) => names[0]?.replace('.txt', `.from-${start}.txt`)),
    )
    expect(first?.start).toBe(0)
    expect((await job.certificate()).complete).toBe(true)
    expect(manifest.missing).toEqual([])
    if ('speculate' in options) expect(job.stats.attempts).toBeGreaterThan(job.stats.calls)
  })
})

describe('outputs of divided calls, resumed with new code', () => {
  it('are replaced, those of parts too, and nothing of the old code is left', async () => {
    const [file, gate] = [path.join(folder, 'mended.txt'), path.join(folder, 'mended')]
    const lines = Array.from({ length: 2_000 }, (_, i) => `${i === 1_234 ? 'POISON' : lineOf(i)}\n`)
    writeFileSync(file, lines.join(''))
    const copy = async function* (part: ObjectPartition, sign: string, _: TaskContext) {
      const isMended = (await import('node:fs')).existsSync(sign)
      for await (const batch of part.lineBatches())
        for (const line of batch) {
          if (line === 'POISON' && !isMended) throw new RangeError('it cannot be read')
          yield `${isMended ? 'new' : 'old'} ${line}\n`
        }
    }
    const first = openExecutor()
    const output = path.join(folder, `out-${jobs + 1}/`)
    const job = first.map(copy, objects(file), { onFailure: 'bisect', output, extraArgs: [gate] as const })
    // a job whose results were read would be cleaned up
    await first.wait(job)
    await first.shutdown()
    expect(readdirSync(path.dirname(path.join(output, file))).length).toBeGreaterThan(2)
    writeFileSync(gate, '')
    const resumed = () => exec.resume(job.name, { useNewCode: true }) as Job<unknown, unknown>
    const { text, manifest } = await written(resumed)
    expect(text).toBe(lines.map((line) => `new ${line}`).join(''))
    expect(manifest.missing).toEqual([])
  })
})

describe('splittable calls with backups', () => {
  it.each([true, false])('every line is read once, in plan order (durable: %s)', async (durable) => {
    const slow = async (part: ObjectPartition, backup: string, task: TaskContext) => {
      const whole = part.range
      const read: number[] = []
      for await (const batch of part.lineBatches()) {
        for (const line of batch) read.push(Number.parseInt(line, 10))
        await holdUp(part, whole, backup, task)
      }
      return read
    }
    const extraArgs = [path.join(folder, `backup-durable-${durable}`)] as const
    const options = { splittable: true, speculate: SPECULATE, durable, extraArgs }
    const job = exec.map(slow, objects(path.join(folder, 'in/')), options)
    const read = (await job).flat()
    expect(read.slice(0, -3)).toEqual(Array.from({ length: LINES }, (_, i) => i))
    expect((await job).length).toBeGreaterThan(4)
    expect(await job.certificate()).toMatchObject({ complete: true })
    expect(job.stats.attempts).toBeGreaterThan(job.stats.calls)
  })
})
