/** Poison records: the failing partitions are halved until single records are found, and the job goes on without them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ObjectPartition } from '../../partitioner/partition.ts'
import { mergeCounts } from '../../reducers/built-in/counts.ts'
import { type Certificate, FunctionExecutor, objects, type TaskContext } from '../../src/entry/index.ts'
import type { QuarantinedRecord } from '../../src/executor/division-journal.ts'

const RECORDS = 10_000
const POISON = [0, 1, 17, 4_999, 5_000, 7_777, 9_999]

interface Input {
  readonly url: string
  readonly text: string
  readonly lines: readonly string[]
}

const word = (i: number) => `w${(i * 7) % 13}`
/** Lines of very different lengths, some far longer than others. */
const lineOf = (i: number, poison: ReadonlySet<number>) => {
  const filler = i % 1_000 === 3 ? ` ${'x'.repeat(5_000)}` : ''
  return `${i} ${word(i)}${filler}${poison.has(i) ? ' POISON' : ''}`
}

async function countWords(part: ObjectPartition): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for await (const line of part.lines()) {
    const [, name = ''] = line.split(' ')
    if (line.endsWith('POISON')) throw new RangeError(`cannot read record ${line.split(' ')[0]}`)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return counts
}

let folder = ''
let exec: FunctionExecutor
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-bisect-'))
  exec = new FunctionExecutor({
    maxWorkers: 2,
    storageRoot: path.join(folder, 'store'),
    config: {},
    logLevel: 'silent',
  })
})
afterAll(async () => {
  await exec.shutdown()
  rmSync(folder, { recursive: true, force: true })
})

function input(name: string, poison: readonly number[], count = RECORDS): Input {
  const bad = new Set(poison)
  const lines = Array.from({ length: count }, (_, i) => lineOf(i, bad))
  const text = `${lines.join('\n')}\n`
  const file = path.join(folder, name)
  writeFileSync(file, text)
  return { url: file, text, lines }
}

function sums(counts: readonly (Map<string, number> | undefined)[]): Record<string, number> {
  const all: Record<string, number> = {}
  for (const each of counts) for (const [name, n] of each ?? []) all[name] = (all[name] ?? 0) + n
  return all
}

function expectedSums({ lines }: Input, poison: readonly number[]): Record<string, number> {
  const all: Record<string, number> = {}
  lines.forEach((_, i) => {
    if (!poison.includes(i)) all[word(i)] = (all[word(i)] ?? 0) + 1
  })
  return all
}

/** Exactly these records, each with its bytes where they are. */
function checkQuarantine(found: readonly QuarantinedRecord[], { lines, text }: Input, poison: readonly number[]): void {
  const starts: number[] = []
  let at = 0
  for (const line of lines) {
    starts.push(at)
    at += line.length + 1
  }
  expect(found.map(({ range }) => range)).toEqual(
    poison.map((i) => ({ start: starts[i], end: (starts[i] as number) + (lines[i] as string).length + 1 })),
  )
  for (const { object, range, bytes, callId } of found) {
    expect(Buffer.from(bytes).toString()).toBe(text.slice(range.start, range.end))
    expect(object.etag).not.toBe('')
    expect(callId).toMatch(/^\d{5}$/)
  }
}

function checkCertificate(certificate: Certificate, { text }: Input, poison: number): void {
  expect(certificate.failed).toEqual([])
  expect(certificate.unread).toEqual([])
  expect(certificate.quarantined).toHaveLength(poison)
  const [object] = certificate.objects
  let end = 0
  for (const span of object?.spans ?? []) {
    expect(span.start).toBe(end)
    end = span.end
  }
  expect(end).toBe(text.length)
}

