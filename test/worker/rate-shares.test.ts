/** The rate that the workers of a machine share: what becomes of a store that refuses what is above its rate. */
import { describe, expect, it } from 'vitest'
import { RateDesk } from '../../src/compute/rate-desk.ts'
import { seededDraw } from '../../src/storage/seeded-draw.ts'
import { withLimit } from '../../src/storage/with-limit.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { RateClient } from '../../src/worker/rate-client.ts'
import { settledShares, throttlingStore } from '../support/throttling-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

interface Shift {
  readonly fromMs: number
  readonly toMs: number
}

const MESSAGE_MS = 3

/** Workers, each there for its shift, which ask as fast as they may; what the store said. */
async function simulate(perSecond: number, lanes: number, shifts: readonly Shift[]) {
  const clock = new VirtualClock()
  const { store, answers } = throttlingStore(perSecond, clock)
  const clients = new Map<number, RateClient>()
  const desk = new RateDesk((bytes, only) => {
    for (const [id, client] of clients) {
      if (only === undefined || only === id) void clock.sleep(MESSAGE_MS).then(() => client.take(bytes))
    }
  }, clock)
  const worker = async ({ fromMs, toMs }: Shift, id: number) => {
    await clock.sleep(fromMs)
    const ask = (bytes: Uint8Array) => {
      void clock.sleep(MESSAGE_MS).then(() => desk.take(id, bytes, clients.size))
    }
    clients.set(id, new RateClient(ask, clock))
    desk.greet(id)
    await clock.sleep(MESSAGE_MS)
    let draws = 0
    const random = () => seededDraw(id, `${draws++}`)
    const mine = withRetry(withLimit(store, { clock, lease: clients.get(id) }), { clock, random })
    const lane = async () => {
      while (clock.nowMs() < toMs) await mine.head('b', 'k')
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    clients.delete(id)
  }
  await clock.run(Promise.all(shifts.map(worker)))
  return answers
}

const SETTLED = { fromMs: 30_000, toMs: 90_000 }
const all = (workers: number): Shift[] => Array.from({ length: workers }, () => ({ fromMs: 0, toMs: SETTLED.toMs }))

describe('workers that share a rate', () => {
  it.each([
    { perSecond: 3, workers: 1, lanes: 8 },
    { perSecond: 5, workers: 2, lanes: 8 },
    { perSecond: 16, workers: 8, lanes: 4 },
    { perSecond: 24, workers: 8, lanes: 16 },
    { perSecond: 100, workers: 4, lanes: 16 },
    { perSecond: 500, workers: 8, lanes: 16 },
  ])('settle at $perSecond a second: $workers workers of $lanes lanes', async ({ perSecond, workers, lanes }) => {
    const answers = await simulate(perSecond, lanes, all(workers))
    const { accepted, refused } = settledShares(answers, perSecond, SETTLED)
    expect(accepted).toBeGreaterThanOrEqual(0.85)
    expect(refused).toBeLessThanOrEqual(0.1)
  })

  it.each([{ perSecond: 20 }, { perSecond: 200 }])(
    'come and go, one to eight of them, at $perSecond a second',
    async ({ perSecond }) => {
      const stay = { fromMs: 0, toMs: SETTLED.toMs }
      const visits = Array.from({ length: 7 }, (_, i) => ({ fromMs: i * 9_000, toMs: i * 9_000 + 50_000 }))
      const answers = await simulate(perSecond, 8, [stay, ...visits])
      const { accepted, refused } = settledShares(answers, perSecond, SETTLED)
      expect(accepted).toBeGreaterThanOrEqual(0.85)
      expect(refused).toBeLessThanOrEqual(0.1)
    },
  )
})
