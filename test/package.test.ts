/** The package as strangers get it: packed, installed into an empty folder, used from JavaScript and TypeScript. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildPackage, finish, ROOT, succeed } from './support/built-package.ts'

const PROGRAM = `
import { FunctionExecutor, job, objects } from 'quern'
import { mergeCounts } from 'quern/reducers'
import { Storage } from 'quern/storage'
import * as partitioner from 'quern/partitioner'

const exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false })
const counts = await exec.mapReduce(
  async (part) => {
    const counts = new Map()
    for await (const line of part.lines()) counts.set(line, (counts.get(line) ?? 0) + 1)
    return counts
  },
  objects('words.txt'),
  mergeCounts(),
  { objChunkSize: 3 },
)
await exec.shutdown()
console.log(JSON.stringify({ counts: [...counts], types: [typeof job, typeof Storage.open, typeof partitioner] }))
`
const TYPED = PROGRAM.replace('new Map()', 'new Map<string, number>()').replace(
  'await exec.shutdown()',
  'const typed: Map<string, number> = counts\nvoid typed\nawait exec.shutdown()',
)
const OUTPUT = {
  counts: [
    ['a', 2],
    ['bb', 1],
  ],
  types: ['function', 'function', 'object'],
}

let folder: string
let tarballFiles: string[]

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'quern-package-'))
  await buildPackage()
  const packed = await succeed('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT)
  const [tarball] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }]
  tarballFiles = tarball.files.map(({ path }) => path)
  await writeFile(join(folder, 'package.json'), '{"type":"module","private":true}')
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--omit=peer']
  await succeed('npm', ['install', ...flags, join(folder, tarball.filename)], folder)
  // the compiler and the types of Node are the repository's, so that nothing but the package itself is downloaded
  await mkdir(join(folder, 'node_modules/@types'), { recursive: true })
  for (const name of ['@types/node', 'undici-types']) {
    await cp(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true })
  }
  await writeFile(join(folder, 'words.txt'), 'a\nbb\na')
  await writeFile(join(folder, 'program.mjs'), PROGRAM)
  await writeFile(join(folder, 'program.ts'), TYPED)
}, 240_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the packed package', () => {
  it('holds what is run and read, and nothing else', () => {
    const tops = new Set(tarballFiles.map((path) => path.split('/')[0]))
    expect([...tops].sort()).toEqual(
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'docs', 'examples', 'fixtures', 'package.json'].sort(),
    )
    expect(tarballFiles.filter((path) => path.startsWith('dist/test/') && !path.includes('conformance'))).toEqual([])
  })

  it('every export has its file and its types', async () => {
    const { exports, bin } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    const paths = Object.values<string | Record<string, string>>(exports).flatMap((entry) =>
      typeof entry === 'string' ? [entry] : Object.values(entry),
    )
    for (const path of [...paths, ...Object.values<string>(bin)]) {
      expect(tarballFiles, path).toContain(path.replace(/^\.\//, ''))
    }
  })

  it('npx quern in a clone: the command is a program by itself', async () => {
    const { bin, version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
    expect((await succeed(join(ROOT, bin.quern), ['--version'], ROOT)).trim()).toBe(version)
  })

  it('runs from plain JavaScript', async () => {
    const stdout = await succeed(process.execPath, ['program.mjs'], folder)
    expect(JSON.parse(stdout)).toEqual(OUTPUT)
  })

  it('runs TypeScript under tsx', async () => {
    const stdout = await succeed(process.execPath, ['--import', 'tsx', 'program.ts'], folder)
    expect(JSON.parse(stdout)).toEqual(OUTPUT)
  })

  it.each([
    ['nodenext', 'nodenext'] as const,
    // the same conditions of the same exports, and a quarter of a minute
    ...(process.env.QUERN_TEST_LARGE === '1' ? [['bundler', 'esnext'] as const] : []),
  ])('type-checks with moduleResolution %s', async (moduleResolution, module) => {
    // what ships with the compiler is not ours to check
    const common = { target: 'es2023', strict: true, noEmit: true, types: ['node'], skipDefaultLibCheck: true }
    const compilerOptions = { ...common, module, moduleResolution }
    const config = `tsconfig.${moduleResolution}.json`
    await writeFile(join(folder, config), JSON.stringify({ compilerOptions, files: ['program.ts'] }))
    const { code, stdout } = await finish(
      process.execPath,
      [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', config],
      folder,
    )
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
  })

  it('npx quern hello --json', async () => {
    const stdout = await succeed('npx', ['--no-install', 'quern', 'hello', '--json'], folder)
    expect(JSON.parse(stdout)).toMatchObject({ message: 'Hello world!' })
  })

  it('npx quern run, on a job file of a package that is CommonJS', async () => {
    const commonJs = join(folder, 'commonjs')
    await mkdir(commonJs)
    await writeFile(join(commonJs, 'package.json'), '{"type":"commonjs"}')
    await writeFile(
      join(commonJs, 'job.ts'),
      `import { job } from 'quern'
      const one: number = 1
      export default job({ map: () => one, reduce: (all) => all.length })`,
    )
    const args = ['--no-install', 'quern', 'run', 'commonjs/job.ts', '--input', 'words.txt', '--obj-chunk-number', '3']
    expect(await succeed('npx', args, folder)).toBe('3\n')
  })

  it('a cloud that is not installed is asked for by name', async () => {
    const args = ['--no-install', 'quern', 'plan', '--input', 's3://bucket/key']
    const { code, stderr } = await finish('npx', args, folder)
    expect(code).not.toBe(0)
    expect(stderr).toContain('npm install @aws-sdk/client-s3')
  })
})
