import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { Storage } from '../../src/storage/storage.ts'

function open(bucket = 'main') {
  const backend = new MemoryBackend()
  const other = new MemoryBackend()
  let opened = 0
  const storage = new Storage({
    backend: async () => {
      opened += 1
      return backend
    },
    backendName: 'memory',
    bucket,
    resolve: async () => other,
    session: 'abc-0',
  })
  return { storage, backend, other, opened: () => opened }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const array: T[] = []
  for await (const item of items) array.push(item)
  return array
}

describe('Storage', () => {
  it('opens its backend at the first use', async () => {
    const { storage, opened } = open()
    expect(opened()).toBe(0)
    await storage.putObject('main', 'k', 'x')
    expect(opened()).toBe(1)
  })

  it('puts text, bytes and streams, and gets them whole, in part and as a stream', async () => {
    const { storage } = open()
    await storage.putObject('main', 'text', 'grüße')
    await storage.putObject('main', 'bytes', new Uint8Array([1, 2, 3]))
    await storage.putObject('main', 'stream', Readable.from([Buffer.from('ab'), Buffer.from('c')]))
    expect(Buffer.from(await storage.getObject('main', 'text')).toString()).toBe('grüße')
    expect([...(await storage.getObject('main', 'bytes', { range: { start: 1, end: 3 } }))]).toEqual([2, 3])
    expect(Buffer.concat(await all(storage.streamObject('main', 'stream'))).toString()).toBe('abc')
    expect(await storage.headObject('main', 'stream')).toMatchObject({ size: 3 })
  })

  it('makes its default bucket and no other', async () => {
    const { storage } = open()
    await storage.putCloudObject('x')
    await expect(storage.putObject('other', 'k', 'x')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('honours ifNoneMatch and ifMatch', async () => {
    const { storage } = open()
    const { etag } = await storage.putObject('main', 'k', '1', { ifNoneMatch: '*' })
    const again = storage.putObject('main', 'k', '2', { ifNoneMatch: '*' })
    await expect(again).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await storage.putObject('main', 'k', '3', { ifMatch: etag })
    await expect(storage.putObject('main', 'k', '4', { ifMatch: etag })).rejects.toMatchObject({
      code: 'PRECONDITION_FAILED',
    })
    await expect(storage.getObject('main', 'k', { ifMatch: etag })).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
  })

  const globs = [
    { options: {}, gives: ['a/1.log', 'a/b/2.log', 'a/b/2.txt', 'c.log', '.h/3.log'] },
    { options: { prefix: 'a/' }, gives: ['a/1.log', 'a/b/2.log', 'a/b/2.txt'] },
    { options: { glob: '**/*.log' }, gives: ['a/1.log', 'a/b/2.log', 'c.log', '.h/3.log'] },
    { options: { glob: '*.log' }, gives: ['c.log'] },
    { options: { glob: 'a/**/*.{log,txt}' }, gives: ['a/1.log', 'a/b/2.log', 'a/b/2.txt'] },
    { options: { glob: 'a/?.log' }, gives: ['a/1.log'] },
    { options: { glob: 'c.log' }, gives: ['c.log'] },
    { options: { glob: 'a/**', prefix: 'a/b/' }, gives: ['a/b/2.log', 'a/b/2.txt'] },
    { options: { glob: 'a/**', prefix: 'c' }, gives: [] },
    { options: { glob: '**/*.log', startAfter: 'a/1.log' }, gives: ['a/b/2.log', 'c.log'] },
  ]
  for (const { options, gives } of globs) {
    it(`lists ${JSON.stringify(options)}`, async () => {
      const { storage } = open()
      for (const key of ['a/1.log', 'a/b/2.log', 'a/b/2.txt', 'c.log', '.h/3.log']) {
        await storage.putObject('main', key, 'x')
      }
      expect(await all(storage.listKeys('main', options))).toEqual(gives.toSorted())
      expect((await all(storage.listObjects('main', options))).map(({ key }) => key)).toEqual(gives.toSorted())
    })
  }

  it('moves files up and down, whole or not at all', async () => {
    const { storage } = open()
    const folder = await mkdtemp(join(tmpdir(), 'quern-storage-'))
    try {
      await writeFile(join(folder, 'up.txt'), 'content')
      await storage.createBucket('main')
      await storage.uploadFile(join(folder, 'up.txt'), 'main')
      await storage.downloadFile('main', 'up.txt', join(folder, 'down.txt'))
      expect(await readFile(join(folder, 'down.txt'), 'utf8')).toBe('content')
      const missing = storage.downloadFile('main', 'none', join(folder, 'none.txt'))
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect((await readdir(folder)).toSorted()).toEqual(['down.txt', 'up.txt'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('puts CloudObjects under keys of its session, and reads the version they name', async () => {
    const { storage } = open()
    const object = await storage.putCloudObject('value')
    expect(object).toMatchObject({ backend: 'memory', bucket: 'main', size: 5 })
    expect(object.key).toMatch(/^quern\.jobs\/tmp\/abc-0\/cloudobject_[0-9a-f]{16}$/)
    expect(object.key).not.toBe((await storage.putCloudObject('value')).key)
    expect(Buffer.from(await storage.getCloudObject(object)).toString()).toBe('value')
    await storage.putObject('main', object.key, 'other')
    await expect(storage.getCloudObject(object)).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
  })

  it('deletes CloudObjects from all their stores and buckets', async () => {
    const { storage, other } = open()
    await storage.createBucket('second')
    await other.createBucket('main')
    await other.put('main', 'k', Buffer.from('x'))
    const mine = [await storage.putCloudObject('a'), await storage.putCloudObject('b', { bucket: 'second', key: 'k' })]
    await storage.putObject('main', 'k', 'stays')
    const foreign = { ...(mine[0] as (typeof mine)[0]), backend: 'aws_s3', key: 'k' }
    await storage.deleteCloudObjects([...mine, foreign])
    await storage.deleteCloudObject(foreign)
    expect(await all(storage.listKeys('main'))).toEqual(['k'])
    expect(await all(storage.listKeys('second'))).toEqual([])
    await expect(other.head('main', 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('names what is wrong with a name, a body or a condition', async () => {
    const { storage } = open()
    await expect(storage.putObject('', 'k', 'x')).rejects.toThrow('bucket: expected a name, got ""')
    await expect(storage.getObject('b', '')).rejects.toThrow('key in bucket b: expected text that is not empty')
    await expect(storage.putObject('main', 'k', 5 as never)).rejects.toThrow('expected bytes, text or a stream')
    const condition = { ifNoneMatch: 'x' as never }
    await expect(storage.putObject('main', 'k', 'x', condition)).rejects.toThrow('ifNoneMatch: expected "*"')
  })
})
