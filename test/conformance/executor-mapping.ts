/** What `map` and `starmap` of every Executor must do, as tests. */
import { expect, it } from 'vitest'
import type { ExecutorTraits, Stage } from './executor.ts'
import { divmod, echo, note, power, waitAtGate } from './executor-tasks.ts'

const FORTY = Array.from({ length: 40 }, (_, i) => i)

interface Input<T> extends Iterable<T> {
  /** Items that were read. */
  taken: number
  closed: boolean
}

/** Reading it is observed; without `end` it is endless, with `error` it throws that after its last item. */
function observed(end = Number.POSITIVE_INFINITY, error?: Error): Input<number> {
  const input: Input<number> = {
    taken: 0,
    closed: false,
    *[Symbol.iterator]() {
      try {
        for (let i = 0; i < end; i++) {
          input.taken += 1
          yield i
        }
        if (error !== undefined) throw error
      } finally {
        input.closed = true
      }
    },
  }
  return input
}

async function* later<T>(items: Iterable<T>): AsyncGenerator<T> {
  for (const item of items) {
    await new Promise((resolve) => setImmediate(resolve))
    yield item
  }
}

/** What was given out, and what ended it. */
async function drain<T>(results: AsyncIterable<T>): Promise<{ given: T[]; error: unknown }> {
  const given: T[] = []
  try {
    for await (const result of results) given.push(result)
    return { given, error: undefined }
  } catch (error) {
    return { given, error }
  }
}

