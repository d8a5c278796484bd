/** What only threads can do, and processes refuse. */
import { MessageChannel, type MessagePort } from 'node:worker_threads'
import { afterEach, describe, expect, it } from 'vitest'
import { move } from '../../src/futures/move.ts'
import { ProcessPoolExecutor } from '../../src/futures/process-pool-executor.ts'
import { ThreadPoolExecutor } from '../../src/futures/thread-pool-executor.ts'

let executor: ThreadPoolExecutor

afterEach(() => executor.shutdown({ killWorkers: true }))

const MOVE = new URL('../../src/futures/move.ts', import.meta.url).href
const sum = (bytes: Uint8Array) => bytes.reduce((a, b) => a + b, 0)

describe('ThreadPoolExecutor', () => {
  it('moves what is in transfer: the caller no longer has it', async () => {
    executor = new ThreadPoolExecutor({ maxWorkers: 1 })
    const bytes = new Uint8Array(1_000).fill(3)
    expect(await executor.submitWith({ transfer: [bytes.buffer] }, sum, bytes)).toBe(3_000)
    expect(bytes.byteLength).toBe(0)
  })

  it('moves a port, which no codec could bring', async () => {
    executor = new ThreadPoolExecutor({ maxWorkers: 1 })
    const { port1, port2 } = new MessageChannel()
    const heard = new Promise((resolve) => port1.once('message', resolve))
    const say = (port: MessagePort) => port.postMessage('through the port')
    await executor.submitWith({ transfer: [port2] }, say, port2)
    expect(await heard).toBe('through the port')
    port1.close()
  })

  it('an aborted signal takes nothing away', async () => {
    executor = new ThreadPoolExecutor({ maxWorkers: 1 })
    const bytes = new Uint8Array(10)
    const future = executor.submitWith({ signal: AbortSignal.abort(), transfer: [bytes.buffer] }, sum, bytes)
    await expect(future.result()).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(bytes.byteLength).toBe(10)
  })

  it('a transfer list that cannot be transferred fails its task alone', async () => {
    executor = new ThreadPoolExecutor({ maxWorkers: 1 })
    const bytes = new Uint8Array(10)
    const twice = executor.submitWith({ transfer: [bytes.buffer, bytes.buffer] }, sum, bytes)
    expect(await twice.exception()).toMatchObject({ code: 'SERIALIZATION' })
    const gone = new Uint8Array(5)
    structuredClone(gone, { transfer: [gone.buffer] })
    const detached = executor.submitWith({ transfer: [gone.buffer] }, sum, gone)
    expect(await detached.exception()).toBeInstanceOf(Error)
    expect(await executor.submit(sum, new Uint8Array([1, 2]))).toBe(3)
  })

  it('moves a result out of a task', async () => {
    executor = new ThreadPoolExecutor({ maxWorkers: 1 })
    const fill = async (n: number, url: string) => {
      const own: { move: typeof move } = await import(url)
      const bytes = new Uint8Array(n).fill(9)
      return own.move(bytes, [bytes.buffer])
    }
    const bytes = await executor.submit(fill, 4, MOVE)
    expect([...bytes]).toEqual([9, 9, 9, 9])
    const unmovable = await executor
      .submit(async (url: string) => (await import(url)).move(() => 1, []), MOVE)
      .exception()
    expect(unmovable).toMatchObject({ code: 'SERIALIZATION' })
    expect(() => move(1, 'all' as never)).toThrow('move transfer: expected a list')
  })

  it('names its threads', async () => {
    executor = new ThreadPoolExecutor({ maxWorkers: 1, workerName: 'miller' })
    const before = executor.workers
    expect(before).toEqual([])
    await executor.submit(() => 1)
    expect(executor.workers).toMatchObject([{ id: 1, threadId: expect.any(Number) }])
  })
})

describe('ProcessPoolExecutor', () => {
  it('refuses transfer by name, keeps what was to be moved, and names its processes', async () => {
    const processes = new ProcessPoolExecutor({ maxWorkers: 1, workerName: 'quern-miller' })
    const bytes = new Uint8Array(10)
    expect(() => processes.submitWith({ transfer: [bytes.buffer] }, sum, bytes)).toThrow('submitWith options.transfer')
    expect(bytes.byteLength).toBe(10)
    expect(await processes.submit(() => process.title)).toBe('quern-miller')
    await processes.shutdown()
  })
})
