/** What a process that died left half-written in a store of files is removed; what may still be written is not. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileBackend } from '../../src/storage/file.ts'
import { isTemporaryName, temporaryName } from '../../src/storage/file-io.ts'
import { layered } from '../../src/storage/layer.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'

/** A name as a process of this or another host makes it. No process has the pid 7fffffff. */
function nameOf({ host, pid }: { host?: string; pid?: string }): string {
  const own = temporaryName()
  return `.quern-${host ?? own.slice(7, 11)}${pid ?? own.slice(11, 19)}${own.slice(19)}`
}

const DEAD = '7fffffff'
const otherHost = () => (temporaryName().startsWith('.quern-0') ? 'ffff' : '0000')

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'quern-sweep-'))
})
afterEach(() => fs.rmSync(folder, { recursive: true }))

const PLACES = {
  file: () => ({
    at: join(folder, 'out'),
    sweep: (names: readonly string[]) => {
      const keys = names.map((name) => join(folder, 'out', name).slice(1))
      return layered(new FileBackend(), {}).sweep?.('/', keys)
    },
  }),
  localhost: () => ({
    at: join(folder, 'b/.quern/tmp'),
    sweep: () => layered(new LocalhostBackend({ root: folder }), {}).sweep?.('b', []),
  }),
}

describe.each(['file', 'localhost'] as const)('a sweep of a %s store', (store) => {
  it('takes what dead processes of this host left, and nothing else', async () => {
    const { at, sweep } = PLACES[store]()
    fs.mkdirSync(at, { recursive: true })
    const left = nameOf({ pid: DEAD })
    const others = [nameOf({}), nameOf({ pid: DEAD, host: otherHost() }), `${left}.gz`, 'part-0']
    for (const name of [left, ...others]) fs.writeFileSync(join(at, name), 'half')
    expect([left, ...others].map(isTemporaryName)).toEqual([true, true, true, false, false])
    await sweep(['part-0', 'part-1'])
    expect(fs.readdirSync(at).toSorted()).toEqual(others.toSorted())
  })

  it('finds nothing where there is no folder', async () => {
    const { sweep } = PLACES[store]()
    await expect(sweep(['none/part-0'])).resolves.toBeUndefined()
  })
})

describe('a sweep', () => {
  it('of files looks into the folders of all keys, and no other', async () => {
    const left = ['out/a', 'out/b', 'out/c'].map((at) => join(folder, at, nameOf({ pid: DEAD })))
    for (const file of left) {
      fs.mkdirSync(join(file, '..'), { recursive: true })
      fs.writeFileSync(file, 'half')
    }
    await new FileBackend().sweep('/', [`${folder}/out/a/1`.slice(1), `${folder}/out/c/1`.slice(1)])
    expect(left.map((file) => fs.existsSync(file))).toEqual([false, true, false])
  })

  it('is none where a store leaves nothing', () => {
    expect(layered(new MemoryBackend(), {}).sweep).toBeUndefined()
  })
})
