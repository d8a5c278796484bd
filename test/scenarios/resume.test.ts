/** Jobs whose driver is killed, frozen out or changed under, and what a resume makes of them. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FencedError, FunctionExecutor, type MapReduceJob } from '../../src/entry/index.ts'
import { joinedProgram } from '../support/joined-programs.ts'
import {
  CALLS,
  executorOptions,
  makeFolder,
  open,
  ranCalls,
  submitJob,
  writeFactor,
  writeInput,
} from '../support/resumable-job.ts'

const EXPECTED = Array.from({ length: 30 }, (_, i) => i)
const ALL = [...Array.from({ length: CALLS }, (_, i) => `M000/0000${i}`), 'R000/00000']

let folder: string
const drivers: ChildProcess[] = []
const executors: FunctionExecutor[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'quern-resume-'))
})

afterEach(async () => {
  vi.useRealTimers()
  for (const driver of drivers.splice(0)) driver.kill('SIGKILL')
  for (const exec of executors.splice(0)) await exec.shutdown({ cancelFutures: true })
  rmSync(folder, { recursive: true, force: true })
})

function executor(backend = 'inline'): FunctionExecutor {
  const exec = new FunctionExecutor(executorOptions(folder, backend))
  executors.push(exec)
  return exec
}

/** Starts a driver; settles with the name of its job once that is in its journal. */
async function startDriver(backend: string, resumes?: string): Promise<{ driver: ChildProcess; name: string }> {
  const args = [folder, backend, ...(resumes === undefined ? [] : [resumes])]
  const stdio = ['ignore', 'inherit', 'inherit', 'ipc'] as const
  const driver = fork(joinedProgram('durable-driver'), args, { stdio: [...stdio] })
  drivers.push(driver)
  const [name] = (await once(driver, 'message')) as [string]
  return { driver, name }
}

async function kill(driver: ChildProcess): Promise<void> {
  const ended = once(driver, 'exit')
  driver.kill('SIGKILL')
  await ended
}

