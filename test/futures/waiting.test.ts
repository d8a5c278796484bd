/** `wait`, `asCompleted` and futurist's waiters. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Future } from '../../src/futures/future.ts'
import { SynchronousExecutor } from '../../src/futures/synchronous-executor.ts'
import { asCompleted, wait, waitForAll, waitForAny } from '../../src/futures/waiting.ts'
import { isCollected } from '../support/collected.ts'

const FAILURE = new RangeError('doh!')

let made = 0

/** One that `toEqual` tells from every other. */
class Numbered extends Future<number> {
  readonly number = made++
}

function succeeded(value = 1): Future<number> {
  const future = new Numbered()
  future.setResult(value)
  return future
}

function failed(): Future<number> {
  const future = new Numbered()
  future.setException(FAILURE)
  return future
}

function cancelled({ notified = true } = {}): Future<number> {
  const future = new Numbered()
  future.cancel()
  if (notified) future.setRunningOrNotifyCancel()
  return future
}

function pending(): Future<number> {
  return new Numbered()
}

async function namesOf(fs: Record<string, Future<number>>, options?: Parameters<typeof wait>[1]): Promise<unknown> {
  const { done, notDone } = await wait(Object.values(fs), options)
  const names = (set: ReadonlySet<Future<number>>) => Object.keys(fs).filter((name) => set.has(fs[name] as never))
  expect(done.size + notDone.size).toBe(Object.keys(fs).length)
  return [names(done), names(notDone)]
}

afterEach(() => {
  vi.useRealTimers()
})

