import { execFile } from 'node:child_process'
import fs from 'node:fs'
import { mkdtemp, open as openFile, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { placesOf } from '../../src/storage/localhost-layout.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'

async function open() {
  const root = await mkdtemp(join(tmpdir(), 'quern-localhost-'))
  const backend = new LocalhostBackend({ root })
  await backend.createBucket('b')
  return { root, backend, bucket: 'b', dispose: () => rm(root, { recursive: true }) }
}

testStorageBackend('LocalhostBackend', open)

describe('a put to the LocalhostBackend', () => {
  afterEach(() => vi.restoreAllMocks())

  it.each([
    ['a/b', true, ['sync', 'rename', 'sync', 'sync', 'sync']],
    ['../a', true, ['sync', 'rename', ...Array(6).fill('sync')]],
    ['a/b', false, ['rename']],
  ])('of %s with fsync %s: on the disk before it has its name, then its names', async (key, fsync, steps) => {
    const root = await mkdtemp(join(tmpdir(), 'quern-fsync-'))
    const backend = new LocalhostBackend({ root, fsync })
    await backend.createBucket('b')
    const seen: string[] = []
    const file = await openFile(join(root, 'any'), 'w')
    vi.spyOn(Object.getPrototypeOf(file), 'sync').mockImplementation(async () => void seen.push('sync'))
    await file.close()
    const { renameSync } = fs
    vi.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
      renameSync(from, to)
      seen.push('rename')
    })
    await backend.put('b', key, Buffer.from('x'))
    expect(seen).toEqual(steps)
    await rm(root, { recursive: true })
  })
})

describe('LocalhostBackend', () => {
  let root: string
  let storage: LocalhostBackend
  let dispose: () => Promise<void>
  beforeEach(async () => {
    const opened = await open()
    root = opened.root
    storage = opened.backend
    dispose = opened.dispose
  })
  afterEach(() => dispose())

  const keys = async () => {
    const found: string[] = []
    for await (const page of storage.list('b')) found.push(...page.map(({ key }) => key))
    return found
  }

  it('keeps a key that is a path at that path', async () => {
    await storage.put('b', 'dir/data.txt', Buffer.from('x'))
    expect(fs.readFileSync(`${root}/b/dir/data.txt`, 'utf8')).toBe('x')
  })

  it('removes folders that hold nothing more', async () => {
    await storage.put('b', 'x/y/z', Buffer.from('1'))
    await storage.put('b', 'x/w', Buffer.from('1'))
    await storage.delete('b', ['x/y/z'])
    expect(fs.existsSync(`${root}/b/x/y`)).toBe(false)
    expect(await keys()).toEqual(['x/w'])
  })

  it('holds a key once, though its path became free', async () => {
    for (const key of ['a', 'a/b']) await storage.put('b', key, Buffer.from('1'))
    await storage.delete('b', ['a'])
    await storage.put('b', 'a/b', Buffer.from('2'))
    expect(await keys()).toEqual(['a/b'])
    expect(fs.existsSync(`${root}/b/a/b`)).toBe(false)
    await storage.delete('b', ['a/b'])
    expect(await keys()).toEqual([])
    await expect(storage.head('b', 'a/b')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('lets a reader of an overwritten or deleted object read the old one to its end', async () => {
    const old = Buffer.alloc(4 << 20, 'x')
    for (const overtake of [() => storage.put('b', 'k', Buffer.from('new')), () => storage.delete('b', ['k'])]) {
      await storage.put('b', 'k', old)
      const { body } = await storage.get('b', 'k')
      let bytes = 0
      for await (const chunk of body) {
        if (bytes === 0) await overtake()
        bytes += chunk.length
      }
      expect(bytes).toBe(old.length)
    }
  })

  it('lists neither what is hidden nor what a dead writer left', async () => {
    await storage.put('b', 'k', Buffer.from('x'))
    fs.writeFileSync(`${root}/b/.quern/tmp/.quern-0123456789abcdef01234567.tmp`, 'part')
    fs.writeFileSync(`${root}/b/.quern-0123456789abcdef01234567.tmp`, 'part')
    expect(await keys()).toEqual(['k'])
    for await (const page of storage.list('b', { prefix: '.quern/' })) expect(page).toEqual([])
  })

  it('works in a bucket that was made by hand', async () => {
    fs.mkdirSync(`${root}/hand/in`, { recursive: true })
    fs.writeFileSync(`${root}/hand/in/file`, 'by hand')
    await storage.delete('hand', ['none'])
    await storage.put('hand', 'k', Buffer.from('x'))
    expect(await storage.head('hand', 'in/file')).toMatchObject({ size: 7 })
  })

  it('leaves no file of a put that lost', async () => {
    await storage.put('b', 'k', Buffer.from('1'))
    const lost = storage.put('b', 'k', Buffer.from('2'), { ifAbsent: true })
    await expect(lost).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(fs.readdirSync(`${root}/b/.quern/tmp`)).toEqual([])
    expect(fs.readdirSync(`${root}/b/.quern/locks`)).toEqual([])
  })

  it('breaks the lock of a dead process and of an earlier process of the same id, once', async () => {
    const { lock } = placesOf(`${root}/b`, 'k')
    for (const holder of [`${hostname()}:999999999:1`, `${hostname()}:${process.pid}:1`]) {
      fs.symlinkSync(holder, lock)
      fs.symlinkSync(holder, `${lock}.break`)
      const put = (i: number) => storage.put('b', 'k', Buffer.from(`${i}`))
      await Promise.all([0, 1, 2, 3, 4].map(put))
      expect(fs.readdirSync(`${root}/b/.quern/locks`)).toEqual([])
    }
  })

  it('refuses bucket names that are no folder names', async () => {
    for (const bucket of ['', '.', '..', 'a/b', '../b', 'a\0']) {
      await expect(storage.put(bucket, 'k', Buffer.from('x')), bucket).rejects.toMatchObject({ code: 'VALIDATION' })
    }
  })

  it('has one winner, and counts exactly, between processes', async () => {
    await storage.put('b', 'counter', Buffer.from('0'))
    const program = fileURLToPath(new URL('../support/storage-writer.ts', import.meta.url))
    const run = () => promisify(execFile)(process.execPath, ['--import', 'tsx', program, root, '40'])
    const outputs = await Promise.all([run(), run(), run(), run()])
    const firsts = outputs.map(({ stdout }) => Number(stdout))
    expect(firsts.reduce((sum, n) => sum + n, 0)).toBe(40)
    expect(fs.readFileSync(`${root}/b/counter`, 'utf8')).toBe('160')
  })
})
