/** What a worker tells while a call runs, and when it stops taking calls. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { encodeValue } from '../../src/functions/codec.ts'
import { encodeCalls, encodeJob, PROTOCOL, type Report } from '../../src/job/messages.ts'
import { decodeReports } from '../../src/job/report-bytes.ts'
import { loadJob } from '../../src/worker/loaded-job.ts'
import { Reporter } from '../../src/worker/reporter.ts'
import type { WorkerServices } from '../../src/worker/run-call.ts'
import { InvocationRun } from '../../src/worker/run-invocation.ts'

const SERVICES: WorkerServices = {
  resolveBackend: async () => {
    throw new Error('no store in this test')
  },
  openStorage: (reference) => reference as never,
}

let told: string[]
let onTold: (told: string) => void

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  told = []
  onTold = () => undefined
})
afterEach(() => {
  vi.useRealTimers()
  Reflect.deleteProperty(globalThis, 'release')
})

/** Runs `text` on as many items. Each call is told as it is reported. */
function run(text: string, count: number, isSpent?: () => boolean): Promise<void> {
  const head = {
    ...{ protocol: PROTOCOL, executorId: 'e-0', jobId: 'M000', kind: 'map', extraEnv: {} },
    fn: { kind: 'text', text, name: 'f' },
    storage: { backend: 'memory', bucket: 'b' },
  } as const
  const job = loadJob(encodeJob(head as never, encodeValue([])))
  const write = (bytes: Uint8Array) => {
    for (const { type, call } of decodeReports(bytes)) {
      told.push(`${type} ${call}`)
      onTold(`${type} ${call}`)
    }
  }
  const calls = Array.from({ length: count }, (_, call) => {
    return { call, attempt: 1, input: { type: 'item', value: encodeValue(call) } } as const
  })
  return new InvocationRun(job, SERVICES, write, isSpent).run(encodeCalls(calls))
}

const started = (name: string) =>
  new Promise<void>((resolve) => {
    onTold = (one) => one === name && resolve()
  })

describe('a call that runs', () => {
  it('is told to be alive once a second, until it ends', async () => {
    const begun = started('started 0')
    const ended = run('() => new Promise((resolve) => { globalThis.release = resolve })', 1)
    await begun
    // the function is loaded and entered
    while (!('release' in globalThis)) await new Promise((resolve) => setImmediate(resolve))
    told.length = 0
    vi.advanceTimersByTime(999)
    expect(told).toEqual([])
    vi.advanceTimersByTime(1)
    vi.advanceTimersByTime(1_000)
    expect(told).toEqual(['alive 0', 'alive 0'])
    ;(globalThis as unknown as { release: () => void }).release()
    await ended
    vi.advanceTimersByTime(10_000)
    expect(told).toEqual(['alive 0', 'alive 0', 'succeeded 0'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('and is short is never told to be', async () => {
    await run('(x) => x', 3)
    expect(told).toEqual(['started 0', 'succeeded 0', 'started 1', 'succeeded 1', 'started 2', 'succeeded 2'])
  })
})

describe('an invocation in a worker that is to be replaced', () => {
  it('ends after the call that ran: the others are lost before they began', async () => {
    let asked = 0
    await run('(x) => x', 4, () => ++asked === 2)
    expect(told).toEqual(['started 0', 'succeeded 0', 'started 1', 'succeeded 1'])
  })
})

const NOTHING = {
  ...{ startedAt: 0, endedAt: 0, runMs: 0, cpuMs: 0, bytesRead: 0, recordsRead: 0, resultBytes: 0, rssBytes: 0 },
}

describe('the reporter', () => {
  const result = (call: number, length: number): Report => ({
    type: 'succeeded',
    call,
    result: Buffer.alloc(length),
    stats: { ...NOTHING, workerPid: 7 },
  })

  it('holds back small ends until the next report, in one write', () => {
    const writes: number[] = []
    const reporter = new Reporter((bytes) => writes.push(decodeReports(bytes).length))
    reporter.defer(result(0, 10))
    reporter.defer(result(1, 10))
    expect(writes).toEqual([])
    reporter.send({ type: 'started', call: 2 })
    reporter.flush()
    expect(writes).toEqual([3])
  })

  it('lets large ones go at once, each in a write of its own', () => {
    const writes: number[][] = []
    const reporter = new Reporter((bytes) => writes.push(decodeReports(bytes).map(({ call }) => call)))
    reporter.defer(result(0, 10))
    reporter.defer(result(1, 2 ** 20))
    expect(writes).toEqual([[0], [1]])
    reporter.defer(result(2, 10))
    expect(writes.length).toBe(2)
    reporter.flush()
    expect(writes.at(-1)).toEqual([2])
  })
})
