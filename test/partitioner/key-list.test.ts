import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { type KeyListOptions, keyList, type ObjectSelection, selectObjects } from '../../partitioner/select.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'

const folder = mkdtempSync(join(tmpdir(), 'quern-key-list-'))
afterAll(() => rmSync(folder, { recursive: true }))
const files = new FileBackend()
let memory: MemoryBackend

const KEYS = ['a', 'logs/a b.txt', 'logs/*.txt', 'q?#%41+', ' led', 'tail ', 'é/\u{1f600}', 'dir/']
beforeEach(async () => {
  memory = new MemoryBackend()
  for (const bucket of ['lists', 'data']) await memory.createBucket(bucket)
  for (const key of KEYS) await memory.put('data', key, Buffer.from(`in ${key}`))
})

function selected(selection: ObjectSelection) {
  return selectObjects(selection, async (name) => (name === 'file' ? files : memory), { cwd: folder })
}

async function list(name: string, content: string | Uint8Array, options?: KeyListOptions) {
  await memory.put('lists', name, Buffer.from(content))
  return selected(keyList(`memory://lists/${name}`, options))
}

async function keysOf(name: string, content: string | Uint8Array, options?: KeyListOptions): Promise<string[]> {
  return (await list(name, content, options)).objects.map(({ key }) => key)
}

describe('a key list', () => {
  it('in text: URLs, in its order, each once, without globs; empty lines are none', async () => {
    const lines = ['memory://data/logs/*.txt', '', 'memory://data/a', 'memory://data/q?#%41+', '  ', 'memory://data/a']
    for (const text of [lines.join('\n'), `${lines.join('\r\n')}\r\n`, `\ufeff${lines.join('\n')}\n`]) {
      const { objects, requests, selection } = await list('keys', text)
      expect(objects.map(({ key }) => key)).toEqual(['logs/*.txt', 'a', 'q?#%41+'])
      expect(objects[1]).toMatchObject({ size: 4, etag: (await memory.head('data', 'a')).etag })
      expect(requests).toEqual([{ backend: 'memory', list: 0, head: 4, get: 1 }])
      expect(selection).toEqual(['key list memory://lists/keys'])
    }
  })

  it('of keys behind a base: as they are, whatever they hold', async () => {
    expect(await keysOf('keys', KEYS.join('\n'), { base: 'memory://data/' })).toEqual(KEYS)
    expect(await keysOf('keys', '*.txt\na b.txt', { base: 'memory://data/logs/' })).toEqual([
      'logs/*.txt',
      'logs/a b.txt',
    ])
    const name = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 9 })
      .filter((text) => !/^\s*$|[\r\n]/.test(text))
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(name.map((text) => `k${text}`)), async (keys) => {
        for (const key of keys) await memory.put('data', key, Buffer.from('x'))
        const options = { base: 'memory://data/', allowMissing: true }
        expect(await keysOf('keys', keys.join('\n'), options)).toEqual(keys)
      }),
      { numRuns: 50 },
    )
  })

  it('of paths, from a file, packed', async () => {
    for (const name of ['one.txt', 'two [2].txt']) writeFileSync(join(folder, name), name)
    writeFileSync(join(folder, 'list.txt.gz'), gzipSync(`two [2].txt\n${folder}/one.txt\nmemory://data/a\n`))
    const { objects } = await selected(keyList('list.txt.gz'))
    expect(objects.map(({ backend, key }) => [backend, key])).toEqual([
      ['file', join(folder, 'two [2].txt').slice(1)],
      ['file', join(folder, 'one.txt').slice(1)],
      ['memory', 'a'],
    ])
  })

  it.each([
    ['keys.csv', 'url,size,etag\nmemory://data/a,4,"""1"""\nmemory://data/gone,7,x\n'],
    ['keys.csv', 'size,etag,key,bucket,backend\n4,"""1""",a,data,memory\n7,x,gone,data,memory\n'],
    [
      'keys.ndjson',
      '{"url":"memory://data/a","size":4,"etag":"\\"1\\""}\n{"url":"memory://data/gone","size":7,"etag":"x"}',
    ],
    [
      'keys.jsonl',
      '{"backend":"memory","bucket":"data","key":"a","size":4,"etag":"\\"1\\""}\n{"url":"memory://data/gone","size":7,"etag":"x"}',
    ],
  ])('in %s that says size and etag is taken as it is: %s', async (name, content) => {
    const { objects, requests } = await list(name, content)
    expect(objects).toEqual([
      { backend: 'memory', bucket: 'data', key: 'a', size: 4, etag: '"1"', url: 'memory://data/a' },
      { backend: 'memory', bucket: 'data', key: 'gone', size: 7, etag: 'x', url: 'memory://data/gone' },
    ])
    expect(requests).toEqual([{ backend: 'memory', list: 0, head: 0, get: 1 }])
    await expect(list(name, content, { check: 'head' })).rejects.toThrow(/\(line \d\) names memory:\/\/data\/gone/)
  })

  it('in CSV behind a base, under a name that says nothing', async () => {
    const content = 'key,owner\n"logs/a b.txt",x\na,y\n'
    expect(await keysOf('keys', content, { base: 'memory://data/', format: 'csv' })).toEqual(['logs/a b.txt', 'a'])
  })

  it('that says another version than the store has is an error', async () => {
    await expect(list('keys.csv', 'url,etag\nmemory://data/a,old\n')).rejects.toMatchObject({
      code: 'OBJECT_CHANGED',
      message: expect.stringContaining('(line 2) has memory://data/a with etag old'),
    })
  })

  it('skips folder markers, and what is missing where that is allowed', async () => {
    await memory.put('data', 'marker/', Buffer.alloc(0))
    const options = { base: 'memory://data/', allowMissing: true, exclude: 'logs/**' }
    const { objects, skipped } = await list('keys', 'marker/\nnone\na\nlogs/a b.txt', options)
    expect(objects.map(({ key }) => key)).toEqual(['a'])
    expect(skipped.map(({ url }) => url)).toEqual(['memory://data/none', 'memory://data/marker/'])
  })
})