export function executorMapping(stage: Stage, traits: ExecutorTraits): void {
  it.each([
    ['a list', undefined, () => FORTY],
    ['a list by chunks of 6', { chunksize: 6 }, () => FORTY],
    ['a list in one chunk', { chunksize: 50 }, () => FORTY],
    ['a set', { chunksize: 40 }, () => new Set(FORTY)],
    ['an async input', undefined, () => later(FORTY)],
    ['an async input by chunks', { chunksize: 7 }, () => later(FORTY)],
    ['a buffer of 3', { buffersize: 3 }, () => FORTY],
    ['a buffer of 10, by chunks of 4', { buffersize: 10, chunksize: 4 }, () => FORTY],
    ['a buffer smaller than a chunk', { buffersize: 2, chunksize: 5 }, () => later(FORTY)],
  ] as const)('maps %s, in order', async (_what, options, items) => {
    const executor = stage.make({ maxWorkers: 2 })
    expect(await drain(executor.map((n: number) => n * 2, items(), options))).toEqual({
      given: FORTY.map((n) => n * 2),
      error: undefined,
    })
    expect(executor.statistics).toMatchObject({ executed: 40, failures: 0 })
  })

  it('maps several arguments, and gives a function its item alone', async () => {
    const executor = stage.make()
    const pairs: [number, number][] = [
      [2, 5],
      [3, 2],
      [10, 3],
    ]
    expect((await drain(executor.starmap(power, pairs))).given).toEqual([32, 9, 1000])
    expect((await drain(executor.map((...args: unknown[]) => args.length, ['a', 'b']))).given).toEqual([1, 1])
    expect(await drain(executor.map(echo, []))).toEqual({ given: [], error: undefined })
  })

  it('throws an error at its place and nothing after it', async () => {
    const executor = stage.make()
    const arguments_: [number, number][] = [
      [1, 2],
      [1, 3],
      [1, 0],
      [1, 5],
    ]
    for (const chunksize of [1, 2, 4]) {
      const results = executor.starmap(divmod, arguments_, { chunksize })
      const { given, error } = await drain(results)
      expect(given).toEqual([
        [0, 1],
        [0, 1],
      ])
      expect(error).toMatchObject({ name: 'RangeError', message: '1 by zero' })
      expect(await results.next()).toEqual({ done: true, value: undefined })
    }
  })

  it('throws the error of its input at its place, and the executor stays usable', async () => {
    const executor = stage.make()
    const broken = new RangeError('the input is broken')
    for (const chunksize of [1, 2, 4]) {
      for (const input of [observed(5, broken), later(observed(5, broken))]) {
        const { given, error } = await drain(executor.map(echo, input, { chunksize }))
        expect([given, error]).toEqual([[0, 1, 2, 3, 4], broken])
      }
    }
    expect(await executor.submit(power, 2, 3)).toBe(8)
  })

  it.each([
    ['chunksize', 0, 'expected a whole number from 1'],
    ['chunksize', -1, 'expected a whole number from 1'],
    ['chunksize', 1.5, 'expected a whole number from 1'],
    ['buffersize', 0, 'expected a whole number from 1'],
    ['buffersize', '1', 'expected a whole number from 1'],
    ['timeout', -1, 'expected milliseconds from 0'],
    ['chunkSize', 1, "unknown option, did you mean 'chunksize'"],
  ])('refuses %s: %j', (option, value, message) => {
    const executor = stage.make()
    expect(() => executor.map(echo, [1], { [option]: value })).toThrow(message)
  })

  it('refuses items that cannot be iterated, and a text', async () => {
    const executor = stage.make()
    expect(() => executor.map(echo, 'abc' as never)).toThrow(
      'map items: expected a list, got the text "abc"; write ["abc"]',
    )
    expect(() => executor.map(echo, 7 as never)).toThrow('map items: expected something that can be iterated, got 7')
    expect(() => executor.map(7 as never, [1])).toThrow('map: expected a function, got 7')
    await expect(executor.starmap(power, [7 as never]).next()).rejects.toThrow('starmap: expected a list of arguments')
  })

  it('submits everything when it is called, iterated or not', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const { file, arrived } = stage.gate()
    executor.map(noteIn, [`${file}.log`, `${file}.log`, `${file}.log`])
    await executor.shutdown()
    expect(arrived()).toHaveLength(3)
  })

  it('ends with TimeoutError what takes longer than its time, and cancels the rest', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const gate = stage.gate()
    const items: [string, string][] = ['0', '1', 'long'].map((name) => [name === 'long' ? gate.file : '', name])
    // workers are there before the time counts
    expect((await drain(executor.starmap(waitUnlessEmpty, items.slice(0, 2)))).given).toEqual(['0', '1'])
    const results = executor.starmap(waitUnlessEmpty, items, { timeout: 1_000 })
    const { given, error } = await drain(results)
    expect(given).toEqual(['0', '1'])
    expect(error).toMatchObject({ code: 'TIMEOUT', message: 'starmap: not all results within 1.0 s' })
    gate.open()
  })

  it.runIf(traits.queues)('cancels the one it waited for and all after it when the time is over', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const [busy, gate] = [stage.gate('busy'), stage.gate()]
    const blocker = executor.submit(waitAtGate, busy.file, 'busy')
    await busy.whenArrived(1)
    const results = executor.map(
      noteIn,
      Array.from({ length: 5 }, () => `${gate.file}.log`),
      { timeout: 5 },
    )
    await expect(results.next()).rejects.toMatchObject({ code: 'TIMEOUT' })
    expect(executor.statistics.cancelled).toBe(5)
    busy.open()
    expect(await blocker).toBe('busy')
    await executor.shutdown()
    expect(gate.arrived()).toEqual([])
  })

  it('gives what is done though the time is over', async () => {
    const executor = stage.make()
    const results = executor.map(echo, [1, 2], { timeout: 20_000 })
    expect([await results.next(), await results.next()]).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
    ])
    const late = executor.map(echo, [3], { timeout: 1 })
    await executor.shutdown()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(await late.next()).toEqual({ done: false, value: 3 })
  })

  it('reads an endless input no further than the buffer, and closes it when the loop is left', async () => {
    const executor = stage.make()
    const input = observed()
    const results = executor.map(echo, input, { buffersize: 4 })
    expect(input.taken).toBe(4)
    expect(await results.next()).toEqual({ done: false, value: 0 })
    expect(input.taken).toBe(5)
    const seen: number[] = []
    for await (const value of results) if (seen.push(value) === 10) break
    expect([seen, input.taken, input.closed]).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 15, true])
    const endless = executor.map(echo, later(observed()), { buffersize: 2 })
    expect([await endless.next(), await endless.next()]).toEqual([
      { done: false, value: 0 },
      { done: false, value: 1 },
    ])
    expect(await endless.return?.()).toEqual({ done: true, value: undefined })
    expect(await endless.next()).toEqual({ done: true, value: undefined })
  })

  it.runIf(traits.queues)('cancels what has not begun when the loop is left', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const [first, second] = [stage.gate('first'), stage.gate('second')]
    const items = [first, second, second, second].map(({ file }, i): [string, string] => [file, `${i}`])
    const results = executor.starmap(waitAtGate, items)
    await first.whenArrived(1)
    first.open()
    for await (const value of results) {
      expect(value).toBe('0')
      await second.whenArrived(1)
      break
    }
    // one more may be with the worker already, behind the one that runs
    expect(executor.statistics.cancelled).toBeGreaterThanOrEqual(1)
    second.open()
    await executor.shutdown()
    expect(second.arrived()).toHaveLength(3 - executor.statistics.cancelled)
  })

  it('ends with the reason of its signal', async () => {
    const executor = stage.make({ maxWorkers: 1 })
    const gate = stage.gate()
    const controller = new AbortController()
    const { signal } = controller
    const results = executor.starmap(
      waitUnlessEmpty,
      [
        ['', 'first'],
        [gate.file, 'second'],
      ],
      { signal },
    )
    expect(await results.next()).toEqual({ done: false, value: 'first' })
    const second = results.next()
    await gate.whenArrived(1)
    controller.abort(new RangeError('enough'))
    await expect(second).rejects.toThrow(new RangeError('enough'))
    expect(await results.next()).toEqual({ done: true, value: undefined })
    gate.open()
  })

  it('serves several who ask at once, in order', async () => {
    const executor = stage.make({ maxWorkers: 2 })
    const results = executor.map(echo, [1, 2])
    expect(await Promise.all([results.next(), results.next(), results.next()])).toEqual([
      { done: false, value: 1 },
      { done: false, value: 2 },
      { done: true, value: undefined },
    ])
  })

  it('ends an input that goes on after shutdown with that error, at its place', async () => {
    const executor = stage.make()
    const results = executor.map(echo, FORTY, { buffersize: 2 })
    await executor.shutdown()
    const { given, error } = await drain(results)
    expect(given).toEqual([0, 1])
    expect(error).toMatchObject({ code: 'SHUTDOWN_EXECUTOR' })
  })
}

function noteIn(file: string): Promise<string> {
  return note(file, 'x')
}

async function waitUnlessEmpty(gate: string, name: string): Promise<string> {
  return gate === '' ? name : waitAtGate(gate, name)
}
