import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ObjectReference, objects, type SelectionOptions, selectObjects } from '../../partitioner/select.ts'
import { ConfigError, NotFoundError, ObjectChangedError, StorageError, ValidationError } from '../../src/core/errors.ts'
import type { BackendResolver, StorageBackend } from '../../src/storage/backend.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'

const memory = new MemoryBackend()
const files = new FileBackend()
/** Every object store is the same memory here; what differs is how references name them. */
const resolve: BackendResolver = async (name) => (name === 'file' ? files : memory)
const folder = mkdtempSync(join(tmpdir(), 'quern select '))

beforeAll(async () => {
  const keys = [
    'a.csv',
    'logs/',
    'logs/a.txt',
    'logs/b.csv',
    'logs/x/c.csv',
    'logs/x/.hidden',
    'logs2/d.txt',
    'odd/%41 b#c?d+é.txt',
  ]
  for (const bucket of ['b', 'http-logs']) {
    await memory.createBucket(bucket)
    for (const key of keys) await memory.put(bucket, key, Buffer.from(key.endsWith('/') ? '' : `content of ${key}`))
  }
  for (const name of ['one.txt', 'sub/two.txt', 'sub/deep/three.csv', '100% [sure].txt']) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), name)
  }
})
afterAll(() => rmSync(folder, { recursive: true }))

describe('references to object stores', () => {
  it.each([
    { reference: 's3://b/a.csv', keys: ['a.csv'] },
    { reference: 'gs://b/a.csv', keys: ['a.csv'] },
    { reference: 'minio://b/a.csv', keys: ['a.csv'] },
    { reference: 'memory://b/a.csv', keys: ['a.csv'] },
    { reference: 'localhost://b/a.csv', keys: ['a.csv'] },
    { reference: 's3://b/logs/', keys: ['logs/a.txt', 'logs/b.csv', 'logs/x/.hidden', 'logs/x/c.csv'] },
    { reference: 's3://b/logs/*', keys: ['logs/a.txt', 'logs/b.csv'] },
    { reference: 's3://b/logs/**', keys: ['logs/a.txt', 'logs/b.csv', 'logs/x/.hidden', 'logs/x/c.csv'] },
    { reference: 's3://b/logs*/*.txt', keys: ['logs/a.txt', 'logs2/d.txt'] },
    { reference: 's3://b/**/*.csv', keys: ['a.csv', 'logs/b.csv', 'logs/x/c.csv'] },
    { reference: 's3://b/logs/{a,b}.*', keys: ['logs/a.txt', 'logs/b.csv'] },
    { reference: 's3://b/logs/[a-b].txt', keys: ['logs/a.txt'] },
    { reference: 's3://b/odd/%41 b#c?d+é.txt', keys: ['odd/%41 b#c?d+é.txt'] },
    { reference: 's3://b/odd/%41 b#c?d+*', keys: ['odd/%41 b#c?d+é.txt'] },
    { reference: new URL('s3://b/odd/%2541%20b%23c%3Fd+%C3%A9.txt'), keys: ['odd/%41 b#c?d+é.txt'] },
    { reference: 's3://http-logs/a.csv', keys: ['a.csv'] },
  ] satisfies { reference: ObjectReference; keys: string[] }[])('$reference', async ({ reference, keys }) => {
    const selected = await select(reference)
    expect(selected.objects.map(({ key }) => key)).toEqual(keys)
    for (const object of selected.objects)
      expect(object).toMatchObject({ size: Buffer.byteLength(`content of ${object.key}`) })
    expect(selected.objects.every(({ etag }) => etag !== '')).toBe(true)
  })

  it.each(['s3://b', 's3://b/'])(
    '%s is the whole bucket, its folder markers skipped and reported',
    async (reference) => {
      const selected = await select(reference)
      expect(selected.objects).toHaveLength(7)
      expect(selected.skipped).toEqual([
        { url: expect.stringContaining('b/logs/'), why: expect.stringContaining('folder marker') },
      ])
    },
  )

  it('Lithops L9: a glob in the last segment alone', async () => {
    expect((await select('s3://b/logs/*.csv')).objects.map(({ key }) => key)).toEqual(['logs/b.csv'])
  })

  it('a bucket by itself, without scheme, is a path', async () => {
    await expect(select('http-logs')).rejects.toThrow(/http-logs.*no such object/)
  })

  it('keeps the order given, then UTF-8 order, and takes every object once', async () => {
    const selected = await select([
      's3://b/logs2/d.txt',
      's3://b/logs/*.txt',
      's3://b/logs/**',
      'memory://b/a.csv',
      's3://b/logs/a.txt',
    ])
    const keys = selected.objects.map(({ backend, key }) => `${backend} ${key}`)
    expect(keys).toEqual([
      'aws_s3 logs2/d.txt',
      'aws_s3 logs/a.txt',
      'aws_s3 logs/b.csv',
      'aws_s3 logs/x/.hidden',
      'aws_s3 logs/x/c.csv',
      'memory a.csv',
    ])
    expect(selected.requests).toEqual([
      { backend: 'aws_s3', list: 2, head: 2 },
      { backend: 'memory', list: 0, head: 1 },
    ])
  })

  it('sorts what a store lists out of order', async () => {
    const shuffled = layer({
      async *list() {
        yield ['b', 'a', '\u{1f600}', '\uff21'].map((key) => ({ key, size: 1, etag: 'e' }))
      },
    })
    const selected = await selectObjects(objects('s3://b/'), async () => shuffled)
    expect(selected.objects.map(({ key }) => key)).toEqual(['a', 'b', '\uff21', '\u{1f600}'])
  })

  it('include and exclude are globs on the key', async () => {
    const selected = await select('s3://b', { include: ['**/*.csv', '**/*.txt'], exclude: 'logs/x/**' })
    expect(selected.objects.map(({ key }) => key)).toEqual([
      'a.csv',
      'logs/a.txt',
      'logs/b.csv',
      'logs2/d.txt',
      'odd/%41 b#c?d+é.txt',
    ])
  })

  it('a CloudObject is its exact key, held to its version', async () => {
    const head = await memory.head('b', 'a.csv')
    const object = { backend: 'aws_s3', bucket: 'b', key: 'a.csv', size: head.size, etag: head.etag, url: '' }
    expect((await select(object)).objects[0]).toMatchObject({ key: 'a.csv', etag: head.etag, url: 's3://b/a.csv' })
    await expect(select({ ...object, etag: 'older' })).rejects.toThrow(ObjectChangedError)
  })
})

