import fc from 'fast-check'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { Plan } from '../../partitioner/plan.ts'
import { planPartitions } from '../../partitioner/plan-partitions.ts'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { NotFoundError } from '../../src/core/errors.ts'
import { callId } from '../../src/core/ids.ts'
import { encodeValue } from '../../src/functions/codec.ts'
import { commitDivision, commitEnd } from '../../src/job/commits.ts'
import { DivisionLog } from '../../src/job/division-log.ts'
import {
  createJournal,
  findJob,
  type NewJournal,
  openItems,
  openJournal,
  readFunction,
  readOutputs,
  readPlan,
  type StoredFunction,
} from '../../src/job/journal.ts'
import { deleteJob, type JobInfo, listJobs } from '../../src/job/journal-list.ts'
import {
  commitKey,
  driverFile,
  functionFile,
  jobFile,
  jobOfKey,
  outputsKey,
  parseJobName,
  planFile,
} from '../../src/job/keys.ts'
import { DriverLease } from '../../src/job/lease.ts'
import { encodeJob, type JobHead, PROTOCOL } from '../../src/job/messages.ts'
import type { JournalPlace } from '../../src/job/place.ts'
import { decodeItems, decodePlan, encodeItems, encodePlan } from '../../src/job/stored-inputs.ts'
import type { MemoryBackend } from '../../src/storage/memory.ts'
import { callEnd, emptyPlace } from '../support/journal-in-memory.ts'

const NOW = 1_000_000

let memory: MemoryBackend
let place: JournalPlace

beforeEach(async () => {
  ;({ memory, place } = await emptyPlace())
})

async function collected<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const each of stream) all.push(each)
  return all
}

async function keys(): Promise<string[]> {
  const found: string[] = []
  for await (const page of memory.list('b')) found.push(...page.map(({ key }) => key))
  return found
}

function planOf(sizes: readonly number[], objChunkSize: number): Plan {
  const objects = sizes.map((size, i) =>
    cloudObject({ backend: 'memory', bucket: 'b', key: `k${i}`, size, etag: `"${i}"` }),
  )
  const selected = { selection: ['memory://b/'], objects, skipped: [], requests: [], encoded: [], allowUnpinned: false }
  return planPartitions(selected, { objChunkSize })
}

function newJob(extra: Partial<NewJournal> = {}, extraEnv: Record<string, string> = {}): NewJournal {
  const names = { protocol: PROTOCOL, executorId: 'abc-0', jobId: 'M000' } as const
  const fn = { kind: 'text', name: 'f', text: '(x) => x' } as const
  const head: JobHead = { ...names, kind: 'map', extraEnv, fn, storage: { backend: 'memory', bucket: 'b' } }
  const bytes = encodeJob(head, encodeValue([]))
  return {
    executorId: 'abc-0',
    parts: [{ jobId: 'M000', kind: 'map', title: 'f', calls: 3, settings: { chunksize: 2 } }],
    functions: new Map([['M000', { identity: 'id', bytes }]]),
    inputs: { plan: planOf([10, 0, 5], 4) },
    ...extra,
  }
}

describe('names and keys', () => {
  it.each([
    ['abc-0-M000', { executorId: 'abc-0', jobId: 'M000', letter: 'M' }],
    ['a-b-0-R1234', { executorId: 'a-b-0', jobId: 'R1234', letter: 'R' }],
    ['abc', undefined],
    ['a/b-0-M000', undefined],
    ['abc-0-M00', undefined],
    ['abc-0-X000', undefined],
  ])('%s', (name, parsed) => expect(parseJobName(name)).toEqual(parsed))

  it('temporaries of other kinds belong to no job', () => {
    expect(jobOfKey(commitKey('abc-0-M000', 'M000', '00001'))).toBe('abc-0-M000')
    const others = ['quern.jobs/tmp/x', 'quern.jobs/probe-1', 'quern.jobs/abc-0-M000', 'data/abc-0-M000/x']
    for (const key of others) expect(jobOfKey(key)).toBeUndefined()
  })
})