/** Calls with a commit. */
function committed(name: string): string[] {
  const commits = join(folder, 'store/jobs/quern.jobs', name, 'commits')
  if (!existsSync(commits)) return []
  return readdirSync(commits, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath.split('/').at(-1)}/${entry.name}`)
    .sort()
}

function untilCommitted(name: string, count: number): Promise<void> {
  return vi.waitFor(() => expect(committed(name)).toHaveLength(count), { timeout: 30_000, interval: 10 })
}

function journalOf(name: string): string[] {
  const place = join(folder, 'store/jobs/quern.jobs', name)
  return existsSync(place) ? readdirSync(place) : []
}

/** A driver that was killed when so many maps had been committed. */
async function interrupted(limit: number, backend = 'inline'): Promise<string> {
  makeFolder(folder, limit)
  const { driver, name } = await startDriver(backend)
  await untilCommitted(name, limit)
  await kill(driver)
  return name
}

describe('after the driver was killed', () => {
  it.each([
    ['before anything was committed', 0, 'inline'],
    ['with one partition of an object done', 3, 'inline'],
    ['with all maps done, before or in the reduce', CALLS, 'inline'],
    ['with workers of its own', 2, 'localhost'],
  ])('%s, a resume runs what is missing and nothing else', async (_, limit, backend) => {
    const name = await interrupted(limit, backend)
    expect(name).toMatch(/^[0-9a-f]+-0-R000$/)
    const exec = executor(backend)
    expect(await exec.jobs()).toMatchObject([{ name, state: 'interrupted', calls: CALLS + 1, committed: limit }])
    const before = committed(name)
    const ran = ranCalls(folder)
    open(folder)
    const job = exec.resume(name) as MapReduceJob<unknown, unknown, unknown>
    expect([job.executorId, job.jobId, job.mapJob.jobId]).toEqual([name.split('-R')[0], 'R000', 'M000'])
    expect(await job).toEqual(EXPECTED)
    expect((await job.certificate()).complete).toBe(true)
    expect(committed(name)).toEqual(ALL)
    // what was committed did not run again; what had run without a commit may have
    const again = ranCalls(folder)
    for (const call of before)
      expect(again.filter((each) => each === call)).toEqual(ran.filter((each) => each === call))
    for (const call of ALL) expect(again).toContain(call)
    await exec.shutdown()
    expect(journalOf(name)).toEqual([])
  })

  it('when all was done, its result is read, by the name of the map that of the map', async () => {
    makeFolder(folder, CALLS)
    open(folder)
    const { driver, name } = await startDriver('inline')
    expect(await once(driver, 'message')).toEqual(['ended', undefined])
    const state = () => executor().jobs()
    await vi.waitFor(async () => expect(await state()).toMatchObject([{ state: 'succeeded' }]), { timeout: 10_000 })
    const ran = ranCalls(folder)
    const maps = await executor().resume(name.replace('R000', 'M000'))
    expect((maps as number[][]).flat()).toEqual(EXPECTED)
    await kill(driver)
    const exec = executor()
    expect(await exec.resume(name)).toEqual(EXPECTED)
    expect(ranCalls(folder)).toEqual(ran)
    await exec.shutdown()
    expect(journalOf(name)).toEqual([])
    await expect(executor().resume(name)).rejects.toThrow('no such job')
  })

  it('a resume that is killed is resumed', async () => {
    const name = await interrupted(1)
    writeFileSync(join(folder, 'limit'), '1')
    const second = await startDriver('inline', name)
    expect(second.name).toBe(name)
    expect(JSON.parse(readFileSync(join(folder, 'store/jobs/quern.jobs', name, 'driver.json'), 'utf8')).epoch).toBe(2)
    await kill(second.driver)
    open(folder)
    expect(await executor().resume(name)).toEqual(EXPECTED)
    expect(ranCalls(folder).filter((call) => call === 'M000/00000')).toHaveLength(1)
  })
})

describe('a driver that lives', () => {
  it('is fenced by a resume: its job fails, says why, and leaves the journal alone', async () => {
    makeFolder(folder, 2)
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const first = executor('localhost')
    const old = submitJob(first, folder)
    const failed = old.exception().catch((error: Error) => error)
    await old.planned()
    await untilCommitted(old.name, 2)
    const second = executor()
    const job = second.resume(old.name)
    await job.planned()
    await vi.advanceTimersByTimeAsync(10_000)
    const error = await failed
    expect(error).toBeInstanceOf(FencedError)
    expect((error as FencedError).message).toMatch(/was taken over by another driver: .* stopped its workers/)
    await first.shutdown()
    expect(journalOf(old.name)).toContain('driver.json')
    open(folder)
    expect(await job).toEqual(EXPECTED)
  })

  it('of two resumes at once one goes on', async () => {
    const name = await interrupted(1)
    open(folder)
    const jobs = [executor().resume(name), executor().resume(name)]
    const ends = await Promise.allSettled(jobs)
    const results = ends.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
    for (const result of results) expect(result).toEqual(EXPECTED)
    for (const end of ends) if (end.status === 'rejected') expect(end.reason.message).toMatch(/taken over|no such job/)
    expect(results.length).toBeGreaterThan(0)
    expect(ranCalls(folder).filter((call) => call === 'M000/00000')).toHaveLength(1)
  })
})

describe('what has changed since', () => {
  const driverOf = (name: string) => readFileSync(join(folder, 'store/jobs/quern.jobs', name, 'driver.json'), 'utf8')

  it('code is refused, and the job left as it was; useNewCode discards what the old has committed', async () => {
    const name = await interrupted(3)
    const before = driverOf(name)
    writeFactor(folder, 100)
    open(folder)
    const error = await executor()
      .resume(name)
      .exception()
      .catch((e: Error) => e)
    expect(error?.message).toMatch(/map function of .* is not what it was.*useNewCode: true/)
    expect(driverOf(name)).toBe(before)
    expect(await executor().resume(name, { useNewCode: true })).toEqual(EXPECTED.map((n) => n * 100))
    expect(ranCalls(folder).filter((call) => call === 'M000/00000')).toHaveLength(2)
  })

  it('an object fails what was not read of it; replan plans it anew and keeps what is done of others', async () => {
    const name = await interrupted(3)
    writeInput(folder, 1, 500, 7)
    open(folder)
    const refused = executor()
    const error = await refused
      .resume(name)
      .exception()
      .catch((e: Error) => e)
    await refused.shutdown()
    expect(error).toMatchObject({ code: 'JOB' })
    expect(String(error)).toContain('in/1.txt')
    expect((error as Error & { errors: Error[] }).errors[0]?.cause).toMatchObject({ cause: { code: 'OBJECT_CHANGED' } })
    const ran = ranCalls(folder).length
    const changed = [...EXPECTED.slice(0, 10), 500, 501, 502, 503, 504, 505, 506, ...EXPECTED.slice(20)]
    const job = executor().resume(name, { replan: true }) as MapReduceJob<unknown, unknown, unknown>
    expect(await job).toEqual(changed)
    expect((await job.certificate()).complete).toBe(true)
    // two partitions of the changed object and the reduce
    expect(ranCalls(folder)).toHaveLength(ran + 3)
  })

  it('nothing: replan plans nothing', async () => {
    const name = await interrupted(2)
    open(folder)
    expect(await executor().resume(name, { replan: true })).toEqual(EXPECTED)
    expect(ranCalls(folder)).toHaveLength(ALL.length)
  })
})