describe('what is not there', () => {
  it.each([
    { reference: 's3://b/nothing.csv', names: /s3:\/\/b\/nothing\.csv.*no such object/ },
    { reference: 's3://b/nothing/', names: /s3:\/\/b\/nothing\/.*nothing matches/ },
    { reference: 's3://b/*.parquet', names: /s3:\/\/b\/\*\.parquet.*nothing matches/ },
    { reference: 's3://no-bucket/', names: /s3:\/\/no-bucket\/.*nothing matches/ },
    { reference: '/no/such/path', names: /\/no\/such\/path.*no such object/ },
  ])('$reference is an error that names it, unless allowed', async ({ reference, names }) => {
    await expect(select(['s3://b/a.csv', reference])).rejects.toThrow(names)
    await expect(select(['s3://b/a.csv', reference])).rejects.toThrow(NotFoundError)
    const selected = await select(['s3://b/a.csv', reference], { allowMissing: true })
    expect(selected.objects).toHaveLength(1)
    expect(selected.skipped).toEqual([{ url: reference, why: expect.stringMatching(/no such|nothing/) }])
  })

  it('Lithops L8: a URL whose HEAD fails is never silently missing from the job', async () => {
    const failing = layer({
      head: async (_bucket: string, key: string) => {
        if (key === 'dead') throw new StorageError('UNAVAILABLE', '503', { backend: 'http', operation: 'head', key })
        return { key, size: 3, etag: 'e' }
      },
    })
    const urls = ['https://h/a', 'https://h/dead', 'https://h/b?x=1']
    await expect(selectObjects(objects(urls), async () => failing)).rejects.toThrow(/dead.*503|503/)
    await expect(selectObjects(objects(urls, { allowMissing: true }), async () => failing)).rejects.toThrow(/503/)
    const alive = await selectObjects(objects(['https://h/b?x=1', 'https://h/a']), async () => failing)
    expect(alive.objects.map(({ bucket, key, url }) => [bucket, key, url])).toEqual([
      ['https://h', 'b?x=1', 'https://h/b?x=1'],
      ['https://h', 'a', 'https://h/a'],
    ])
  })
})

