/** A cancel that comes while the driver itself is at work: while it writes the journal, and while it concludes the outputs. */
import fs from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { FunctionExecutor } from '../../src/entry/index.ts'
import { deleteJob, listJobs } from '../../src/job/journal-list.ts'
import { LocalhostBackend } from '../../src/storage/localhost.ts'

let folder: string
beforeEach(() => {
  folder = fs.mkdtempSync(path.join(tmpdir(), 'quern-late-cancel-'))
})
afterEach(() => {
  vi.restoreAllMocks()
  fs.rmSync(folder, { recursive: true })
})

const root = () => path.join(folder, 'store')
const place = () => ({ backend: new LocalhostBackend({ root: root() }), bucket: 'quern' })
const open = () =>
  new FunctionExecutor({
    backend: 'inline',
    config: { localhost: { storageRoot: root() } },
    showProgressbar: false,
    logLevel: 'error',
  })

/** Calls back once, just before a file of this name appears. */
function before(name: string, act: () => void): void {
  const rename = fs.renameSync
  let done = false
  vi.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
    if (!done && String(to).endsWith(name)) {
      done = true
      act()
    }
    rename(from, to)
  })
}

it('does not take from a job that has succeeded what it gives', async () => {
  const exec = open()
  const told: boolean[] = []
  const job = exec.map((i: number) => `${i}`, [1, 2, 3], { output: path.join(folder, 'out') })
  before('_quern/manifest.json', () => told.push(job.cancel({ running: true })))
  expect(await job).toMatchObject([{}, {}, {}])
  expect(told).toEqual([false])
  await exec.shutdown()
  expect(fs.readdirSync(path.join(folder, 'out')).toSorted()).toEqual([
    '_quern',
    'part-00000',
    'part-00001',
    'part-00002',
  ])
  expect(await listJobs(place())).toEqual([])
})

it.each(['job.json', 'functions/M000', 'driver.json'])(
  'while %s is written leaves a whole journal once the executor is shut down',
  async (name) => {
    const exec = open()
    const job = exec.map((i: number) => i, [1, 2, 3], { durable: true })
    before(name, () => job.cancel({ running: true }))
    await expect(job.result()).rejects.toThrow('was cancelled')
    await exec.shutdown({ cancelFutures: true })
    const jobs = await listJobs(place())
    expect(jobs).toMatchObject([{ name: job.name, state: 'interrupted' }])
    expect(job.durable).toBe(true)
    const again = open()
    expect(await again.resume(job.name)).toEqual([1, 2, 3])
    await again.shutdown()
    for (const { name: left } of await listJobs(place())) await deleteJob(place(), left)
  },
)

it('before it is begun leaves no journal', async () => {
  const exec = open()
  const job = exec.map((i: number) => i, [1, 2, 3], { durable: true })
  job.cancel({ running: true })
  await expect(job.result()).rejects.toThrow('was cancelled')
  await exec.shutdown({ cancelFutures: true })
  expect(job.durable).toBe(false)
  expect(await listJobs(place())).toEqual([])
})
