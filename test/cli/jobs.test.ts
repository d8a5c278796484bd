/** `quern run`, `jobs`, `resume`, `replay` and `clean` on jobs that are really kept, in a folder of their own. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CliContext, CliExecutor } from '../../src/cli/context.ts'
import { runCommandLine } from '../../src/cli/program.ts'
import { FunctionExecutor } from '../../src/entry/index.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { fakeContext } from './fake-context.ts'

const JOB_MODULE = fileURLToPath(new URL('../../src/cli/job-file.ts', import.meta.url))
const TEXT = 'one\ntwo\nthree\nfour\n'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-jobs-'))
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(path.join(folder, 'in.txt'), TEXT)
})
afterEach(() => rmSync(folder, { recursive: true }))

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
  readonly asked: readonly unknown[]
}

/** Runs the command line on the folder's own store; calls run in this process. */
async function quern(
  args: readonly string[],
  options: { reply?: string; onOpen?(context: CliContext): void } = {},
): Promise<Ran> {
  const store = new LocalhostBackend({ root: folder })
  const config = { localhost: { storageRoot: folder } }
  const fake = fakeContext(() => undefined, { cwd: folder, stores: { localhost: store }, config, reply: options.reply })
  const context: CliContext = {
    ...fake,
    async openExecutor(given) {
      options.onOpen?.(fake)
      return new FunctionExecutor({ ...given, backend: 'inline', storageRoot: folder }) as unknown as CliExecutor
    },
  }
  const code = await runCommandLine(args, '1.2.3', context)
  return { code, ...fake.written, asked: fake.asked }
}

/** A job file whose map throws on a partition for as long as the file `broken` is there. */
function jobFile(name: string): string {
  const text = `import { existsSync } from 'node:fs'
import { job } from ${JSON.stringify(JOB_MODULE)}
export default job({
  input: ${JSON.stringify(path.join(folder, 'in.txt'))},
  map: async (part) => {
    const text = await part.text()
    if (text.includes('three') && existsSync(${JSON.stringify(path.join(folder, 'broken'))})) throw new RangeError('no three')
    return text.length
  },
  reduce: (all: number[]) => all.reduce((a, b) => a + b, 0),
  options: { objChunkNumber: 4, spawnReducer: 100 },
})`
  writeFileSync(path.join(folder, name), text)
  return name
}

/** Runs a job that fails in one of its calls. */
async function failedJob(file = 'sizes.ts'): Promise<string> {
  writeFileSync(path.join(folder, 'broken'), '')
  const { code, stderr } = await quern(['run', jobFile(file), '--no-progress'])
  expect(code).toBe(1)
  const [, name = ''] = /quern resume (\S+) tries the rest again/.exec(stderr) ?? []
  expect(name, stderr).toMatch(/^[0-9a-f]{12}-0-R000$/)
  return name
}

const jobsOf = async () =>
  (await quern(['jobs', '--json'])).stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as { name: string; state: string; calls: number; committed: number })

describe('a job that failed in part', () => {
  it('is listed, resumed where the cause is mended, and gone when its result was printed', async () => {
    const name = await failedJob()
    expect(await jobsOf()).toMatchObject([{ name, state: 'failed', calls: 5, committed: 3 }])
    const again = await quern(['resume', name, '--no-progress'])
    expect(again.code).toBe(1)
    expect(again.stderr).toContain('no three')
    rmSync(path.join(folder, 'broken'))
    expect(await quern(['resume', name, '--json', '--no-progress'])).toMatchObject({
      code: 0,
      stdout: `${TEXT.length}\n`,
    })
    expect(await jobsOf()).toEqual([])
    expect((await quern(['resume', name])).code).toBe(1)
  })

  it('is refused where its code has changed, but for --use-new-code', async () => {
    const name = await failedJob()
    const file = path.join(folder, 'sizes.ts')
    writeFileSync(file, readFileSync(file, 'utf8').replace('return text.length', 'return 100 * text.length'))
    rmSync(path.join(folder, 'broken'))
    const refused = await quern(['resume', name, '--no-progress'])
    expect(refused.code).toBe(1)
    expect(refused.stderr).toMatch(/useNewCode|use-new-code/)
    // modules are loaded once in a process: that the new code runs is shown where processes do
    expect((await quern(['resume', name, '--use-new-code', '--no-progress'])).code).toBe(0)
  })

  it('shows the call that failed again, and saves what it read', async () => {
    const name = await failedJob()
    const map = name.replace('-R', '-M')
    const calls = await Promise.all(['0', '00001', '2', '3'].map((call) => quern(['replay', map, call])))
    const failed = calls.filter(({ code }) => code !== 0)
    expect(failed).toHaveLength(1)
    expect(failed[0]?.stderr).toMatch(/no three[\s\S]*RangeError: no three\n\s+at /)
    const saved = await quern(['replay', map, '0', '--save-fixture', 'fixture'])
    expect(saved).toMatchObject({ code: 0, stderr: `fixture in ${path.join(folder, 'fixture')}\n` })
    expect(readdirSync(path.join(folder, 'fixture')).toSorted()).toEqual([`${map}-00000.input`, `${map}-00000.test.ts`])
    expect(TEXT.startsWith(readFileSync(path.join(folder, 'fixture', `${map}-00000.input`), 'utf8'))).toBe(true)
    expect(await jobsOf()).toMatchObject([{ name, state: 'failed', committed: 3 }])
  })

  it('waits for a debugger before a replay, where it is asked to', async () => {
    const name = await failedJob()
    expect((await quern(['replay', name.replace('-R', '-M'), '0', '--inspect'])).asked).toEqual([['inspect']])
    expect((await quern(['replay', name.replace('-R', '-M'), '0'])).asked).toEqual([])
  })
})