describe('onFailure: bisect', () => {
  it.each([
    { parts: 'one partition', options: {} },
    { parts: 'several partitions', options: { objChunkNumber: 7 } },
  ])('map of $parts: all but the poison records, which are set aside', async ({ options }) => {
    const file = input('map.txt', POISON)
    const job = exec.map(countWords, objects(file.url), { ...options, onFailure: 'bisect' })
    const results = await job
    expect(sums(results)).toEqual(expectedSums(file, POISON))
    expect(results.filter((each) => each === undefined)).toHaveLength(POISON.length)
    const found = await job.quarantined()
    checkQuarantine(found, file, POISON)
    expect(found.map(({ error }) => (error as Error & { cause: Error }).cause.message)).toEqual(
      POISON.map((i) => `cannot read record ${i}`),
    )
    checkCertificate(await job.certificate(), file, POISON.length)
    expect(await job.futures()).toHaveLength(results.length)
  })

  it('mapReduce: the reducer gets what the maps have, in plan order', async () => {
    const file = input('reduce.txt', POISON)
    const options = { onFailure: 'bisect', objChunkNumber: 5, spawnReducer: 0 } as const
    const job = exec.mapReduce(countWords, objects(file.url), mergeCounts(), options)
    expect(Object.fromEntries(await job)).toEqual(expectedSums(file, POISON))
    checkQuarantine(await job.quarantined(), file, POISON)
    checkCertificate(await job.certificate(), file, POISON.length)
  })

  it('a reduce function is told which inputs are absent; by key each object has its own', async () => {
    const good = input('by-key-good.txt', [], 500)
    const bad = input('by-key-bad.txt', [3, 250], 500)
    const total = (counts: Map<string, number>[], task: TaskContext) => ({
      sum: counts.flatMap((each) => [...each.values()]).reduce((a, b) => a + b, 0),
      absent: task.failedInputs.length,
    })
    const options = { onFailure: 'bisect', objChunkNumber: 3, objReduceByKey: true, spawnReducer: 0 } as const
    const job = exec.mapReduce(countWords, objects([good.url, bad.url]), total, options)
    expect([...(await job).values()]).toEqual([
      { sum: 500, absent: 0 },
      { sum: 498, absent: 2 },
    ])
  })

  it('a record that takes its worker with it is found too, after the retries of each part', async () => {
    const file = input('exit.txt', [40], 100)
    const fatal = async (part: ObjectPartition) => {
      let lines = 0
      for await (const line of part.lines()) {
        if (line.endsWith('POISON')) process.exit(9)
        lines += 1
      }
      return lines
    }
    const job = exec.map(fatal, objects(file.url), { onFailure: 'bisect', retries: { retries: 1, backoff: 0 } })
    const results = await job
    expect(results.reduce((sum: number, n) => sum + (n ?? 0), 0)).toBe(99)
    const found = await job.quarantined()
    checkQuarantine(found, file, [40])
    expect(found[0]?.error).toMatchObject({ code: 'TERMINATED_WORKER', exitCode: 9 })
    const quarantined = (await job.futures()).find(({ callId }) => callId === found[0]?.callId)
    expect(await quarantined?.exception()).toMatchObject({ code: 'TERMINATED_WORKER' })
  })

  it('a record that needs more memory than there is', async () => {
    const file = input('memory.txt', [5], 8)
    const greedy = async (part: ObjectPartition) => {
      const hoard: number[][] = []
      let lines = 0
      for await (const line of part.lines()) {
        while (line.endsWith('POISON')) hoard.push(new Array(100_000).fill(1).map((x, i) => x + i))
        lines += 1
      }
      return lines
    }
    const job = exec.map(greedy, objects(file.url), { onFailure: 'bisect', runtimeMemory: 64 })
    expect((await job).reduce((sum: number, n) => sum + (n ?? 0), 0)).toBe(7)
    const found = await job.quarantined()
    checkQuarantine(found, file, [5])
    expect(found[0]?.error).toMatchObject({ code: 'OUT_OF_MEMORY' })
  })

  it('a function that fails on everything ends the job after some attempts for each record that may be set aside', async () => {
    const file = input('all.txt', [], 5_000)
    const never = async (part: ObjectPartition) => {
      await part.bytes()
      throw new Error('always')
    }
    const job = exec.map(never, objects(file.url), { onFailure: 'bisect', maxQuarantined: 5 })
    const error = await job.exception()
    expect(error).toMatchObject({ code: 'JOB' })
    expect(error?.message).toMatch(/always; more than 5 records fail \(maxQuarantined\)/)
    expect(job.stats.attempts).toBeLessThan(6 * 2 * 16)
  })

  it('a failure that no record causes is none of a record', async () => {
    const file = input('empty.txt', [])
    writeFileSync(file.url, '')
    const job = exec.map(() => Promise.reject(new Error('no records here')), objects(file.url), { onFailure: 'bisect' })
    expect((await job.exception())?.message).toContain('no records here')
    expect(await job.quarantined()).toEqual([])
  })

  it.each([
    ['items', { onFailure: 'bisect' }, [1, 2], /onFailure: only partitions/],
    ['items, splittable', { splittable: true }, [1, 2], /splittable: only partitions/],
    ['no onFailure', { maxQuarantined: 3 }, [1], /maxQuarantined: expected none without onFailure/],
    ['another policy', { onFailure: 'skip' }, [1], /onFailure: expected/],
  ])('refuses %s', (_, options, source, message) => {
    expect(() => exec.map((x: unknown) => x, source, options as never)).toThrow(message)
  })

  it('refuses objNewline: null, which has no records', async () => {
    const file = input('null.txt', [], 10)
    const job = exec.map(countWords, objects(file.url), { onFailure: 'bisect', objNewline: null })
    await expect(job).rejects.toThrow(/objNewline: null/)
  })
})
