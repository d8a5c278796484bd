import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Plan } from '../../partitioner/plan.ts'
import { runCommandLine } from '../../src/cli/program.ts'
import {
  CallError,
  ConfigError,
  JobError,
  NotFoundError,
  SerializationError,
  ValidationError,
} from '../../src/core/errors.ts'
import { loadFunction } from '../../src/functions/load-function.ts'
import { SHIPPED } from '../../src/functions/shipped.ts'
import { type FakeContext, fakeContext } from './fake-context.ts'

const JOB_MODULE = fileURLToPath(new URL('../../src/cli/job-file.ts', import.meta.url))
const REDUCERS = fileURLToPath(new URL('../../reducers/index.ts', import.meta.url))

const PLAN: Plan = {
  version: 1,
  selection: ['a.txt'],
  options: { objNewline: '\n' },
  partitions: [
    {
      object: { backend: 'file', bucket: '/', key: 'a.txt', size: 2_048, etag: 'x', url: 'file:///a.txt' },
      range: { start: 0, end: 2_048 },
      index: 0,
      count: 1,
    },
  ],
  objects: 1,
  bytes: 2_048,
  skipped: [{ url: 'file:///d/', why: 'folder marker' }],
  requests: { get: 1, list: 0, put: 2 },
  cost: { currency: 'USD', amount: 0.0000124, assumptions: 'list prices' },
  sizes: { min: 2_048, median: 2_048, max: 2_048 },
  warnings: ['beware'],
}

let folder: string

async function jobFile(name: string, body: string): Promise<string> {
  const text = `import { job } from ${JSON.stringify(JOB_MODULE)}\nimport { sum } from ${JSON.stringify(REDUCERS)}\n${body}`
  await writeFile(join(folder, name), text)
  return name
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quern-cli-'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await jobFile(
    'maps.ts',
    `export default job({ input: 'a.txt', map: (part: object): number => Object.keys(part).length })`,
  )
  await jobFile(
    'sums.ts',
    `export default job({ map: () => 1, reduce: sum(), options: { objChunkNumber: 3, spawnReducer: 50 } })`,
  )
  await jobFile('folds.ts', `export default job({ map: () => 1, reduce: (all: number[]): number => all.length })`)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function quern(args: string[], answer: () => unknown = () => 0, isTTY = false) {
  const context = fakeContext(answer, { cwd: folder, isTTY })
  const code = await runCommandLine(args, '1.2.3', context)
  return { code, ...context.written, asked: context.asked, context }
}

function reference(fn: unknown): unknown {
  return (fn as { [SHIPPED]?: unknown })[SHIPPED]
}

