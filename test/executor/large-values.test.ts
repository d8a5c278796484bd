/** Large Buffers lie in the message that brought them: nobody else's bytes change when they are changed. */
import { describe, expect, it } from 'vitest'
import { FunctionExecutor, type TaskContext } from '../../src/entry/index.ts'
import { MessageReader, MessageWriter } from '../../src/futures/message-bytes.ts'
import { readTask, writeTask } from '../../src/futures/task-messages.ts'
import { outcomeOf, resultMessage } from '../../src/futures/worker-messages.ts'

const BYTES = 100_000
const bytesOf = (n: number) => Buffer.alloc(100_000, n)
const isAll = (bytes: Uint8Array | undefined, n: number) => bytes?.length === BYTES && bytes.every((byte) => byte === n)
const liesIn = (message: Uint8Array, value: Uint8Array) => value.buffer === message.buffer
const isApart = (value: Uint8Array) => value.buffer.byteLength === BYTES

describe('large binaries', () => {
  it('a result lies in what came of its call; changing it changes no other', async () => {
    const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
    const futures = await exec.map(bytesOf, [1, 2, 3], { chunksize: 3 }).futures()
    const first = await (futures[0] as (typeof futures)[number])
    first.fill(9)
    const others = await Promise.all(futures.slice(1))
    expect([isAll(others[0], 2), isAll(others[1], 3)]).toEqual([true, true])
    expect([first, ...others].map(isApart)).toEqual([false, false, false])
    await exec.shutdown()
  })

  it('a result that a reducer is fed with stays as it came, whatever is done to it', async () => {
    const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
    const reduce = (all: readonly Uint8Array[]) => all.map((bytes) => bytes.fill(0).byteLength)
    const job = exec.mapReduce(bytesOf, [1, 2], reduce)
    expect(await job).toEqual([BYTES, BYTES])
    const maps = await job.mapJob
    expect([isAll(maps[0], 1), isAll(maps[1], 2)]).toEqual([true, true])
    expect(maps.map(isApart)).toEqual([true, true])
    await exec.shutdown()
  })

  it('an item is the copy of its call, arguments that all calls share are one copy each', async () => {
    const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false })
    const item = bytesOf(1)
    const spoil = (one: Uint8Array, all: Uint8Array, _task: TaskContext) => [
      one[0],
      one.fill(0).buffer.byteLength,
      all[0],
      all.fill(0)[0],
    ]
    const told = await exec.map(spoil, [item, item], { extraArgs: [bytesOf(5)] })
    for (const [first, memory, shared, after] of told) {
      expect([first, shared, after]).toEqual([1, 5, 0])
      expect(memory).toBeGreaterThan(BYTES)
    }
    expect(isAll(item, 1)).toBe(true)
    await exec.shutdown()
  })

  it('the items of a retry are as they were', async () => {
    const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false, logLevel: 'silent' })
    const once = (bytes: Uint8Array, task: { attempt: number }) => {
      const [first] = bytes
      bytes.fill(0)
      if (task.attempt === 1) throw new Error('again')
      return first
    }
    expect(await exec.map(once, [bytesOf(7)], { retries: 1 })).toEqual([7])
    await exec.shutdown()
  })

  it('arguments and results of tasks lie in their messages', () => {
    const writer = new MessageWriter()
    writeTask(writer, [bytesOf(1)])
    writeTask(writer, [bytesOf(2)])
    const message = writer.take()
    const reader = new MessageReader(message)
    const tasks = [readTask(reader, undefined), readTask(reader, undefined)].map(([bytes]) => bytes as Uint8Array)
    tasks[0]?.fill(9)
    expect(isAll(tasks[1], 2)).toBe(true)
    expect(tasks.map((bytes) => liesIn(message, bytes))).toEqual([true, true])
    const result = resultMessage(1, bytesOf(3))
    const { value } = outcomeOf(result, undefined) as { value: Uint8Array }
    expect(isAll(value, 3)).toBe(true)
    expect(liesIn(result, value)).toBe(true)
  })

  it('a typed array has its memory to itself: its buffer holds nothing else', () => {
    const result = resultMessage(1, new Float64Array(20_000).fill(1.5))
    const { value } = outcomeOf(result, undefined) as { value: Float64Array }
    expect(value.buffer.byteLength).toBe(value.byteLength)
    expect(new Float64Array(value.buffer)[0]).toBe(1.5)
  })
})
