/** Hedges: when a second request is sent, who wins, who is aborted, and how few there are. */
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import { RequestTally } from '../../src/core/tally.ts'
import type { GetOptions, StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { type HedgeLayer, withHedge } from '../../src/storage/with-hedge.ts'
import { testStorageLayer } from '../support/layered-store.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

testStorageLayer('withHedge', withHedge)

const CONTENT = Buffer.from(Array.from({ length: 1_000 }, (_, i) => i % 251))
const CHUNK = 100

/** How long a request takes before its answer, and before each of its chunks; a failure instead of a chunk. */
interface Behaviour {
  readonly headMs?: number
  readonly chunkMs?: (chunk: number) => number
  readonly failAt?: number
}

/** A store whose n-th request behaves as told; others answer in 10 ms. */
async function store(behaviours: Readonly<Record<number, Behaviour>>, layer: HedgeLayer = {}) {
  const clock = new VirtualClock()
  const inner = new MemoryBackend()
  await inner.createBucket('b')
  const { etag } = await inner.put('b', 'k', CONTENT)
  const requests: GetOptions[] = []
  async function* body(bytes: AsyncIterable<Uint8Array>, { chunkMs, failAt }: Behaviour, signal?: AbortSignal) {
    let number = 0
    for await (const chunk of bytes) {
      for (let at = 0; at < chunk.length; at += CHUNK) {
        await clock.sleep(chunkMs?.(number) ?? 0, signal)
        if (number++ === failAt) throw new StorageError('UNAVAILABLE', 'reset', { backend: 'memory', operation: 'get' })
        yield chunk.subarray(at, at + CHUNK)
      }
    }
  }
  const get: StorageBackend['get'] = async (bucket, key, options = {}) => {
    const behaviour = behaviours[requests.push(options) - 1] ?? {}
    await clock.sleep(behaviour.headMs ?? 10, options.signal)
    const reading = await inner.get(bucket, key, options)
    return { ...reading, body: body(reading.body, behaviour, options.signal) }
  }
  const hedged = withHedge(layered(inner, { get }), { minSamples: 10, minDelayMs: 15, share: 0.1, clock, ...layer })
  const read = async (options: GetOptions = { range: { start: 0, end: 1_000 }, ifMatch: etag }) => {
    const { body: chunks } = await hedged.get('b', 'k', options)
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(Buffer.from(chunk))
    return Buffer.concat(parts)
  }
  /** Reads that are watched before the first hedge. */
  const learn = async (count = 20) => {
    for (let i = 0; i < count; i++) await clock.run(read())
  }
  return { clock, requests, read, learn, etag, hedged }
}

const LATE = 20

describe('a read that is late', () => {
  it.each([
    { what: 'an answer that does not come', slow: { headMs: 100_000 }, from: 0 },
    { what: 'a body that stands still', slow: { chunkMs: (chunk: number) => (chunk === 3 ? 100_000 : 0) }, from: 300 },
    { what: 'a body that trickles', slow: { chunkMs: () => 5_000 }, from: 0 },
    { what: 'a body that goes on while the second is under way', slow: { chunkMs: () => 4 }, from: 100 },
    { what: 'an answer that fails after the second was sent', slow: { headMs: 20, failAt: 0 }, from: 0 },
  ])('$what: what is left is asked for again, and the read ends with it', async ({ slow, from }) => {
    const { clock, requests, read, learn } = await store({ [LATE]: slow })
    await learn()
    const since = clock.nowMs()
    expect(await clock.run(read())).toEqual(CONTENT)
    expect(clock.nowMs() - since).toBeLessThan(50)
    expect(requests).toHaveLength(LATE + 2)
    expect(requests[LATE + 1]?.range).toEqual({ start: from, end: 1_000 })
    expect(requests[LATE]?.signal?.aborted).toBe(true)
  })

  it('goes on with the first where that is faster, and the second is aborted', async () => {
    const { clock, requests, read, learn } = await store({ [LATE]: { headMs: 20 }, [LATE + 1]: { headMs: 90_000 } })
    await learn()
    expect(await clock.run(read())).toEqual(CONTENT)
    expect(clock.nowMs()).toBeLessThan(1_000)
    expect(requests[LATE + 1]?.signal?.aborted).toBe(true)
  })

  it('goes on with the first where the second fails', async () => {
    const { clock, read, learn } = await store({ [LATE]: { headMs: 500 }, [LATE + 1]: { failAt: 0 } })
    await learn()
    expect(await clock.run(read())).toEqual(CONTENT)
  })

  it('ends with the error of the first where both fail', async () => {
    const { clock, read, learn } = await store({ [LATE]: { headMs: 20, failAt: 0 }, [LATE + 1]: { failAt: 5 } })
    await learn()
    await expect(clock.run(read())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('is counted for its call', async () => {
    const tally = new RequestTally()
    const { clock, read, learn, etag } = await store({ [LATE]: { headMs: 1_000 } })
    await learn()
    await clock.run(read({ range: { start: 0, end: 1_000 }, ifMatch: etag, tally }))
    expect(tally.of('memory').hedges).toBe(1)
  })

  it('is aborted with its reader, both requests of it', async () => {
    const { clock, requests, learn, hedged, etag } = await store({
      [LATE]: { headMs: 90_000 },
      [LATE + 1]: { headMs: 90_000 },
    })
    await learn()
    const abort = new AbortController()
    const options = { range: { start: 0, end: 1_000 }, ifMatch: etag, signal: abort.signal }
    const reading = hedged.get('b', 'k', options)
    const enough = clock.sleep(1_000).then(() => abort.abort(new Error('enough')))
    await expect(clock.run(reading)).rejects.toThrow('enough')
    await enough
    expect(requests.slice(LATE).map(({ signal }) => signal?.aborted)).toEqual([true, true])
  })
})

describe('no hedge', () => {
  it.each([
    { what: 'of a read without a pin', options: { range: { start: 0, end: 1_000 } } },
    { what: 'of a read without a range', options: {} },
  ])('$what', async ({ options }) => {
    const { clock, requests, read, learn } = await store({ [LATE]: { headMs: 1_000 } })
    await learn()
    expect(await clock.run(read(options))).toEqual(CONTENT)
    expect(requests).toHaveLength(LATE + 1)
  })

  it('before enough reads were watched', async () => {
    const { clock, requests, read, learn } = await store({ 5: { headMs: 1_000 } })
    await learn(5)
    await clock.run(read())
    expect(requests).toHaveLength(6)
  })

  it('for a reader that takes its time', async () => {
    const { clock, requests, learn, hedged, etag } = await store({})
    await learn()
    const read = async () => {
      const { body } = await hedged.get('b', 'k', { range: { start: 0, end: 1_000 }, ifMatch: etag })
      for await (const chunk of body) if (chunk.length > 0) await clock.sleep(10_000)
    }
    await clock.run(read())
    expect(requests).toHaveLength(LATE + 1)
  })

  it('beyond its share, though every read is late', async () => {
    const slow = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [i + LATE, { headMs: 40 + i }]))
    const { clock, requests, read, learn } = await store(slow, { share: 0.05 })
    await learn()
    for (let i = 0; i < 200; i++) await clock.run(read())
    const hedges = requests.length - LATE - 200
    expect(hedges).toBeGreaterThan(0)
    expect(hedges).toBeLessThanOrEqual(Math.ceil(0.05 * (200 + LATE)))
  })
})