describe('files of this machine', () => {
  it.each([
    { what: 'a file', reference: 'one.txt', names: ['one.txt'] },
    { what: 'a directory', reference: 'sub', names: ['sub/deep/three.csv', 'sub/two.txt'] },
    { what: 'a directory with a slash', reference: './sub/', names: ['sub/deep/three.csv', 'sub/two.txt'] },
    {
      what: 'the working directory',
      reference: '.',
      names: ['100% [sure].txt', 'one.txt', 'sub/deep/three.csv', 'sub/two.txt'],
    },
    { what: 'a glob', reference: '**/*.txt', names: ['100% [sure].txt', 'one.txt', 'sub/two.txt'] },
    { what: 'an absolute path', reference: join(folder, 'one.txt'), names: ['one.txt'] },
    { what: 'an absolute glob', reference: `${folder}/s*/*`, names: ['sub/two.txt'] },
    { what: 'a file URL', reference: pathToFileURL(join(folder, '100% [sure].txt')).href, names: ['100% [sure].txt'] },
    { what: 'a URL instance', reference: pathToFileURL(join(folder, 'one.txt')), names: ['one.txt'] },
  ])('$what', async ({ reference, names }) => {
    const selected = await selectObjects(objects(reference), resolve, { cwd: folder })
    expect(selected.objects.map(({ key }) => `/${key}`)).toEqual(names.map((name) => join(folder, name)))
    const again = await selectObjects(objects(selected.objects.map(({ url }) => url)), resolve)
    expect(again.objects).toEqual(selected.objects)
  })
})

describe('what cannot be a reference is refused at once', () => {
  it.each([
    { reference: 's4://b/k', error: ConfigError, says: /"s4"; did you mean s3:\/\/\?/ },
    { reference: 's3:///k', error: ValidationError, says: /s3:\/\/bucket\/key/ },
    { reference: 's3://b*/k', error: ValidationError, says: /no plain bucket/ },
    { reference: 's3:b/k', error: ValidationError, says: /expected "\/\/" after "s3:"/ },
    { reference: '', error: ValidationError, says: /empty/ },
    { reference: 7, error: ValidationError, says: /got 7/ },
    { reference: null, error: ValidationError, says: /got null/ },
    { reference: { bucket: 'b' }, error: ValidationError, says: /got \{"bucket":"b"\}/ },
  ])('$reference', ({ reference, error, says }) => {
    expect(() => objects(reference as string)).toThrow(error)
    expect(() => objects(reference as string)).toThrow(says)
  })

  it.each([
    { options: { allowMising: true }, says: /allowMising.*did you mean 'allowMissing'\?/ },
    { options: { include: [''] }, says: /include: expected a glob/ },
    { options: { allowUnpinned: 'yes' }, says: /allowUnpinned: expected true or false, got "yes"/ },
  ])('options $options', ({ options, says }) => {
    expect(() => objects('s3://b', options as SelectionOptions)).toThrow(says)
  })
})

function select(references: ObjectReference | readonly ObjectReference[], options?: SelectionOptions) {
  return selectObjects(objects(references, options), resolve)
}

function layer(methods: object): StorageBackend {
  return Object.assign(Object.create(memory) as StorageBackend, methods)
}
