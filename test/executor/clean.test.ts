/** What is cleaned behind an executor, and above all what is not: what somebody may still need, and what is another's. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type CloudObject,
  FunctionExecutor,
  type ObjectPartition,
  objects,
  type TaskContext,
} from '../../src/entry/index.ts'

let folder: string
let open: FunctionExecutor[]
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'quern-clean-'))
  open = []
  writeFileSync(path.join(folder, 'in.txt'), 'a\nb\nc\n')
})
afterEach(async () => {
  await Promise.all(open.map((exec) => exec.shutdown({ cancelFutures: true })))
  rmSync(folder, { recursive: true })
})

function executor(): FunctionExecutor {
  const exec = new FunctionExecutor({
    backend: 'inline',
    storageRoot: folder,
    showProgressbar: false,
    logLevel: 'silent',
  })
  open.push(exec)
  return exec
}

const upper = async (part: ObjectPartition) => (await part.text()).toUpperCase()
const store = (n: number, task: TaskContext) => task.storage.putCloudObject(`object ${n}`)
const failing = async (part: ObjectPartition) => {
  if (part.index === 1) throw new Error('second')
  return part.text()
}
const endless = (_: number, task: TaskContext) =>
  new Promise((_resolve, reject) => task.signal.addEventListener('abort', () => reject(new Error('ended'))))

const durable = (exec: FunctionExecutor, fn = upper) =>
  exec.map(fn, objects(path.join(folder, 'in.txt')), { objChunkNumber: 3 })

async function keys(exec: FunctionExecutor, prefix = 'quern.jobs/'): Promise<string[]> {
  const found: string[] = []
  for await (const key of exec.storage.listKeys(exec.storage.bucket, { prefix })) found.push(key)
  return found
}

describe('exec.jobs and job.name', () => {
  it('lists every job that is kept, whoever made it, with its state, calls and size', async () => {
    const [one, two] = [executor(), executor()]
    const done = durable(one)
    await done
    const failed = durable(two, failing)
    await failed.exception()
    expect({ durable: done.durable, name: done.name }).toEqual({ durable: true, name: `${one.executorId}-M000` })
    await expect
      .poll(async () => (await one.jobs()).map(({ state }) => state).toSorted())
      .toEqual(['failed', 'succeeded'])
    const jobs = await two.jobs()
    expect(jobs.find(({ name }) => name === done.name)).toMatchObject({ state: 'succeeded', calls: 3, committed: 3 })
    expect(jobs.find(({ name }) => name === failed.name)).toMatchObject({ state: 'failed', calls: 3, committed: 2 })
    for (const { bytes } of jobs) expect(bytes).toBeGreaterThan(100)
  })

  it('are none before there is a bucket; items leave no journal unless asked', async () => {
    const exec = executor()
    expect(await exec.jobs()).toEqual([])
    const job = exec.map((n: number) => n, [1, 2])
    await job
    expect(job.durable).toBe(false)
    const kept = exec.map((n: number) => n, [1, 2], { durable: true })
    await kept
    expect((await exec.jobs()).map(({ name }) => name)).toEqual([kept.name])
  })
})

describe('shutdown', () => {
  it('cleans what succeeded and was read to its end, and leaves the rest', async () => {
    const exec = executor()
    const [read, unread, failed, partly] = [durable(exec), durable(exec), durable(exec, failing), durable(exec)]
    await read
    await unread.certificate()
    // what did succeed of it was read
    await Promise.allSettled(await failed.futures())
    await (await partly.futures())[0]
    await exec.shutdown()
    const left = (await executor().jobs()).map(({ name }) => name)
    expect(left.toSorted()).toEqual([unread, failed, partly].map(({ name }) => name).toSorted())
  })

  it('leaves CloudObjects: results may name them', async () => {
    const exec = executor()
    const [object] = await exec.map(store, [1], { durable: true })
    await exec.shutdown()
    const other = executor()
    expect(Buffer.from(await other.storage.getCloudObject(object as CloudObject)).toString()).toBe('object 1')
    expect(await other.jobs()).toEqual([])
  })
})

describe('exec.clean', () => {
  it('deletes journals and CloudObjects of jobs that are over and read, and says what it did', async () => {
    const exec = executor()
    await exec.map(store, [1, 2, 3], { durable: true })
    await exec.storage.putCloudObject('of the driver')
    expect((await keys(exec, 'quern.jobs/tmp/')).length).toBe(4)
    expect(await exec.clean()).toEqual({ jobs: [`${exec.executorId}-M000`], kept: [], cloudobjects: 4 })
    expect(await keys(exec)).toEqual([])
    expect(await exec.clean()).toEqual({ jobs: [], kept: [], cloudobjects: 0 })
  })

  it('leaves what was not read, failed or runs, and the CloudObjects that these may read', async () => {
    const exec = executor()
    const objects = await exec.map(store, [1, 2])
    const unread = durable(exec)
    await unread.certificate()
    const report = await exec.clean()
    expect(report).toMatchObject({ jobs: [], cloudobjects: 0 })
    expect(report.kept.map(({ name }) => name)).toEqual([unread.name, 'CloudObjects'])
    await unread
    const running = exec.map(endless, [1])
    await running.futures()
    expect((await exec.clean()).kept.map(({ name }) => name)).toEqual([running.name, 'CloudObjects'])
    expect(await exec.clean({ force: true })).toMatchObject({
      kept: [{ name: running.name }, { name: 'CloudObjects' }],
    })
    for (const object of objects) await exec.storage.getCloudObject(object)
    running.cancel({ running: true })
    await running.exception().catch(() => undefined)
    expect(await exec.clean()).toMatchObject({ kept: [], cloudobjects: 2 })
  })

  it('with force takes what failed or was not read', async () => {
    const exec = executor()
    const [unread, failed] = [durable(exec), durable(exec, failing)]
    await unread.certificate()
    await failed.exception()
    expect((await exec.clean()).kept.map(({ name }) => name)).toContain(failed.name)
    expect((await exec.clean({ force: true })).jobs.toSorted()).toEqual([unread.name, failed.name].toSorted())
    expect(await keys(exec)).toEqual([])
  })

  it('takes only what is named: a job, its futures, CloudObjects', async () => {
    const exec = executor()
    const [one, two] = [exec.map(store, [1], { durable: true }), exec.map(store, [2], { durable: true })]
    const [first] = await one
    const [second] = await two
    expect(await exec.clean({ fs: one })).toEqual({ jobs: [one.name], kept: [], cloudobjects: 1 })
    await expect(exec.storage.getCloudObject(first as CloudObject)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await exec.storage.getCloudObject(second as CloudObject)
    const options = { fs: await two.futures(), cleanCloudobjects: false }
    expect(await exec.clean(options)).toEqual({ jobs: [two.name], kept: [], cloudobjects: 0 })
    await exec.storage.getCloudObject(second as CloudObject)
    expect(await exec.clean({ fs: [], cs: second as CloudObject })).toEqual({ jobs: [], kept: [], cloudobjects: 1 })
    expect(await keys(exec)).toEqual([])
  })

  it('of a map-reduce takes its maps too, named by either', async () => {
    const exec = executor()
    const reduce = async (all: CloudObject[], task: TaskContext) =>
      [...all, await task.storage.putCloudObject('r')].length
    const run = () => exec.mapReduce(store, [1, 2], reduce, { durable: true })
    const [one, two] = [run(), run()]
    expect([await one, await two]).toEqual([3, 3])
    expect(await exec.clean({ fs: one })).toMatchObject({ jobs: [one.name], cloudobjects: 3 })
    expect(await exec.clean({ fs: two.mapJob })).toMatchObject({ jobs: [two.name], cloudobjects: 3 })
    expect(await keys(exec)).toEqual([])
  })

  it('with cleanFn: false leaves what is kept of the jobs', async () => {
    const exec = executor()
    const job = exec.map(store, [1], { durable: true })
    await job
    expect(await exec.clean({ cleanFn: false })).toEqual({ jobs: [], kept: [], cloudobjects: 1 })
    expect((await exec.jobs()).map(({ name }) => name)).toEqual([job.name])
  })

  it('never meets what is of another executor, not even of one whose name begins the same', async () => {
    const [exec, other] = [executor(), executor()]
    const [mine, theirs] = [exec.map(store, [1], { durable: true }), other.map(store, [2], { durable: true })]
    await mine
    const [object] = await theirs
    const { bucket } = exec.storage
    const near = `quern.jobs/tmp/${exec.executorId}1-M000-00000/cloudobject_1`
    await exec.storage.putObject(bucket, near, 'x')
    expect(await exec.clean({ force: true })).toMatchObject({ jobs: [mine.name], cloudobjects: 1 })
    await exec.storage.headObject(bucket, near)
    await other.storage.getCloudObject(object as CloudObject)
    expect((await exec.jobs()).map(({ name }) => name)).toEqual([theirs.name])
    await expect(exec.clean({ fs: theirs })).rejects.toThrow(/is a job of another executor/)
  })

  it.each([
    ['an unknown option', { cleanCloudObjects: true }, /did you mean 'cleanCloudobjects'/],
    ['what is no future', { fs: [1] }, /clean options\.fs: expected futures/],
    ['what is no CloudObject', { cs: [{ bucket: 'b' }] }, /clean options\.cs: expected CloudObjects/],
  ])('refuses %s', async (_, options, message) => {
    await expect(async () => executor().clean(options as never)).rejects.toThrow(message)
  })

  it('refuses a job that is named but needed', async () => {
    const exec = executor()
    const unread = durable(exec)
    await unread.certificate()
    await expect(exec.clean({ fs: unread })).rejects.toThrow(/nobody has read all of its results; clean it with force/)
    const running = exec.map(endless, [1])
    await expect(exec.clean({ fs: running, force: true })).rejects.toThrow(/it runs; cancel it first/)
    expect((await exec.jobs()).map(({ name }) => name)).toEqual([unread.name])
  })
})
