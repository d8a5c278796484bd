/**
 * One table of closures, written as a program, run by every runner there is: what it ships is loaded by a process that
 * knows nothing of the program and gives what it gave at home, or was refused at submit with the way to the cause.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build, type Format, transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleFunction } from '../../src/functions/bundle.ts'
import type { ShippedFunction } from '../../src/functions/shipped.ts'

interface Told {
  readonly shipped: Readonly<
    Record<
      string,
      { readonly result?: unknown; readonly error?: string; readonly as?: ShippedFunction; readonly blob?: string }
    >
  >
  readonly refused: Readonly<Record<string, string>>
}

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TABLE = join(ROOT, 'test/functions/closures/table.ts')
const VALUES = join(ROOT, 'test/functions/closures/values.ts')
const LOADER = join(ROOT, 'test/functions/closures/run-table.ts')
const TSX = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href
/** Threads do not inherit the loader of their process on every Node. */
const IN_THREAD = `
  const { Worker } = require('node:worker_threads')
  const [, program, file] = process.argv
  const text = "import('tsx/esm/api').then(({ register }) => (register(), import(require('node:worker_threads').workerData)))"
  new Worker(text, { eval: true, argv: [file], workerData: program })`
/** Further Node executables, `:` between them: those that read TypeScript by themselves. */
const NODES = (process.env.QUERN_TEST_NODES ?? '').split(':').filter((path) => path !== '')

/** Parts of the message of each refusal. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  'a name that is nowhere': /'undeclared' in function .*table.*:\d+:\d+\) is not defined here/,
  'a name in a helper': /'lost' in function .* → 'undeclared' in function 'lost' .*is not defined here/,
  'a write': /'total' in function .* → it is assigned to/,
  'an increment': /'n' in function .* → it is assigned to/,
  'a write by destructuring': /'a' in function .* → it is assigned to/,
  'a write by a loop': /'key' in function .* → it is assigned to/,
  'this of an arrow': /`this` of where it is defined/,
  'arguments from outside': /the arguments of the function around it/,
  'new.target from outside': /new\.target/,
  'super from outside': /super/,
  'this of a method': /function 'self'.*`this` of where it is defined/,
  'a native function of an instance': /native or bound/,
  'a bound method of an instance': /#secret, which is private/,
  'an instance': /'held' in function .*→ instance of Point/,
  'a Proxy of an object': /'held' in function .*→ a Proxy/,
  'a Proxy of a function': /it is a Proxy/,
  'a symbol of its own': /Symbol\(own\)/,
  'a promise': /Promise/,
  'a stream': /instance of \w+ \(a stream\)/,
  'a timer': /instance of Timeout/,
  'an instance deep inside': /→ \.user\.session\[0\] → instance of Point/,
  'direct eval': /direct eval/,
  'a class itself': /it is a class/,
  'what is not initialised yet': /'soon' in function .*(?:not initialised yet|not defined here)/,
  'a WeakMap': /instance of WeakMap/,
}

let folder: string
let plain: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quern-closures-'))
  // beside the packages, so that programs there find them
  plain = join(ROOT, `node_modules/.quern-closures-${process.pid}`)
  await mkdir(plain, { recursive: true })
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await rm(plain, { recursive: true, force: true })
})

/** The program as JavaScript that no loader touches, in `plain/NAME`. */
async function transpiled(name: string, format: Format): Promise<string> {
  const into = join(plain, name)
  await mkdir(into, { recursive: true })
  await writeFile(join(into, 'package.json'), JSON.stringify({ type: format === 'esm' ? 'module' : 'commonjs' }))
  const entryPoints = [join(ROOT, 'src/functions/capture.ts')]
  await build({
    entryPoints,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    outfile: join(into, 'capture.mjs'),
    logLevel: 'silent',
  })
  for (const file of [TABLE, VALUES]) {
    const source = await programFor(file, format)
    const { code } = await transform(source.replaceAll('values.ts', 'values.js').replaceAll('}.ts`', '}.js`'), {
      loader: 'ts',
      format,
      platform: 'node',
      supported: { 'dynamic-import': true },
    })
    await writeFile(
      join(into, file === TABLE ? 'table.js' : 'values.js'),
      code.replace(/["'][^"']*\/capture\.ts["']/, '"./capture.mjs"'),
    )
  }
  return join(into, 'table.js')
}

