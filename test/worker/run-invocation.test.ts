import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { decodeValue, encodeValue } from '../../src/functions/codec.ts'
import { decodeError } from '../../src/functions/error-codec.ts'
import {
  type CallInput,
  type CallSpec,
  encodeCalls,
  encodeFeed,
  encodeJob,
  type Feed,
  type JobHead,
  type Report,
} from '../../src/job/messages.ts'
import { decodeReports } from '../../src/job/report-bytes.ts'
import { loadJob } from '../../src/worker/loaded-job.ts'
import type { WorkerServices } from '../../src/worker/run-call.ts'
import { InvocationRun } from '../../src/worker/run-invocation.ts'

const SERVICES: WorkerServices = {
  resolveBackend: async (name) => {
    throw new Error(`no store ${name} in this test`)
  },
  openStorage: (reference) => reference as never,
}

let writes: Report[][]
beforeEach(() => {
  writes = []
})
afterEach(() => {
  vi.restoreAllMocks()
})

describe('an invocation', () => {
  it('runs its calls in order, each started before its code and ended before the next', async () => {
    await run('(x, task) => [x * 2, task.callId, task.index]', items(1, 2, 3))
    expect(told()).toEqual(['started 0', 'succeeded 0', 'started 1', 'succeeded 1', 'started 2', 'succeeded 2'])
    expect(results()).toEqual([
      [2, '00000', 0],
      [4, '00001', 1],
      [6, '00002', 2],
    ])
  })

  it('costs one write per call, and one for the last end', async () => {
    // a slow call would add a turn of the event loop, and with it a write
    vi.spyOn(performance, 'now').mockReturnValue(0)
    await run('() => 0', items(1, 2, 3))
    expect(writes.map((reports) => reports.length)).toEqual([1, 2, 2, 1])
  })

  it('passes extra arguments before the task, fresh for every call', async () => {
    const text = '(x, list, task) => { list.push(x); return [...list, task.attempt] }'
    await run(text, items('a', 'b'), { extraArgs: [['given']] })
    expect(results()).toEqual([
      ['given', 'a', 1],
      ['given', 'b', 1],
    ])
  })

  it('goes on after a call that fails', async () => {
    await run('(x) => { if (x === 1) throw new RangeError("one is too few"); return x }', items(1, 2))
    expect(told()).toEqual(['started 0', 'failed 0', 'started 1', 'succeeded 1'])
    expect(failure(0)).toMatchObject({ name: 'RangeError', message: 'one is too few' })
  })

  it.each([
    ['a function', '() => () => 1'],
    ['a throwing getter', '() => ({ get broken() { throw new Error("no") } })'],
    ['a symbol inside', '() => ({ deep: [Symbol("s")] })'],
  ])('fails only the call that returned %s', async (_what, text) => {
    await run(`(x, task) => x === 0 ? 1 : (${text})()`, items(0, 1, 0))
    expect(told().filter((line) => !line.startsWith('started'))).toEqual(['succeeded 0', 'failed 1', 'succeeded 2'])
    expect(failure(1)).toMatchObject({ code: 'SERIALIZATION', message: expect.stringContaining('M000/00001') })
  })

  it('fails the call whose argument cannot be decoded, and no other', async () => {
    const calls = items(1, 2)
    ;(calls[0] as { input: CallInput }).input = { type: 'item', value: Buffer.from('garbage') }
    await run('(x) => x', calls)
    expect(told()).toEqual(['started 0', 'failed 0', 'started 1', 'succeeded 1'])
  })

  it('fails every call when the function cannot be loaded', async () => {
    await run('(x) => {{{', items(1, 2))
    expect(told()).toEqual(['started 0', 'failed 0', 'started 1', 'failed 1'])
  })

  it('takes null and undefined as results like any other', async () => {
    await run('(x) => x', items(null, undefined))
    expect(results()).toEqual([null, undefined])
  })

  it('sets extraEnv for its calls and restores what was there', async () => {
    process.env.QUERN_TEST_KEPT = 'before'
    delete process.env.QUERN_TEST_NEW
    const extraEnv = { QUERN_TEST_KEPT: 'inside', QUERN_TEST_NEW: 'new' }
    await run('() => [process.env.QUERN_TEST_KEPT, process.env.QUERN_TEST_NEW]', items(1), { head: { extraEnv } })
    expect(results()).toEqual([['inside', 'new']])
    expect([process.env.QUERN_TEST_KEPT, process.env.QUERN_TEST_NEW]).toEqual(['before', undefined])
    delete process.env.QUERN_TEST_KEPT
  })

  it('logs by task.log, in the call', async () => {
    await run('(x, task) => { task.log.info("seen", { x }); task.log.error("bad") }', items(7))
    expect(reports().filter(({ type }) => type === 'log')).toEqual([
      { type: 'log', call: 0, text: 'seen { x: 7 }\n', stream: 'stdout' },
      { type: 'log', call: 0, text: 'error: bad\n', stream: 'stderr' },
    ])
  })

  it('has no running call once a call has ended: what its leftovers print is not its log', async () => {
    const text =
      '(x) => { setImmediate(() => globalThis.quernTestLook()); const u = performance.now() + 60; while (performance.now() < u); }'
    const seen: unknown[] = []
    const look = Object.assign(globalThis, { quernTestLook: () => seen.push(running.run.running) })
    const running = start(text, items(1, 2))
    await running.ended
    await until(() => seen.length === 2)
    expect(seen).toEqual([undefined, undefined])
    Reflect.deleteProperty(look, 'quernTestLook')
  })

  it('gives the executor’s storage when it is asked for', async () => {
    await run('(x, { storage, executorId, jobId }) => [storage.bucket, executorId, jobId]', items(1))
    expect(results()).toEqual([['b', 'e-0', 'M000']])
  })

  it('fails a partition call whose store cannot be opened', async () => {
    const object = { backend: 'nowhere', bucket: 'b', key: 'k', size: 1, etag: '', url: 'nowhere://b/k' }
    const input: CallInput = {
      type: 'partition',
      partition: { object, range: { start: 0, end: 1 }, index: 0, count: 1 },
    }
    await run('(part) => part.bytes()', [{ call: 0, attempt: 1, input }], { head: { read: { objNewline: '\n' } } })
    expect(failure(0).message).toContain('no store nowhere')
  })
})

