/** Which jobs keep a journal, what is in it, and when it goes. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FunctionExecutor, type Job, objects } from '../../src/entry/index.ts'
import type { ExecutorOptions, MapOptions } from '../../src/executor/options.ts'

let folder: string
const executors: FunctionExecutor[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'quern-durable-'))
  writeFileSync(join(folder, 'a.txt'), '1\n2\n')
  writeFileSync(join(folder, 'b.txt'), '3\n')
})

afterEach(async () => {
  vi.restoreAllMocks()
  for (const exec of executors.splice(0)) await exec.shutdown()
  rmSync(folder, { recursive: true, force: true })
})

function executor(options: ExecutorOptions = {}): FunctionExecutor {
  const store = { storageRoot: join(folder, 'store'), storageBucket: 'jobs' }
  const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false, ...store, ...options })
  executors.push(exec)
  return exec
}

/** Everything in the journals, as paths. */
function journal(): string[] {
  const jobs = join(folder, 'store/jobs/quern.jobs')
  if (!existsSync(jobs)) return []
  const found = readdirSync(jobs, { recursive: true, withFileTypes: true })
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

function lengths(exec: FunctionExecutor, options?: MapOptions): Job<number[], number> {
  return exec.map(async (part) => (await part.text()).length, objects(join(folder, '*.txt')), options)
}

describe('a job is durable', () => {
  it.each<[string, ExecutorOptions, MapOptions, boolean]>([
    ['over objects by default', {}, {}, true],
    ['over objects unless it is not to be', {}, { durable: false }, false],
    ['not in memory by default', { storage: 'memory' }, {}, false],
    ['in memory where that is asked for', { storage: 'memory' }, { durable: true }, true],
    ['elsewhere where that is named', { storage: 'memory' }, { journalStorage: 'localhost://jobs' }, true],
  ])('%s', async (_, options, settings, durable) => {
    const exec = executor(options)
    const job = lengths(exec, settings)
    expect(await job).toEqual([4, 2])
    expect(job.durable).toBe(durable)
    const { storage } = exec
    const keys: string[] = []
    if (options.storage === 'memory' && settings.durable === true)
      for await (const key of storage.listKeys(storage.bucket, { prefix: 'quern.jobs/' })) keys.push(key)
    expect(journal().length + keys.length > 0).toBe(durable)
  })

  it('over items where that is asked for', async () => {
    const exec = executor()
    expect(await exec.map((n: number) => n + 1, [1, 2])).toEqual([2, 3])
    expect(journal()).toEqual([])
    const job = exec.map((n: number) => n + 1, [1, 2], { durable: true })
    expect(await job).toEqual([2, 3])
    expect(journal().filter((path) => path.endsWith('/items'))).toHaveLength(1)
  })

  it('only where workers see its storage, else that is an error, or a warning', async () => {
    const exec = executor({ storage: 'memory', backend: 'threads', maxWorkers: 1 })
    const refused = exec.map((n: number) => n, [1], { durable: true })
    await expect(Promise.resolve(refused)).rejects.toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(/memory storage is seen by this process only.*journalStorage/),
    })
  })

  it('not where no bucket is configured, which is told once', async () => {
    const said = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const exec = executor({ storage: 'aws_s3', storageBucket: undefined, logLevel: 'warn' })
    for (const _ of [1, 2]) {
      const job = lengths(exec)
      expect(await job).toEqual([4, 2])
      expect(job.durable).toBe(false)
    }
    const warnings = said.mock.calls.map(([text]) => String(text)).filter((text) => text.includes('not durable'))
    expect(warnings).toHaveLength(1)
    expect(warnings[0]).toMatch(/no bucket is configured for storage aws_s3.*journalStorage.*durable: false/)
    await expect(Promise.resolve(lengths(exec, { durable: true }))).rejects.toMatchObject({ code: 'CONFIG' })
  })

  it.each<[unknown, RegExp]>([
    [{ durable: 'yes' }, /durable: expected/],
    [{ journalStorage: 's3:bucket' }, /journalStorage: expected a bucket, as one of 's3:\/\/bucket'/],
    [{ journalStorage: 'http://host' }, /journalStorage: expected a bucket/],
    [{ journalStorage: 's3://bucket/prefix' }, /journalStorage: expected a bucket/],
    [{ journalStorage: 's3://bucket', durable: false }, /journalStorage: expected none beside durable: false/],
  ])('%j is refused at once', (options, message) => {
    expect(() => lengths(executor(), options as MapOptions)).toThrow(message)
  })
})