/** The program as TypeScript in a package of its own kind, which says nothing of its type. */
async function typescriptCommonJs(): Promise<string> {
  const into = join(plain, 'tsx-commonjs')
  await mkdir(into, { recursive: true })
  await writeFile(join(into, 'package.json'), '{}')
  await writeFile(join(into, 'values.ts'), await readFile(VALUES))
  await writeFile(join(into, 'table.ts'), await programFor(TABLE, 'cjs'))
  return join(into, 'table.ts')
}

async function programFor(file: string, format: Format): Promise<string> {
  const source = await readFile(file, 'utf8')
  const fit = format === 'cjs' ? source.replace(/\/\/ esm begin[\s\S]*?\/\/ esm end/g, '') : source
  const capture = pathToFileURL(join(ROOT, 'src/functions/capture.ts')).href
  const from = format === 'cjs' ? fileURLToPath(capture) : capture
  return fit.replace('../../../src/functions/capture.ts', from)
}

async function runTable(node: string, flags: readonly string[], program: string): Promise<Told> {
  const output = join(folder, `${Math.random()}.json`)
  await run(node, [...flags, program], { cwd: ROOT, env: { ...process.env, TABLE_OUTPUT: output, NODE_OPTIONS: '' } })
  return JSON.parse(await readFile(output, 'utf8')) as Told
}

/** What is wrong with what a runner told, by case; nothing is. */
async function wrongIn(told: Told, { cwd = ROOT, thread = false } = {}): Promise<Record<string, unknown>> {
  const file = join(folder, `${Math.random()}.json`)
  await writeFile(file, JSON.stringify(told))
  const start = thread ? ['-e', IN_THREAD, LOADER] : [LOADER]
  const { stdout } = await run(process.execPath, ['--import', TSX, ...start, file], { cwd })
  const given = JSON.parse(stdout) as Record<string, unknown>
  const wrong: Record<string, unknown> = {}
  for (const [name, { result, error }] of Object.entries(told.shipped)) {
    const expected = JSON.stringify({ result })
    if (error !== undefined) wrong[name] = error
    else if (JSON.stringify(given[name]) !== expected) wrong[name] = { expected, given: given[name] }
  }
  for (const [name, message] of Object.entries(REFUSED)) {
    const said = told.refused[name] ?? 'nothing'
    if (!said.startsWith('SerializationError: f ') || !message.test(said)) wrong[name] = said
  }
  return wrong
}

describe('a table of closures', () => {
  const runners: [string, () => Promise<Told>][] = [
    ['JavaScript modules', async () => runTable(process.execPath, [], await transpiled('esm', 'esm'))],
    ['JavaScript CommonJS', async () => runTable(process.execPath, [], await transpiled('cjs', 'cjs'))],
    ['tsx', () => runTable(process.execPath, ['--import', 'tsx'], TABLE)],
    ['tsx, CommonJS', async () => runTable(process.execPath, ['--import', 'tsx'], await typescriptCommonJs())],
    ['vitest', async () => (await import('../functions/closures/table.ts')).told as Promise<Told>],
    ...NODES.map((node): [string, () => Promise<Told>] => [
      `native TypeScript of ${node}`,
      () => runTable(node, [], TABLE),
    ]),
  ]
  it.each(runners)('under %s', async (_name, tell) => {
    const told = JSON.parse(JSON.stringify(await tell())) as Told
    expect(Object.keys(told.shipped).length).toBeGreaterThan(65)
    expect(Object.keys(told.refused)).toEqual(Object.keys(REFUSED))
    expect(await wrongIn(told)).toEqual({})
  })

  it('in a thread', async () => {
    const told = await runTable(process.execPath, ['--import', 'tsx'], TABLE)
    expect(await wrongIn(told, { thread: true })).toEqual({})
  })

  it('as blobs, in a folder where nothing is', async () => {
    const program = await transpiled('blobs', 'esm')
    const told = await runTable(process.execPath, [], program)
    const shipped: Record<string, object> = {}
    for (const [name, row] of Object.entries(told.shipped)) {
      // there is no knowing what it imports
      if (name === 'dynamic import of a name made up') continue
      const blob = await bundleFunction(row.as as ShippedFunction, { includeModules: ['yaml', 'picomatch'] })
      shipped[name] = { ...row, as: undefined, blob: Buffer.from(blob.bytes).toString('base64') }
    }
    const empty = join(folder, 'empty')
    await mkdir(empty)
    await rm(join(plain, 'blobs'), { recursive: true })
    expect(await wrongIn({ ...told, shipped } as Told, { cwd: empty })).toEqual({})
  })
})
