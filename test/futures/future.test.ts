/** The state machine of a Future: every point of PEP 3148's behaviour, state by state. */
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CancelledError, InvalidStateError, TimeoutError } from '../../src/core/errors.ts'
import { Future } from '../../src/futures/future.ts'

class OSError extends Error {
  override readonly name = 'OSError'
}
const FAILURE = new OSError('no such device')

type StateName = 'pending' | 'running' | 'cancelled' | 'cancelledAndNotified' | 'failed' | 'succeeded'

function inState(name: StateName): Future<number> {
  const future = new Future<number>()
  if (name === 'cancelled' || name === 'cancelledAndNotified') future.cancel()
  if (name !== 'pending' && name !== 'cancelled') future.setRunningOrNotifyCancel()
  if (name === 'failed') future.setException(FAILURE)
  if (name === 'succeeded') future.setResult(42)
  return future
}

/** What a promise comes to, as data. */
async function outcome(promise: PromiseLike<unknown>): Promise<unknown> {
  return promise.then(
    (value) => ['value', value],
    (error: unknown) => ['error', error],
  )
}

afterEach(() => {
  vi.restoreAllMocks()
  vi.useRealTimers()
})

describe('done callbacks', () => {
  it.each([
    ['result', (f: Future<number>) => f.setResult(5), 'result', 5],
    ['exception', (f: Future<number>) => f.setException(FAILURE), 'exception', FAILURE],
    ['cancellation', (f: Future<number>) => expect(f.cancel()).toBe(true), 'cancelled', true],
  ] as const)('see the %s of the future they are called with', (_name, settle, field, value) => {
    const future = new Future<number>()
    const seen: unknown[] = []
    future.addDoneCallback((each) => seen.push(each, each.snapshot()[field], each.done()))
    expect(seen).toEqual([])
    settle(future)
    expect(seen).toEqual([future, value, true])
  })

  it.each(['succeeded', 'failed', 'cancelled', 'cancelledAndNotified'] as const)(
    'run at once when it has %s',
    (state) => {
      const future = inState(state)
      const callback = vi.fn()
      future.addDoneCallback(callback)
      expect(callback.mock.calls).toEqual([[future]])
    },
  )

  it('that throw are logged and hinder neither the next nor who settles', () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const future = new Future<number>()
    const after = vi.fn()
    future.addDoneCallback(() => {
      throw new RangeError('doh!')
    })
    future.addDoneCallback(after)
    expect(() => future.setResult(5)).not.toThrow()
    expect(after).toHaveBeenCalledTimes(1)
    expect(logged.mock.calls).toEqual([[expect.stringContaining('exception calling callback'), new RangeError('doh!')]])
    expect(future.snapshot()).toMatchObject({ done: true, result: 5 })
  })

  it('that throw when they are added late are logged, not thrown to who adds them', () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    const future = inState('succeeded')
    const add = () =>
      future.addDoneCallback(() => {
        throw new RangeError('doh!')
      })
    expect(add).not.toThrow()
    expect(logged).toHaveBeenCalledTimes(1)
  })

  it('run in the order they were added, once, without those removed', () => {
    const future = new Future<number>()
    const order: number[] = []
    const removed = () => order.push(-1)
    for (const n of [0, 1, 2]) future.addDoneCallback(() => order.push(n))
    future.addDoneCallback(removed)
    future.addDoneCallback(() => order.push(3))
    future.removeDoneCallback(removed)
    future.setResult(1)
    expect(() => future.setResult(2)).toThrow(InvalidStateError)
    future.cancel()
    expect(order).toEqual([0, 1, 2, 3])
  })

  it('that is removed, though the only one, is not called', () => {
    const future = new Future<number>()
    const removed = vi.fn()
    future.addDoneCallback(removed)
    future.removeDoneCallback(removed)
    future.setResult(1)
    expect(removed).not.toHaveBeenCalled()
  })

  it('may add and remove others while they run', () => {
    const future = new Future<number>()
    const order: string[] = []
    future.addDoneCallback((each) => {
      order.push('first')
      each.addDoneCallback(() => order.push('added'))
    })
    future.addDoneCallback(() => order.push('second'))
    future.setResult(1)
    expect(order).toEqual(['first', 'added', 'second'])
  })
})

