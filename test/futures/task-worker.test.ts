/** What a worker of an executor says to the pool, frame by frame: the test plays the pool, the worker is a thread. */
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { captureFunction } from '../../src/functions/capture.ts'
import type { Task } from '../../src/futures/executor.ts'
import { MessageWriter } from '../../src/futures/message-bytes.ts'
import { encodeStartup, type TaskStartup, writeTask } from '../../src/futures/task-messages.ts'
import { taskWorkerEntry } from '../../src/futures/task-worker-entry.ts'
import { ENDED, kindOf, outcomeOf, returnedOf } from '../../src/futures/worker-messages.ts'
import { END, FEED, INVOKE, MESSAGE, NO_BYTES, READY, SHARED, START, USE } from '../../src/pool/protocol.ts'
import { threadStarter } from '../../src/pool/thread-link.ts'
import type { WorkerLink } from '../../src/pool/worker-link.ts'
import { Gates, until, waitFor } from '../support/task-gates.ts'

const gates = new Gates()
afterAll(() => gates.remove())

let link: WorkerLink
/** What it said and how it left, in order. */
let told: string[]

afterEach(() => link.kill())

function start(startup: Partial<TaskStartup> = {}): void {
  const own: string[] = []
  told = own
  link = threadStarter({ entry: taskWorkerEntry(), workers: 1 })(
    { memoryMiB: undefined },
    {
      onFrame: (type, id, payload) => own.push(type === READY ? 'ready' : `${id} ${wordOf(type, payload)}`),
      onOutput: (text) => own.push(`printed ${text.split('\n')[0]}`),
      onExit: ({ exitCode }) => own.push(`exit ${exitCode}`),
    },
  )
  link.send(START, 0, encodeStartup({ argv1: undefined, ...startup }))
}

function wordOf(type: number, payload: Uint8Array): string {
  if (type === END) return payload.byteLength > 0 ? 'ends, and it leaves' : 'ends'
  if (type !== MESSAGE) return `frame ${type}`
  if (kindOf(payload) === ENDED) {
    const { value, error } = outcomeOf(payload, undefined) as { value?: unknown; error?: Error }
    return error === undefined ? `gives ${value}` : `throws ${error.message}`
  }
  const { running, behind } = returnedOf(payload)
  return `gives back ${running ? 'behind a task' : 'the rest'}: ${behind}`
}

function share(id: number, fn: Task['fn']): void {
  link.send(SHARED, id, Buffer.from(JSON.stringify(captureFunction(fn, 'task'))))
}

/** One bundle with a task for each of these arguments. */
function invoke(id: number, tasks: readonly (readonly unknown[])[]): void {
  const writer = new MessageWriter()
  for (const args of tasks) writeTask(writer, args)
  link.send(INVOKE, id, writer.take())
}

const hears = (word: string) => until(() => told.includes(word), word)

/** Begins, and throws from outside its promise when the gate opens. */
function failLate(gate: string, started: string) {
  const { appendFileSync, existsSync } = process.getBuiltinModule('node:fs')
  appendFileSync(started, 'x\n')
  return new Promise(() => {
    setInterval(() => {
      if (existsSync(gate)) throw new RangeError('late')
    }, 2)
  })
}

