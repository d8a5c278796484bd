/** What `quern storage` deletes, what it tells of one object, and what it refuses. */
import { beforeEach, describe, expect, it } from 'vitest'
import { runCommandLine } from '../../src/cli/program.ts'
import { StorageError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { type FakeOptions, fakeContext } from './fake-context.ts'

let s3: MemoryBackend

beforeEach(async () => {
  s3 = new MemoryBackend()
  await s3.createBucket('b')
  for (const key of ['p/1', 'p/2', 'q']) await s3.put('b', key, Buffer.from(key), { contentType: 'text/plain' })
})

async function quern(args: readonly string[], options: FakeOptions & { store?: StorageBackend } = {}) {
  const { store = s3, ...rest } = options
  const context = fakeContext(() => 0, { stores: { aws_s3: store }, ...rest })
  const code = await runCommandLine(['storage', ...args], '1', context)
  return { code, ...context.written, asked: context.asked, left: await keys() }
}

async function keys(): Promise<string[]> {
  const all: string[] = []
  for await (const page of s3.list('b')) all.push(...page.map(({ key }) => key))
  return all
}

const ALL = ['p/1', 'p/2', 'q']

describe('rm', () => {
  it('one object is deleted as it is said', async () => {
    expect(await quern(['rm', 's3://b/q'])).toMatchObject({
      code: 0,
      stdout: 'deleted 1 object\n',
      left: ['p/1', 'p/2'],
    })
    expect(await quern(['rm', 's3://b/p/1*'])).toMatchObject({ code: 0, left: ['p/2'] })
  })

  it('a folder is not meant by its name alone, and what is missing is told', async () => {
    expect(await quern(['rm', 's3://b/p', '--yes'])).toMatchObject({ code: 1, left: ALL })
    expect(await quern(['rm', 's3://b/none/', '--yes'])).toMatchObject({ code: 1, left: ALL })
  })

  it('more than one is refused where nobody can be asked', async () => {
    const { code, stderr, left } = await quern(['rm', 's3://b/p/'])
    expect({ code, left }).toEqual({ code: 2, left: ALL })
    expect(stderr).toContain('s3://b/p/: 2 objects, 6 B: more than one is deleted only with --yes')
  })

  it.each([
    ['y', 0, ['q']],
    ['YES ', 0, ['q']],
    ['', 1, ALL],
    ['n', 1, ALL],
    ['yesterday', 1, ALL],
  ])('asks at a terminal: %j', async (reply, code, left) => {
    const result = await quern(['rm', 's3://b/p/'], { reply })
    expect(result).toMatchObject({ code, left })
    expect(result.asked).toContainEqual(['ask', 'delete 2 objects, 6 B under s3://b/p/? [y/N] '])
  })

  it('Ctrl-C instead of an answer deletes nothing', async () => {
    const context = fakeContext(() => 0, { stores: { aws_s3: s3 } })
    const ask = async () => {
      context.interrupt()
      return ''
    }
    expect(await runCommandLine(['storage', 'rm', 's3://b/p/'], '1', { ...context, ask })).toBe(130)
    expect(context.written.stderr).toBe('nothing was deleted\ninterrupted\n')
    expect(await keys()).toEqual(ALL)
  })

  it('--yes asks nobody', async () => {
    const { code, stdout, left, asked } = await quern(['rm', 's3://b/**', '--yes', '--json'], { reply: 'n' })
    expect({ code, left }).toEqual({ code: 0, left: [] })
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual(ALL.map((key) => ({ url: `s3://b/${key}`, status: 'deleted' })))
    expect(asked.map(([what]) => what)).toEqual(['stores', 'close'])
  })

  it('--dry-run lists and deletes nothing, also with --yes', async () => {
    expect(await quern(['rm', 's3://b/p/', '--dry-run', '--yes'])).toMatchObject({
      code: 0,
      stdout: 'would delete s3://b/p/1\nwould delete s3://b/p/2\n2 objects, 6 B; nothing was deleted\n',
      left: ALL,
    })
  })

  it.each([
    ['PERMISSION_DENIED', ['p/1'], 3, 'deleted 1 object; 1 failed\n'],
    ['UNAVAILABLE', ['p/1', 'p/2'], 1, 'deleted 0 objects; 2 failed\n'],
  ] as const)('a refused batch (%s) is told key by key, unless the store is away', async (code, left, calls, sum) => {
    let asked = 0
    const error = new StorageError(code, 'no', { backend: 'aws_s3', operation: 'delete' })
    const store = layered(s3, {
      delete: (bucket, names, options) => {
        asked += 1
        return names.includes('p/1') ? Promise.reject(error) : s3.delete(bucket, names, options)
      },
    })
    const result = await quern(['rm', 's3://b/p/', '--yes'], { store })
    expect(result).toMatchObject({ code: 1, stdout: sum, left: [...left, 'q'] })
    expect(asked).toBe(calls)
    expect(result.stderr).toBe(left.map((key) => `failed: s3://b/${key}: delete aws_s3: no\n`).join(''))
  })

  it('more than a request takes goes in several', async () => {
    for (let i = 0; i < 1_500; i++) await s3.put('b', `m/${i}`, Buffer.alloc(0))
    const sizes: number[] = []
    const store = layered(s3, {
      delete: (bucket, names, options) => {
        sizes.push(names.length)
        return s3.delete(bucket, names, options)
      },
    })
    expect(await quern(['rm', 's3://b/m/', '--yes'], { store })).toMatchObject({ code: 0, left: ALL })
    expect(sizes).toEqual([1_000, 500])
  })
})

describe('head', () => {
  it('tells people and programs', async () => {
    const { stdout } = await quern(['head', 's3://b/q'])
    expect(stdout).toMatch(/^url +s3:\/\/b\/q\nsize +1 B \(1 bytes\)\netag +\S+\nmodified +\S+Z\ntype +text\/plain\n$/)
    const json = JSON.parse((await quern(['head', 's3://b/q', '--json'])).stdout)
    expect(json).toMatchObject({ url: 's3://b/q', size: 1, contentType: 'text/plain' })
  })

  it('a missing key is exit code 1', async () => {
    expect(await quern(['head', 's3://b/none'])).toMatchObject({ code: 1, stdout: '' })
  })
})

describe('bad usage is exit code 2', () => {
  it.each([
    [['ls', 'memory://b'], 'memory:// lives in one process'],
    [['cp', 's3://b/q', 'memory://b'], 'memory:// lives in one process'],
    [['put', 'x', 'https://h/p'], 'nothing can be written to http'],
    [['rm', 'https://h/p'], 'nothing can be deleted behind http'],
    [['get', 's3://b/q', 's3://b/r'], 'get writes files of this machine'],
    [['put', 's3://b/q', 's3://b/r'], 'put reads files of this machine'],
    [['put', 'x'], 'where to is missing'],
    [['put', 'x', 'y', 's3://b/k'], 'needs a prefix, which ends in "/"'],
    [['cp', 's3://b/p/', 's3://c/k'], 'needs a prefix, which ends in "/"'],
    [['head', 's3://b/p/'], 'expected one object'],
    [['ls', 's4://b'], 'did you mean s3://'],
    [['ls', 's3:///k'], 'no plain bucket name'],
    [['ls'], "missing required argument 'url'"],
    [['list', 's3://b'], "unknown command 'list'"],
    [['get', 's3://b/q', '--concurrency', '0'], 'Expected a whole number from 1.'],
    [['rm', 's3://b/q', '--dryrun'], 'Did you mean --dry-run?'],
  ])('%j', async (args, message) => {
    const { code, stderr, left } = await quern(args)
    expect({ code, left }).toEqual({ code: 2, left: ALL })
    expect(stderr).toContain(message)
  })
})
