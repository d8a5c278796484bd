import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'

const MIB = 1 << 20
/** Seconds. */
const OLD_TIME = 1_000_000_000

async function open() {
  const folder = await mkdtemp(join(tmpdir(), 'quern-file-'))
  const dispose = () => rm(folder, { recursive: true })
  return { folder, backend: new FileBackend(), bucket: '/', prefix: `${folder.slice(1)}/`, dispose }
}

testStorageBackend('FileBackend', open)

describe('FileBackend', () => {
  const storage = new FileBackend()
  let folder: string
  let dispose: () => Promise<void>
  beforeEach(async () => {
    const opened = await open()
    folder = opened.folder
    dispose = opened.dispose
  })
  afterEach(() => dispose())

  const write = (name: string, content: string | Buffer = 'x') => {
    fs.mkdirSync(join(folder, name, '..'), { recursive: true })
    fs.writeFileSync(join(folder, name), content)
    fs.utimesSync(join(folder, name), OLD_TIME, OLD_TIME)
    return `${folder}/${name}`.slice(1)
  }
  const list = async (prefix = '') => {
    const found: string[] = []
    for await (const page of storage.list('/', { prefix: `${folder}/${prefix}`.slice(1) })) {
      found.push(...page.map(({ key }) => `/${key}`.slice(folder.length)))
    }
    return found
  }

  const changes: readonly (readonly [string, (path: string) => void])[] = [
    ['appended to', (path) => fs.appendFileSync(path, 'more')],
    ['written in place', (path) => fs.writeSync(fs.openSync(path, 'r+'), 'Y', 2 * MIB + 5)],
    ['rewritten with its old times', (path) => rewriteKeepingTimes(path)],
  ]
  for (const [what, change] of changes) {
    it(`gives no more of a file that is ${what} while it is read`, async () => {
      const key = write('big', Buffer.alloc(6 * MIB, 'x'))
      const { body } = await storage.get('/', key)
      const seen: Uint8Array[] = []
      const read = async () => {
        for await (const chunk of body) {
          if (seen.length === 0) change(`/${key}`)
          seen.push(chunk)
        }
      }
      await expect(read()).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
      expect(seen).toHaveLength(1)
    })
  }

  it('refuses a pin after a change that kept size and mtime', async () => {
    const key = write('pinned', 'one')
    const { etag } = await storage.head('/', key)
    rewriteKeepingTimes(`/${key}`)
    await expect(storage.get('/', key, { ifMatch: etag })).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
  })

  it('lists hidden files and follows links, but no loop', async () => {
    write('.hidden/.file')
    write('dir/file')
    fs.symlinkSync(join(folder, 'dir/file'), join(folder, 'link'))
    fs.symlinkSync(join(folder, 'dir'), join(folder, 'linked-dir'))
    fs.symlinkSync(folder, join(folder, 'dir/loop'))
    fs.symlinkSync('self', join(folder, 'self'))
    fs.symlinkSync('nowhere', join(folder, 'dangling'))
    expect(await list()).toEqual(['/.hidden/.file', '/dir/file', '/link', '/linked-dir/file'])
    expect(await list('dir/')).toEqual(['/dir/file'])
    expect(await storage.head('/', `${folder}/link`.slice(1))).toMatchObject({ size: 1 })
  })

  it('passes over what is no file, and never waits for a fifo', async () => {
    write('file')
    execFileSync('mkfifo', [join(folder, 'fifo')])
    expect(await list()).toEqual(['/file'])
    const fifo = `${folder}/fifo`.slice(1)
    await expect(storage.get('/', fifo)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('refuses to leave out a name that is not UTF-8', async () => {
    fs.writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0x66, 0xff])]), 'x')
    await expect(list()).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  it('gives names with odd characters back as they are', async () => {
    const names = ['/ä b', '/%41', '/#?', '/\'"', '/\u{1f600}']
    for (const name of names) write(name.slice(1), name)
    for (const key of await list()) {
      const { body } = await storage.get('/', `${folder}${key}`.slice(1))
      expect(Buffer.from(await collectBytes(body)).toString()).toBe(key)
    }
    expect(new Set(await list())).toEqual(new Set(names))
  })

  it('has the one bucket "/"', async () => {
    await expect(storage.get('other', 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(storage.createBucket('other')).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(storage.deleteBucket('/')).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await storage.createBucket('/')
  })
})

function rewriteKeepingTimes(path: string): void {
  fs.writeFileSync(path, Buffer.alloc(fs.statSync(path).size, 'z'))
  fs.utimesSync(path, OLD_TIME, OLD_TIME)
}