describe('stored inputs', () => {
  it('a plan comes back as it was, with the ids of its calls', async () => {
    const sizes = fc.array(fc.nat(50), { maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 20 }), async (given, chunk) => {
        const plan = planOf(given, chunk)
        const { plan: read, idOf } = await decodePlan(encodePlan(plan))
        expect(read).toEqual(plan)
        plan.partitions.forEach((_, call) => {
          expect(idOf(call)).toBe(callId(call))
        })
      }),
    )
  })

  it('keeps ids that are not the calls own', async () => {
    const plan = planOf([10, 8], 4)
    const ids = new Map([[3, { prefix: 'r1-', first: 7 }]])
    const { idOf } = await decodePlan(encodePlan(plan, (call) => ids.get(call)))
    expect(plan.partitions.map((_, call) => idOf(call))).toEqual(['00000', '00001', '00002', 'r1-00007', 'r1-00008'])
  })

  it('items come back however the stream is cut; one that is cut short is an error', async () => {
    const items = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(items, fc.integer({ min: 1, max: 9 }), async (given, step) => {
        const bytes = Buffer.concat(await collected(encodeItems(given.length, (i) => given[i] as Uint8Array)))
        async function* cut(to: number) {
          for (let at = 0; at < to; at += step) yield bytes.subarray(at, Math.min(to, at + step))
        }
        expect((await collected(decodeItems(cut(bytes.length)))).map((item) => [...item])).toEqual(
          given.map((item) => [...item]),
        )
        if (bytes.length > 0) await expect(collected(decodeItems(cut(bytes.length - 1)))).rejects.toThrow('end within')
      }),
    )
  })

  it('items are encoded only as they are written', async () => {
    let encoded = 0
    const stream = encodeItems(1_000, () => {
      encoded += 1
      return Buffer.alloc(100_000)
    })
    await stream.next()
    expect(encoded).toBeLessThan(5)
  })
})

