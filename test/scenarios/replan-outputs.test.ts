/** Jobs with outputs some of whose objects changed before they were resumed: planned anew, under the names they have. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ObjectPartition } from '../../partitioner/partition.ts'
import { FunctionExecutor, type MapOptions, objects } from '../../src/entry/index.ts'
import type { Manifest } from '../../src/job/manifest.ts'

let folder: string
const executors: FunctionExecutor[] = []

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-replan-'))
  mkdirSync(path.join(folder, 'in'))
  writeInput('a', 'aaaa\naaaa\n')
  writeInput('b', 'bbbb\nbbbb\n')
  writeInput('c', 'cccc\n')
})

afterEach(async () => {
  for (const exec of executors.splice(0)) await exec.shutdown()
  rmSync(folder, { recursive: true, force: true })
})

function executor(): FunctionExecutor {
  const store = { storageRoot: path.join(folder, 'store'), storageBucket: 'jobs' }
  const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false, logLevel: 'silent', ...store })
  executors.push(exec)
  return exec
}

const writeInput = (name: string, text: string) => writeFileSync(path.join(folder, `in/${name}.txt`), text)
const out = (name: string) => path.join(folder, 'out', name)

/** By name, without the manifest. */
function outputs(): Record<string, string> {
  const names = readdirSync(path.join(folder, 'out')).filter((name) => name !== '_quern')
  return Object.fromEntries(names.sort().map((name) => [name, readFileSync(out(name), 'utf8')]))
}

function manifest(): Manifest {
  return JSON.parse(readFileSync(out('_quern/manifest.json'), 'utf8'))
}

/** Fails on the first part of `b` while it begins with `bbbb`. */
const copy = async (part: ObjectPartition) => {
  const text = await part.text()
  if (text.startsWith('bbbb') && part.index === 0) throw new RangeError('not that')
  return text
}

/** The name of a job that failed after all but one call had published. */
async function failed(options: MapOptions = {}): Promise<string> {
  const exec = executor()
  const output = { to: path.join(folder, 'out/'), name: '{stem}-{index}.txt' }
  const job = exec.map(copy, objects(path.join(folder, 'in/')), { objChunkSize: 5, output, ...options } as never)
  await expect(Promise.resolve(job)).rejects.toMatchObject({ code: 'JOB' })
  await exec.shutdown()
  return job.name
}

const PUBLISHED = {
  'a-00000.txt': 'aaaa\n',
  'a-00001.txt': 'aaaa\n',
  'b-00001.txt': 'bbbb\n',
  'c-00000.txt': 'cccc\n',
}

describe('a job with outputs, planned anew', () => {
  it.each([
    ['fewer', 'new\n', { 'b-00000.txt': 'new\n' }],
    ['as many', 'new\nmore\n', { 'b-00000.txt': 'new\nmore\n', 'b-00001.txt': '' }],
    ['more', 'new1\nnew2\nnew3\n', { 'b-00000.txt': 'new1\n', 'b-00001.txt': 'new2\n', 'b-00002.txt': 'new3\n' }],
  ])('%s partitions: outputs of the changed object are replaced, the others stay', async (_, text, expected) => {
    const name = await failed()
    expect(outputs()).toEqual(PUBLISHED)
    const kept = ['a-00000.txt', 'a-00001.txt', 'c-00000.txt']
    const inodes = () => kept.map((each) => statSync(out(each)).ino)
    const before = inodes()
    writeInput('b', text)
    const results = (await executor().resume(name, { replan: true })) as { key: string }[]
    const { 'b-00001.txt': _old, ...others } = PUBLISHED
    expect(outputs()).toEqual({ ...others, ...expected })
    expect(inodes()).toEqual(before)
    const named = manifest().outputs.map(({ key }) => path.basename(key))
    expect(named).toEqual(Object.keys(outputs()))
    expect(results.map(({ key }) => path.basename(key))).toEqual(named)
    expect(manifest().outputs.flatMap(({ inputs }) => inputs.map(({ range }) => range.end - range.start))).toHaveLength(
      named.length,
    )
  })

  it('goes on as planned anew when it is resumed once more', async () => {
    const name = await failed()
    writeInput('b', 'bbbb\nnew2\nnew3\n')
    const again = executor()
    await expect(Promise.resolve(again.resume(name, { replan: true }))).rejects.toMatchObject({ code: 'JOB' })
    await again.shutdown()
    expect(existsSync(out('_quern/manifest.json'))).toBe(false)
    writeInput('b', 'x')
    await executor().resume(name, { replan: true })
    expect(outputs()).toEqual({ ...PUBLISHED, 'b-00000.txt': 'x', 'b-00001.txt': undefined } as never)
    expect(manifest().outputs).toHaveLength(4)
  })

  it('leaves what somebody else has put under a new name alone', async () => {
    const name = await failed()
    writeInput('b', 'new1\nnew2\nnew3\n')
    writeFileSync(out('b-00002.txt'), 'of somebody else')
    const refused = executor().resume(name, { replan: true })
    await expect(Promise.resolve(refused)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(outputs()).toEqual({ ...PUBLISHED, 'b-00002.txt': 'of somebody else' })
    rmSync(out('b-00002.txt'))
    await executor().resume(name, { replan: true })
    expect(outputs()['b-00002.txt']).toBe('new3\n')
  })

  it('is refused where a function gave the names, or two calls would have one', async () => {
    const to = path.join(folder, 'out/')
    const byFunction = await failed({ output: { to, name: ({ call }) => `f${call}` } })
    writeInput('b', 'new\n')
    const message = /output\.name of this job is a function/
    await expect(Promise.resolve(executor().resume(byFunction, { replan: true }))).rejects.toThrow(message)
    rmSync(to, { recursive: true })
    writeInput('b', 'bbbb\nbbbb\n')
    const byCall = await failed({ output: { to, name: '{call}' } })
    writeInput('b', 'new1\nnew2\nnew3\n')
    // the third part would have the number of the object behind it
    await expect(Promise.resolve(executor().resume(byCall, { replan: true }))).rejects.toThrow(/would both write it/)
  })

  it('of reducers: what was written of other objects is written again', async () => {
    const exec = executor()
    const to = path.join(folder, 'out/')
    const join = (texts: string[]) => texts.join('')
    const options = { objChunkSize: 5, objReduceByKey: true, output: { to, name: '{stem}.txt' } } as const
    const job = exec.mapReduce(copy, objects(path.join(folder, 'in/')), join, options)
    await expect(Promise.resolve(job)).rejects.toThrow()
    await exec.shutdown()
    writeInput('b', 'new1\nnew2\n')
    await executor().resume(job.name, { replan: true })
    expect(outputs()).toEqual({ 'a.txt': 'aaaa\naaaa\n', 'b.txt': 'new1\nnew2\n', 'c.txt': 'cccc\n' })
    expect(manifest().outputs).toHaveLength(3)
  })
})
