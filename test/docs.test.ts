/** Every block of code in the README and the docs is run: programs, job files, commands, configurations. */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { transform } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../src/config/config.ts'
import { buildPackage, finish, quern, ROOT } from './support/built-package.ts'

interface Block {
  readonly name: string
  readonly language: string
  readonly code: string
}

/** Commands that are this test run itself, or the installation before it. */
const NOT_RUN = /^npm (?:ci|test|install|run build)\b/

const FILES = ['README.md', 'CONTRIBUTING.md', ...(await markdownFiles('docs')), 'fixtures/README.md']
const BLOCKS = (await Promise.all(FILES.map(blocksOf))).flat()

let folder: string

beforeAll(async () => {
  await buildPackage()
  folder = await mkdtemp(join(tmpdir(), 'quern-docs-'))
  await mkdir(join(folder, 'node_modules'))
  await symlink(ROOT, join(folder, 'node_modules/quern'))
  await symlink(join(ROOT, 'node_modules/tsx'), join(folder, 'node_modules/tsx'))
  for (const name of ['fixtures', 'examples']) await cp(join(ROOT, name), join(folder, name), { recursive: true })
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
}, 300_000)

afterAll(() => rm(folder, { recursive: true, force: true }))

async function markdownFiles(under: string): Promise<string[]> {
  const names = await readdir(join(ROOT, under), { recursive: true })
  return names
    .filter((name) => name.endsWith('.md'))
    .sort()
    .map((name) => `${under}/${name}`)
}

async function blocksOf(file: string): Promise<Block[]> {
  const text = await readFile(join(ROOT, file), 'utf8')
  return [...text.matchAll(/^```(\S*)\n([\s\S]*?)^```$/gm)].map(([, language = '', code = ''], i) => {
    return { name: `${file} #${i + 1}`, language, code }
  })
}

function inLanguage(language: string): Block[] {
  return BLOCKS.filter((block) => block.language === language)
}

describe('code in the documentation', () => {
  it('is found, and every block is of a kind that is run here', () => {
    expect(BLOCKS.length).toBeGreaterThan(8)
    const kinds = new Set(BLOCKS.map(({ language }) => language))
    expect([...kinds].sort()).toEqual(['sh', 'text', 'ts', 'yaml'])
  })

  it.each(inLanguage('yaml'))('$name is a configuration without warnings', ({ code }) => {
    const readFileOf = () => code
    const config = loadConfig({ configFile: '/documented.yaml', env: {}, cwd: '/', home: '/', readFile: readFileOf })
    expect(config.warnings).toEqual([])
  })

  it.each(inLanguage('ts'))('$name runs', async ({ name, code }) => {
    const file = join(folder, basename(name).replace(/\W+/g, '-'))
    const isJob = code.includes('export default job(')
    // a program without its types: a loader of TypeScript in each worker takes longer than most of them
    const text = isJob ? code : (await transform(code, { loader: 'ts', target: 'node20' })).code
    await writeFile(`${file}.${isJob ? 'ts' : 'mjs'}`, text)
    const { code: exitCode, stderr } = isJob
      ? await quern(['run', `${file}.ts`], folder)
      : await finish(process.execPath, [`${file}.mjs`], folder)
    expect(exitCode, stderr).toBe(0)
  })

  it.each(inLanguage('sh'))('$name runs', async ({ code }) => {
    for (const line of code.trim().split('\n')) {
      if (NOT_RUN.test(line)) continue
      const match = /^npx quern (.*)$/.exec(line)
      if (match === null) throw new Error(`not a command that this test runs: ${line}`)
      const args = (match[1] ?? '').match(/'[^']*'|\S+/g) ?? []
      const { code: exitCode, stderr } = await quern(
        args.map((arg) => arg.replaceAll("'", '')),
        folder,
      )
      expect(exitCode, stderr).toBe(0)
    }
  })

  it('the README in a clone: its relative links lead somewhere', async () => {
    const readme = await readFile(join(ROOT, 'README.md'), 'utf8')
    for (const [, link = ''] of readme.matchAll(/\]\(([^)#:]+)\)/g)) {
      await expect(
        readdir(join(ROOT, link)).catch(() => readFile(join(ROOT, link))),
        link,
      ).resolves.toBeDefined()
    }
  })
})
