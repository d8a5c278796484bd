/** S3 under whole jobs: a network that breaks bodies and a server that is busy; credentials that appear nowhere. */
import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { afterEach, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import { mergeCounts } from '../../reducers/index.ts'
import { FunctionExecutor, type ObjectPartition, objects, type TaskContext } from '../../src/entry/index.ts'
import { WorkerPool } from '../../src/pool/pool.ts'
import { openStore, s3Section } from '../support/backends-under-test.ts'
import { startFaultProxy } from '../support/fault-proxy.ts'

const server = inject('s3')
const port = Number(server.endpoint.split(':').at(-1))

async function countWords(part: ObjectPartition) {
  const counts = new Map<string, number>()
  for await (const lines of part.lineBatches()) {
    for (const line of lines) for (const word of line.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}

if (server.kind === 'none') console.warn('test/scenarios/s3.test.ts is skipped: no S3 server')

describe.skipIf(server.kind === 'none')(`a network that breaks before S3 (${server.kind})`, () => {
  const LINES = 40_000
  const text = Array.from({ length: LINES }, (_, i) => `w${(i * 7919) % 1000} w${i % 37} ${'~'.repeat(i % 90)}`).join(
    '\n',
  )
  const expected = new Map<string, number>()
  for (const word of text.split(/[ \n]/)) expected.set(word, (expected.get(word) ?? 0) + 1)
  let bucket: string

  beforeAll(async () => {
    const store = await openStore('aws_s3', server)
    bucket = store.exec.storage.bucket
    for (const key of ['0', '1', '2']) await store.put(`text/${key}`, text)
    await store.close()
  })

  // at once: most of their time they wait for their turn, as the server told them to
  it.concurrent.each([1, 2, 3])('leaves the results exact: seed %d', async (seed) => {
    const proxy = await startFaultProxy(port, { seed, rate: 0.5, withinBytes: 150_000 })
    const config = { quern: { storage: 'aws_s3' }, aws_s3: s3Section(server, bucket, `http://127.0.0.1:${proxy.port}`) }
    const exec = new FunctionExecutor({ config, maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
    try {
      const source = objects(`s3://${bucket}/text/`)
      const job = exec.mapReduce(countWords, source, mergeCounts(), { objChunkSize: 300_000 })
      expect(await job).toEqual(new Map([...expected].map(([word, n]) => [word, 3 * n])))
      const { complete, objects: certified } = await job.certificate()
      expect(complete).toBe(true)
      expect(certified.map(({ deliveredBytes, records }) => [deliveredBytes, records])).toEqual(
        Array.from({ length: 3 }, () => [Buffer.byteLength(text), LINES]),
      )
      for (const fault of ['busy', 'cut', 'reset'] as const) expect(proxy.dealt[fault], fault).toBeGreaterThan(0)
    } finally {
      await exec.shutdown()
      await proxy.close()
    }
  })
})

describe.skipIf(server.kind === 'none')(`S3 credentials (${server.kind})`, () => {
  const secrets = [server.accessKeyId, server.secretAccessKey]
  const leaks = (text: string) => secrets.filter((secret) => text.includes(secret))
  const everything = (value: unknown) => inspect(value, { depth: 20, showHidden: true, maxArrayLength: null })
  afterEach(() => vi.restoreAllMocks())

  it('appear in no argument, environment, payload, plan, log or error, nor in what is shown of an executor', async () => {
    const submitted = vi.spyOn(WorkerPool.prototype, 'submit')
    const store = await openStore('aws_s3', server)
    const { exec, base } = store
    await store.put('k', 'one\ntwo\n')
    const tell = async (part: ObjectPartition, task: TaskContext) => {
      console.log(await part.text(), process.argv, process.execArgv, process.env, task, part)
      return process.pid
    }
    const job = exec.map(tell, objects(`${base}/k`), { objChunkNumber: 2 })
    const pids = [...new Set(await job)]
    expect(pids.length).toBeGreaterThan(0)
    for (const pid of process.platform === 'linux' ? pids : []) {
      for (const file of ['cmdline', 'environ']) {
        const text = readFileSync(`/proc/${pid}/${file}`, 'latin1')
        expect(text.length).toBeGreaterThan(0)
        expect(leaks(text), file).toEqual([])
      }
    }
    const [first] = await job.futures()
    expect(first?.logs).toContain('one')
    expect(leaks(first?.logs ?? '')).toEqual([])
    const payloads = submitted.mock.calls.map(([{ shared, payload }]) => Buffer.concat([shared.bytes, payload]))
    expect(payloads.length).toBeGreaterThan(0)
    expect(leaks(Buffer.concat(payloads).toString('latin1'))).toEqual([])
    expect(leaks(JSON.stringify(await job.planned()))).toEqual([])
    const shown = [exec, job, first, exec.storage, await job.planned(), await job.certificate(), await first?.status()]
    for (const each of shown) expect(leaks(everything(each))).toEqual([])
    await store.close()
  })

  it('appear in no error: of a configuration, of the driver, of a call', async () => {
    const store = await openStore('aws_s3', server)
    const { exec, base } = store
    await store.put('k', 'one\ntwo\n')
    const plan = await exec.plan(objects(`${base}/k`))
    await store.put('k', 'changed')
    const errors = await Promise.all(
      [
        exec.plan(objects('s3://quern-no-such-bucket/k')),
        exec.map(async (part: ObjectPartition) => part.text(), plan),
        exec.storage.getObject('quern-no-such-bucket', 'k'),
        exec.callAsync(async (_: number, task: TaskContext) => task.storage.getObject('quern-no-such-bucket', 'k'), 1),
      ].map((each) => Promise.resolve(each).then(undefined, (error: unknown) => error)),
    )
    for (const error of errors) {
      expect(error).toBeInstanceOf(Error)
      expect(leaks(everything(error))).toEqual([])
    }
    const section = s3Section(server, 'b')
    const misfits = [
      { ...section, regoin: 'x' },
      { ...section, region: 7 },
      { ...section, accessKeyId: [section.accessKeyId] },
    ]
    for (const aws_s3 of misfits) {
      const open = () => new FunctionExecutor({ config: { quern: { storage: 'aws_s3' }, aws_s3 } })
      expect(open).toThrow(/aws_s3/)
      try {
        open()
      } catch (error) {
        expect(leaks(everything(error))).toEqual([])
      }
    }
    await store.close()
  })
})
