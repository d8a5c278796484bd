/** What is counted for a call: every request really sent, by kind, and the bytes. */
import { describe, expect, it } from 'vitest'
import { requestCost } from '../../partitioner/prices.ts'
import { addCounts, emptyCounts, RequestTally } from '../../src/core/tally.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withFaults } from '../../src/storage/with-faults.ts'
import { withMetering } from '../../src/storage/with-metering.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { withTally } from '../../src/storage/with-tally.ts'
import { testStorageLayer } from '../support/layered-store.ts'
import { manualClock } from '../support/manual-retry.ts'

testStorageLayer('withMetering and withTally', (backend) => withTally(withMetering(backend), new RequestTally()))

async function counted(faults: Parameters<typeof withFaults>[1] = { faults: {} }) {
  const inner = new MemoryBackend()
  await inner.createBucket('b')
  await inner.put('b', 'k', Buffer.alloc(1_000))
  const metered = withMetering(withFaults(inner, faults))
  const tally = new RequestTally()
  return { inner, tally, store: withTally(withRetry(metered, { clock: manualClock() }), tally), uncounted: metered }
}

const drain = async (body: AsyncIterable<unknown>) => {
  let items = 0
  for await (const item of body) items += item === undefined ? 0 : 1
  return items
}

describe('withMetering', () => {
  it('counts requests by kind and the bytes that went by', async () => {
    const { store, tally, inner } = await counted()
    await drain((await store.get('b', 'k', { range: { start: 100, end: 400 } })).body)
    await store.head('b', 'k')
    await store.put('b', 'new', Buffer.alloc(70))
    for (let i = 0; i < 2_500; i++) await inner.put('b', `many${i}`, Buffer.from('x'))
    await drain(store.list('b', { prefix: 'many' }))
    await drain(store.list('b', { prefix: 'none' }))
    await store.delete(
      'b',
      Array.from({ length: 2_500 }, (_, i) => `many${i}`),
    )
    expect(tally.counts()).toEqual({
      memory: { ...emptyCounts(), get: 1, head: 1, put: 1, list: 4, delete: 3, bytesReceived: 300, bytesSent: 70 },
    })
  })

  it('counts a large put by its parts, streamed or not', async () => {
    const { store, tally } = await counted()
    await store.put('b', 'large', Buffer.alloc(20 << 20))
    async function* stream() {
      for (let i = 0; i < 20; i++) yield Buffer.alloc(1 << 20)
    }
    await store.put('b', 'streamed', stream())
    // three parts, one to open and one to end, twice
    expect(tally.of('memory')).toMatchObject({ put: 10, bytesSent: 40 << 20 })
  })

  it('counts what failed, what was sent again, and what was throttled', async () => {
    let requests = 0
    const { store, tally } = await counted({ when: () => (['throttle', 'truncate', 'none'] as const)[requests++] })
    await drain((await store.get('b', 'k')).body)
    expect(tally.of('memory')).toMatchObject({ get: 3, retries: 2, throttled: 1, bytesReceived: 1_000 })
  })

  it('counts nothing for nobody', async () => {
    const { uncounted, tally } = await counted()
    await drain((await uncounted.get('b', 'k')).body)
    await drain(uncounted.list('b'))
    expect(tally.counts()).toBeUndefined()
  })
})

describe('what requests cost', () => {
  it('is their number by the table, a HEAD as a GET, a DELETE for nothing', () => {
    const prices = { currency: 'EUR', get: 1, list: 10, put: 100, assumptions: 'ours' }
    const counts = { ...emptyCounts(), get: 1_000, head: 1_000, list: 1_000, put: 1_000, delete: 5 }
    expect(requestCost(counts, prices)).toBe(112)
    const gib = { ...counts, bytesReceived: 2 ** 29, bytesSent: 2 ** 40 }
    expect([requestCost(gib, prices), requestCost(gib, { ...prices, gib: 6 })]).toEqual([112, 115])
  })

  it('sums of counts leave the parts alone', () => {
    const [total, part] = [emptyCounts(), { ...emptyCounts(), get: 2, hedges: 1 }]
    addCounts(total, part)
    addCounts(total, part)
    expect(total).toEqual({ ...emptyCounts(), get: 4, hedges: 2 })
    expect(part.get).toBe(2)
  })
})
