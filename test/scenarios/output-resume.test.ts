/** Jobs with outputs that end before they are concluded, and are resumed: every output once, the manifest last and once. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CloudObject, FunctionExecutor, type TaskContext } from '../../src/entry/index.ts'
import type { Manifest } from '../../src/job/manifest.ts'
import { isTemporaryName } from '../../src/storage/file-io.ts'
import { joinedProgram } from '../support/joined-programs.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'quern-output-resume-'))
const root = path.join(folder, 'store')
let exec: FunctionExecutor
let runs = 0

beforeAll(() => {
  exec = openExecutor()
})
afterAll(async () => {
  await exec.shutdown()
  expect(temporaries(folder)).toEqual([])
  rmSync(folder, { recursive: true, force: true })
})

function openExecutor() {
  const config = { localhost: { storageRoot: root } }
  return new FunctionExecutor({ maxWorkers: 2, config, showProgressbar: false, logLevel: 'error' })
}

const TARGETS = { files: path.join(folder, 'files'), localhost: path.join(root, 'results') }
type Target = keyof typeof TARGETS

function fresh(target: Target): { readonly at: string; readonly to: string } {
  const name = `out${++runs}`
  const at = path.join(TARGETS[target], name)
  return { at, to: target === 'files' ? at : `localhost://results/${name}` }
}

function filesUnder(at: string): string[] {
  if (!existsSync(at)) return []
  return readdirSync(at, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !isTemporaryName(entry.name))
    .map((entry) => path.relative(at, path.join(entry.parentPath, entry.name)))
    .sort()
}

/** What was half-written: nothing of it once the executor is shut down. */
function temporaries(at: string): string[] {
  return readdirSync(at, { recursive: true, encoding: 'utf8' }).filter((name) => isTemporaryName(path.basename(name)))
}

function manifestAt(at: string): Manifest {
  return JSON.parse(readFileSync(path.join(at, '_quern/manifest.json'), 'utf8'))
}

async function runDriver(to: string, stage: string, at: string, when: string): Promise<string> {
  const child = spawn(process.execPath, [joinedProgram('output-driver'), root, to, stage, at, when], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let name = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    name += text
  })
  const [, signal] = await once(child, 'close')
  expect(signal).toBe('SIGKILL')
  return name
}

const STAGES = [
  ['put', '_quern/manifest.json', 'before'],
  ['put', '_quern/manifest.json', 'after'],
  ['remove', 'part-00003', 'before'],
  ['remove', 'part-00003', 'after'],
  ['remove', '/attempts/', 'before'],
  ['remove', '/attempts/', 'after'],
] as const

/** Every stage over files; over localhost those whose requests differ. */
const DEATHS = [
  ...STAGES.map((stage) => ['files', ...stage] as const),
  ...STAGES.slice(0, 3).map((stage) => ['localhost', ...stage] as const),
]

describe('a driver that dies while it concludes a job', () => {
  it.each(DEATHS)('over %s, at %s of %s, %s it is done', async (target, stage, file, when) => {
    const { at, to } = fresh(target)
    await exec.map((i: number) => `old ${i}`, [0, 1, 2, 3], { output: to })
    const name = await runDriver(to, stage, file, when)
    const concluded = manifestAt(at).job === name
    expect(concluded).toBe(stage === 'remove' || when === 'after')
    if (!concluded) expect(filesUnder(at)).toContain('part-00003')
    const written = readFileSync(path.join(at, '_quern/manifest.json'), 'utf8')
    const results = (await exec.resume(name)) as CloudObject[]
    expect(filesUnder(at)).toEqual(['_quern/manifest.json', 'part-00000', 'part-00001'])
    expect(readFileSync(path.join(at, 'part-00000'), 'utf8')).toBe('n'.repeat(10))
    expect(readFileSync(path.join(at, 'part-00001'), 'utf8')).toBe('n'.repeat(1 << 20))
    const { job, outputs } = manifestAt(at)
    expect(job).toBe(name)
    expect(outputs.map(({ key, etag }) => ({ key, etag }))).toEqual(results.map(({ key, etag }) => ({ key, etag })))
    if (concluded) expect(readFileSync(path.join(at, '_quern/manifest.json'), 'utf8')).toBe(written)
    expect(filesUnder(path.join(root, 'quern/quern.jobs', name, 'attempts'))).toEqual([])
  })
})