describe('a journal', () => {
  it('holds what a resume needs', async () => {
    const job = newJob({ outputs: { some: 'thing' } })
    await createJournal(place, job, NOW)
    const { record, driver } = await openJournal(place, 'abc-0-M000')
    expect(record).toMatchObject({ name: 'abc-0-M000', parts: job.parts, inputs: 'plan', createdAt: NOW })
    expect(driver.record).toMatchObject({ epoch: 1, pid: process.pid, renewedAt: NOW, code: 0, replan: 0 })
    expect((await readPlan(place, 'abc-0-M000', 0)).plan).toEqual((job.inputs as { plan: Plan }).plan)
    const { identity, head } = await readFunction(place, record, 'M000', {})
    expect([identity, head.fn.kind]).toEqual(['id', 'text'])
    expect(await readOutputs(place, record, 0)).toEqual({ some: 'thing' })
  })

  it('holds the plan and the outputs of each time it was planned anew', async () => {
    await createJournal(place, newJob({ outputs: 0 }), NOW)
    const { record } = await openJournal(place, 'abc-0-M000')
    const anew = planOf([7], 3)
    await memory.put('b', planFile(record.name, 1), encodePlan(anew))
    await memory.put('b', outputsKey(record.name, 1), Buffer.from('1'))
    expect((await readPlan(place, record.name, 1)).plan).toEqual(anew)
    expect(await Promise.all([0, 1].map((replan) => readOutputs(place, record, replan)))).toEqual([0, 1])
  })

  it('holds items', async () => {
    await createJournal(place, newJob({ inputs: { count: 2, itemOf: (i) => Buffer.from([i, i]) } }), NOW)
    const { record } = await openJournal(place, 'abc-0-M000')
    expect(await readOutputs(place, record, 0)).toBeUndefined()
    const items = await collected(decodeItems(await openItems(place, 'abc-0-M000')))
    expect(items.map((item) => [...item])).toEqual([
      [0, 0],
      [1, 1],
    ])
  })

  it('a name is claimed once; the loser leaves the winner alone', async () => {
    await createJournal(place, newJob(), NOW)
    const before = await keys()
    for (const nowMs of [NOW, NOW + 1]) {
      await expect(createJournal(place, newJob(), nowMs)).rejects.toThrow('abc-0-M000 is the name of another job')
    }
    expect(await keys()).toEqual(before)
    expect((await openJournal(place, 'abc-0-M000')).record.createdAt).toBe(NOW)
  })

  it('that cannot be read is not said to be incomplete', async () => {
    await createJournal(place, newJob(), NOW)
    vi.spyOn(memory, 'get').mockRejectedValueOnce(new RangeError('no access'))
    await expect(readPlan(place, 'abc-0-M000', 0)).rejects.toThrow('no access')
  })

  it('of another format is not read', async () => {
    await createJournal(place, newJob(), NOW)
    const { record } = await openJournal(place, 'abc-0-M000')
    await memory.put('b', jobFile('abc-0-M000'), Buffer.from(JSON.stringify({ ...record, version: 2 })))
    await expect(openJournal(place, 'abc-0-M000')).rejects.toThrow('of format 2, this quern reads 1')
  })

  it('is there when all of it is', async () => {
    const put = memory.put.bind(memory)
    for (const [i, missing] of ['job.json', 'functions/M000', 'plan.jsonl', 'outputs.json', 'driver.json'].entries()) {
      vi.spyOn(memory, 'put').mockImplementation((bucket, key, ...rest) =>
        key.endsWith(missing) ? Promise.reject(new RangeError(missing)) : put(bucket, key, ...rest),
      )
      const making = createJournal(place, newJob({ executorId: `abc-${i}`, outputs: {} }), NOW)
      await expect(making).rejects.toThrow(missing)
    }
  })

  it('is not made where another driver has come to its name', async () => {
    const lease = await DriverLease.create(place, 'abc-0-M000', NOW)
    await expect(createJournal(place, newJob(), NOW)).rejects.toThrow('abc-0-M000 has a driver already')
    expect(await lease?.renew(NOW)).toBe(true)
  })

  it('keeps no secret; who resumes must have them', async () => {
    const names = ['DB_PASSWORD', 'apiToken', 'aws_secret', 'MY_KEY', 'GCP_CREDENTIALS']
    const env = { ...Object.fromEntries(names.map((name, i) => [name, `hush-${i}`])), LEVEL: 'info' }
    const job = newJob({}, env)
    const [[, fn] = []] = job.functions
    const functions = new Map([...job.functions, ['R000', fn as StoredFunction]])
    await createJournal(place, { ...job, functions }, NOW)
    for (const key of await keys()) {
      const { body } = await memory.get('b', key)
      expect(Buffer.concat(await collected(body)).toString('latin1')).not.toContain('hush')
    }
    const { record } = await openJournal(place, 'abc-0-M000')
    const some = { DB_PASSWORD: 'hush-1', MY_KEY: 'other' }
    const missing = /given apiToken, aws_secret, GCP_CREDENTIALS in extraEnv.*set them/
    await expect(readFunction(place, record, 'M000', some)).rejects.toThrow(missing)
    const { LEVEL: _, apiToken: __, ...allButOne } = env as Record<string, string>
    await expect(readFunction(place, record, 'M000', allButOne)).rejects.toThrow(
      /given apiToken in extraEnv.*set it in/,
    )
    for (const MY_KEY of ['other', '']) {
      const { head } = await readFunction(place, record, 'M000', { ...env, MY_KEY })
      expect(head.extraEnv).toEqual({ ...env, MY_KEY })
    }
  })

  it('of a map-reduce is found by the name of its map too', async () => {
    const parts = [
      { jobId: 'M003', kind: 'map' as const, title: 'f', calls: 3, settings: {} },
      { jobId: 'R003', kind: 'reduce' as const, title: 'g', calls: 1, settings: {}, reduce: { byKey: false } },
    ]
    await createJournal(place, newJob({ parts }), NOW)
    expect(await findJob(place, 'abc-0-M003')).toBe('abc-0-R003')
    expect(await findJob(place, 'abc-0-R003')).toBe('abc-0-R003')
    for (const other of ['abc-0-M004', 'abc-0-A003']) {
      await expect(findJob(place, other)).rejects.toBeInstanceOf(NotFoundError)
    }
    await expect(openJournal(place, 'abc-0-M004')).rejects.toThrow('no such job')
  })

  it.each([
    ['job.json alone', (key: string) => key.endsWith('job.json')],
    ['no driver', (key: string) => key !== driverFile('abc-0-M000')],
    ['no claim', (key: string) => key !== jobFile('abc-0-M000')],
  ])('that was left while it was written (%s) says so, and can be cleaned', async (_, stays) => {
    await createJournal(place, newJob(), NOW)
    const gone = (await keys()).filter((key) => !stays(key))
    expect(gone).not.toEqual([])
    await memory.delete('b', gone)
    await expect(openJournal(place, 'abc-0-M000')).rejects.toThrow(/cannot be resumed.*had not begun/)
    expect(await listJobs(place)).toMatchObject([{ name: 'abc-0-M000', state: 'unbegun' }])
    await deleteJob(place, 'abc-0-M000')
    expect(await keys()).toEqual([])
  })

  it.each([functionFile('abc-0-M000', 'M000'), planFile('abc-0-M000', 0), outputsKey('abc-0-M000')])(
    'without %s says so',
    async (missing) => {
      await createJournal(place, newJob({ outputs: {} }), NOW)
      const around = { nowMs: NOW, isRunning: () => false }
      expect(await listJobs(place, around)).toMatchObject([{ state: 'interrupted' }])
      await memory.delete('b', [missing])
      expect(await listJobs(place, around)).toMatchObject([{ state: 'unbegun' }])
      expect(await listJobs(place, { ...around, isRunning: () => true })).toMatchObject([{ state: 'running' }])
      const read = async () => {
        const { record } = await openJournal(place, 'abc-0-M000')
        await readFunction(place, record, 'M000', {})
        await readPlan(place, record.name, 0)
        await readOutputs(place, record, 0)
      }
      await expect(read()).rejects.toThrow(/cannot be resumed.*had not begun/)
    },
  )
})

