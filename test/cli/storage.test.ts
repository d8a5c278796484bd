/** `quern storage` in this process: a memory store under the name of S3, and real files. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runCommandLine } from '../../src/cli/program.ts'
import { StorageError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { layered } from '../../src/storage/layer.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { type FakeContext, type FakeOptions, fakeContext } from './fake-context.ts'

let folder: string
let s3: MemoryBackend
let gs: MemoryBackend
let stores: Record<string, StorageBackend>

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-storage-'))
  s3 = new MemoryBackend()
  gs = new MemoryBackend()
  for (const store of [s3, gs]) await store.createBucket('b')
  stores = { aws_s3: s3, gcp_storage: gs, file: new FileBackend() }
})
afterEach(() => rmSync(folder, { recursive: true }))

async function quern(args: readonly string[], options: FakeOptions = {}, hold?: (context: FakeContext) => void) {
  const context = fakeContext(() => 0, { cwd: folder, stores, ...options })
  hold?.(context)
  const code = await runCommandLine(['storage', ...args], '1', context)
  return { code, ...context.written, lines: jsonLines(context.written.stdout), asked: context.asked }
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

async function fill(store: StorageBackend, objects: Readonly<Record<string, string>>): Promise<void> {
  for (const [key, text] of Object.entries(objects)) await store.put('b', key, Buffer.from(text))
}

async function keysOf(store: StorageBackend): Promise<string[]> {
  const keys: string[] = []
  for await (const page of store.list('b')) keys.push(...page.map(({ key }) => key))
  return keys
}

async function textOf(store: StorageBackend, key: string): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of (await store.get('b', key)).body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Files under the working folder, with their text. */
function files(under = '.'): Record<string, string> {
  const root = path.join(folder, under)
  const names = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  const paths = names.map((entry) => path.join(entry.parentPath, entry.name)).sort()
  return Object.fromEntries(paths.map((file) => [path.relative(root, file), readFileSync(file, 'utf8')]))
}

function write(name: string, text: string): void {
  const file = path.join(folder, name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, text)
}

function failing(beneath: StorageBackend, keys: readonly string[], error: StorageError): StorageBackend {
  return layered(beneath, {
    put: (bucket, key, ...rest) => (keys.includes(key) ? Promise.reject(error) : beneath.put(bucket, key, ...rest)),
    delete: (bucket, asked, options) =>
      asked.some((key) => keys.includes(key)) ? Promise.reject(error) : beneath.delete(bucket, asked, options),
  })
}

const REFUSED = new StorageError('PERMISSION_DENIED', 'AccessDenied', { backend: 'aws_s3', operation: 'put' })

describe('ls', () => {
  const OBJECTS = { 'a/1.txt': 'x', 'a/b/2.txt': 'yy', 'a.log': 'zzz', ' %+#?"é': '' }

  it.each([
    ['s3://b', [' %+#?"é', 'a.log', 'a/1.txt', 'a/b/2.txt']],
    ['s3://b/a/', ['a/1.txt', 'a/b/2.txt']],
    ['s3://b/a', ['a/1.txt', 'a/b/2.txt']],
    ['s3://b/a.log', ['a.log']],
    ['s3://b/a/*.txt', ['a/1.txt']],
    ['s3://b/**/*.txt', ['a/1.txt', 'a/b/2.txt']],
  ])('%s', async (url, keys) => {
    await fill(s3, OBJECTS)
    const { code, lines, stderr } = await quern(['ls', url, '--json'])
    expect({ code, stderr, keys: lines.map(({ key }) => key) }).toEqual({ code: 0, stderr: '', keys })
    expect(lines[0]).toMatchObject({ url: `s3://b/${keys[0]}`, backend: 'aws_s3', bucket: 'b' })
    expect(lines[0]?.size).toBe(OBJECTS[keys[0] as keyof typeof OBJECTS].length)
    expect(lines[0]).toHaveProperty('etag')
  })

  it('tells people sizes, times and the sum, and keeps control characters off the terminal', async () => {
    await fill(s3, { 'a/1.txt': 'x', 'a/\x1b[2J': 'y'.repeat(2_048) })
    const { stdout } = await quern(['ls', 's3://b/a/'])
    const time = '\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d'
    expect(stdout).toMatch(
      new RegExp(`^ {4}2 KiB  ${time}  s3://b/a/\\\\x1b\\[2J\n {6}1 B  ${time}  s3://b/a/1.txt\n2 objects, 2 KiB\n$`),
    )
  })

  it('an empty bucket is no failure, what matches nothing is', async () => {
    expect(await quern(['ls', 's3://b'])).toMatchObject({ code: 0, stdout: '0 objects, 0 B\n' })
    expect(await quern(['ls', 's3://b/none/'])).toMatchObject({ code: 1, stdout: '' })
    expect((await quern(['ls', 's3://none/', '--json'])).stderr).toContain('"code":"NOT_FOUND"')
  })

  it('files', async () => {
    write('d/x.txt', 'abc')
    const { lines } = await quern(['ls', 'd', '--json'])
    expect(lines).toMatchObject([{ url: `file://${folder}/d/x.txt`, size: 3 }])
  })
})

