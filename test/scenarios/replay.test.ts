/** `quern replay` as a user has it: under a debugger, and as a fixture whose test runs and ends as the call does. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, moduleFunction, type ObjectPartition, objects } from '../../src/entry/index.ts'
import { attach, targetsOf } from '../support/debugger.ts'

const require = createRequire(import.meta.url)
const TSX = pathToFileURL(require.resolve('tsx')).href
const VITEST = path.join(path.dirname(require.resolve('vitest/package.json')), 'vitest.mjs')
const CLI = fileURLToPath(new URL('../../src/entry/cli.ts', import.meta.url))
const INDEX = new URL('../../src/entry/index.ts', import.meta.url).href

/** Its first partition has no `three`, its second has. */
const TEXT = 'first\nsecond\nthree\nfour\n'
const SOURCE = `export default {
  map: async (part) => {
    const text = await part.text()
    if (text.includes('three')) throw new RangeError('no three')
    return { length: text.length }
  },
}
export const containing = (word) => async (part) => (await part.text()).includes(word)
export const counted = async (part, from) => from + (await part.text()).length
`

const LARGE = process.env.QUERN_TEST_LARGE === '1'

let folder: string
let exec: FunctionExecutor
const started: ChildProcess[] = []

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-replay-'))
  for (const [runner, dependencies] of [
    ['node', ''],
    ['vitest', '"vitest": "4"'],
  ]) {
    const project = path.join(folder, runner as string)
    mkdirSync(path.join(project, 'node_modules/quern'), { recursive: true })
    writeFileSync(path.join(project, 'package.json'), `{ "type": "module", "devDependencies": {${dependencies}} }`)
    writeFileSync(
      path.join(project, 'node_modules/quern/package.json'),
      '{ "type": "module", "exports": "./index.js" }',
    )
    writeFileSync(path.join(project, 'node_modules/quern/index.js'), `export * from ${JSON.stringify(INDEX)}\n`)
    writeFileSync(path.join(project, 'source.mjs'), SOURCE)
  }
  symlinkSync(path.dirname(VITEST), path.join(folder, 'vitest/node_modules/vitest'))
  writeFileSync(path.join(folder, 'in.txt'), TEXT)
  writeFileSync(path.join(folder, 'quern.yaml'), `localhost:\n  storage_root: ${folder}\n`)
  exec = new FunctionExecutor({ backend: 'inline', storageRoot: folder, showProgressbar: false })
})
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL')
  await exec.shutdown()
  rmSync(folder, { recursive: true })
})

const input = () => objects(path.join(folder, 'in.txt'))
const OPTIONS = { objChunkNumber: 2, durable: true } as const

/** The name of a job whose second call throws. */
async function failingJob(project: string): Promise<string> {
  const map = moduleFunction<(part: ObjectPartition) => Promise<unknown>>(
    pathToFileURL(path.join(project, 'source.mjs')).href,
    'default.map',
  )
  const job = exec.map(map, input(), OPTIONS)
  await exec.wait(job)
  return job.name
}

interface Ran {
  readonly code: number
  readonly output: string
}

async function run(cwd: string, args: readonly string[]): Promise<Ran> {
  const env = {
    ...process.env,
    NODE_OPTIONS: `--import ${TSX}`,
    NO_COLOR: '1',
    VITEST: undefined,
    NODE_TEST_CONTEXT: undefined,
  }
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  started.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [code] = (await once(child, 'close')) as [number]
  return { code, output }
}