describe('what is wrong with a key list is said', () => {
  it.each([
    [
      'keys',
      'memory://data/a\nmemory://data/none\n',
      {},
      /lists\/keys \(line 2\) names memory:\/\/data\/none: there is no/,
    ],
    ['keys', 's4://data/a', {}, /memory:\/\/lists\/keys, line 1: s4:\/\/data\/a: no store has the scheme "s4"/],
    ['keys', '\nmemory://data', {}, /line 2: memory:\/\/data: expected a key after the bucket/],
    ['keys', '\n \n', {}, /the list memory:\/\/lists\/keys names no object/],
    ['keys', '', {}, /names no object/],
    ['keys', Buffer.alloc(3_000_000, 0x61), {}, /is no list of keys: it has a line of more than 1048576 bytes/],
    ['keys.gz', 'memory://data/a', {}, /is no whole gzip file: incorrect header check/],
    ['k.ndjson', '{"url":"memory://data/a"}\n{"url":', {}, /line 2: .*JSON/],
    ['k.ndjson', '"memory://data/a"', {}, /line 1: expected a JSON object, got "memory:/],
    ['k.ndjson', '{"name":"a"}', {}, /line 1: expected a url or a key, got name/],
    ['k.ndjson', '{"key":"a"}', {}, /line 1: a key without a bucket: say which with base/],
    ['k.ndjson', '{"url":"memory://data/a","size":-1}', {}, /line 1: size: expected bytes, got -1/],
    ['k.csv', 'name,size\na,1\n', {}, /line 2: expected a url or a key, got name, size/],
  ] satisfies [string, string | Buffer, KeyListOptions, RegExp][])(
    '%s: %j',
    async (name, content, options, message) => {
      await expect(list(name, content, options)).rejects.toThrow(message)
    },
  )

  it('of a list that is not there', async () => {
    await expect(selected(keyList('memory://lists/none'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    [() => keyList('-'), /keyList: standard input is not read; write it to a file first/],
    [() => keyList('s3://b/lists/'), /keyList: expected the path or URL of a file, got s3:\/\/b\/lists\//],
    [() => keyList('lists/*.txt'), /expected one path or URL, got the glob/],
    [() => keyList('k', { base: 's4://b/' }), /did you mean s3:\/\/\?/],
    [() => keyList('k', { format: 'tsv' as never }), /format: expected one of 'text', 'csv', 'ndjson', got "tsv"/],
  ])('%s', (make, message) => {
    expect(make).toThrow(message)
  })
})