/** Runs in a worker: call 1 dies as soon as its commit is there. */
async function diesCommitted(size: number, log: string, task: TaskContext) {
  const fs = (await import('node:fs')).default
  fs.appendFileSync(log, `${task.callId}\n`)
  if (task.index === 1) {
    const rename = fs.renameSync
    fs.renameSync = (from, to) => {
      rename(from, to)
      if (String(to).includes('/commits/') && String(to).endsWith('/00001')) process.kill(process.pid, 'SIGKILL')
    }
  }
  return 'x'.repeat(size)
}

describe('a job that failed after a commit', () => {
  async function failed(size: number) {
    const { at, to } = fresh('files')
    const log = `${at.replaceAll('/', '_')}.log`
    const file = path.join(folder, log)
    writeFileSync(file, '')
    const first = openExecutor()
    const job = first.map(diesCommitted, [size, size], { extraArgs: [file] as const, output: to })
    await expect(Promise.resolve(job)).rejects.toMatchObject({ code: 'JOB' })
    await first.shutdown()
    const ran = () =>
      readFileSync(file, 'utf8')
        .split('\n')
        .filter((call) => call === '00001').length
    return { at, name: `${first.executorId}-${job.jobId}`, ran }
  }

  it.each([10, 1 << 20])('publishes it when resumed, without running it again (%i bytes)', async (size) => {
    const { at, name, ran } = await failed(size)
    expect(filesUnder(at)).not.toContain('part-00001')
    expect(filesUnder(at)).not.toContain('_quern/manifest.json')
    const results = (await exec.resume(name)) as CloudObject[]
    expect(results.map((object) => object.size)).toEqual([size, size])
    expect(filesUnder(at)).toEqual(['_quern/manifest.json', 'part-00000', 'part-00001'])
    expect(ran()).toBe(1)
  })

  it.each([10, 1 << 20])('does not publish it over what somebody put there since (%i bytes)', async (size) => {
    const { at, name } = await failed(size)
    writeFileSync(path.join(at, 'part-00001'), 'of somebody else')
    await expect(Promise.resolve(exec.resume(name))).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    expect(readFileSync(path.join(at, 'part-00001'), 'utf8')).toBe('of somebody else')
    expect(filesUnder(at)).not.toContain('_quern/manifest.json')
  })
})

describe('a job with outputs that is resumed with new code', () => {
  it('replaces what it had published', async () => {
    const { at, to } = fresh('files')
    const gate = path.join(folder, 'gate')
    const first = openExecutor()
    const job = first.map(
      async (i: number, file: string, _: TaskContext) => {
        const fs = await import('node:fs')
        if (i === 1 && !fs.existsSync(file)) throw new RangeError('not yet')
        return `${i} ${fs.existsSync(file) ? 'new' : 'old'}`
      },
      [0, 1],
      { extraArgs: [gate] as const, output: to },
    )
    await expect(Promise.resolve(job)).rejects.toMatchObject({ code: 'JOB' })
    await first.shutdown()
    expect(readFileSync(path.join(at, 'part-00000'), 'utf8')).toBe('0 old')
    writeFileSync(gate, '')
    await exec.resume(`${first.executorId}-${job.jobId}`, { useNewCode: true })
    expect(readFileSync(path.join(at, 'part-00000'), 'utf8')).toBe('0 new')
    expect(readFileSync(path.join(at, 'part-00001'), 'utf8')).toBe('1 new')
    expect(manifestAt(at).outputs).toHaveLength(2)
  })
})

describe('a job with outputs that is over', () => {
  it('gives them when asked by its name, as long as they are what it wrote', async () => {
    const { at, to } = fresh('files')
    const first = openExecutor()
    const job = first.map((size: number) => 'o'.repeat(size), [10, 1 << 20], { output: to })
    // without reading a result: what was read is removed at the end
    await first.wait(job)
    await first.shutdown()
    const name = `${first.executorId}-${job.jobId}`
    const results = (await exec.resume(name)) as CloudObject[]
    expect(results.map(({ size }) => size)).toEqual([10, 1 << 20])
    const manifest = readFileSync(path.join(at, '_quern/manifest.json'))
    writeFileSync(path.join(at, 'part-00000'), 'another one')
    await expect(Promise.resolve(exec.resume(name))).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
    expect(readFileSync(path.join(at, '_quern/manifest.json')).equals(manifest)).toBe(true)
  })
})
