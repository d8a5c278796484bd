/** `quern run` on a job that never ends, ended from outside: by Ctrl-C, by two, by SIGKILL. No worker outlives it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { joinedProgram } from '../support/joined-programs.ts'

const WORKERS = 2

const ENDLESS = {
  spin: 'while (true);',
  wait: 'return new Promise((resolve) => setTimeout(resolve, 2 ** 30))',
} as const

interface Running {
  readonly cli: ChildProcess
  /** Everything it started: workers, and the shell that watches over them. */
  readonly children: readonly number[]
  /** Exit code or signal, and what was written. */
  readonly ended: Promise<{ code: number | null; signal: string | null; stdout: string; stderr: string }>
}

/** Name, parent and liveness of a process; a zombie is over. */
function processStat(pid: number | string): { name: string; ppid: number } | undefined {
  const file = `/proc/${pid}/stat`
  if (!existsSync(file)) return undefined
  try {
    const [, name, state, ppid] = /^\d+ \((.*)\) (\S) (\d+)/s.exec(readFileSync(file, 'latin1')) ?? []
    return name === undefined || state === 'Z' || state === 'X' ? undefined : { name, ppid: Number(ppid) }
  } catch (error) {
    // it ended between the two looks
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

function childrenOf(parent: number): { pid: number; name: string }[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    const stat = processStat(pid)
    return stat?.ppid === parent ? [{ pid: Number(pid), name: stat.name }] : []
  })
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20))
}

describe.runIf(process.platform === 'linux')('quern run, ended from outside (needs Linux: /proc)', () => {
  let folder: string
  let running: Running | undefined
  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'quern-interrupt-'))
    writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
    writeFileSync(path.join(folder, 'in.txt'), 'line\n'.repeat(100))
  })
  afterEach(() => {
    for (const pid of running?.children ?? []) if (processStat(pid) !== undefined) process.kill(pid, 'SIGKILL')
    if (running?.cli.exitCode === null) running.cli.kill('SIGKILL')
    running = undefined
    rmSync(folder, { recursive: true })
  })

  /** Starts the command; resolves when every worker is in the middle of a call and watched over. */
  async function start(how: keyof typeof ENDLESS): Promise<Running> {
    const job = `import { writeFileSync } from 'node:fs'
import { job } from ${JSON.stringify(joinedProgram('job-file'))}
export default job({
  input: 'in.txt',
  map: () => {
    writeFileSync('started-' + process.pid, '')
    ${ENDLESS[how]}
  },
  options: { objChunkNumber: 8, chunksize: 1 },
})`
    writeFileSync(path.join(folder, 'endless.mjs'), job)
    const args = [joinedProgram('cli'), 'run', 'endless.mjs', '--workers', `${WORKERS}`]
    const cli = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    const written = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      cli[name].setEncoding('utf8').on('data', (text: string) => {
        written[name] += text
      })
    }
    const ended = new Promise<Awaited<Running['ended']>>((resolve) => {
      cli.on('close', (code, signal) => resolve({ code, signal, ...written }))
    })
    const pid = cli.pid as number
    const busy = () => readdirSync(folder).filter((name) => name.startsWith('started-')).length
    await until(() => cli.exitCode !== null || (busy() >= WORKERS && childrenOf(pid).some(({ name }) => name === 'sh')))
    const children = childrenOf(pid)
    expect(children.filter(({ name }) => name !== 'sh').length, written.stderr).toBeGreaterThanOrEqual(WORKERS)
    running = { cli, children: children.map((child) => child.pid), ended }
    return running
  }

  const left = ({ children }: Running) => children.filter((pid) => processStat(pid) !== undefined)

  it.each(['spin', 'wait'] as const)(
    'by Ctrl-C: says so, exits with 130, its workers are gone by then (%s)',
    async (how) => {
      const run = await start(how)
      run.cli.kill('SIGINT')
      const { code, signal, stdout, stderr } = await run.ended
      expect({ code, signal, stdout }).toEqual({ code: 130, signal: null, stdout: '' })
      expect(left(run)).toEqual([])
      expect(stderr).toMatch(/interrupted: the job was cancelled\nresume with: quern resume [0-9a-f]{12}-0-M000\n$/)
      expect(stderr).not.toMatch(/ {4}at |Error/)
    },
  )

  it('by two of them: exits with 130 at once, and its workers follow', async () => {
    const run = await start('spin')
    run.cli.kill('SIGINT')
    run.cli.kill('SIGINT')
    expect(await run.ended).toMatchObject({ code: 130, signal: null })
    await until(() => left(run).length === 0)
  })

  it.each(['spin', 'wait'] as const)('by SIGKILL: its workers end by themselves (%s)', async (how) => {
    const run = await start(how)
    run.cli.kill('SIGKILL')
    expect(await run.ended).toMatchObject({ code: null, signal: 'SIGKILL' })
    await until(() => left(run).length === 0)
  })
})
