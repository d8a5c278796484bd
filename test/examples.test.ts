/** Every example, run as its user runs it; what it must print is computed here by reading whole files. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPackage, quern, ROOT, succeed } from './support/built-package.ts'

const LOGS = ['access-1.log', 'access-2.log', 'access-3.log']
const EXAMPLES = ['access-log.ts', 'extract-errors.ts', 'top-referrers.ts', 'wordcount.ts', 'words-by-file.ts']

let store: string
let environment: NodeJS.ProcessEnv

beforeAll(async () => {
  store = await mkdtemp(join(tmpdir(), 'quern-examples-'))
  environment = { QUERN_CONFIG: JSON.stringify({ localhost: { storage_root: store, worker_processes: 2 } }) }
  await buildPackage()
}, 300_000)

afterAll(() => rm(store, { recursive: true, force: true }))

async function run(example: string, ...args: string[]): Promise<unknown> {
  const { code, stdout, stderr } = await quern(['run', `examples/${example}`, ...args, '--json'], ROOT, environment)
  expect(code, stderr).toBe(0)
  return JSON.parse(stdout)
}

async function logLines(...names: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(names.map((name) => readFile(join(ROOT, 'fixtures/logs', name), 'utf8')))
  return texts.flatMap((text) => text.split('\n').filter((line) => line !== ''))
}

function tally<T>(
  items: Iterable<T>,
  keyOf: (item: T) => string,
  amountOf: (item: T) => number,
): Record<string, number> {
  const totals: Record<string, number> = {}
  for (const item of items) totals[keyOf(item)] = (totals[keyOf(item)] ?? 0) + amountOf(item)
  return totals
}

/** The fields of a log line, by splitting at quotes rather than by the expressions of the examples. */
function fields(line: string) {
  const [before = '', request = '', statusAndBytes = '', referrer = ''] = line.split('"')
  const [method = '', path = ''] = request.split(' ')
  const [status = '', bytes = ''] = statusAndBytes.trim().split(' ')
  const [address = ''] = before.split(' ')
  const time = before.slice(before.indexOf('[') + 1, before.indexOf(']'))
  return { address, time, method, path, status, bytes: bytes === '-' ? 0 : Number(bytes), referrer }
}

describe('examples', () => {
  it('each has a test here', async () => {
    const files = await readdir(join(ROOT, 'examples'))
    expect(files.filter((name) => /\.(ts|mjs|js)$/.test(name)).sort()).toEqual(EXAMPLES)
  })

  it.each([[[]], [['--obj-chunk-size', '1000']], [['--obj-chunk-number', '7', '--spawn-reducer', '100']]])(
    'wordcount.ts %j',
    async (flags) => {
      const names = (await readdir(join(ROOT, 'fixtures/text'))).map((name) => join(ROOT, 'fixtures/text', name))
      const texts = await Promise.all(names.map((name) => readFile(name, 'utf8')))
      const words = texts.flatMap((text) => text.toLowerCase().match(/[a-z]+/g) ?? [])
      expect(words.length).toBeGreaterThan(15_000)
      const expected = tally(words, String, () => 1)
      expect(await run('wordcount.ts', '--input', 'fixtures/text/*.txt', ...flags)).toEqual(expected)
    },
  )

  it('access-log.ts: status codes, and bytes by path', async () => {
    const lines = (await logLines(...LOGS)).map(fields)
    expect(lines).toHaveLength(6_100)
    expect(await run('access-log.ts', '--input', 'fixtures/logs/', '--obj-chunk-size', '20kB')).toEqual({
      requestsByStatus: tally(
        lines,
        ({ status }) => status,
        () => 1,
      ),
      bytesByPath: tally(
        lines,
        ({ path }) => path,
        ({ bytes }) => bytes,
      ),
    })
  })

  it('top-referrers.ts: one result per object', async () => {
    const expected: Record<string, unknown> = {}
    for (const name of LOGS) {
      const referrers = (await logLines(name)).map(fields).filter(({ referrer }) => referrer !== '-')
      const counts = Object.entries(
        tally(
          referrers,
          ({ referrer }) => referrer,
          () => 1,
        ),
      )
      counts.sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      expected[`file://${join(ROOT, 'fixtures/logs', name)}`] = counts
        .slice(0, 3)
        .map(([referrer, requests]) => ({ referrer, requests }))
    }
    expect(await run('top-referrers.ts', '--input', 'fixtures/logs/*.log')).toEqual(expected)
  })

  it('extract-errors.ts: one output object per input, the same when run again', async () => {
    for (let time = 0; time < 2; time++) {
      const written = (await run('extract-errors.ts', '--input', 'fixtures/logs/')) as {
        object: string
        rows: number
      }[]
      expect(written.map(({ object }) => object)).toEqual(LOGS.map((name) => `${name}.ndjson`))
      const { Storage } = await import('../src/entry/storage.ts')
      const storage = Storage.open({ backend: 'localhost', storageRoot: store })
      for (const [i, name] of LOGS.entries()) {
        const text = Buffer.from(await storage.getObject('errors', `${name}.ndjson`)).toString()
        const rows = text.trimEnd().split('\n')
        const failed = (await logLines(name)).map(fields).filter(({ status }) => Number(status) >= 400)
        expect(rows.map((row) => JSON.parse(row))).toEqual(
          failed.map(({ address, time: at, method, path, status }) => {
            return { address, time: at, method, path, status: Number(status) }
          }),
        )
        expect(written[i]?.rows).toBe(failed.length)
      }
    }
  })

  it('words-by-file.ts: a program, its function inline', async () => {
    const names = (await readdir(join(ROOT, 'fixtures/text'))).filter((name) => name.endsWith('.txt')).sort()
    const texts = await Promise.all(names.map((name) => readFile(join(ROOT, 'fixtures/text', name), 'utf8')))
    const words = texts.map((text) => text.toLowerCase().match(/[a-z]+/g) ?? [])
    const common = ['a', 'and', 'in', 'of', 'the', 'to']
    const told = await succeed(process.execPath, ['--import', 'tsx', 'examples/words-by-file.ts'], ROOT)
    expect(JSON.parse(told)).toEqual(
      names.map((file, i) => ({ file, words: words[i]?.filter((word) => !common.includes(word)).length })),
    )
  })
})