describe('a worker of an executor', () => {
  it('runs one bundle after another, each with the function that was last named', async () => {
    start()
    share(1, (x: number) => x + 1)
    invoke(1, [[1], [2]])
    share(2, (x: number) => -x)
    invoke(2, [[1]])
    link.send(USE, 1, NO_BYTES)
    invoke(3, [[5]])
    await hears('3 ends')
    expect(told).toEqual(['ready', '1 gives 2', '1 gives 3', '1 ends', '2 gives -1', '2 ends', '3 gives 6', '3 ends'])
  })

  it('gives back what has not begun, there and behind it, when asked for what it runs: once, and does not run it', async () => {
    start()
    const [opened, gate, started] = [gates.gate(), gates.gate(), gates.gate()]
    gates.open(opened)
    share(1, waitFor)
    invoke(1, [
      [opened, undefined, 'a'],
      [gate, started, 'b'],
      [opened, undefined, 'c'],
    ])
    await until(() => gates.lines(started).length === 1, 'the second runs')
    // of a bundle that has ended by now, as far as the worker knows
    link.send(FEED, 9, NO_BYTES)
    invoke(2, [[opened, undefined, 'd']])
    invoke(3, [[opened, undefined, 'e']])
    for (const id of [1, 1]) link.send(FEED, id, NO_BYTES)
    await hears('1 gives back behind a task: 2,3')
    invoke(4, [[opened, undefined, 'f']])
    gates.open(gate)
    await hears('4 ends')
    const after = ['1 gives b', '1 ends', '2 ends', '3 ends', '4 gives f', '4 ends']
    expect(told).toEqual(['ready', '1 gives a', '1 gives back behind a task: 2,3', ...after])
  })

  it('of so many tasks gives back the rest after the last one, and leaves: what lies behind is not run', async () => {
    start({ maxTasks: 2 })
    share(1, (x: number) => {
      if (x === 1) throw new RangeError('one')
      return x === 2 ? Promise.resolve(x) : x
    })
    invoke(1, [[1], [2], [3]])
    invoke(2, [[4]])
    await hears('1 ends, and it leaves')
    link.retire()
    await hears('exit 0')
    const said = ['1 throws one', '1 gives 2', '1 gives back the rest: ', '1 ends, and it leaves']
    expect(told).toEqual(['ready', ...said, 'exit 0'])
  })

  it.each([false, true])(
    'leaves by an error that nobody caught, which fails the task that runs (asked before: %s)',
    async (asked) => {
      start()
      const [gate, started] = [gates.gate(), gates.gate()]
      share(1, failLate)
      invoke(1, [
        [gate, started],
        [gate, started],
      ])
      await until(() => gates.lines(started).length === 1, 'it runs')
      if (asked) link.send(FEED, 1, NO_BYTES)
      if (asked) await hears('1 gives back behind a task: ')
      gates.open(gate)
      await hears('exit 1')
      const said = asked
        ? ['1 gives back behind a task: ', '1 throws late']
        : ['1 throws late', '1 gives back the rest: ']
      expect(told).toEqual(['ready', ...said, 'exit 1'])
    },
  )

  it.each([
    ['after a bundle', 1, []],
    ['between two tasks, of which the second is given back', 2, ['1 gives back the rest: ']],
  ])('prints an error that nobody caught %s, and leaves', async (_, tasks, back) => {
    start()
    share(1, (x: string) => {
      // so long that the event loop has its turn before the next one
      for (const from = performance.now(); performance.now() < from + 10; );
      void Promise.reject(new RangeError(x))
      return x
    })
    invoke(1, Array(tasks).fill(['stray']))
    await hears('exit 1')
    const said = told.filter((word) => word !== '1 ends' && !word.startsWith('printed'))
    expect(said).toEqual(['ready', '1 gives stray', ...back, 'exit 1'])
    expect(told.join()).toContain('printed RangeError: stray')
  })

  it('gives back nothing when its function ends the worker that loads it: it would end every other', async () => {
    start()
    const text = 'Promise.reject(new RangeError("loading")); await new Promise(() => undefined); export const f = 1'
    const fn = { kind: 'module', url: `data:text/javascript,${encodeURIComponent(text)}`, export: 'f' }
    link.send(SHARED, 1, Buffer.from(JSON.stringify(fn)))
    invoke(1, [[1]])
    await hears('exit 1')
    expect(told.filter((word) => !word.startsWith('printed'))).toEqual(['ready', 'exit 1'])
    expect(told.join()).toContain('printed RangeError: loading')
  })
})
