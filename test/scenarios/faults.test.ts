/** Whole jobs over a store that fails one request in five, through every layer: all results right, few requests wasted. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, objects, type TaskContext } from '../../src/entry/index.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend, processMemory } from '../../src/storage/memory.ts'
import { type FaultyStore, withFaults } from '../../src/storage/with-faults.ts'
import { withHedge } from '../../src/storage/with-hedge.ts'
import { withLimit } from '../../src/storage/with-limit.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { manualClock } from '../support/manual-retry.ts'

const JOBS = 200
const OBJECTS = 3
const FAULTS = { throttle: 0.05, reset: 0.05, error: 0.02, truncate: 0.06, short: 0.02 }

/** The process's memory store for the time of these tests: the one that `memory://` names, behind faults and layers. */
const STORE = Symbol.for('quern.storage.memory')
let exec: FunctionExecutor
let faulty: FaultyStore

beforeAll(async () => {
  const inner = new MemoryBackend()
  await inner.createBucket('faults')
  for (let n = 0; n < OBJECTS; n++) {
    const lines = Array.from({ length: 200 + n }, (_, line) => `${n},${line},${'x'.repeat(line % 40)}\n`)
    await inner.put('faults', `in/${n}.csv`, Buffer.from(lines.join('')))
  }
  faulty = withFaults(layered(inner, {}), { faults: FAULTS, seed: 20 })
  const clock = manualClock()
  const layers = withRetry(withLimit(withHedge(faulty, { clock }), { clock }), { clock })
  // what the composition puts on top counts requests as they were meant, these layers what was sent again
  Object.assign(globalThis, { [STORE]: { ...layers, reach: 'process' } })
  exec = new FunctionExecutor({
    backend: 'inline',
    config: { quern: { storage: 'memory' }, memory: { storageBucket: 'faults' } },
    showProgressbar: false,
    logLevel: 'error',
  })
})

afterAll(async () => {
  await exec.shutdown()
  Object.assign(globalThis, { [STORE]: undefined })
  expect(processMemory()).toBeInstanceOf(MemoryBackend)
})

describe('a store that fails one request in five', () => {
  it(`${JOBS} jobs are all right, with fewer than 1.6 requests for each that was needed`, async () => {
    let [retries, sent] = [0, 0]
    for (let n = 0; n < JOBS; n++) {
      const job = exec.mapReduce(
        async (part) => {
          let [records, bytes] = [0, 0]
          for await (const batch of part.lineBatches()) {
            records += batch.length
            for (const line of batch) bytes += line.length + 1
          }
          return { records, bytes }
        },
        objects('memory://faults/in/*.csv'),
        (results) => ({
          records: results.reduce((sum, { records }) => sum + records, 0),
          bytes: results.reduce((sum, { bytes }) => sum + bytes, 0),
        }),
        { objChunkSize: 1_500 },
      )
      const { records } = await job
      expect(records).toBe(200 + 201 + 202)
      const certificate = await job.certificate()
      expect(certificate.complete).toBe(true)
      const { stats } = job.mapJob
      sent += stats.requests.get
      retries += stats.requests.retries
    }
    const failed = Object.values(faulty.faults).reduce((sum, count) => sum + count, 0)
    expect(failed / faulty.requests).toBeGreaterThan(0.15)
    expect(retries).toBeGreaterThan(0.15 * sent)
    expect((sent + retries) / sent).toBeLessThan(1.6)
    expect(faulty.requests / (faulty.requests - failed)).toBeLessThan(1.6)
  })

  it('what a call asked for stands in its stats, and in those of its job', async () => {
    const job = exec.map(async (part) => part.text(), objects('memory://faults/in/0.csv'), { objChunkNumber: 4 })
    await job
    const futures = await job.futures()
    const counts = futures.map(({ stats }) => stats.worker?.requests?.memory)
    const sum = (of: 'get' | 'retries' | 'bytesReceived') =>
      counts.reduce((total, each) => total + (each?.[of] ?? 0), 0)
    for (const of of ['get', 'retries', 'bytesReceived'] as const) expect(job.stats.requests[of]).toBe(sum(of))
    expect(job.stats.requests.get).toBeGreaterThanOrEqual(4)
    // memory has no price for a request
    expect([job.stats.requestCost, futures[0]?.stats.requestCost]).toEqual([0, 0])
  })

  it('what a function asks task.storage for is counted too', async () => {
    const future = exec.callAsync(async (key: string, task: TaskContext) => {
      await task.storage.putObject('faults', key, 'twelve bytes')
      return (await task.storage.headObject('faults', key)).size
    }, 'out/one')
    expect(await future).toBe(12)
    expect(future.stats.worker?.requests?.memory).toMatchObject({ bytesSent: expect.any(Number) })
    expect(future.stats.worker?.requests?.memory?.put).toBeGreaterThanOrEqual(1)
    expect(future.stats.worker?.requests?.memory?.head).toBeGreaterThanOrEqual(1)
  })
})