describe('an abort', () => {
  it('aborts the signal of the running call with its reason, and leaves out the calls after it', async () => {
    const text = `(x, task) => new Promise((resolve) => {
      task.log.info('up')
      task.signal.addEventListener('abort', () => resolve([task.signal.reason.code, task.signal.reason.message]))
    })`
    const running = start(text, items(1, 2))
    await until(() => told().includes('log 0'))
    running.run.feed(encodeFeed({ type: 'abort', reason: 'no longer wanted' }))
    await running.ended
    expect(told()).toEqual(['started 0', 'log 0', 'succeeded 0'])
    expect(results()).toEqual([['CANCELLED', 'no longer wanted']])
  })

  it('keeps the function from beginning while it is still being loaded', async () => {
    const running = start('(x, task) => { task.log.info("began") }', items(1, 2))
    running.run.feed(encodeFeed({ type: 'abort', reason: 'too late' }))
    await running.ended
    expect(told()).toEqual(['started 0', 'failed 0'])
    expect(failure(0)).toMatchObject({ code: 'CANCELLED', message: 'too late' })
  })

  it('is seen in a long batch of calls that never wait', async () => {
    const text = '() => { const until = performance.now() + 2; while (performance.now() < until); }'
    const running = start(text, items(...Array.from({ length: 500 }, (_, i) => i)))
    setImmediate(() => running.run.feed(encodeFeed({ type: 'abort', reason: 'enough' })))
    await running.ended
    expect(told().length).toBeGreaterThan(0)
    expect(told().length).toBeLessThan(1_000)
  })

  it('ends a reducer that waits for inputs', async () => {
    const running = start('(all) => all', reduceOf(2), { head: { kind: 'reduce' } })
    await until(() => told().includes('started 0'))
    running.run.feed(encodeFeed({ type: 'abort', reason: 'map failed' }))
    await running.ended
    expect(failure(0)).toMatchObject({ code: 'CANCELLED', message: 'map failed' })
  })
})