describe.each([
  // state, text, cancel(), state after cancel(), cancelled(), done(), running()
  ['pending', '<Future PENDING>', true, 'CANCELLED', false, false, false],
  ['running', '<Future RUNNING>', false, 'RUNNING', false, false, true],
  ['cancelled', '<Future CANCELLED>', true, 'CANCELLED', true, true, false],
  ['cancelledAndNotified', '<Future CANCELLED_AND_NOTIFIED>', true, 'CANCELLED_AND_NOTIFIED', true, true, false],
  ['failed', '<Future FINISHED raised OSError>', false, 'FINISHED', false, true, false],
  ['succeeded', '<Future FINISHED returned number>', false, 'FINISHED', false, true, false],
] as const)('a %s future', (name, text, cancels, after, cancelled, done, running) => {
  it('says what it is', () => {
    const future = inState(name)
    expect(`${future}`).toBe(text)
    expect([future.cancelled(), future.done(), future.running()]).toEqual([cancelled, done, running])
  })

  it(`answers cancel() with ${cancels} and is ${after} afterwards`, () => {
    const future = inState(name)
    const before = future.snapshot()
    expect([future.cancel(), future.state]).toEqual([cancels, after])
    if (!cancels) expect(future.snapshot()).toEqual(before)
  })

  it('gives its result and its exception within a timeout of 0, or why not', async () => {
    const future = inState(name)
    const kind = done ? (cancelled ? CancelledError : undefined) : TimeoutError
    const [result, exception] = [
      await outcome(future.result({ timeout: 0 })),
      await outcome(future.exception({ timeout: 0 })),
    ]
    if (kind !== undefined) {
      for (const each of [result, exception]) expect(each).toEqual(['error', expect.any(kind)])
    } else if (name === 'failed') {
      expect([result, exception]).toEqual([
        ['error', FAILURE],
        ['value', FAILURE],
      ])
      expect((result as unknown[])[1]).toBe(FAILURE)
    } else {
      expect([result, exception]).toEqual([
        ['value', 42],
        ['value', null],
      ])
    }
    expect(future.done()).toBe(done)
  })

  it('starts only when it is pending, and tells of its cancellation once', () => {
    const future = inState(name)
    const start = () => future.setRunningOrNotifyCancel()
    if (name === 'pending') expect([start(), future.state]).toEqual([true, 'RUNNING'])
    else if (name === 'cancelled') expect([start(), future.state]).toEqual([false, 'CANCELLED_AND_NOTIFIED'])
    const { state } = future
    expect(start).toThrow(InvalidStateError)
    expect(future.state).toBe(state)
  })

  it(done ? 'is settled for good' : 'can be settled', async () => {
    for (const settle of ['setResult', 'setException'] as const) {
      const future = inState(name)
      const [before, state] = [future.snapshot(), future.state]
      const act = () => (settle === 'setResult' ? future.setResult(7) : future.setException(new Error('late')))
      if (!done) {
        act()
        expect(future.state).toBe('FINISHED')
        continue
      }
      expect(act).toThrow(InvalidStateError)
      expect([future.snapshot(), future.state]).toEqual([before, state])
    }
  })
})