describe('wait', () => {
  it('counts a future once', async () => {
    const future = pending()
    const waiting = wait([future, future])
    future.setResult(1)
    expect(await waiting).toEqual({ done: new Set([future]), notDone: new Set() })
  })

  it('gives both sets in the order of its input', async () => {
    const [a, b, c, d] = [pending(), pending(), pending(), pending()]
    const waiting = wait([a, b, c, d], { timeout: 5 })
    c.setResult(1)
    a.setResult(1)
    const { done, notDone } = await waiting
    expect([...done, ...notDone]).toEqual([a, c, b, d])
  })

  it('for the first: a cancellation nobody took note of is none, until somebody does', async () => {
    const fs = { cancelled: cancelled({ notified: false }), quick: pending(), blocked: pending() }
    const waiting = namesOf(fs, { returnWhen: 'FIRST_COMPLETED' })
    await Promise.resolve()
    fs.quick.setResult(1)
    expect(await waiting).toEqual([['quick'], ['cancelled', 'blocked']])
    const noted = namesOf({ cancelled: fs.cancelled }, { returnWhen: 'FIRST_COMPLETED' })
    expect(fs.cancelled.setRunningOrNotifyCancel()).toBe(false)
    expect(await noted).toEqual([['cancelled'], []])
  })

  it('for the first returns at once when some are done already', async () => {
    const fs = { cancelled: cancelled(), ok: succeeded(), blocked: pending() }
    expect(await namesOf(fs, { returnWhen: 'FIRST_COMPLETED' })).toEqual([['cancelled', 'ok'], ['blocked']])
  })

  it('for the first exception passes over results and cancellations', async () => {
    const fs = { ok: succeeded(), cancelled: cancelled(), later: pending(), fails: pending(), blocked: pending() }
    let over = false
    const waiting = namesOf(fs, { returnWhen: 'FIRST_EXCEPTION' }).finally(() => {
      over = true
    })
    fs.later.setResult(2)
    await new Promise((resolve) => setImmediate(resolve))
    expect(over).toBe(false)
    fs.fails.setException(FAILURE)
    expect(await waiting).toEqual([['ok', 'cancelled', 'later', 'fails'], ['blocked']])
  })

  it('for the first exception returns at once when there is one, and after all where none comes', async () => {
    expect(await namesOf({ fails: failed(), blocked: pending() }, { returnWhen: 'FIRST_EXCEPTION' })).toEqual([
      ['fails'],
      ['blocked'],
    ])
    expect(await namesOf({ a: succeeded(), b: cancelled() }, { returnWhen: 'FIRST_EXCEPTION' })).toEqual([
      ['a', 'b'],
      [],
    ])
  })

  it('for all takes every kind of end', async () => {
    const fs = { ok: succeeded(), fails: failed(), cancelled: cancelled(), later: pending() }
    const waiting = namesOf(fs)
    fs.later.setException(FAILURE)
    expect(await waiting).toEqual([['ok', 'fails', 'cancelled', 'later'], []])
  })

  it('gives what is done when the time is over, and goes on with nothing', async () => {
    vi.useFakeTimers()
    const fs = { ok: succeeded(), blocked: pending(), late: pending() }
    const waiting = namesOf(fs, { timeout: '1s' })
    await vi.advanceTimersByTimeAsync(999)
    fs.late.setResult(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(await waiting).toEqual([['ok', 'late'], ['blocked']])
    expect(vi.getTimerCount()).toBe(0)
    fs.blocked.setResult(1)
  })

  it('passes over a future that is cancelled while it waits, until that was taken note of', async () => {
    const [cancels, ends] = [pending(), pending()]
    const waiting = waitForAny([cancels, ends])
    cancels.cancel()
    await new Promise((resolve) => setImmediate(resolve))
    ends.setResult(1)
    expect(await waiting).toEqual({ done: new Set([ends]), notDone: new Set([cancels]) })
  })

  it('leaves no timer and no listener when it is over before its time', async () => {
    vi.useFakeTimers()
    const { signal } = new AbortController()
    const [add, remove] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
    const futures = [pending(), pending()]
    const waiting = wait(futures, { timeout: '1h', signal })
    for (const future of futures) {
      await vi.advanceTimersByTimeAsync(1)
      future.setResult(1)
    }
    await waiting
    expect([vi.getTimerCount(), add.mock.calls.length]).toEqual([0, 2])
    expect(remove).toHaveBeenCalledTimes(2)
  })

  it('misses none of a hundred that end while it waits', async () => {
    const futures = Array.from({ length: 100 }, pending)
    const waiting = wait(futures)
    for (const [i, future] of futures.entries()) setImmediate(() => (i % 2 ? future.setResult(i) : future.cancel()))
    setImmediate(() => {
      for (const future of futures) if (future.cancelled()) future.setRunningOrNotifyCancel()
    })
    expect((await waiting).done).toEqual(new Set(futures))
  })

  it('of nothing returns two empty sets at once', async () => {
    for (const returnWhen of ['ALL_COMPLETED', 'FIRST_COMPLETED', 'FIRST_EXCEPTION'] as const) {
      expect(await wait([], { returnWhen })).toEqual({ done: new Set(), notDone: new Set() })
    }
  })

  it('ends with the reason of its signal, and leaves nothing on the futures', async () => {
    const future = pending()
    const removed = vi.spyOn(future, 'removeWatcher')
    const controller = new AbortController()
    const waiting = wait([future, succeeded()], { signal: controller.signal })
    await Promise.resolve()
    controller.abort(FAILURE)
    await expect(waiting).rejects.toBe(FAILURE)
    expect(removed).toHaveBeenCalledTimes(1)
    expect(future.state).toBe('PENDING')
    await expect(wait([future], { signal: AbortSignal.abort(FAILURE) })).rejects.toBe(FAILURE)
  })

  it.each([
    [
      'a wish it does not know',
      () => wait([], { returnWhen: 'SOMETIMES' as never }),
      /returnWhen: expected one of 'ALL_/,
    ],
    ['a timeout that is none', () => wait([], { timeout: -1 }), /timeout: expected milliseconds/],
    ['a promise', () => wait([Promise.resolve(1) as never]), /wait: expected futures, got a Promise among them/],
    ['one future alone', () => wait(pending() as never), /wait: expected a list of futures/],
  ])('refuses %s', async (_what, act, message) => {
    await expect(act()).rejects.toMatchObject({ code: 'VALIDATION', message: expect.stringMatching(message) })
  })

  it('takes futures of any executor, those of quern cancelled are done at once', async () => {
    const executor = new SynchronousExecutor({ runWorkFunc: () => undefined })
    const [mixed, own] = [executor.submit(() => 1), pending()]
    mixed.cancel()
    own.setResult(1)
    expect((await waitForAll<Future<number>>([mixed, own])).done.size).toBe(2)
  })
})

describe('waiters', () => {
  it('for any empties ten, one after the other; for all takes all', async () => {
    let left = new Set(Array.from({ length: 10 }, pending))
    for (const future of left) setImmediate(() => future.setResult(1))
    for (let rounds = 0; left.size > 0; rounds++) {
      const { done, notDone } = await waitForAny(left)
      expect(done.size).toBeGreaterThan(0)
      expect(rounds).toBeLessThan(10)
      left = notDone
    }
    const all = [pending(), succeeded()]
    const waiting = waitForAll(all)
    all[0]?.setResult(1)
    expect(await waiting).toEqual({ done: new Set(all), notDone: new Set() })
    expect(await waitForAny([])).toEqual({ done: new Set(), notDone: new Set() })
    expect(await waitForAny([pending()], { timeout: 0 })).toMatchObject({ done: new Set() })
  })
})

/** An async input, hand-written: the `yield` of a generator would await the future. A promise is of a list of one. */
function handing<F>(steps: (() => F | Promise<F[]>)[]): AsyncIterable<F> {
  const left = [...steps]
  return {
    [Symbol.asyncIterator]: () => ({
      next: async () => {
        const step = left.shift()
        if (step === undefined) return { done: true, value: undefined }
        const given = step()
        return { done: false, value: given instanceof Promise ? ((await given)[0] as F) : given }
      },
    }),
  }
}

describe('asCompleted', () => {
  async function drain<F extends Future<unknown>>(futures: AsyncIterable<F>): Promise<{ given: F[]; error: unknown }> {
    const given: F[] = []
    try {
      for await (const future of futures) given.push(future)
      return { given, error: undefined }
    } catch (error) {
      return { given, error }
    }
  }

  it('gives all once: first what is done, then in the order they end', async () => {
    const [a, b, c] = [pending(), pending(), pending()]
    const [ok, fails, gone] = [succeeded(), failed(), cancelled()]
    const draining = drain(asCompleted([a, ok, b, fails, c, gone, b]))
    await new Promise((resolve) => setImmediate(resolve))
    c.setResult(3)
    a.setException(FAILURE)
    b.cancel()
    b.setRunningOrNotifyCancel()
    expect(await draining).toEqual({ given: [ok, fails, gone, c, a, b], error: undefined })
  })

  it.each([0, 20])('gives what has ended before its time of %d ms is over', async (timeout) => {
    const futures = [pending(), succeeded(), cancelled(), pending()]
    const { given, error } = await drain(asCompleted(futures, { timeout }))
    expect(given).toEqual([futures[1], futures[2]])
    expect(error).toMatchObject({ code: 'TIMEOUT', message: '2 (of 4) futures unfinished' })
    expect((error as { notDone: unknown }).notDone).toEqual([futures[0], futures[3]])
  })

  it('counts the time from the call, and is at its end after an error', async () => {
    vi.useFakeTimers()
    const futures = [pending(), pending()]
    const endings = asCompleted(futures, { timeout: 100 })
    setTimeout(() => futures[0]?.setResult(1), 60)
    const first = endings.next()
    await vi.advanceTimersByTimeAsync(60)
    expect(await first).toEqual({ done: false, value: futures[0] })
    const second = endings.next().catch((error: Error) => error.message)
    await vi.advanceTimersByTimeAsync(40)
    expect(await second).toBe('1 (of 2) futures unfinished')
    expect(await endings.next()).toEqual({ done: true, value: undefined })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('takes any iterable, and an async one that goes on while it gives', async () => {
    const [a, b] = [pending(), pending()]
    let more: (() => void) | undefined
    const later = new Promise<void>((resolve) => {
      more = resolve
    })
    const input = () => handing([() => a, () => a, () => later.then(() => [b])])
    const endings = asCompleted(input())
    const first = endings.next()
    await new Promise((resolve) => setImmediate(resolve))
    a.setResult(1)
    expect((await first).value).toBe(a)
    more?.()
    b.setResult(2)
    expect([(await endings.next()).value, (await endings.next()).done]).toEqual([b, true])
    expect((await drain(asCompleted(new Set([a, b])))).given).toEqual([a, b])
    expect((await drain(asCompleted([a, a, a]))).given).toEqual([a])
  })

  it('tells the error of its input after what had ended', async () => {
    const ok = succeeded()
    const broken = () => Promise.reject(FAILURE)
    expect(await drain(asCompleted(handing([() => ok, broken])))).toEqual({ given: [ok], error: FAILURE })
    expect(await drain(asCompleted(handing([() => 7 as never])))).toMatchObject({
      error: { message: 'asCompleted: expected futures, got 7 among them' },
    })
  })

  it('leaves nothing on the futures when the loop is left, its signal aborts, or it is refused', async () => {
    const futures = [succeeded(), pending(), pending()]
    const removed = futures.map((future) => vi.spyOn(future, 'removeWatcher'))
    for await (const future of asCompleted(futures)) {
      expect(future).toBe(futures[0])
      break
    }
    expect(removed.map((spy) => spy.mock.calls.length)).toEqual([0, 1, 1])
    const controller = new AbortController()
    const draining = drain(asCompleted(futures, { signal: controller.signal }))
    await new Promise((resolve) => setImmediate(resolve))
    controller.abort(FAILURE)
    expect(await draining).toEqual({ given: [futures[0]], error: FAILURE })
    expect(removed.map((spy) => spy.mock.calls.length)).toEqual([0, 2, 2])
  })

  it('serves several who ask at once', async () => {
    const futures = [pending(), pending()]
    const endings = asCompleted(futures)
    const asked = Promise.all([endings.next(), endings.next(), endings.next()])
    await new Promise((resolve) => setImmediate(resolve))
    futures[1]?.setResult(1)
    futures[0]?.setResult(1)
    expect((await asked).map(({ value }) => value)).toEqual([futures[1], futures[0], undefined])
  })

  it('holds no future it has given out', async () => {
    let value: object | undefined = { large: new Uint8Array(1_000) }
    const reference = new WeakRef(value)
    let future: Future<object> | undefined = new Future<object>()
    future.setResult(value)
    const endings = asCompleted([future, pending() as unknown as Future<object>])
    expect((await endings.next()).value).toBe(future)
    future = undefined
    value = undefined
    expect(await isCollected(reference)).toBe(true)
    await endings.return?.()
  })
})