describe('a reduce call', () => {
  it('gives a function all results in plan order, absent ones left out and named', async () => {
    const feeds: Feed[] = [fed(2, 'c'), { type: 'absent', index: 1, callId: '00001' }, fed(0, 'a')]
    await reduce('(results, task) => [results, task.failedInputs, task.object?.key]', feeds)
    expect(results()).toEqual([[['a', 'c'], ['00001'], 'k']])
  })

  it('runs once on nothing', async () => {
    await reduce('(results) => results.length', [])
    expect(results()).toEqual([0])
  })

  it('folds with a Reducer as inputs come, and asks for more', async () => {
    const running = start('', reduceOf(3), { head: { kind: 'reduce', reducer: true, fn: joining(false) } })
    await until(() => told().includes('started 0'))
    running.run.feed(encodeFeed(fed(0, 'a')))
    running.run.feed(encodeFeed(fed(1, 'b')))
    await until(() => told().includes('consumed 0'))
    expect(reports().at(-1)).toMatchObject({ type: 'consumed', consumed: 2 })
    running.run.feed(encodeFeed(fed(2, 'c')))
    await running.ended
    expect(results()).toEqual(['<abc>'])
  })

  it.each([
    ['out of order', [fed(1, 'b'), fed(0, 'a')], /input 0 was fed to the reducer after 1/],
    ['twice', [fed(0, 'a'), fed(0, 'a')], /input 0 was fed to the reducer twice/],
    ['that do not exist', [fed(0, 'a'), fed(7, 'a')], /input 7 was fed to a reducer of 2/],
  ])('refuses inputs %s', async (_what, feeds, message) => {
    await reduce('', feeds as Feed[], { reducer: true, fn: joining(false) })
    expect(failure(0).message).toMatch(message)
  })

  it('takes inputs in any order when its Reducer is commutative', async () => {
    await reduce('', [fed(1, 'b'), fed(0, 'a')], { reducer: true, fn: joining(true) })
    expect(results()).toEqual(['<ba>'])
  })
})

interface RunOptions {
  readonly head?: Partial<JobHead>
  readonly extraArgs?: readonly unknown[]
}

function start(text: string, calls: readonly CallSpec[], { head, extraArgs = [] }: RunOptions = {}) {
  const jobHead: JobHead = {
    protocol: 1,
    executorId: 'e-0',
    jobId: 'M000',
    kind: 'map',
    fn: { kind: 'text', text, name: 'f' },
    extraEnv: {},
    storage: { backend: 'memory', bucket: 'b' },
    ...head,
  }
  const job = loadJob(encodeJob(jobHead, encodeValue(extraArgs)))
  const invocation = new InvocationRun(job, SERVICES, (bytes) => writes.push(decodeReports(bytes)))
  return { run: invocation, ended: invocation.run(encodeCalls(calls)) }
}

async function run(text: string, calls: readonly CallSpec[], options?: RunOptions): Promise<void> {
  await start(text, calls, options).ended
}

async function reduce(text: string, feeds: readonly Feed[], head: Partial<JobHead> = {}): Promise<void> {
  const count = feeds.length
  const running = start(text, reduceOf(count), { head: { kind: 'reduce', ...head } })
  for (const feed of feeds) running.run.feed(encodeFeed(feed))
  await running.ended
}

function items(...values: unknown[]): CallSpec[] {
  return values.map((value, call) => ({ call, attempt: 1, input: { type: 'item', value: encodeValue(value) } }))
}

function reduceOf(count: number): CallSpec[] {
  const object = { backend: 'memory', bucket: 'b', key: 'k', size: 1, etag: '', url: 'memory://b/k' }
  return [{ call: 0, attempt: 1, input: { type: 'results', count, object } }]
}

function fed(index: number, value: unknown): Feed {
  return { type: 'result', index, value: encodeValue(value) }
}

function joining(commutative: boolean): JobHead['fn'] {
  const method = (text: string) => ({ kind: 'text', text, name: 'm' }) as const
  const methods = {
    initial: method('() => ""'),
    add: method('(acc, value) => acc + value'),
    merge: method('(a, b) => a + b'),
    finish: method('(acc) => "<" + acc + ">"'),
  }
  return { kind: 'object', methods, commutative }
}

function reports(): Report[] {
  return writes.flat()
}

function told(): string[] {
  return reports().map(({ type, call }) => `${type} ${call}`)
}

function results(): unknown[] {
  return reports().flatMap((report) => (report.type === 'succeeded' ? [decodeValue(report.result)] : []))
}

function failure(call: number): Error {
  const report = reports().find((one) => one.type === 'failed' && one.call === call)
  if (report?.type !== 'failed') throw new Error(`call ${call} did not fail: ${told()}`)
  return decodeError(report.error)
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
