import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { captureFunction } from '../../src/functions/capture.ts'
import { functionIdentity } from '../../src/functions/identity.ts'
import type { ShippedFunction } from '../../src/functions/shipped.ts'

const folders: string[] = []

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** A module `map.ts` among others; gives the function it exports, as it travels. */
function project(files: Readonly<Record<string, string>>): { folder: string; fn: ShippedFunction } {
  const folder = mkdtempSync(join(tmpdir(), 'quern-identity-'))
  folders.push(folder)
  write(folder, files)
  return { folder, fn: { kind: 'module', url: pathToFileURL(join(folder, 'map.ts')).href, export: 'map' } }
}

function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
}

const FILES = {
  'map.ts': "import { one } from './lib/one.js'\nimport lodash from 'lodash'\nexport const map = () => one + lodash",
  'lib/one.ts': "export * from './deep'\nimport './effects.mjs'\nexport const one = 1",
  'lib/deep/index.ts': "const lazy = () => import('../lazy.json')\nexport const two = lazy",
  'lib/effects.mjs': "require('./old.cjs')",
  'lib/old.cjs': 'module.exports = 1',
  'lib/lazy.json': '{}',
  'lib/unused.ts': 'export const unused = 1',
  'node_modules/lodash/index.js': 'module.exports = 1',
}

describe('the identity of a function', () => {
  it('stays while nothing it is loaded from changes', async () => {
    const { folder, fn } = project(FILES)
    const before = await functionIdentity(fn)
    write(folder, { 'lib/unused.ts': 'export const unused = 2', 'node_modules/lodash/index.js': 'module.exports = 2' })
    expect(await functionIdentity(fn)).toBe(before)
  })

  it.each(['map.ts', 'lib/one.ts', 'lib/deep/index.ts', 'lib/effects.mjs', 'lib/old.cjs', 'lib/lazy.json'])(
    'changes with %s',
    async (name) => {
      const { folder, fn } = project(FILES)
      const before = await functionIdentity(fn)
      write(folder, { [name]: `${FILES[name as keyof typeof FILES]} ` })
      expect(await functionIdentity(fn)).not.toBe(before)
    },
  )

  it('changes when its file is gone, and ends where modules import each other', async () => {
    const { folder, fn } = project({ 'map.ts': "import './b.ts'", 'b.ts': "import './map.ts'" })
    const before = await functionIdentity(fn)
    rmSync(join(folder, 'map.ts'))
    expect(await functionIdentity(fn)).not.toBe(before)
  })

  it('of a text is its text, of what it captured, of what it imports', async () => {
    const capture = (n: number) => captureFunction((x: number) => x + n, 'f')
    const [one, again, two] = await Promise.all([capture(1), capture(1), capture(2)].map(functionIdentity))
    expect(one).toBe(again)
    expect(one).not.toBe(two)
    const text = (source: string, body = '(x) => x'): ShippedFunction => ({
      kind: 'text',
      name: 'f',
      text: body,
      source,
    })
    expect(await functionIdentity(text('1'))).toBe(await functionIdentity(text('2')))
    expect(await functionIdentity(text('1'))).not.toBe(await functionIdentity(text('1', '(x) => -x')))
    expect(await functionIdentity({ kind: 'blob', hash: 'abc', bytes: '' })).toBe('abc')
  })

  it('counts other exports and arguments as other functions', async () => {
    const { fn } = project(FILES)
    const others: ShippedFunction[] = [
      { ...fn, export: 'other' } as ShippedFunction,
      { ...fn, args: [1] } as ShippedFunction,
    ]
    for (const other of others) expect(await functionIdentity(other)).not.toBe(await functionIdentity(fn))
  })
})
