import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { localPath } from '../../src/storage/local-path.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { Storage } from '../../src/storage/storage.ts'

const KEPT: readonly (readonly [string, string])[] = [
  ['a', 'a'],
  ['a/b c+%#?', 'a/b c+%#?'],
  ['/lead', 'lead'],
  ['a//b', 'a/b'],
  ['./a/./b', 'a/b'],
  ['..a/b..', '..a/b..'],
  ['...', '...'],
]
const REFUSED = ['..', '../a', 'a/..', 'a/../b', 'a/../../b', '/..', '//../x', '.', '/', '', 'a/', 'a\\..\\b', 'a\0b']

describe('localPath', () => {
  it.each(KEPT)('puts %j at %j', (key, path) => {
    expect(relative(resolve('/root'), localPath('/root', key))).toBe(path)
  })

  it.each(REFUSED)('refuses %j', (key) => {
    expect(() => localPath('/root', key)).toThrow(expect.objectContaining({ code: 'VALIDATION' }))
  })

  it('never leaves its root', () => {
    const part = fc.constantFrom('..', '.', '', '/', '\\', 'a', '...', '~', 'C:', '\0', '//', '/..', '../')
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), fc.constantFrom('/', ''), (parts, joint) => {
        let path: string
        try {
          path = localPath('/some/root', parts.join(joint))
        } catch (error) {
          expect(error).toMatchObject({ code: 'VALIDATION' })
          return
        }
        expect(path.startsWith('/some/root/')).toBe(true)
        expect(resolve(path)).toBe(path)
      }),
    )
  })
})

describe('downloads under a root', () => {
  let folder: string
  const backend = new MemoryBackend()
  const storage = new Storage({
    backend: async () => backend,
    backendName: 'memory',
    bucket: 'b',
    resolve: async () => backend,
  })

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'quern-downloads-'))
    for (const key of ['deep/er/a b.txt', 'x/../../out', '..', 'deep']) await storage.putObject('b', key, `at ${key}`)
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('make the folders they need', async () => {
    await storage.downloadFile('b', 'deep/er/a b.txt', { root: join(folder, 'root') })
    expect(await readFile(join(folder, 'root/deep/er/a b.txt'), 'utf8')).toBe('at deep/er/a b.txt')
  })

  it('refuse keys that lead out of it, and write nothing', async () => {
    const before = await readdir(folder, { recursive: true })
    for (const key of ['x/../../out', '..']) {
      const leaving = storage.downloadFile('b', key, { root: join(folder, 'root') })
      await expect(leaving).rejects.toMatchObject({ code: 'VALIDATION' })
    }
    await expect(storage.downloadFile('b', '..')).rejects.toMatchObject({ code: 'VALIDATION' })
    expect(await readdir(folder, { recursive: true })).toEqual(before)
  })

  it('say so where a file stands in the way of a folder', async () => {
    await storage.downloadFile('b', 'deep', { root: join(folder, 'other') })
    const below = storage.downloadFile('b', 'deep/er/a b.txt', { root: join(folder, 'other') })
    await expect(below).rejects.toMatchObject({ code: 'STORAGE' })
  })
})
