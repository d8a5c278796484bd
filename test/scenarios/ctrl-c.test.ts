/**
 * `quern run` interrupted at random moments, by one Ctrl-C or by two: no process is left, nothing is half-written, and
 * `quern resume` completes the job with the result and the outputs of an undisturbed run. QUERN_TEST_LARGE: 100 moments.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { deleteJob, type JobInfo, listJobs } from '../../src/job/journal-list.ts'
import { isTemporaryName } from '../../src/storage/file-io.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'
import { joinedProgram } from '../support/joined-programs.ts'
import { seeded } from '../support/seeded.ts'

const MOMENTS = process.env.QUERN_TEST_LARGE === '1' ? 100 : 4
const LINES = 200
const PARTS = 12

/** Each call says who it is, and what it has started: a process that would outlive its worker. */
const JOB = `import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { job } from ${JSON.stringify(joinedProgram('job-file'))}
export default job({
  input: 'in.txt',
  map: async (part) => {
    const child = spawn('sleep', ['300'], { stdio: 'ignore' })
    writeFileSync('pids/' + process.pid + '-' + child.pid, '')
    const lines = (await part.text()).split('\\n').filter((line) => line !== '')
    await new Promise((resolve) => setTimeout(resolve, 40))
    return lines
  },
  options: { objChunkNumber: ${PARTS}, chunksize: 1 },
  output: { to: 'out/', name: 'part-{index}' },
})`

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: string
  readonly stderr: string
}

const random = seeded(0x5164)
const cases = Array.from({ length: MOMENTS }, (_, i) => ({ i, share: 0.3 + 0.75 * random(), twice: random() < 0.3 }))

let folder: string
let undisturbedMs: number
let outputs: Record<string, string>
const started = new Set<ChildProcess>()

function prepare(): void {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-ctrl-c-'))
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
  writeFileSync(path.join(folder, 'in.txt'), Array.from({ length: LINES }, (_, i) => `line ${i}\n`).join(''))
  writeFileSync(path.join(folder, 'job.mjs'), JOB)
  mkdirSync(path.join(folder, 'pids'))
}

function quern(...args: string[]): { cli: ChildProcess; ended: Promise<Ended> } {
  const cli = spawn(process.execPath, [joinedProgram('cli'), ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.add(cli)
  const written = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    cli[name]?.setEncoding('utf8').on('data', (text: string) => {
      written[name] += text
    })
  }
  const ended = new Promise<Ended>((resolve) => {
    cli.on('close', (code, signal) => {
      started.delete(cli)
      resolve({ code, signal, ...written })
    })
  })
  return { cli, ended }
}

/** Every file under the folder, by path: what was written, and what stands in it. */
function filesUnder(under: string): Record<string, string> {
  const root = path.join(folder, under)
  if (!existsSync(root)) return {}
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return Object.fromEntries(
    files.map((file) => {
      const whole = path.join(file.parentPath, file.name)
      return [path.relative(root, whole), readFileSync(whole, 'utf8')]
    }),
  )
}

/** What was put there, without the list of it, which names its job. */
function outputsNow(): Record<string, string> {
  return Object.fromEntries(Object.entries(filesUnder('out')).filter(([name]) => !name.startsWith('_quern/')))
}

function halfWritten(): string[] {
  return ['.quern', 'out'].flatMap((under) =>
    Object.keys(filesUnder(under)).filter((name) => isTemporaryName(path.basename(name))),
  )
}

const place = () => ({ backend: new LocalhostBackend({ root: path.join(folder, '.quern/storage') }), bucket: 'quern' })
const jobs = (): Promise<JobInfo[]> => listJobs(place())

/** Workers that said so, and their children, that still run. */
function left(): number[] {
  const pids = new Set(readdirSync(path.join(folder, 'pids')).flatMap((name) => name.split('-').map(Number)))
  return [...pids].filter((pid) => {
    const stat = `/proc/${pid}/stat`
    try {
      return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(stat, 'latin1'))
    } catch {
      // it is no more
      return false
    }
  })
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}

describe.runIf(process.platform === 'linux')('Ctrl-C at random moments (needs Linux: /proc)', () => {
  beforeAll(async () => {
    prepare()
    const at = performance.now()
    const { code, stderr } = await quern('run', 'job.mjs', '--workers', '2', '--no-progress').ended
    undisturbedMs = performance.now() - at
    expect(code, stderr).toBe(0)
    expect(left()).toEqual([])
    outputs = outputsNow()
    expect(Object.keys(outputs)).toHaveLength(PARTS)
    expect(await jobs()).toEqual([])
    rmSync(folder, { recursive: true })
  }, 120_000)
  beforeEach(prepare)
  afterEach(() => {
    for (const cli of started) cli.kill('SIGKILL')
    for (const pid of left()) process.kill(pid, 'SIGKILL')
    rmSync(folder, { recursive: true })
  })
  afterAll(() => expect(started.size).toBe(0))

  it.each(cases)('moment $i: at $share of the run, twice: $twice', { timeout: 180_000 }, async ({ share, twice }) => {
    const { cli, ended } = quern('run', 'job.mjs', '--workers', '2', '--no-progress')
    const moment = setTimeout(() => {
      cli.kill('SIGINT')
      if (twice) setTimeout(() => cli.kill('SIGINT'), 15)
    }, share * undisturbedMs)
    const { code, signal, stderr } = await ended
    clearTimeout(moment)
    // before it listens it is ended as any program is; after its last line it may have ended by itself
    expect(signal === 'SIGINT' || code === 130 || code === 0, `${code} ${signal} ${stderr}`).toBe(true)
    const inOrder = code !== null && !twice
    if (inOrder) expect(left()).toEqual([])
    else await until(() => left().length === 0)

    if (inOrder) expect(halfWritten()).toEqual([])
    for (const [name, text] of Object.entries(outputsNow())) expect(text).toBe(outputs[name])

    const kept = await jobs()
    expect(kept.length).toBeLessThan(2)
    const [job] = kept
    const resumable = job !== undefined && job.state !== 'unbegun'
    if (inOrder) {
      expect(/resume with: quern resume (\S+)/.exec(stderr)?.[1]).toBe(
        job?.state === 'succeeded' ? undefined : job?.name,
      )
      expect(job === undefined || resumable).toBe(true)
    }
    if (resumable) {
      const resumed = await quern('resume', job.name, '--workers', '2', '--no-progress').ended
      expect(resumed.code, resumed.stderr).toBe(0)
      expect(await jobs()).toEqual([])
    } else if (job !== undefined) await deleteJob(place(), job.name)
    const isOver = existsSync(path.join(folder, 'out/_quern/manifest.json'))
    if (!resumable && !isOver) {
      // it had not begun: it is submitted again
      expect(code).not.toBe(0)
      expect((await quern('run', 'job.mjs', '--workers', '2', '--no-progress').ended).code).toBe(0)
    }
    expect(outputsNow()).toEqual(outputs)
    if (inOrder || resumable) expect(halfWritten()).toEqual([])
    expect(left()).toEqual([])
  })
})
