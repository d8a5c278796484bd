/** Calls that take more memory than their worker may hold, and workers that are stopped: told as what they are. */
import { afterEach, describe, expect, it } from 'vitest'
import { FunctionExecutor } from '../../src/entry/index.ts'

const linux = process.platform === 'linux'

let exec: FunctionExecutor
afterEach(() => exec.shutdown())

function start(options: ConstructorParameters<typeof FunctionExecutor>[0] = {}): FunctionExecutor {
  exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false, logLevel: 'silent', ...options })
  return exec
}

const fillHeap = (item: number) => {
  const hoard: number[][] = []
  while (item === 1) hoard.push(Array.from({ length: 10_000 }, (_, i) => i + 0.5))
  return item
}

/** Without a pause: nobody inside the worker could look. */
const fillBuffers = (item: number) => {
  const hoard: Buffer[] = []
  while (item === 1) hoard.push(Buffer.alloc(8 * 2 ** 20, 1))
  return item
}

const fillBuffersInTurns = async (item: number) => {
  const hoard: Buffer[] = []
  while (item === 1) {
    hoard.push(Buffer.alloc(8 * 2 ** 20, 1))
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  return item
}

interface Case {
  readonly name: string
  readonly backend: 'localhost' | 'threads'
  readonly fn: (item: number) => unknown
  readonly held: boolean
}

const cases: readonly Case[] = [
  { name: 'heap of a process', backend: 'localhost', fn: fillHeap, held: false },
  { name: 'heap of a thread', backend: 'threads', fn: fillHeap, held: false },
  ...(linux ? [{ name: 'Buffers of a process', backend: 'localhost', fn: fillBuffers, held: true } as const] : []),
  { name: 'Buffers of a thread', backend: 'threads', fn: fillBuffersInTurns, held: true },
]

describe('a call that outgrows its worker', () => {
  it.each(cases)('in the $name fails as out of memory, with the limit; its siblings finish', async (each) => {
    const job = start({ backend: each.backend }).map(each.fn, [0, 1, 2], { runtimeMemory: 64 })
    const settled = await exec.getResult(await job.futures(), { throwExcept: false })
    expect(settled.map((one) => (one.status === 'fulfilled' ? one.value : 'failed'))).toEqual([0, 'failed', 2])
    const { reason } = settled[1] as PromiseRejectedResult
    expect(reason).toMatchObject({ code: 'OUT_OF_MEMORY', limitMiB: 64 })
    expect(reason.message).toMatch(
      /call 00001 of M000: its worker ran out of memory \(its limit of 64 MiB.*raise runtimeMemory/,
    )
    // told in whole MiB: a little over twice the limit is 128
    if (each.held) expect(reason.heldMiB).toBeGreaterThanOrEqual(128)
    if (each.held) expect(reason.message).toContain(`it held ${reason.heldMiB} MiB`)
  })

  it('may take more when it is given more', async () => {
    const hold = (mib: number) => Buffer.alloc(mib * 2 ** 20, 1).length
    expect(await start().map(hold, [200], { runtimeMemory: 256 })).toEqual([200 * 2 ** 20])
  })
})

describe('what calls leave behind in their worker', () => {
  it.each(['localhost', 'threads'])('is let go of with the worker (%s) before a call dies of it', async (backend) => {
    const leak = async (item: number) => {
      const { kept = [] } = globalThis as { kept?: Buffer[] }
      Object.assign(globalThis, { kept })
      kept.push(Buffer.alloc(24 * 2 ** 20, 1))
      // longer than a worker waits before it looks at itself again
      const until = performance.now() + 110
      while (performance.now() < until);
      return { item, kept: kept.length }
    }
    const items = Array.from({ length: 12 }, (_, i) => i)
    const told = await start({ backend }).map(leak, items, { runtimeMemory: 64, chunksize: 4 })
    expect(told.map(({ item }) => item)).toEqual(items)
    // a worker that kept all would have died: so there were several, each used more than once
    const most = Math.max(...told.map(({ kept }) => kept))
    expect([most > 1, most < 6]).toEqual([true, true])
  })
})

describe.runIf(linux)('a worker that is stopped from outside', () => {
  it('is ended, and its call tried again elsewhere, though no time limit was set', async () => {
    const freeze = (_: number, task: { attempt: number }) => {
      if (task.attempt === 1) process.kill(process.pid, 'SIGSTOP')
      return task.attempt
    }
    expect(await start().map(freeze, [0], { retries: { retries: 1, backoff: 1 } })).toEqual([2])
  }, 60_000)
})
