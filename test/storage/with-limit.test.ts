/** The limit: the contract, the rule, and what it makes of a store that refuses what is above its rate. */
import { describe, expect, it } from 'vitest'
import { RateControl } from '../../src/core/rate-control.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { seededDraw } from '../../src/storage/seeded-draw.ts'
import { withLimit } from '../../src/storage/with-limit.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { testStorageLayer } from '../support/layered-store.ts'
import { settledShares, slowDown, throttlingStore } from '../support/throttling-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

testStorageLayer('withLimit', withLimit)

describe('workers that share a store of limited rate', () => {
  it.each([
    { perSecond: 100, workers: 1, lanes: 16 },
    { perSecond: 100, workers: 4, lanes: 16 },
    { perSecond: 500, workers: 8, lanes: 16 },
    { perSecond: 50, workers: 8, lanes: 8 },
    // 90,000 requests in virtual time
    ...(process.env.QUERN_TEST_LARGE === '1' ? [{ perSecond: 1_000, workers: 2, lanes: 64 }] : []),
  ])('settle at $perSecond a second: $workers workers of $lanes lanes', async ({ perSecond, workers, lanes }) => {
    const clock = new VirtualClock()
    const { store, answers } = throttlingStore(perSecond, clock)
    const [settledMs, endMs] = [30_000, 90_000]
    const work = async (worker: number) => {
      let draws = 0
      const random = () => seededDraw(worker, `${draws++}`)
      // each process learns by itself
      const mine = withRetry(withLimit(store, { clock }), { clock, random })
      const lane = async () => {
        while (clock.nowMs() < endMs) await mine.head('b', 'k')
      }
      await Promise.all(Array.from({ length: lanes }, lane))
    }
    await clock.run(Promise.all(Array.from({ length: workers }, (_, worker) => work(worker))))
    const { accepted, refused } = settledShares(answers, perSecond, { fromMs: settledMs, toMs: endMs })
    expect(accepted).toBeGreaterThanOrEqual(0.85)
    expect(refused).toBeLessThanOrEqual(0.1)
  })

  it('are not held back where nothing is refused', async () => {
    const clock = new VirtualClock()
    const { store, answers } = throttlingStore(1_000_000, clock)
    const limited = withLimit(store, { clock })
    await clock.run(Promise.all(Array.from({ length: 256 }, () => limited.head('b', 'k'))))
    expect(answers).toHaveLength(256)
    expect(clock.nowMs()).toBeLessThan(61)
  })
})

describe('a store that refuses some of any requests, however few', () => {
  /** How long `count` requests take in 8 lanes, in virtual ms, when each takes 5 and that share is refused. */
  async function timeOf(
    layer: (store: StorageBackend, clock: VirtualClock) => StorageBackend,
    share: number,
    count: number,
  ) {
    const clock = new VirtualClock()
    let [draws, left] = [0, count]
    const random = () => seededDraw(count, `${draws++}`)
    const head: StorageBackend['head'] = async (_bucket, key) => {
      await clock.sleep(5)
      if (random() < share) throw slowDown(0)
      return { key, size: 0, etag: 'e' }
    }
    const store = withRetry(layer(layered(new MemoryBackend(), { head }), clock), { clock, random })
    const lane = async () => {
      while (left-- > 0) await store.head('b', 'k')
    }
    await clock.run(Promise.all(Array.from({ length: 8 }, lane)))
    return clock.nowMs()
  }

  it.each([
    { share: 0.17, count: 24 },
    { share: 0.02, count: 2_000 },
    { share: 0.05, count: 2_000 },
    { share: 0.1, count: 5_000 },
    { share: 0.17, count: 10_000 },
  ])('is asked about as fast as by who only repeats: $count requests, $share refused', async ({ share, count }) => {
    const limited = await timeOf((store, clock) => withLimit(store, { clock }), share, count)
    expect(limited / (await timeOf((store) => store, share, count))).toBeLessThan(3)
  })

  it('and then has a rate, is soon asked for no more than that', async () => {
    const clock = new VirtualClock()
    const { store, answers } = throttlingStore(100, clock)
    let isIll = true
    const head: StorageBackend['head'] = async (bucket, key) => {
      if (!isIll) return store.head(bucket, key)
      await clock.sleep(40)
      if (seededDraw(clock.nowMs(), key) < 0.2) throw slowDown(0)
      return { key, size: 0, etag: 'e' }
    }
    const limited = withRetry(withLimit(layered(new MemoryBackend(), { head }), { clock }), { clock })
    const lane = async (_: unknown, lane: number) => {
      while (clock.nowMs() < 60_000) await limited.head('b', `${lane}`)
    }
    const well = clock.sleep(20_000).then(() => {
      isIll = false
    })
    await clock.run(Promise.all([well, ...Array.from({ length: 16 }, lane)]))
    const { accepted, refused } = settledShares(answers, 100, { fromMs: 30_000, toMs: 60_000 })
    expect(accepted).toBeGreaterThanOrEqual(0.85)
    expect(refused).toBeLessThanOrEqual(0.1)
  })

  it('that takes much less from one moment on is soon asked for no more than that', async () => {
    const clock = new VirtualClock()
    const [before, after] = [throttlingStore(1_000, clock), throttlingStore(50, clock)]
    const head: StorageBackend['head'] = (bucket, key) =>
      (clock.nowMs() < 10_000 ? before : after).store.head(bucket, key)
    const limited = withRetry(withLimit(layered(new MemoryBackend(), { head }), { clock }), { clock })
    const lane = async () => {
      while (clock.nowMs() < 50_000) await limited.head('b', 'k')
    }
    await clock.run(Promise.all(Array.from({ length: 64 }, lane)))
    const { accepted, refused } = settledShares(after.answers, 50, { fromMs: 20_000, toMs: 50_000 })
    expect(accepted).toBeGreaterThanOrEqual(0.85)
    expect(refused).toBeLessThanOrEqual(0.1)
  })
})

