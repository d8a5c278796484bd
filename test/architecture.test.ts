/** The walls of the house, as tests: who may import whom, how long a file may be, what a file may not be called. */
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type ImportOf, importsOf, lineCount, readSources, type SourceFile } from './support/source-graph.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SOURCES = readSources(ROOT, ['src', 'partitioner', 'reducers'])
const TESTS = readSources(ROOT, ['test'])

/** Room → the rooms it may import from; its own is always allowed. Downward only, so there is no way around. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  contracts: ['core'],
  functions: ['core'],
  pool: ['core'],
  storage: ['core', 'contracts'],
  partitioner: ['core', 'contracts'],
  reducers: ['core', 'functions'],
  futures: ['core', 'functions', 'pool'],
  job: ['core', 'contracts', 'functions', 'partitioner'],
  monitor: ['core', 'contracts', 'job'],
  compute: ['core', 'contracts', 'pool'],
  worker: ['core', 'contracts', 'functions', 'pool', 'storage', 'partitioner', 'reducers', 'job'],
  report: ['core', 'job'],
  config: ['core', 'partitioner'],
  backends: ['core', 'contracts', 'pool', 'storage', 'compute', 'monitor', 'worker', 'config'],
  executor: [
    ...['core', 'contracts', 'functions', 'futures', 'storage', 'partitioner', 'reducers', 'job', 'monitor'],
    ...['worker', 'report', 'config', 'backends'],
  ],
  cli: [
    ...['core', 'contracts', 'functions', 'storage', 'partitioner', 'reducers', 'job', 'report', 'config'],
    'executor',
  ],
  entry: ['*'],
}

/** Packages → where they may be imported. Whatever is not here may be imported nowhere. */
const THIRD_PARTY: Readonly<Record<string, readonly string[]>> = {
  acorn: ['src/functions/'],
  'eslint-scope': ['src/functions/'],
  esbuild: ['src/functions/bundle.ts'],
  'tsx/esm/api': ['src/functions/', 'src/cli/'],
  'tsx/cjs/api': ['src/functions/', 'src/cli/'],
  yaml: ['src/config/source.ts'],
  commander: ['src/cli/'],
  picomatch: ['src/core/glob.ts'],
  papaparse: ['partitioner/csv/'],
  'apache-arrow': ['partitioner/arrow/'],
  hyparquet: ['partitioner/lists/parquet.ts'],
  '@aws-sdk/client-s3': ['src/storage/s3'],
  minio: ['src/storage/minio'],
  '@google-cloud/storage': ['src/storage/gcs'],
}

/** Peers that may be absent, and libraries too heavy for every start: reached by `import()` at their first use. */
const LAZY = [
  'acorn',
  'eslint-scope',
  'esbuild',
  'tsx/',
  'yaml',
  'papaparse',
  'apache-arrow',
  'hyparquet',
  '@aws-sdk/',
  'minio',
  '@google-cloud/',
]

const CONTRACTS = /^src\/(?:storage\/backend|compute\/backend|monitor\/monitor)\.ts$/
/** Of the rooms of the backends, what names none. */
const NO_BACKEND: ReadonlySet<string> = new Set([
  ...['src/storage/storage.ts', 'src/storage/with-tally.ts', 'src/storage/local-path.ts', 'src/storage/probe.ts'],
])
const BANNED_NAMES = /^(?:utils?|helpers?|common|types?|misc|shared|lib)\.ts$/

function roomOf(path: string): string {
  if (CONTRACTS.test(path)) return 'contracts'
  if (path === 'src/backends.ts') return 'backends'
  const [first = '', second = ''] = path.split('/')
  return first === 'src' ? second : first
}

/** Undefined when the import is allowed; otherwise what is wrong with it. */
function violation({ from, to, own, typeOnly, dynamic }: ImportOf): string | undefined {
  if (to.startsWith('node:')) return undefined
  if (own) return layerViolation(from, to)
  const places = THIRD_PARTY[to]
  if (places === undefined) return `${from}: ${to} may not be imported anywhere`
  if (!places.some((place) => from.startsWith(place))) return `${from}: ${to} belongs to ${places.join(', ')}`
  const lazy = LAZY.some((name) => to === name || (name.endsWith('/') && to.startsWith(name)))
  return lazy && !typeOnly && !dynamic ? `${from}: ${to} must be loaded at its first use` : undefined
}

function layerViolation(from: string, to: string): string | undefined {
  const [room, target] = [roomOf(from), roomOf(to)]
  const allowed = MAY_IMPORT[room]
  if (allowed === undefined) return `${from}: no such room in the house`
  if (room !== target && !allowed.includes('*') && !allowed.includes(target)) {
    return `${from} (${room}) imports ${to} (${target})`
  }
  const concrete = ['storage', 'compute'].includes(target) && !NO_BACKEND.has(to)
  if (concrete && room !== target && room !== 'backends' && room !== 'entry') {
    return `${from} names a concrete backend: ${to}`
  }
  return undefined
}