describe('quern run', () => {
  it('maps the input of the job file; its function travels by reference to the file', async () => {
    const { code, stdout, stderr, asked } = await quern(['run', 'maps.ts'], () => [1, 2])
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1\n2\n', stderr: '' })
    expect(asked.map(([method]) => method)).toEqual(['open', 'map', 'shutdown'])
    const [, fn, source] = asked[1] ?? []
    expect(reference(fn)).toEqual({ url: `file://${folder}/maps.ts`, export: 'default.map' })
    expect(source).toMatchObject({ kind: 'object-selection', references: ['a.txt'] })
    expect(await (fn as (part: object) => Promise<number>)({ a: 1, b: 2 })).toBe(2)
  })

  it('says which records were set aside', async () => {
    const object = { url: 's3://b/k' }
    const aside = (start: number) => ({ object, range: { start, end: start + 5 }, error: new RangeError('not\tthat') })
    const ran = async (count: number) => {
      const quarantined = Array.from({ length: count }, (_, i) => aside(i * 10))
      const context = fakeContext(() => 1, { cwd: folder, quarantined })
      expect(await runCommandLine(['run', 'maps.ts'], '1.2.3', context)).toBe(0)
      expect(context.written.stdout).toBe('1\n')
      return context.written.stderr.split('\n')
    }
    expect(await ran(1)).toEqual([
      'set aside, as the function fails on them: 1 record',
      expect.stringMatching(/^ {2}s3:\/\/b\/k \[0, 5\): not[^\t]+that$/),
      '',
    ])
    const many = await ran(12)
    expect(many).toHaveLength(13)
    expect(many.at(-2)).toBe('  and 2 more')
  })

  it('flags win over the options of the job file', async () => {
    const flags = ['--obj-chunk-number', '7', '--obj-newline', '\\r\\n', '--obj-reduce-by-key', '--workers', '2']
    const { code, asked } = await quern(['run', 'sums.ts', '--input', 'b', 'c', ...flags, '--no-progress'])
    expect(code).toBe(0)
    expect(asked[0]).toEqual(['open', { workerProcesses: 2, showProgressbar: false }])
    const [method, , source, reduce, options] = asked[1] ?? []
    expect(method).toBe('mapReduce')
    expect(source).toMatchObject({ references: ['b', 'c'] })
    expect(reference(reduce)).toMatchObject({ export: 'sum' })
    expect(options).toEqual({ objChunkNumber: 7, objNewline: '\r\n', spawnReducer: 50, objReduceByKey: true })
  })

  it.each<[string, string[], unknown]>([
    ['output: "out/"', [], 'out/'],
    ['options: { output: "out/" }', [], 'out/'],
    ['output: "out/"', ['--replace'], { to: 'out/', ifExists: 'replace' }],
    ['output: { to: "out/", name: "{stem}" }', ['--output', 'b/'], { to: 'b/', name: '{stem}' }],
    ['input: "a.txt"', ['--output', 'b/', '--replace'], { to: 'b/', ifExists: 'replace' }],
    ['input: "a.txt"', [], undefined],
  ])('of a job with %s the output is, with flags %j, %j', async (own, flags, output) => {
    const file = `output-${own.replace(/\W+/g, '-')}.ts`
    await jobFile(file, `export default job({ map: () => 1, ${own} })`)
    const { asked } = await quern(['run', file, '--input', 'x', ...flags])
    const options = asked[1]?.[3] as { readonly output?: unknown } | undefined
    expect(asked[1]?.[0]).toBe('map')
    expect(options?.output).toEqual(output)
  })

  it('a reduce function travels by reference too', async () => {
    const { asked } = await quern(['run', 'folds.ts', '--input', 'b'])
    expect(reference(asked[1]?.[3])).toEqual({ url: `file://${folder}/folds.ts`, export: 'default.reduce' })
    expect(
      await loadFunction({ kind: 'module', url: `file://${folder}/folds.ts`, export: 'default.reduce' }),
    ).toBeTypeOf('function')
  })

  it('takes a plan back', async () => {
    await writeFile(join(folder, 'plan.json'), JSON.stringify(PLAN))
    const { asked } = await quern(['run', 'maps.ts', '--plan', 'plan.json'])
    expect(asked[1]?.[2]).toEqual(PLAN)
  })

  it('prints JSON, and only the result on stdout', async () => {
    const { stdout } = await quern(['run', 'maps.ts', '--json'], () => new Map([['a', 1n]]))
    expect(JSON.parse(stdout)).toEqual({ a: '1' })
  })

  it('cuts long tables on a terminal only', async () => {
    const counts = new Map(Array.from({ length: 25 }, (_, i) => [`w${i}`, i]))
    const onTerminal = await quern(['run', 'maps.ts'], () => counts, true)
    expect(onTerminal.stdout.split('\n').slice(-3)).toEqual(['w5    5', 'and 5 more', ''])
    expect((await quern(['run', 'maps.ts'], () => counts)).stdout.split('\n')).toHaveLength(26)
  })

  it('a failed job is exit code 1, told with the calls that failed', async () => {
    const cause = new TypeError('no such word')
    const errors = [new CallError('call 00002 of M000 failed: no such word', '00002', { cause })]
    const details = { jobId: 'M000', errors, failedCalls: ['00002'], callCount: 4 }
    const fail = () => {
      throw new JobError('1 of 4 calls of M000 failed', details)
    }
    const { code, stdout, stderr, asked } = await quern(['run', 'maps.ts'], fail)
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(
      /^error: 1 of 4 calls of M000 failed\n {2}call 00002: .*no such word\n.*TypeError: no such word/,
    )
    expect(asked.at(-1)?.[0]).toBe('shutdown')
    const json = await quern(['run', 'maps.ts', '--json'], fail)
    expect(JSON.parse(json.stderr).error).toMatchObject({
      code: 'JOB',
      failedCalls: ['00002'],
      errors: [{ code: 'CALL', cause: { name: 'TypeError', message: 'no such word' } }],
    })
  })

  it('Ctrl-C cancels what runs and is exit code 130', async () => {
    let context: FakeContext | undefined
    const answer = () => {
      context?.interrupt()
      throw new Error('cancelled')
    }
    context = fakeContext(answer, { cwd: folder })
    expect(await runCommandLine(['run', 'maps.ts'], '1', context)).toBe(130)
    expect(context.asked).toContainEqual(['cancel', { running: true }])
    expect(context.asked.at(-1)).toEqual(['shutdown', { cancelFutures: true }])
    expect(context.written.stdout).toBe('')
  })

  it('Ctrl-C that comes too late to cancel anything is none', async () => {
    let context: FakeContext | undefined
    const answer = () => {
      context?.interrupt()
      return [1]
    }
    context = fakeContext(answer, { cwd: folder })
    expect(await runCommandLine(['run', 'maps.ts', '--json'], '1', context)).toBe(0)
    expect(JSON.parse(context.written.stdout)).toEqual([1])
    expect(context.written.stderr).toBe('')
  })
})