describe('replay --inspect', () => {
  it('listens, waits for a debugger, and stops before the function is called', async () => {
    const project = path.join(folder, 'node')
    const name = await failingJob(project)
    const config = path.join(folder, 'quern.yaml')
    const args = ['replay', name, '0', '--inspect', '--json', '--config', config]
    const cli = spawn(process.execPath, ['--import', TSX, '--inspect-port=0', CLI, ...args], { cwd: folder })
    started.push(cli)
    const ended = once(cli, 'close')
    let [stdout, stderr] = ['', '']
    cli.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    const listens = new Promise<RegExpExecArray>((resolve) => {
      cli.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text
        const found = /Debugger listening on (ws:\/\/127\.0\.0\.1:(\d+)\/\S+)/.exec(stderr)
        if (found !== null) resolve(found)
      })
    })
    const [, url = '', port] = await listens
    expect(await targetsOf(Number(port))).toMatchObject([{ webSocketDebuggerUrl: url }])

    const session = await attach(url)
    await session.ask('Runtime.enable')
    await session.ask('Debugger.enable')
    const paused = session.event('Debugger.paused')
    await session.ask('Runtime.runIfWaitingForDebugger')
    expect(await paused).toMatchObject({
      callFrames: expect.arrayContaining([expect.objectContaining({ functionName: 'replay' })]),
    })
    expect(stdout).toBe('')
    await session.ask('Debugger.setBreakpointByUrl', { urlRegex: 'source\\.mjs$', lineNumber: 2 })
    const inFunction = session.event('Debugger.paused')
    await session.ask('Debugger.resume')
    expect(await inFunction).toMatchObject({
      callFrames: expect.arrayContaining([expect.objectContaining({ functionName: 'map' })]),
    })
    await session.ask('Debugger.resume')
    session.close()
    expect((await ended)[0], stderr).toBe(0)
    expect(stdout).toBe('{\n  "length": 13\n}\n')
  })
})

describe('a saved fixture', () => {
  /** All in one process; Vitest takes too long for every day. */
  const RUNNERS = [
    ['node', () => ['--test-reporter=tap', 'all.mjs']],
    ...(LARGE
      ? [['vitest', (files: readonly string[]) => [VITEST, 'run', '--reporter=tap-flat', ...files]] as const]
      : []),
  ] as const
  it.each(RUNNERS)('is a test for %s that ends as the call did', { timeout: 120_000 }, async (runner, argsOf) => {
    const project = path.join(folder, runner)
    const url = pathToFileURL(path.join(project, 'source.mjs')).href
    const counted = moduleFunction<(part: ObjectPartition, from: number) => Promise<number>>(url, 'counted')
    const names = [await failingJob(project)]
    for (const job of [
      exec.map(async (part: ObjectPartition) => (await part.text()).split('\n'), input(), OPTIONS),
      exec.map(counted, input(), { ...OPTIONS, extraArgs: [100] }),
    ]) {
      await job
      names.push(job.name)
    }
    const saved = path.join(project, 'saved')
    for (const name of names) {
      expect(await exec.replay(name, 0, { saveFixture: saved })).toBeDefined()
    }
    await expect(exec.replay(names[0] as string, 1, { saveFixture: saved })).rejects.toThrow('no three')
    const files = [...names.map((name) => `${name}-00000`), `${names[0]}-00001`]
    expect(readFileSync(path.join(saved, `${files[3]}.input`), 'utf8')).toBe('three\nfour\n')
    // what it expects is what the call gave: it fails where that is another
    const first = readFileSync(path.join(saved, `${files[0]}.test.ts`), 'utf8')
    writeFileSync(
      path.join(saved, 'other.test.ts'),
      first.replace('{"length":13}', '{"length":14}').replace(': file:', ' other: file:'),
    )
    files.push('other')
    const tests = files.map((name) => `./saved/${name}.test.ts`)
    writeFileSync(path.join(project, 'all.mjs'), tests.map((name) => `import ${JSON.stringify(name)}\n`).join(''))
    const { code, output } = await run(project, argsOf(tests))
    expect(code, output).toBe(1)
    const ends = files.map((file) => new RegExp(`^ *((?:not )?ok) \\d+ - .*${file}: file:`, 'm').exec(output)?.[1])
    expect(ends, output).toEqual(['ok', 'ok', 'ok', 'not ok', 'not ok'])
    expect(output).toContain('no three')
  })

  it('is for Vitest where the package around it depends on that', async () => {
    const name = await failingJob(path.join(folder, 'vitest'))
    const saved = path.join(folder, 'vitest/deep/saved')
    await exec.replay(name, 0, { saveFixture: saved })
    const text = readFileSync(path.join(saved, `${name}-00000.test.ts`), 'utf8')
    expect(text).toContain(`import { expect, test } from 'vitest'`)
    expect(text).toContain(`expect(result).toEqual({"length":13})`)
    expect(text).toContain(`import * as source from "../../source.mjs"`)
  })
})