function fileViolations(file: SourceFile): string[] {
  const found: string[] = []
  if (lineCount(file) > 300) found.push(`${file.path}: ${lineCount(file)} lines, 300 at most`)
  if (BANNED_NAMES.test(basename(file.path))) found.push(`${file.path}: a name that says nothing`)
  if (/^export default\b/m.test(file.text)) found.push(`${file.path}: default export`)
  if (/^export (?:let|var)\b/m.test(file.text)) found.push(`${file.path}: exports a variable`)
  return found
}

/** Files that import each other at start, as `a → b → a`. */
function importCycles(files: readonly SourceFile[]): string[] {
  const next = new Map(
    files.map((file) => [file.path, importsOf(file).filter((i) => i.own && !i.typeOnly && !i.dynamic)] as const),
  )
  const cycles: string[] = []
  const done = new Set<string>()
  const visit = (path: string, trail: readonly string[]): void => {
    const at = trail.indexOf(path)
    if (at !== -1) cycles.push([...trail.slice(at), path].join(' → '))
    if (at !== -1 || done.has(path)) return
    for (const { to } of next.get(path) ?? []) visit(to, [...trail, path])
    done.add(path)
  }
  for (const { path } of files) visit(path, [])
  return cycles
}

describe('the house', () => {
  it('imports go downward, third-party packages stay in their place', () => {
    expect(SOURCES.length).toBeGreaterThan(50)
    expect(
      SOURCES.flatMap(importsOf)
        .map(violation)
        .filter((found) => found !== undefined),
    ).toEqual([])
  })

  it('no file imports itself by way of others', () => {
    expect(importCycles(SOURCES)).toEqual([])
  })

  it('sources: 300 lines, named for what they do, no default exports', () => {
    expect(SOURCES.flatMap(fileViolations)).toEqual([])
  })

  it('tests: 400 lines', () => {
    expect(TESTS.filter((file) => lineCount(file) > 400).map((file) => `${file.path}: ${lineCount(file)}`)).toEqual([])
  })
})

describe('these tests themselves', () => {
  const file = (path: string, text: string): SourceFile => ({ path, text })
  const first = (path: string, text: string) => importsOf(file(path, text)).map(violation)[0]

  it.each([
    ['a layer above', 'src/core/ids.ts', "import { x } from '../executor/job.ts'", 'src/core/ids.ts (core) imports'],
    ['a type from above', 'src/job/a.ts', "import type { X } from '../worker/x.ts'", '(job) imports'],
    ['an import in a type', 'src/job/a.ts', "type X = import('../worker/x.ts').X", '(job) imports'],
    ['a dynamic import', 'src/job/a.ts', "await import('../worker/x.ts')", '(job) imports'],
    ['a re-export', 'src/core/a.ts', "export * from '../pool/x.ts'", '(core) imports'],
    ['partitioner → reducers', 'partitioner/a.ts', "import '../reducers/groups.ts'", '(partitioner) imports'],
    ['reducers → partitioner', 'reducers/a.ts', "import '../partitioner/plan.ts'", '(reducers) imports'],
    ['partitioner → adapter', 'partitioner/a.ts', "import '../src/storage/s3.ts'", '(partitioner) imports'],
    ['a concrete backend', 'src/executor/a.ts', "import '../storage/s3.ts'", 'names a concrete backend'],
    ['an unknown package', 'src/core/a.ts', "import 'lodash'", 'may not be imported anywhere'],
    ['a package out of place', 'src/core/a.ts', "await import('yaml')", 'yaml belongs to src/config/source.ts'],
    ['a heavy package at start', 'src/config/source.ts', "import 'yaml'", 'must be loaded at its first use'],
    ['an unknown room', 'src/attic/a.ts', "import '../core/ids.ts'", 'no such room'],
  ])('see %s', (_, path, text, message) => {
    expect(first(path, text)).toContain(message)
  })

  it.each([
    ['src/executor/a.ts', "import type { S } from '../storage/backend.ts'"],
    ['src/executor/a.ts', "import { Storage } from '../storage/storage.ts'"],
    ['src/backends.ts', "await import('./storage/s3.ts')"],
    ['src/storage/s3.ts', "import type { S3 } from '@aws-sdk/client-s3'"],
    ['partitioner/a.ts', "import { join } from 'node:path'"],
  ])('allow %s: %s', (path, text) => {
    expect(first(path, text)).toBeUndefined()
  })

  it('see what is wrong with a file', () => {
    const long = 'x\n'.repeat(301)
    expect(fileViolations(file('src/core/utils.ts', `export default 1\nexport let x = 1\n${long}`))).toHaveLength(4)
    expect(fileViolations(file('src/core/ids.ts', 'x\n'.repeat(300)))).toEqual([])
  })

  it('see a cycle', () => {
    const a = file('src/core/a.ts', "import './b.ts'")
    expect(importCycles([a, file('src/core/b.ts', "import './a.ts'")])).toEqual([
      'src/core/a.ts → src/core/b.ts → src/core/a.ts',
    ])
    expect(importCycles([a, file('src/core/b.ts', "import type { A } from './a.ts'")])).toEqual([])
  })
})