describe('quern run, interrupted', () => {
  it('says how to go on, on a line of its own; the job is listed as interrupted', async () => {
    writeFileSync(path.join(folder, 'endless.ts'), endless())
    let interrupt: () => void = () => undefined
    const running = quern(['run', 'endless.ts', '--config', config(), '--no-progress'], {
      onOpen: (context) => {
        interrupt = () => (context as ReturnType<typeof fakeContext>).interrupt()
      },
    })
    while (!existsSync(path.join(folder, 'began'))) await new Promise((resolve) => setTimeout(resolve, 5))
    interrupt()
    const { code, stdout, stderr } = await running
    expect({ code, stdout }).toEqual({ code: 130, stdout: '' })
    const [job] = await jobsOf()
    expect(job?.state).toBe('interrupted')
    expect(stderr).toBe(
      `interrupted: the job was cancelled\nresume with: quern resume ${job?.name} --config ${config()}\n`,
    )
  })

  const config = () => {
    const file = path.join(folder, 'quern.yaml')
    writeFileSync(file, `localhost:\n  storage_root: ${folder}\n`)
    return file
  }
  const endless = () => `import { writeFileSync } from 'node:fs'
import { job } from ${JSON.stringify(JOB_MODULE)}
export default job({
  input: ${JSON.stringify(path.join(folder, 'in.txt'))},
  map: (_part, task) => {
    writeFileSync(${JSON.stringify(path.join(folder, 'began'))}, '')
    return new Promise((_, reject) => task.signal.addEventListener('abort', () => reject(new Error('ended'))))
  },
})`
})

describe('quern clean', () => {
  it('without names takes what succeeded only; with --all what failed too', async () => {
    const name = await failedJob()
    expect(await quern(['clean'])).toMatchObject({ code: 0, stdout: '0 jobs, 0 B: deleted\n' })
    expect(await quern(['clean', '--all', '--dry-run'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(name),
    })
    expect(await jobsOf()).toHaveLength(1)
    expect(await quern(['clean', '--all'])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^1 job, .*: deleted\n$/),
    })
    expect(await jobsOf()).toEqual([])
  })

  it.each([
    ['nobody to ask: refused', undefined, 2, 2],
    ['no: nothing', 'n', 1, 2],
    ['yes: all', 'y', 0, 0],
  ])('asks before it deletes several, %s', async (_, reply, code, left) => {
    await failedJob('one.ts')
    await failedJob('two.ts')
    expect((await quern(['clean', '--all'], { reply })).code).toBe(code)
    expect(await jobsOf()).toHaveLength(left)
    if (left > 0) expect((await quern(['clean', '--all', '--yes'])).code).toBe(0)
  })

  it('takes names (of the map too), spares the young, refuses what is not there', async () => {
    const name = await failedJob()
    expect(await quern(['clean', name, '--older-than', '7d'])).toMatchObject({ stdout: '0 jobs, 0 B: deleted\n' })
    expect((await quern(['clean', 'abc-0-M000'])).stderr).toMatch(/no job abc-0-M000 is kept there/)
    const { stdout } = await quern(['clean', name.replace('-R', '-M'), '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ name, state: 'failed', status: 'deleted' })
    expect(await jobsOf()).toEqual([])
  })

  it.each([
    [['clean', 'x-0-M000', '--all'], /names or --all, not both/],
    [['clean', '--older-than', 'soon'], /Expected an age/],
    [['jobs', '--journal', 's3://bucket/prefix/'], /expected the URL of a bucket/],
    [['resume', 'M000'], /expected the name of a map or mapReduce/],
    [['replay', 'abc-0-M000', 'x'], /expected a call id/],
  ])('%j is bad usage', async (args, message) => {
    const { code, stderr } = await quern(args)
    expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringMatching(message) })
  })
})

describe('quern jobs', () => {
  it('is a table for people: the youngest first', async () => {
    expect((await quern(['jobs'])).stdout).toBe('no jobs\n')
    const names = [await failedJob('one.ts'), await failedJob('two.ts')]
    const lines = (await quern(['jobs'])).stdout.trim().split('\n')
    expect(lines[0]).toMatch(/^JOB +STATE +CALLS +AGE +SIZE +FUNCTIONS$/)
    expect(lines.slice(1).map((line) => line.split(/ +/)[0])).toEqual(names.toReversed())
    expect(lines[1]).toMatch(/ failed +3\/5 /)
  })
})