describe('the list of jobs', () => {
  const around = { nowMs: NOW, isRunning: () => true }

  it('says state, calls, commits and size of each', async () => {
    const lease = await createJournal(place, newJob(), NOW)
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    await commitEnd(at, '00000', callEnd(Buffer.from('x')))
    await commitEnd({ ...at, series: 'M000.1' }, '00000', callEnd(Buffer.from('x')))
    await memory.put('b', 'quern.jobs/tmp/other', Buffer.from('x'))
    const [job, ...others] = await listJobs(place, around)
    expect(others).toEqual([])
    expect(job).toMatchObject({
      name: 'abc-0-M000',
      state: 'running',
      title: 'f',
      calls: 3,
      committed: 1,
      createdAt: NOW,
    })
    let bytes = 0
    for await (const page of memory.list('b', { prefix: 'quern.jobs/abc' })) for (const { size } of page) bytes += size
    expect(job?.bytes).toBe(bytes)
    await lease.end('failed', NOW, 'why')
    expect(await listJobs(place, around)).toMatchObject([{ state: 'failed', error: 'why' }])
  })

  it('counts the parts of divided calls, and not that they were divided; says what was set aside', async () => {
    const lease = await createJournal(place, newJob(), NOW)
    const at = { ...place, name: 'abc-0-M000', series: 'M000' }
    const log = new DivisionLog(place, { name: 'abc-0-M000', epoch: 1 })
    const listed = async () => {
      const [{ calls, committed, quarantined } = {} as JobInfo] = await listJobs(place, around)
      return { calls, committed, quarantined }
    }
    await log.record({ parent: 0, at: 5, child: 3 })
    expect(await listed()).toEqual({ calls: 4, committed: 0, quarantined: undefined })
    await commitDivision(at, '00000', 5)
    await commitEnd(at, '00000.to-5', callEnd(Buffer.from('x')))
    expect(await listed()).toEqual({ calls: 4, committed: 1, quarantined: undefined })
    await lease.end('succeeded', NOW, undefined, 2)
    expect(await listed()).toEqual({ calls: 4, committed: 1, quarantined: 2 })
  })

  it('a driver that is gone, or silent, leaves an interrupted job', async () => {
    await createJournal(place, newJob(), NOW)
    expect(await listJobs(place, { ...around, isRunning: () => false })).toMatchObject([{ state: 'interrupted' }])
    expect(await listJobs(place, { ...around, nowMs: NOW + 59_999 })).toMatchObject([{ state: 'running' }])
    expect(await listJobs(place, { ...around, nowMs: NOW + 60_000 })).toMatchObject([{ state: 'interrupted' }])
  })

  it('is empty where there is no bucket, and removing what is gone is no error', async () => {
    const nowhere = { backend: memory, bucket: 'nowhere' }
    expect(await listJobs(nowhere)).toEqual([])
    await deleteJob(place, 'abc-0-M000')
    await createJournal(place, newJob(), NOW)
    await createJournal(place, newJob({ executorId: 'abc-00' }), NOW)
    await deleteJob(place, 'abc-0-M000')
    expect((await listJobs(place)).map(({ name }) => name)).toEqual(['abc-00-M000'])
  })
})