describe('a journal', () => {
  it('is not begun by a job that cannot be planned', async () => {
    const exec = executor()
    const job = exec.map((part) => part.text(), objects(join(folder, 'none-*')))
    await expect(Promise.resolve(job)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(journal()).toEqual([])
  })

  it('goes at shutdown when the job succeeded and was read, and stays when it was not', async () => {
    const [read, unread] = [executor(), executor()]
    await lengths(read)
    const job = lengths(unread)
    await unread.wait(job)
    await read.shutdown()
    await unread.shutdown()
    expect(journal().length).toBeGreaterThan(0)
    for (const path of journal()) expect(path).toContain(job.name)
    const later = executor()
    expect(await later.resume(job.name)).toEqual([4, 2])
    await later.shutdown()
    expect(journal()).toEqual([])
  })

  it('of a job that failed is gone on with when what was wrong is put right', async () => {
    const gate = join(folder, 'gate')
    const flaky = async (n: number, path: string) => {
      const { appendFileSync, existsSync: isThere } = await import('node:fs')
      appendFileSync(`${path}.ran`, `${n} `)
      if (n === 2 && !isThere(path)) throw new Error('not yet')
      return n * n
    }
    const exec = executor()
    const job = exec.map(flaky as never, [1, 2, 3], { durable: true, extraArgs: [gate] } as never)
    await expect(Promise.resolve(job)).rejects.toMatchObject({ code: 'JOB' })
    await exec.shutdown()
    const later = executor()
    expect(await later.jobs()).toMatchObject([{ name: job.name, state: 'failed', calls: 3, committed: 2 }])
    writeFileSync(gate, '')
    expect(await later.replay(job.name, '00001')).toBe(4)
    expect(await later.resume(job.name)).toEqual([1, 4, 9])
    // tried, tried again by the replay, run by the resume
    expect(readFileSync(`${gate}.ran`, 'utf8')).toBe('1 2 3 2 2 ')
  })

  it.each([
    ['durable', { durable: true }, 1, 0],
    ['not durable', { durable: false }, 0, 0],
    ['with an output in its commit', { output: 'localhost://jobs/out/' }, 2, 0],
    ['with an output beside its commit', { output: 'localhost://jobs/out/' }, 4, 300_000],
  ])('its requests are in the statistics (%s)', async (_, options, puts, size) => {
    const write = async (part: { text(): Promise<string> }, bytes: number) => `${await part.text()}${'x'.repeat(bytes)}`
    const exec = executor()
    const job = exec.map(write as never, objects(join(folder, 'a.txt')), { extraArgs: [size], ...options } as never)
    await job
    const [future] = await job.futures()
    const requests = future?.stats.worker?.requests?.localhost
    expect(requests?.put ?? 0).toBe(puts)
    expect(job.stats.requests.put).toBe(puts)
    expect((requests?.bytesSent ?? 0) > size).toBe(puts > 0)
  })

  it('has what a retry asks: a resume asks it too', async () => {
    const ran = join(folder, 'ran')
    const failing = async (what: string, path: string) => {
      const { appendFileSync } = await import('node:fs')
      appendFileSync(path, `${what} `)
      throw new Error(what)
    }
    const passing = 'again'
    const retries = { retries: 2, backoff: 1, retryIf: (error: Error) => error.message.includes(passing) }
    const exec = executor()
    const options = { durable: true, extraArgs: [ran], retries, chunksize: 1 }
    const job = exec.map(failing as never, ['never', 'again'], options as never)
    await expect(Promise.resolve(job)).rejects.toMatchObject({ code: 'JOB' })
    await exec.shutdown()
    const times = () => readFileSync(ran, 'utf8').trim().split(' ').sort()
    expect(times()).toEqual([...Array(3).fill('again'), 'never'])
    writeFileSync(ran, '')
    await expect(Promise.resolve(executor().resume(job.name))).rejects.toMatchObject({ code: 'JOB' })
    expect(times()).toEqual([...Array(3).fill('again'), 'never'])
  })

  it('what a retry asks and cannot travel is refused where the job is to be durable, else told', async () => {
    const seen = new WeakSet<Error>()
    const retries = { retries: 1, retryIf: (error: Error) => !seen.has(error) }
    await expect(Promise.resolve(lengths(executor(), { durable: true, retries }))).rejects.toMatchObject({
      code: 'SERIALIZATION',
      message: expect.stringContaining('retries.retryIf'),
    })
    const warned = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const job = lengths(executor(), { retries })
    expect(await job).toEqual([4, 2])
    expect(job.durable).toBe(false)
    expect(warned.mock.calls.join('')).toMatch(/M000 is not durable: .*retries\.retryIf/)
    expect(journal()).toEqual([])
  })

  it('has large results beside their commits', async () => {
    const exec = executor()
    const job = exec.map((n: number) => Buffer.alloc(n), [10, 300_000], { durable: true })
    const name = (await job.futures()) && job.name
    await exec.wait(job)
    expect(journal().filter((path) => path.includes('/attempts/'))).toHaveLength(1)
    await exec.shutdown()
    const [small, large] = (await executor().resume(name)) as Buffer[]
    expect([small?.length, large?.length]).toEqual([10, 300_000])
  })

  it('holds no secret, and who runs it again is told which it needs', async () => {
    const exec = executor()
    const tell = () => process.env.QUERN_TEST_TOKEN ?? 'none'
    const job = exec.map(tell, [1], { durable: true, extraEnv: { QUERN_TEST_TOKEN: 'hush', LEVEL: 'info' } })
    await exec.wait(job)
    const texts = journal().filter((path) => !path.includes('/commits/'))
    expect(texts.length).toBeGreaterThan(3)
    for (const path of texts) expect(readFileSync(path, 'latin1')).not.toContain('hush')
    await exec.shutdown()
    await expect(executor().replay(job.name, '00000')).rejects.toThrow(/QUERN_TEST_TOKEN.*no journal keeps/)
    const again = Promise.resolve(executor().resume(job.name, { useNewCode: true }))
    await expect(again).rejects.toThrow(/QUERN_TEST_TOKEN.*no journal keeps/)
    // to read what there is takes no secret
    const later = executor()
    await later.wait(later.resume(job.name))
    process.env.QUERN_TEST_TOKEN = 'given anew'
    try {
      expect(await executor().replay(job.name, '00000')).toBe('given anew')
    } finally {
      delete process.env.QUERN_TEST_TOKEN
    }
  })

  it.each<[string, RegExp]>([
    ['nonsense', /expected the name of a map or mapReduce/],
    ['abc-0-A000', /expected the name of a map or mapReduce/],
  ])('%s names none', (name, message) => {
    expect(() => executor().resume(name)).toThrow(message)
  })
})

describe('a replay', () => {
  it('says what it cannot find, and saves what it reads', async () => {
    const exec = executor()
    const job = lengths(exec)
    await exec.wait(job)
    await expect(exec.replay(job.name, '00007')).rejects.toThrow(/one of the 2 calls/)
    await expect(exec.replay(job.name, 'x')).rejects.toThrow(/expected a call id/)
    await expect(exec.replay('abc-0-M000', '00000')).rejects.toThrow('no such job')
    const saved = join(folder, 'saved')
    expect(await exec.replay(job.name, '00001', { saveFixture: saved })).toBe(2)
    expect(readFileSync(join(saved, `${job.name}-00001.input`), 'utf8')).toBe('3\n')
    const test = readFileSync(join(saved, `${job.name}-00001.test.ts`), 'utf8')
    expect(test).toContain('const map = async (part) =>')
    expect(test).toContain(`./${job.name}-00001.input`)
    writeFileSync(join(folder, 'b.txt'), '4\n')
    await expect(exec.replay(job.name, 1)).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
  })

  it('of a reduce whose maps were divided reads those of the parts, without what was set aside', async () => {
    writeFileSync(join(folder, 'a.txt'), '1\n2\nbad\n4\n5\n')
    const exec = executor()
    const map = async (part: { text(): Promise<string> }) => {
      const lines = (await part.text()).trim().split('\n')
      if (lines.includes('bad')) throw new RangeError('bad')
      return lines.map(Number)
    }
    const reduce = (lists: number[][], task: { failedInputs: readonly string[] }) => [
      lists.flat(),
      task.failedInputs.length,
    ]
    const job = exec.mapReduce(map as never, objects(join(folder, 'a.txt')), reduce as never, { onFailure: 'bisect' })
    await exec.wait(job)
    expect(await job).toEqual([[1, 2, 4, 5], 1])
    expect(await exec.replay(job.name, '00000')).toEqual([[1, 2, 4, 5], 1])
    const [{ callId } = { callId: '' }] = await job.quarantined()
    await expect(exec.replay(job.name.replace('R000', 'M000'), callId)).rejects.toThrow('bad')
  })

  it('of a reduce reads the results of its maps', async () => {
    const exec = executor()
    const sum = (lists: number[]) => lists.reduce((a, b) => a + b, 0)
    const job = exec.mapReduce((n: number) => n * 2, [1, 2, 3], sum, { durable: true })
    await exec.wait(job)
    expect(await exec.replay(job.name, '00000')).toBe(12)
    expect(await exec.replay(job.name.replace('R000', 'M000'), '00002')).toBe(6)
  })
})