describe('a scope', () => {
  /** What a request to `bucket/key` waits after one to b/2026/x was refused. */
  async function waitAfterRefusal(send: (store: StorageBackend) => Promise<unknown>, retryAfterMs: number) {
    const clock = new VirtualClock()
    let refuse = true
    const head: StorageBackend['head'] = async (_bucket, key) => {
      if (refuse) throw slowDown(retryAfterMs)
      return { key, size: 0, etag: 'e' }
    }
    const inner = new MemoryBackend()
    await inner.createBucket('b')
    const limited = withLimit(layered(inner, { head }), { clock })
    await expect(limited.head('b', '2026/x')).rejects.toMatchObject({ code: 'THROTTLED' })
    refuse = false
    await clock.run(send(limited))
    return clock.nowMs()
  }

  it.each([
    { what: 'another key under the same prefix', send: (s: StorageBackend) => s.head('b', '2026/y'), waits: true },
    { what: 'another prefix', send: (s: StorageBackend) => s.head('b', '2025/y'), waits: false },
    { what: 'another bucket', send: (s: StorageBackend) => s.head('c', '2026/y'), waits: false },
    { what: 'a write', send: (s: StorageBackend) => s.put('b', '2026/y', Buffer.from('x')), waits: false },
  ])('$what waits as the store asked: $waits', async ({ send, waits }) => {
    expect(await waitAfterRefusal(send, 5_000)).toBe(waits ? 5_000 : 0)
  })
})

describe('RateControl', () => {
  /** Accepts `count` requests, `everyMs` apart, from `fromMs`. */
  function accept(control: RateControl, count: number, everyMs: number, fromMs = 0): number {
    let at = fromMs
    for (let i = 0; i < count; i++) {
      at += everyMs
      control.sent()
      control.accepted(at)
    }
    return at
  }

  it('has no rate before the first refusal, then a cut of what was accepted', () => {
    const control = new RateControl({ cut: 0.5 })
    expect([control.perSecond, control.reserve(0)]).toEqual([Number.POSITIVE_INFINITY, 0])
    const at = accept(control, 5_000, 10)
    control.sent()
    control.refused(at, at)
    expect(control.perSecond).toBeGreaterThan(45)
    expect(control.perSecond).toBeLessThan(60)
  })

  it('has none from what the first few answers say, nor a low one from a pause', () => {
    const few = new RateControl()
    const at = accept(few, 20, 10)
    few.sent()
    few.refused(at, at)
    expect(few.perSecond).toBe(Number.POSITIVE_INFINITY)
    const idle = new RateControl({ cut: 0.5 })
    const later = accept(idle, 100, 10) + 10_000
    idle.sent()
    idle.refused(later, later)
    expect(idle.perSecond).toBe(6)
  })

  it('answers the refusals of requests sent before a cut with no other', () => {
    const control = new RateControl()
    const at = accept(control, 1_000, 10)
    for (let i = 0; i < 3; i++) control.sent()
    control.refused(at, at + 20)
    const rate = control.perSecond
    control.refused(at + 10, at + 30)
    expect(control.perSecond).toBe(rate)
    control.refused(at + 21, at + 40)
    expect(control.perSecond).toBeLessThan(rate)
  })

  it('takes the burst it begins with, at a rate that was supposed, for no rate of the store', () => {
    const control = new RateControl()
    control.suppose(20, 0)
    accept(control, 16, 0)
    for (let i = 0; i < 2; i++) control.sent()
    control.refused(0, 100)
    const rate = control.perSecond
    control.refused(200, 300)
    expect(control.perSecond).toBeLessThan(rate)
  })

  it('is back where it was after the time of recovery, and goes on growing', () => {
    const control = new RateControl({ cut: 0.8, recoverMs: 3_000 })
    const at = accept(control, 1_000, 10)
    control.sent()
    control.refused(at, at)
    const before = control.perSecond / 0.8
    const rates: number[] = []
    for (let now = at; now < at + 5_000; now += 10) {
      control.sent()
      control.accepted(now)
      rates.push(control.perSecond)
    }
    expect(rates[299] as number).toBeCloseTo(before, 0)
    expect(rates.at(-1) as number).toBeGreaterThan(before)
    expect(rates.every((rate, i) => i === 0 || rate >= (rates[i - 1] as number))).toBe(true)
  })

  it('spaces what is reserved by the rate', () => {
    const control = new RateControl({ cut: 0.5 })
    const at = accept(control, 1_000, 50)
    control.sent()
    control.refused(at, at)
    const waits = [1, 2, 3].map(() => control.reserve(at))
    const gap = 1_000 / control.perSecond
    expect(waits.map((wait) => wait / gap)).toEqual([expect.closeTo(1), expect.closeTo(2), expect.closeTo(3)])
  })

  it('has a window that is cut with the rate and opens by one for a window of answers', () => {
    const control = new RateControl({ cut: 0.5, maxWindow: 8 })
    for (let i = 0; i < 8; i++) control.sent()
    expect(control.hasRoom).toBe(false)
    control.refused(0, 10)
    for (let i = 0; i < 4; i++) control.ended()
    expect(control.hasRoom).toBe(true)
    control.sent()
    expect(control.hasRoom).toBe(false)
    for (let i = 0; i < 4; i++) {
      control.accepted(20)
      control.sent()
    }
    for (let i = 0; i < 6; i++) {
      control.accepted(30)
      control.sent()
    }
    expect(control.hasRoom).toBe(true)
  })
})