describe('get', () => {
  const OBJECTS = { 'p/1.txt': 'one', 'p/q/2.txt': 'two', 'p/q/': '', 'p/3.log': 'three' }

  it.each([
    ['one, here', ['s3://b/p/q/2.txt'], { '2.txt': 'two' }],
    ['one, by name', ['s3://b/p/q/2.txt', 'x.txt'], { 'x.txt': 'two' }],
    ['one, in a folder that is not there', ['s3://b/p/q/2.txt', 'd/e/'], { 'd/e/2.txt': 'two' }],
    ['a prefix', ['s3://b/p/', 'd'], { 'd/1.txt': 'one', 'd/3.log': 'three', 'd/q/2.txt': 'two' }],
    ['a glob', ['s3://b/p/**/*.txt', 'd/'], { 'd/1.txt': 'one', 'd/q/2.txt': 'two' }],
    ['a glob within a name', ['s3://b/p/1*', 'd'], { 'd/1.txt': 'one' }],
  ])('%s', async (_, args, expected) => {
    await fill(s3, OBJECTS)
    const { code, stderr } = await quern(['get', ...args])
    expect({ code, stderr, files: files() }).toEqual({ code: 0, stderr: '', files: expected })
  })

  it('into a folder that is there, one under its own name', async () => {
    await fill(s3, OBJECTS)
    mkdirSync(path.join(folder, 'there'))
    const { stdout } = await quern(['get', 's3://b/p/1.txt', 'there'])
    expect(files()).toEqual({ 'there/1.txt': 'one' })
    expect(stdout).toMatch(/^copied 1 object, 3 B in \d+ ms\n$/)
  })

  it('never leaves its folder: such a key fails, the others are done', async () => {
    await fill(s3, { 'p/../../evil.txt': 'x', 'p/fine.txt': 'y' })
    const { code, stderr, stdout } = await quern(['get', 's3://b/p/', 'd'])
    expect(code).toBe(1)
    expect(stderr).toContain('failed: s3://b/p/../../evil.txt: key "../../evil.txt" names no file under')
    expect(stdout).toMatch(/^copied 1 object, 1 B in .*; 1 failed\n$/)
    expect(files()).toEqual({ 'd/fine.txt': 'y' })
    expect(readdirSync(path.dirname(folder))).not.toContain('evil.txt')
  })

  it('two keys that a file system would write as one: neither is lost unsaid', async () => {
    await fill(s3, { 'p/a/b': 'plain', 'p/a//b': 'twice', 'p//c': 'alone' })
    const { code, lines } = await quern(['get', 's3://b/p/', 'd', '--json'])
    expect(code).toBe(1)
    expect(files('d')).toEqual({ 'a/b': 'plain', c: 'alone' })
    expect(lines.filter(({ status }) => status === 'failed')).toMatchObject([{ source: 's3://b/p/a//b' }])
  })

  it('a key that is both a file and a folder fails by itself', async () => {
    await fill(s3, { 'p/a': 'file', 'p/a/b': 'below', 'p/z': 'fine' })
    const { code, lines } = await quern(['get', 's3://b/p/', 'd', '--json', '--concurrency', '1'])
    expect(code).toBe(1)
    expect(lines.map(({ source, status }) => [source, status])).toEqual([
      ['s3://b/p/a', 'copied'],
      ['s3://b/p/a/b', 'failed'],
      ['s3://b/p/z', 'copied'],
    ])
  })

  it('what is missing is told with what a prefix is', async () => {
    await fill(s3, OBJECTS)
    expect(await quern(['get', 's3://b/p'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no such object as s3://b/p (a prefix ends in "/")'),
    })
  })

  it('no bytes of two versions: an object that changed after it was found fails', async () => {
    await fill(s3, { k: 'old' })
    const changing = layered(s3, {
      get: async (...request) => {
        await s3.put('b', 'k', Buffer.from('new'))
        return s3.get(...request)
      },
    })
    const { code, lines } = await quern(['get', 's3://b/k', '--json'], { stores: { ...stores, aws_s3: changing } })
    expect(code).toBe(1)
    expect(lines).toMatchObject([{ status: 'failed', error: { code: 'OBJECT_CHANGED' } }])
    expect(files()).toEqual({})
  })
})

describe('put', () => {
  beforeEach(() => {
    write('d/1.txt', 'one')
    write('d/e/2 %é.txt', 'two')
    write('x.txt', 'three')
  })

  it.each([
    ['a file under its name', ['x.txt', 's3://b'], ['x.txt']],
    ['a file under another', ['x.txt', 's3://b/k/y'], ['k/y']],
    ['a directory with its name', ['d', 's3://b/k/'], ['k/d/1.txt', 'k/d/e/2 %é.txt']],
    ['what is in a directory', ['d/', 's3://b/k/'], ['k/1.txt', 'k/e/2 %é.txt']],
    ['several', ['x.txt', 'd/', 's3://b/'], ['1.txt', 'e/2 %é.txt', 'x.txt']],
  ])('%s', async (_, args, keys) => {
    const { code, stderr } = await quern(['put', ...args])
    expect({ code, stderr, keys: await keysOf(s3) }).toEqual({ code: 0, stderr: '', keys })
  })

  it('says which keys failed, and the others are done', async () => {
    const store = failing(s3, ['1.txt'], REFUSED)
    const { code, stderr } = await quern(['put', 'd/', 'x.txt', 's3://b'], { stores: { ...stores, aws_s3: store } })
    expect(code).toBe(1)
    expect(stderr).toBe(`failed: file://${folder}/d/1.txt: put aws_s3: AccessDenied\n`)
    expect(await keysOf(s3)).toEqual(['e/2 %é.txt', 'x.txt'])
  })

  it('two files on one key: one of them fails', async () => {
    write('f/1.txt', 'other')
    const { code, stderr } = await quern(['put', 'd/', 'f/', 's3://b'])
    expect(code).toBe(1)
    expect(stderr).toContain('f/1.txt would be put where another object of this copy is')
    expect(await textOf(s3, '1.txt')).toBe('one')
  })

  it("makes localhost's default bucket, and no other", async () => {
    const localhost = new LocalhostBackend({ root: path.join(folder, '.store') })
    const options = { stores: { ...stores, localhost } }
    expect(await quern(['put', 'x.txt', 'localhost://quern'], options)).toMatchObject({ code: 0 })
    expect(await quern(['put', 'x.txt', 'localhost://other'], options)).toMatchObject({ code: 1 })
  })
})

describe('cp', () => {
  it('between stores, with every key and its type as it is', async () => {
    const keys = ['p/ %+#?"é', 'p//x', 'p/../y', 'p/mark/', 'p/z']
    for (const key of keys) await s3.put('b', key, Buffer.from(key), { contentType: 'text/csv' })
    await s3.put('b', 'p/mark/', Buffer.alloc(0))
    expect(await quern(['cp', 's3://b/p/', 'gs://b/q/'])).toMatchObject({ code: 0, stderr: '' })
    expect((await keysOf(gs)).sort()).toEqual(keys.map((key) => key.replace('p/', 'q/')).sort())
    expect(await textOf(gs, 'q/../y')).toBe('p/../y')
    expect(await gs.head('b', 'q/z')).toMatchObject({ contentType: 'text/csv' })
  })

  it.each([
    ['a prefix', ['s3://b/p/', 's3://b/p/sub/']],
    ['itself', ['s3://b/p/x', 's3://b/p/x']],
    ['a glob', ['s3://b/**', 's3://b/copy/']],
    ['a directory', ['d', 'd/copy/']],
  ])('%s into itself is refused before anything is written', async (_, args) => {
    await fill(s3, { 'p/x': 'x' })
    write('d/x', 'x')
    const { code, stderr } = await quern(['cp', ...args])
    expect(code).toBe(2)
    expect(stderr).toContain('would be copied into itself')
    expect(await keysOf(s3)).toEqual(['p/x'])
    expect(files()).toEqual({ 'd/x': 'x' })
  })

  it('a large object is streamed, and read again where its upload broke by chance', async () => {
    const big = Buffer.alloc((8 << 20) + 1, 7)
    await s3.put('b', 'big', big)
    let puts = 0
    let held = 0
    const flaky = layered(gs, {
      put: async (bucket, key, body, options) => {
        puts += 1
        if (body instanceof Uint8Array) held += body.length
        if (puts === 1) throw new StorageError('UNAVAILABLE', 'busy', { backend: 'gcp_storage', operation: 'put' })
        return gs.put(bucket, key, body, options)
      },
    })
    const { code } = await quern(['cp', 's3://b/big', 'gs://b'], { stores: { ...stores, gcp_storage: flaky } })
    expect({ code, puts, held }).toEqual({ code: 0, puts: 2, held: 0 })
    expect((await gs.head('b', 'big')).size).toBe(big.length)
  })

  it('a body that nobody began to read is let go', async () => {
    await s3.put('b', 'big', Buffer.alloc((8 << 20) + 1))
    let released = 0
    const watched = layered(s3, {
      get: async (...request) => {
        const reading = await s3.get(...request)
        async function* body() {
          try {
            yield* reading.body
          } finally {
            released += 1
          }
        }
        return { ...reading, body: body() }
      },
    })
    const store = failing(gs, ['big'], REFUSED)
    const { code } = await quern(['cp', 's3://b/big', 'gs://b'], { stores: { aws_s3: watched, gcp_storage: store } })
    expect({ code, released }).toEqual({ code: 1, released: 1 })
  })

  it('runs as many at a time as was asked for', async () => {
    await fill(s3, Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`k${i}`, 'x'])))
    let running = 0
    let most = 0
    const watched = layered(gs, {
      put: async (...request) => {
        most = Math.max(most, ++running)
        const head = await gs.put(...request)
        for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
        running -= 1
        return head
      },
    })
    await quern(['cp', 's3://b', 'gs://b', '--concurrency', '3'], { stores: { ...stores, gcp_storage: watched } })
    expect(most).toBe(3)
    expect(await keysOf(gs)).toHaveLength(12)
  })

  it('says what header got lost', async () => {
    await fill(s3, { k: 'x' })
    const encoded = layered(s3, {
      get: async (...request) => {
        const reading = await s3.get(...request)
        return { ...reading, head: { ...reading.head, contentEncoding: 'gzip' } }
      },
    })
    const { code, stderr } = await quern(['cp', 's3://b/k', 'gs://b'], { stores: { ...stores, aws_s3: encoded } })
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: 'note: 1 object lost the header Content-Encoding on the way\n',
    })
  })

  it('draws a bar on a terminal, and takes it away', async () => {
    await fill(s3, { a: 'x', b: 'y' })
    const { stderr } = await quern(['cp', 's3://b', 'gs://b'], { isTTY: true })
    expect(stderr).toMatch(/cp {2}.*\/2 objects|cp {2}planning/)
    expect(stderr.endsWith('\x1b[1A\x1b[0J')).toBe(true)
    expect((await quern(['cp', 's3://b', 'gs://b', '--no-progress'], { isTTY: true })).stderr).toBe('')
    expect((await quern(['cp', 's3://b', 'gs://b'])).stderr).toBe('')
  })

  it('Ctrl-C ends what runs, begins nothing more, leaves no part of a file', async () => {
    await fill(s3, Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`k${i}`, 'x'])))
    let context: FakeContext | undefined
    const stuck = layered(s3, {
      get: async (bucket, key, options) => {
        const reading = await s3.get(bucket, key, options)
        async function* body() {
          yield Buffer.from('half')
          context?.interrupt()
          yield Buffer.from('never')
        }
        return { ...reading, head: { ...reading.head, size: 9 << 20 }, body: body() }
      },
    })
    const { code, stderr, stdout } = await quern(
      ['get', 's3://b', 'd', '--concurrency', '2'],
      { stores: { ...stores, aws_s3: stuck } },
      (made) => {
        context = made
      },
    )
    expect({ code, stderr, files: files() }).toEqual({ code: 130, stderr: 'interrupted\n', files: {} })
    expect(stdout).toMatch(/^copied 0 objects, .*the rest was not begun\n$/)
  })
})
