import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, FuturesList, type TaskContext } from '../../src/entry/index.ts'

describe('FunctionExecutor on localhost', () => {
  let exec: FunctionExecutor
  beforeAll(() => {
    exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
  })
  afterAll(() => exec.shutdown())

  it('calls a function in another process and gives its result', async () => {
    const pid = await exec.callAsync(() => process.pid, undefined)
    expect(pid).toBeTypeOf('number')
    expect(pid).not.toBe(process.pid)
  })

  it('aligns results with inputs, null and undefined included', async () => {
    const values = await exec.map((n: number) => (n % 3 === 0 ? undefined : n % 3 === 1 ? null : n), [0, 1, 2, 3, 4, 5])
    expect(values).toEqual([undefined, null, 2, undefined, null, 5])
  })

  it('takes any iterable: sets, generators, async generators, none', async () => {
    const double = (n: number) => n * 2
    async function* slowly() {
      yield 1
      yield 2
    }
    expect(await exec.map(double, new Set([1, 2]))).toEqual([2, 4])
    expect(await exec.map(double, slowly())).toEqual([2, 4])
    expect(await exec.map(double, [])).toEqual([])
  })

  it('passes extraArgs after the item and the task context last', async () => {
    const fn = (n: number, factor: number, unit: { name: string }, task: TaskContext) => ({
      text: `${n * factor}${unit.name}`,
      id: `${task.jobId}/${task.callId}`,
      index: task.index,
      attempt: task.attempt,
    })
    const job = exec.map(fn, [1, 2], { extraArgs: [10, { name: 'mm' }] })
    expect(await job).toEqual([
      { text: '10mm', id: `${job.jobId}/00000`, index: 0, attempt: 1 },
      { text: '20mm', id: `${job.jobId}/00001`, index: 1, attempt: 1 },
    ])
  })

  it('sets extraEnv for the calls of that job only', async () => {
    const read = () => process.env.QUERN_TEST_FLAG
    expect(await exec.map(read, [1, 2, 3], { extraEnv: { QUERN_TEST_FLAG: 'on' } })).toEqual(['on', 'on', 'on'])
    expect(await exec.map(read, [1, 2, 3])).toEqual([undefined, undefined, undefined])
  })

  it('keeps what a call prints in the logs of its future', async () => {
    const futures = await exec
      .map(
        (n: number, task: TaskContext) => {
          console.log('out', n)
          process.stderr.write(`err ${n}\n`)
          task.log.info('told', n)
          return n
        },
        [1, 2],
        { chunksize: 2 },
      )
      .futures()
    await futures.wait()
    expect(futures[0]?.logs).toContain('out 1\nerr 1\n')
    expect(futures[1]?.logs).toContain('told 2')
    expect(futures[1]?.logs).not.toContain('out 1')
  })

  it('keeps class, code, cause and data of what a call throws, as the cause of a CallError', async () => {
    const future = exec.callAsync(() => {
      throw Object.assign(new RangeError('too far', { cause: new TypeError('root') }), { code: 'E_FAR', at: [1, 2] })
    }, undefined)
    const error = (await future.exception()) as Error & { callId: string }
    expect(error).toMatchObject({ name: 'CallError', code: 'CALL', callId: '00000' })
    expect(error.cause).toBeInstanceOf(RangeError)
    expect(error.cause).toMatchObject({ message: 'too far', code: 'E_FAR', at: [1, 2] })
    expect((error.cause as Error).cause).toBeInstanceOf(TypeError)
    expect((error.cause as Error).stack).toContain('too far')
  })

  it('ships an exported function of a module by reference, with what it uses', async () => {
    const { shout } = await import('../support/shouting.ts')
    expect(await exec.map(shout, ['a', 'b'])).toEqual(['A!', 'B!'])
  })

  it('refuses a function with a name that is nowhere at submit, by name', async () => {
    const submit = async () => await exec.map((n: number) => n * factor, [1])
    await expect(submit()).rejects.toThrow(/factor/)
    await expect(submit()).rejects.toMatchObject({ code: 'SERIALIZATION' })
  })

  it('fails only the call whose item cannot travel', async () => {
    const job = exec.map((n: unknown) => n, [1, new WeakMap(), 3])
    const settled = await (await job.futures()).getResult({ throwExcept: false })
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect((settled[1] as PromiseRejectedResult).reason).toMatchObject({ code: 'SERIALIZATION' })
  })

  it('retries a failed call and tells the attempt', async () => {
    const flaky = (n: number, task: TaskContext) => {
      if (task.attempt <= n) throw new Error(`attempt ${task.attempt} of ${n + 1}`)
      return task.attempt
    }
    const job = exec.map(flaky, [0, 1, 2], { retries: 2 })
    expect(await job).toEqual([1, 2, 3])
    expect((await job.futures()).map(({ stats }) => stats.attempts)).toEqual([1, 2, 3])
    expect(job.progress.running).toBe(0)
  })

  it('iterates futures as their calls end, without awaiting them', async () => {
    const job = exec.map((n: number) => (n === 1 ? Promise.reject(new Error('one')) : n), [0, 1, 2])
    const seen: string[] = []
    for await (const future of job) seen.push(`${future.callId} ${future.snapshot().exception === undefined}`)
    expect(seen.toSorted()).toEqual(['00000 true', '00001 false', '00002 true'])
  })

  it('waits for a percentage, for any, and until a timeout without harm', async () => {
    const job = exec.map((n: number) => new Promise((resolve) => setTimeout(() => resolve(n), n)), [1, 1, 60_000], {
      chunksize: 1,
    })
    const futures = await job.futures()
    const some = await exec.wait(job, { returnWhen: 60 })
    expect(some.done.length).toBeGreaterThanOrEqual(2)
    expect(some.done).toBeInstanceOf(FuturesList)
    const late = await exec.wait(futures, { timeout: 1 })
    expect(late.notDone.map(({ callId }) => callId)).toEqual(['00002'])
    await expect(exec.getResult(futures, { timeout: 1 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      notDone: [futures[2]],
    })
    expect(futures[2]?.cancel()).toBe(false)
    expect(futures[2]?.cancel({ running: true })).toBe(true)
    expect((await exec.wait(futures)).notDone).toEqual([])
  })

  it('cancels a job that has not begun, and a running one when told to', async () => {
    const forever = () => new Promise<number>(() => undefined)
    const running = exec.map(forever, [1, 2], { chunksize: 1 })
    const queued = exec.map((n: number) => n, [1, 2, 3])
    await running.futures()
    await queued.futures()
    expect(queued.cancel()).toBe(true)
    await expect(queued).rejects.toMatchObject({ code: 'CANCELLED' })
    running.cancel({ running: true })
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' })
    expect(await exec.callAsync((n: number) => n, 5)).toBe(5)
  })

  it('cancels the reduce of a map that was cancelled while its items were read', async () => {
    async function* endless() {
      yield 1
      await new Promise(() => undefined)
    }
    const job = exec.mapReduce(
      (n: number) => n,
      endless(),
      (results: number[]) => results.length,
    )
    expect(job.mapJob.cancel()).toBe(true)
    await expect(job).rejects.toMatchObject({ code: 'CANCELLED' })
    await expect(job.mapJob).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('fails both jobs when the arguments of the reduce cannot travel', async () => {
    const reduce = (results: number[], _held: object, _task: TaskContext) => results.length
    const job = exec.mapReduce((n: number) => n, [1, 2], reduce, { extraArgsReduce: [new WeakMap()] })
    await expect(job).rejects.toMatchObject({ code: 'SERIALIZATION' })
    await expect(job.mapJob).rejects.toMatchObject({ code: 'SERIALIZATION' })
  })

  it('raises no unhandled rejection for a refused function that nobody awaits', async () => {
    const { shout } = await import('../support/shouting.ts')
    const seen: unknown[] = []
    const listen = (error: unknown) => seen.push(error)
    process.on('unhandledRejection', listen)
    const refused = exec.map(shout, [1 as never])
    await expect(refused).rejects.toThrow()
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', listen)
    expect(seen).toEqual([])
  })

  it('cancels everything of a job when its signal aborts', async () => {
    const abort = new AbortController()
    const job = exec.map(() => new Promise(() => undefined), [1, 2, 3], { signal: abort.signal })
    await job.futures()
    abort.abort()
    await expect(job).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('with failFast ends the job at its first failure', async () => {
    const fn = (n: number) => (n === 0 ? Promise.reject(new Error('first')) : new Promise(() => undefined))
    const job = exec.map(fn, [0, 1, 2, 3], { failFast: true, chunksize: 1 })
    await expect(job).rejects.toMatchObject({ code: 'JOB', callCount: 4 })
    await expect(job).rejects.toThrow(/first/)
  })

  it('gives the results nobody has read, in the order of submission', async () => {
    const own = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false })
    const read = own.callAsync(() => 'read already', undefined)
    await read
    own.callAsync(() => 'a', undefined)
    own.map((n: number) => n, [1, 2])
    expect(await own.getResult()).toEqual(['a', [1, 2]])
    expect(await own.getResult()).toEqual([])
    await own.shutdown()
  })

  it('counts what it did', async () => {
    const job = exec.map((n: number) => n, [1, 2, 3, 4])
    await job
    expect(job.progress).toMatchObject({ calls: 4, done: 4, failed: 0, running: 0 })
    expect(job.stats).toMatchObject({ succeeded: 4, attempts: 4 })
    expect(job.stats.endedAt).toBeGreaterThanOrEqual(job.stats.submittedAt)
    expect((await job.futures())[0]?.stats.worker?.workerPid).toBeTypeOf('number')
  })

  const mistakes: readonly (readonly [string, () => unknown, RegExp])[] = [
    ['a string for items', () => exec.map((s: string) => s, 'data/*.txt' as never), /objects\("data\/\*\.txt"\)/],
    ['no source', () => exec.map((s: string) => s, 5 as never), /expected an iterable of items/],
    ['an unknown option', () => exec.map((n: number) => n, [1], { chunkSize: 2 } as never), /chunkSize.*chunksize/],
    [
      'a wrong value',
      () => exec.map((n: number) => n, [1], { timeout: 'soon' }),
      /map options\.timeout: expected .*soon/,
    ],
    ['no function', () => exec.map('fn' as never, [1]), /map function/],
    [
      'partitioning of items',
      () => exec.map((n: number) => n, [1], { objChunkSize: 5 } as never),
      /objChunkSize.*objects/,
    ],
    [
      'an env that is no text',
      () => exec.map((n: number) => n, [1], { extraEnv: { A: 1 } as never }),
      /extraEnv\.A.*'1'/,
    ],
  ]
  for (const [name, mistake, message] of mistakes) it(`refuses ${name} at once`, () => expect(mistake).toThrow(message))
})

describe('shutdown', () => {
  it('finishes what was submitted, then takes no more', async () => {
    const exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false })
    const job = exec.map((n: number) => n * 2, [1, 2, 3])
    await exec.shutdown()
    expect(await job).toEqual([2, 4, 6])
    expect(() => exec.map((n: number) => n, [1])).toThrow(/shut down/)
    await exec.shutdown()
  })

  it('with cancelFutures ends what runs', async () => {
    const exec = new FunctionExecutor({ maxWorkers: 1, showProgressbar: false })
    const job = exec.map(() => new Promise(() => undefined), [1, 2])
    await job.futures()
    await exec.shutdown({ cancelFutures: true })
    await expect(job).rejects.toMatchObject({ code: 'CANCELLED' })
  })

  it('of an executor that never ran anything is a no-op', async () => {
    await new FunctionExecutor({ showProgressbar: false }).shutdown()
  })
})

declare const factor: number