describe('who waits', () => {
  it.each([
    ['result', 'setResult', (f: Future<number>) => f.result(), (f: Future<number>) => f.setResult(42), ['value', 42]],
    [
      'result',
      'setException',
      (f: Future<number>) => f.result(),
      (f: Future<number>) => f.setException(FAILURE),
      ['error', FAILURE],
    ],
    [
      'result',
      'cancel',
      (f: Future<number>) => f.result(),
      (f: Future<number>) => f.cancel(),
      ['error', expect.any(CancelledError)],
    ],
    [
      'exception',
      'setException',
      (f: Future<number>) => f.exception(),
      (f: Future<number>) => f.setException(FAILURE),
      ['value', FAILURE],
    ],
    [
      'exception',
      'setResult',
      (f: Future<number>) => f.exception(),
      (f: Future<number>) => f.setResult(1),
      ['value', null],
    ],
    [
      'exception',
      'cancel',
      (f: Future<number>) => f.exception(),
      (f: Future<number>) => f.cancel(),
      ['error', expect.any(CancelledError)],
    ],
    ['await', 'setResult', async (f: Future<number>) => await f, (f: Future<number>) => f.setResult(42), ['value', 42]],
    [
      'await',
      'setException',
      async (f: Future<number>) => await f,
      (f: Future<number>) => f.setException(FAILURE),
      ['error', FAILURE],
    ],
  ] as const)('on %s is released by a later %s', async (_wait, _settle, wait, settle, expected) => {
    const future = new Future<number>()
    const waiting = outcome(wait(future))
    await Promise.resolve()
    settle(future)
    expect(await waiting).toEqual(expected)
  })

  it('with a timeout is released by it alone, with the future in hand, and the future goes on', async () => {
    vi.useFakeTimers()
    const future = new Future<number>()
    const [short, long] = [outcome(future.result({ timeout: 50 })), outcome(future.result({ timeout: '1s' }))]
    await vi.advanceTimersByTimeAsync(50)
    const [kind, error] = (await short) as [string, TimeoutError]
    expect([kind, error]).toEqual(['error', expect.any(TimeoutError)])
    expect(error.notDone).toEqual([future])
    expect(future.state).toBe('PENDING')
    future.setResult(1)
    expect(await long).toEqual(['value', 1])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('with a signal is released by its reason, and leaves no listener behind', async () => {
    const controller = new AbortController()
    const [add, remove] = [
      vi.spyOn(controller.signal, 'addEventListener'),
      vi.spyOn(controller.signal, 'removeEventListener'),
    ]
    const [aborted, settled] = [new Future<number>(), new Future<number>()]
    const waits = [
      outcome(aborted.result({ signal: controller.signal })),
      outcome(settled.result({ signal: controller.signal })),
    ]
    settled.setResult(3)
    expect(await waits[1]).toEqual(['value', 3])
    controller.abort(new RangeError('enough'))
    expect(await waits[0]).toEqual(['error', new RangeError('enough')])
    expect(remove).toHaveBeenCalledTimes(add.mock.calls.length)
    expect(await outcome(new Future().exception({ signal: controller.signal }))).toEqual([
      'error',
      new RangeError('enough'),
    ])
    expect(await outcome(settled.result({ signal: controller.signal }))).toEqual(['value', 3])
  })

  it.each(['soon', '', Number.NaN])(
    'with a timeout that is none, %j, is told so instead of waiting for ever',
    async (timeout) => {
      for (const future of [inState('pending'), inState('succeeded')]) {
        for (const wait of [future.result({ timeout }), future.exception({ timeout })]) {
          await expect(wait).rejects.toMatchObject({
            code: 'VALIDATION',
            message: expect.stringMatching(/^timeout: expected/),
          })
        }
      }
    },
  )

  it('are a thousand: all see the same snapshot and the same value', async () => {
    const future = new Future<object>()
    const value = {}
    const waiting = Array.from({ length: 1_000 }, async () => [await future, future.snapshot()] as const)
    future.setResult(value)
    for (const [seen, snapshot] of await Promise.all(waiting)) {
      expect(seen).toBe(value)
      expect(snapshot).toEqual({ done: true, cancelled: false, result: value, exception: undefined })
    }
  })
})

describe('a snapshot', () => {
  it.each([
    ['pending', { done: false, cancelled: false, result: undefined, exception: undefined }],
    ['running', { done: false, cancelled: false, result: undefined, exception: undefined }],
    ['cancelled', { done: true, cancelled: true, result: undefined, exception: undefined }],
    ['failed', { done: true, cancelled: false, result: undefined, exception: FAILURE }],
    ['succeeded', { done: true, cancelled: false, result: 42, exception: undefined }],
  ] as const)('of a %s future is all it is', (name, expected) => {
    expect(inState(name).snapshot()).toEqual(expected)
  })
})

describe('as a promise', () => {
  it('settles what follows it once, with null and undefined as results like any other', async () => {
    for (const value of [null, undefined, 0, '', false]) {
      const future = new Future<unknown>()
      future.setResult(value)
      expect(await future).toBe(value)
      expect(await future.exception()).toBeNull()
    }
    const seen = vi.fn()
    const future = new Future<number>()
    const chained = future.then((n) => n + 1).finally(seen)
    future.setResult(1)
    expect(() => future.setException(FAILURE)).toThrow(InvalidStateError)
    expect(await chained).toBe(2)
    expect(seen).toHaveBeenCalledTimes(1)
    expect(await inState('failed').catch((error: unknown) => error)).toBe(FAILURE)
    await expect(inState('failed').finally(seen)).rejects.toBe(FAILURE)
  })

  it('raises no unhandledRejection when it fails and nobody awaits it, and one when what awaits it is dropped', async () => {
    const program = fileURLToPath(new URL('../support/unawaited-future.ts', import.meta.url))
    const exitCode = (mode: string) =>
      new Promise((resolve) => {
        fork(program, [mode], { execArgv: ['--import', 'tsx'], silent: true }).on('exit', resolve)
      })
    expect(await Promise.all(['unawaited', 'callback', 'awaited'].map(exitCode))).toEqual([0, 0, 1])
  })
})
