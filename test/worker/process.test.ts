import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ComputeBackend } from '../../src/compute/backend.ts'
import { createLocalhostCompute } from '../../src/compute/localhost.ts'
import { decodeValue, encodeValue } from '../../src/functions/codec.ts'
import { decodeError } from '../../src/functions/error-codec.ts'
import { type CallSpec, encodeCalls, encodeJob, type JobHead } from '../../src/job/messages.ts'
import { ChannelMonitor } from '../../src/monitor/channel.ts'
import type { AttemptEvent } from '../../src/monitor/monitor.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { encodeStartup } from '../../src/worker/startup.ts'

let compute: ComputeBackend
let events: AttemptEvent[]
let output: string
const ends = new Map<number, () => void>()
let next = 1

function open(): void {
  events = []
  output = ''
  compute = createLocalhostCompute({
    slots: 1,
    waitingSlots: 1,
    workerEntry: new URL('../../src/entry/worker.ts', import.meta.url),
    startup: encodeStartup({ config: {}, cwd: process.cwd(), argv1: '/the/program.ts' }),
  })
  const monitor = new ChannelMonitor()
  monitor.listen((event) => events.push(event))
  compute.listen({
    onMessage: (id, bytes) => monitor.message(id, bytes),
    onEnd: (id, death) => {
      monitor.ended(id, death)
      ends.get(id)?.()
    },
    onOutput: (text) => {
      output += text
    },
  })
  watch = (id, calls) => monitor.watch(id, 'M000', calls)
}
let watch: (id: number, calls: number[]) => void

async function run(text: string, calls: readonly CallSpec[], head: Partial<JobHead> = {}): Promise<void> {
  const id = next++
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
  const calledIds = calls.map(({ call }) => call)
  watch(id, calledIds)
  const ended = new Promise<void>((resolve) => ends.set(id, resolve))
  const shared = { id: `${id}`, bytes: encodeJob(jobHead, encodeValue([])) }
  await compute.invoke({ id, shared, payload: encodeCalls(calls) })
  await ended
}

function items(...values: unknown[]): CallSpec[] {
  return values.map((value, call) => ({ call, attempt: 1, input: { type: 'item', value: encodeValue(value) } }))
}

function outcome(): string[] {
  return events
    .filter(({ type }) => type === 'succeeded' || type === 'failed' || type === 'lost')
    .map(
      (event) => `${event.type}${event.type === 'lost' ? (event.started ? ' begun' : ' not begun') : ''} ${event.call}`,
    )
}

function failure(): Error {
  const failed = events.find(({ type }) => type === 'failed')
  if (failed?.type !== 'failed') throw new Error(`nothing failed: ${outcome()}`)
  return decodeError(failed.error)
}

function logs(stream: 'stdout' | 'stderr'): string {
  return events.map((event) => (event.type === 'log' && event.stream === stream ? event.text : '')).join('')
}

describe('a worker process', () => {
  beforeAll(open)
  afterEach(() => {
    events = []
    output = ''
  })
  afterAll(() => compute.close())

  it.each([
    ['exits in the function', '(x) => { if (x === 1) process.exit(7); return x }', { exitCode: 7 }],
    ['exits while its result is encoded', '(x) => x === 1 ? { get a() { process.exit(5) } } : x', { exitCode: 5 }],
    ['aborts', '(x) => { if (x === 1) process.abort(); return x }', { signal: 'SIGABRT' }],
    ['is killed', '(x) => { if (x === 1) process.kill(process.pid, "SIGKILL"); return x }', { signal: 'SIGKILL' }],
  ])('that %s loses the call that ran; earlier results stay, later calls did not begin', async (_what, text, death) => {
    await run(text, items(0, 1, 2))
    expect(outcome()).toEqual(['succeeded 0', 'lost begun 1', 'lost not begun 2'])
    expect(events.at(-1)).toMatchObject({ death: { reason: 'exited', ...death } })
  })

  it.each([
    ['thrown from a timer', '() => new Promise(() => setTimeout(() => { throw new TypeError("stray") }))'],
    ['rejected without a handler', '() => { Promise.reject(new TypeError("stray")); return new Promise(() => {}) }'],
  ])('fails the call that runs by an error %s, and is replaced', async (_what, text) => {
    await run(text, items(1, 2))
    expect(outcome()).toEqual(['failed 0', 'lost not begun 1'])
    expect(failure()).toMatchObject({ name: 'TypeError', message: 'stray' })
    await run('(x) => x', items(1))
    expect(outcome().at(-1)).toBe('succeeded 0')
  })

  it('turns what a call prints into its log, whole and in order', async () => {
    const text = `(x) => {
      console.log('first', x)
      process.stdout.write('é'.repeat(100_000))
      process.stdout.write(Buffer.from([0xe2, 0x82]))
      process.stdout.write(Buffer.from([0xac]))
      console.error('wrong')
    }`
    await run(text, items(1))
    expect(logs('stdout')).toBe(`first 1\n${'é'.repeat(100_000)}€`)
    expect(logs('stderr')).toBe('wrong\n')
    for (const event of events) if (event.type === 'log') expect(event.text.length).toBeLessThanOrEqual(65_536)
  })

  it('keeps what a call prints right before it takes the process down', async () => {
    await run('() => { console.log("last words"); process.exit(1) }', items(1))
    expect(logs('stdout')).toBe('last words\n')
  })

  it('passes on what is printed between calls as output of the worker', async () => {
    await run('() => { setTimeout(() => console.log("stray print"), 20) }', items(1))
    await run('() => new Promise((resolve) => setTimeout(resolve, 0))', items(1))
    while (!output.includes('stray print') && !logs('stdout').includes('stray print')) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(outcome()).toEqual(['succeeded 0', 'succeeded 0'])
  })

  it('ignores SIGINT: the driver decides', async () => {
    await run(
      'async () => { process.kill(process.pid, "SIGINT"); await new Promise((r) => setImmediate(r)); return 1 }',
      items(1),
    )
    expect(outcome()).toEqual(['succeeded 0'])
  })

  it('knows the program of its driver, and keeps its secrets out of arguments and environment', async () => {
    await run(
      '() => [process.argv[1], process.argv.length, Object.keys(process.env).filter((n) => n.startsWith("VITEST"))]',
      items(1),
    )
    const end = events.at(-1)
    expect(end?.type === 'succeeded' && decodeValue(end.result)).toEqual(['/the/program.ts', 2, []])
  })

  it('reads a partition, and reports what it read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'quern-worker-'))
    try {
      const path = join(folder, 'a.txt')
      await writeFile(path, 'one\ntwo\nthree\n')
      const key = path.slice(1)
      const { size, etag } = await new FileBackend().head('/', key)
      const object = { backend: 'file', bucket: '/', key, size, etag, url: `file://${path}` }
      const partition = { object, range: { start: 2, end: 8 }, index: 0, count: 1 }
      await run(
        'async (part) => { const all = []; for await (const line of part.lines()) all.push(line); return all }',
        [{ call: 0, attempt: 1, input: { type: 'partition', partition } }],
        { read: { objNewline: '\n' } },
      )
      expect(outcome()).toEqual(['succeeded 0'])
      const end = events.at(-1)
      if (end?.type !== 'succeeded') throw new Error('no result')
      expect(decodeValue(end.result)).toEqual(['two'])
      expect(end.read).toMatchObject({ start: 4, end: 8 })
      expect(end.stats).toMatchObject({ bytesRead: 4, recordsRead: 1 })
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
