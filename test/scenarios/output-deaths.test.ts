/**
 * Workers killed around every write of an output, from within: what the store does last before or first after it dies.
 * The retry ends the job as if nothing had happened, and what was committed is not made again. Nothing half-written is
 * left beside the outputs when the job has ended, and nothing at all when the executor has.
 */
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, type TaskContext } from '../../src/entry/index.ts'
import { isTemporaryName } from '../../src/storage/file-io.ts'

const folder = mkdtempSync(path.join(tmpdir(), 'quern-output-deaths-'))
let exec: FunctionExecutor
let runs = 0

beforeAll(() => {
  exec = new FunctionExecutor({
    maxWorkers: 2,
    config: { localhost: { storageRoot: path.join(folder, 'store') } },
    showProgressbar: false,
    logLevel: 'error',
  })
})
afterAll(async () => {
  await exec.shutdown()
  expect(filesUnder(folder).filter((name) => isTemporaryName(path.basename(name)))).toEqual([])
  rmSync(folder, { recursive: true, force: true })
})

interface Case {
  /** The file that is about to appear, or has just appeared, when the worker dies. */
  readonly at: string
  readonly when: 'before' | 'after'
  readonly size: number
  /** How often the function of the call runs in all. */
  readonly runs: number
}

const SMALL = 10
const LARGE = 1 << 20

const CASES: readonly Case[] = [
  { at: '/attempts/', when: 'before', size: LARGE, runs: 2 },
  { at: '/attempts/', when: 'after', size: LARGE, runs: 2 },
  ...[SMALL, LARGE].flatMap((size): Case[] => [
    { at: '/commits/', when: 'before', size, runs: 2 },
    { at: '/commits/', when: 'after', size, runs: 1 },
    { at: '/part-00001', when: 'before', size, runs: 1 },
    { at: '/part-00001', when: 'after', size, runs: 1 },
  ]),
  { at: '/published/', when: 'before', size: LARGE, runs: 1 },
  { at: '/published/', when: 'after', size: LARGE, runs: 1 },
]

/** Runs in a worker; call 1 dies in its first attempt as `at` and `when` say. */
async function deadly(size: number, at: string, when: string, log: string, task: TaskContext) {
  const fs = (await import('node:fs')).default
  fs.appendFileSync(log, `${task.callId}\n`)
  if (task.index === 1 && task.attempt === 1) {
    const rename = fs.renameSync
    fs.renameSync = (from, to) => {
      const isIt = String(to).includes(at) && (at.startsWith('/part') || String(to).includes('/00001'))
      if (isIt && when === 'before') process.kill(process.pid, 'SIGKILL')
      rename(from, to)
      if (isIt && when === 'after') process.kill(process.pid, 'SIGKILL')
    }
  }
  return String(task.index).repeat(size)
}

function filesUnder(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)))
    .sort()
}

/** A new place in the target: its folder, and what a job calls it. */
function fresh(target: 'files' | 'localhost'): { readonly name: string; readonly root: string; readonly to: string } {
  const name = `out${++runs}`
  const root = path.join(folder, target === 'files' ? 'files' : 'store/results', name)
  return { name, root, to: target === 'files' ? root : `localhost://results/${name}` }
}

describe.each(['files', 'localhost'] as const)('a worker that writes to %s and dies', (target) => {
  it.each(CASES)('$when $at with $size bytes', async ({ at, when, size, runs: expected }) => {
    const { name, root, to } = fresh(target)
    const log = path.join(folder, `${name}.log`)
    appendFileSync(log, '')
    const job = exec.map(deadly, [size, size, size], {
      extraArgs: [at, when, log] as const,
      retries: { retries: 2, backoff: 1 },
      output: to,
    })
    await job
    const files = ['_quern/manifest.json', 'part-00000', 'part-00001', 'part-00002']
    expect(filesUnder(root)).toEqual(files)
    for (const i of [0, 1, 2])
      expect(readFileSync(path.join(root, `part-0000${i}`), 'utf8')).toBe(String(i).repeat(size))
    const ran = readFileSync(log, 'utf8').split('\n')
    expect(ran.filter((call) => call === '00001')).toHaveLength(expected)
    const { outputs } = JSON.parse(readFileSync(path.join(root, '_quern/manifest.json'), 'utf8'))
    expect(outputs.map(({ sizeBytes }: { sizeBytes: number }) => sizeBytes)).toEqual([size, size, size])
    const journal = path.join(folder, 'store/quern/quern.jobs', `${exec.executorId}-${job.jobId}`)
    if (existsSync(journal)) expect(filesUnder(journal).filter((file) => file.startsWith('attempts'))).toEqual([])
  })
})

/** Runs in a worker; the backup of call 0 is kept from publishing what it committed, until the first attempt has. */
async function outrun(index: number, log: string, task: TaskContext) {
  const fs = (await import('node:fs')).default
  if (index === 0 && task.attempt === 1) {
    while (!fs.existsSync(log)) await new Promise((resolve) => setTimeout(resolve, 5))
  } else if (index === 0) {
    const rename = fs.renameSync
    fs.renameSync = (from, to) => {
      if (!String(to).endsWith('/part-00000')) return rename(from, to)
      fs.writeFileSync(log, '')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    }
  }
  return String(index)
}

it('an attempt that is stopped while it publishes to a folder leaves nothing there', async () => {
  const { name, root, to } = fresh('files')
  const log = path.join(folder, `${name}.log`)
  const speculate = { minCalls: 2, minDoneFraction: 0.5, factor: 1 }
  const job = exec.map(outrun, [0, 1, 2, 3], { extraArgs: [log] as const, speculate, output: to })
  await job
  expect(job.stats.attempts).toBe(5)
  expect(filesUnder(root)).toEqual(['_quern/manifest.json', ...[0, 1, 2, 3].map((i) => `part-0000${i}`)])
})