describe('bad usage is exit code 2 and says what is wrong', () => {
  it.each([
    [['run'], "missing required argument 'job'"],
    [['run', 'none.ts'], 'no such job file'],
    [['run', 'sums.ts'], 'nothing to read: give --input'],
    [['plan'], 'nothing to plan: give --input'],
    [['run', 'maps.ts', '--plan', 'p', '--input', 'x'], '--plan already says what is read'],
    [['run', 'maps.ts', '--plan', 'missing.json'], 'not a plan'],
    [['run', 'maps.ts', '--input', 'x', '--replace'], '--replace: the job file has no output, give --output'],
    [['run', 'maps.ts', '--inptu', 'x'], "unknown option '--inptu'\n(Did you mean --input?)"],
    [['run', 'maps.ts', '--workers', 'two'], 'Expected a whole number from 1.'],
    [['run', 'sums.ts', '--spawn-reducer', '120'], 'Expected a number from 0 to 100.'],
    [['run', 'maps.ts', '--obj-newline', '\\q'], 'Unknown escape \\q.'],
    [['run', 'maps.ts', '--log-level', 'loud'], 'Expected one of silent, error'],
    [['rnu'], "unknown command 'rnu'\n(Did you mean run?)"],
  ])('%j', async (args, message) => {
    const { code, stdout, stderr } = await quern(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
  })

  it.each([
    [new ConfigError('no such store'), 2],
    [new SerializationError('the map function closes over x'), 2],
    [new NotFoundError('no such object', { backend: 'file', operation: 'head', bucket: '/', key: 'k' }), 1],
    [new TypeError('a defect'), 1],
  ])('%s has the exit code %i', async (error, expected) => {
    const { code } = await quern(['run', 'maps.ts'], () => {
      throw error
    })
    expect(code).toBe(expected)
  })

  it('also where the executor finds it', async () => {
    const { code, stderr } = await quern(['run', 'maps.ts'], () => {
      throw new ValidationError('map options.chunksize: expected a whole number from 1, got 0')
    })
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'error: map options.chunksize: expected a whole number from 1, got 0\n',
    })
  })

  it.each([
    ['export default 5', "expected 'export default job({ input, map, … })', got a default export of type number"],
    ['export const x = 1', 'got no default export'],
    ['export default job({ map: 1 })', 'job.map: expected a function, got number'],
    ['export default job({ mpa: () => 1 })', "job.mpa: unknown key, did you mean 'map'?"],
    ['export default job({ map: () => 1, output: "s3://b/*" })', 'job.output: expected a prefix to write under'],
    [
      'export default job({ map: () => 1, output: { too: "o/" } })',
      "job.output.too: unknown option, did you mean 'to'?",
    ],
    [
      'export default job({ map: () => 1, output: "o/", options: { output: "p/" } })',
      'job.output: expected one output',
    ],
    ['export default job({ map: () => 1, options: { spawnReducer: 3 } })', 'job.options.spawnReducer: unknown option'],
    ['export default job({ map: () => 1, reduce: {} })', 'job.reduce: expected a function or a Reducer'],
    ['export default job({', 'cannot import bad-'],
  ])('job file %s', async (body, message) => {
    const name = await jobFile(`bad-${body.replace(/\W+/g, '-')}.ts`, body)
    const { code, stderr } = await quern(['run', name, '--input', 'x'])
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})

describe('quern plan and hello', () => {
  it('prints the plan for people', async () => {
    const { stdout, asked } = await quern(
      ['plan', '--input', 'a.txt', '--obj-chunk-size', '64MiB', '--no-progress'],
      () => PLAN,
    )
    expect(asked[1]?.slice(1)).toEqual([expect.objectContaining({ references: ['a.txt'] }), { objChunkSize: '64MiB' }])
    expect(stdout).toBe(`1 object, 2 KiB, 1 partition
sizes     2 KiB smallest, 2 KiB median, 2 KiB largest
requests  1 GET, 0 LIST, 2 PUT
cost      0.000012 USD (list prices)
skipped (1)
  file:///d/: folder marker
warnings (1)
  beware

file:///a.txt  2 KiB  1 partition
`)
  })

  it('--json and -o give the plan itself', async () => {
    const { stdout } = await quern(['plan', 'maps.ts', '--json', '-o', 'out.json'], () => PLAN)
    expect(JSON.parse(stdout)).toEqual(PLAN)
    expect(JSON.parse(await readFile(join(folder, 'out.json'), 'utf8'))).toEqual(PLAN)
  })

  it('plans with the partition options of the job file', async () => {
    const { asked } = await quern(['plan', 'sums.ts', '--input', 'x', '--no-progress'], () => PLAN)
    expect(asked[1]?.[2]).toEqual({ objChunkNumber: 3 })
  })

  it('hello runs one call', async () => {
    const { stdout, asked } = await quern(['hello', '--json'], () => ({ message: 'Hello world!', pid: 7, node: 'v20' }))
    expect(JSON.parse(stdout)).toMatchObject({ message: 'Hello world!', pid: 7, executorId: 'abc123-0' })
    expect(reference(asked[1]?.[1])).toMatchObject({ export: 'greet' })
  })

  it('--version and --help are no failures', async () => {
    expect(await quern(['--version'])).toMatchObject({ code: 0, stdout: '1.2.3\n' })
    expect((await quern(['run', '--help'])).stdout).toContain('--obj-chunk-size')
  })
})
