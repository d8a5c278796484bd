import { describe, expect, it } from 'vitest'
import { RetryBudget } from '../../src/core/backoff.ts'
import { NotFoundError, ObjectChangedError, StorageError } from '../../src/core/errors.ts'
import { RequestTally } from '../../src/core/tally.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { chunkedBackend } from '../support/chunked-backend.ts'
import { testStorageLayer } from '../support/layered-store.ts'
import { manualClock } from '../support/manual-retry.ts'
import { patientReads } from '../support/patient-reads.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

testStorageLayer('withRetry', withRetry)

const policy = { attempts: 3, baseMs: 100, maxMs: 1_000 }
const busy = () => new StorageError('THROTTLED', '503', { backend: 'memory', operation: 'test' })

/** A store whose every method fails `failures` times with `error` before it works; counts the requests. */
async function flaky(failures: number, error: () => Error = busy) {
  const backend = new MemoryBackend()
  await backend.createBucket('b')
  for (let i = 0; i < 2_500; i++) await backend.put('b', `k${i.toString().padStart(4, '0')}`, Buffer.from('x'))
  const counts = { requests: 0, pages: 0 }
  const once =
    <A extends unknown[], R>(send: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (counts.requests++ < failures) throw error()
      return send(...args)
    }
  const failing: StorageBackend = {
    name: 'memory',
    reach: 'network',
    capabilities: backend.capabilities,
    get: once((...args) => backend.get(...args)),
    put: once((...args) => backend.put(...args)),
    head: once((...args) => backend.head(...args)),
    delete: once((...args) => backend.delete(...args)),
    headBucket: once((...args) => backend.headBucket(...args)),
    createBucket: once((...args) => backend.createBucket(...args)),
    deleteBucket: once((...args) => backend.deleteBucket(...args)),
    async *list(bucket, options) {
      for await (const page of backend.list(bucket, options)) {
        if (counts.pages++ % 2 === 1 && counts.requests++ < failures) throw error()
        yield page
      }
    },
    close: async () => undefined,
  }
  const clock = manualClock()
  return { patient: withRetry(failing, { policy, clock, random: () => 0.5 }), counts, clock }
}

describe('withRetry', () => {
  const requests: readonly (readonly [string, (store: StorageBackend) => Promise<unknown>])[] = [
    ['get', (store) => store.get('b', 'k0000')],
    ['put', (store) => store.put('b', 'new', Buffer.from('x'))],
    ['head', (store) => store.head('b', 'k0000')],
    ['delete', (store) => store.delete('b', ['k0000'])],
    ['headBucket', (store) => store.headBucket('b')],
    ['createBucket', (store) => store.createBucket('c')],
  ]
  for (const [name, send] of requests) {
    it(`sends ${name} again, with growing pauses, as often as the policy says`, async () => {
      const { patient, counts, clock } = await flaky(2)
      await send(patient)
      expect(counts.requests).toBe(3)
      expect(clock.waits).toEqual([200, 400])
      const hopeless = await flaky(9)
      await expect(send(hopeless.patient)).rejects.toMatchObject({ code: 'THROTTLED' })
      expect(hopeless.counts.requests).toBe(3)
    })

    it(`sends ${name} once when its failure will not pass`, async () => {
      const missing = () => new NotFoundError('no', { backend: 'memory', operation: 'test' })
      const { patient, counts } = await flaky(1, missing)
      await expect(send(patient)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(counts.requests).toBe(1)
    })
  }

  it('goes on with a listing after the last key it gave', async () => {
    const { patient } = await flaky(2)
    const keys: string[] = []
    for await (const page of patient.list('b')) keys.push(...page.map(({ key }) => key))
    expect(keys).toEqual(Array.from({ length: 2_500 }, (_, i) => `k${i.toString().padStart(4, '0')}`))
  })

  const reset = () => new StorageError('UNAVAILABLE', 'ECONNRESET', { backend: 'memory', operation: 'test' })
  async function* stream() {
    yield Buffer.from('x')
  }

  it.each([
    { what: 'a put if absent', after: 'THROTTLED', error: busy, requests: 2 },
    { what: 'a put if absent', after: 'a reset', error: reset, requests: 1 },
    { what: 'a put if matching', after: 'a reset', error: reset, requests: 1 },
    { what: 'a put of a stream', after: 'THROTTLED', error: busy, requests: 1 },
    { what: 'deleteBucket', after: 'THROTTLED', error: busy, requests: 2 },
    { what: 'deleteBucket', after: 'a reset', error: reset, requests: 1 },
  ])('after $after sends $what $requests times in all', async ({ what, error, requests }) => {
    const { patient, counts } = await flaky(1, error)
    const send: Record<string, () => Promise<unknown>> = {
      'a put if absent': () => patient.put('b', 'new', Buffer.from('x'), { ifAbsent: true }),
      'a put if matching': () => patient.put('b', 'k0000', Buffer.from('x'), { ifMatch: 'e' }),
      'a put of a stream': () => patient.put('b', 'new', stream()),
      deleteBucket: () => patient.deleteBucket('c'),
    }
    await expect(
      send[what]?.().then(
        () => 'done',
        () => 'failed',
      ),
    ).resolves.toBe(requests === 2 && what !== 'deleteBucket' ? 'done' : 'failed')
    expect(counts.requests).toBe(requests)
  })

  it('waits as long as the store asks, and the pause on top; not for one that asks for hours', async () => {
    const asking = (retryAfterMs: number) => () =>
      new StorageError('THROTTLED', '503', { backend: 'memory', operation: 'test', status: 503, retryAfterMs })
    const { patient, clock } = await flaky(1, asking(3_000))
    await patient.head('b', 'k0000')
    expect(clock.waits).toEqual([3_200])
    const hours = await flaky(1, asking(3_600_000))
    await expect(hours.patient.head('b', 'k0000')).rejects.toMatchObject({ code: 'THROTTLED' })
    expect(hours.clock.waits).toEqual([])
  })

  it('has a budget that grows by a share of the requests, and with time', () => {
    const budget = new RetryBudget({ ratio: 0.5, perSecond: 2, burst: 1 })
    expect([budget.takeRetry(0), budget.takeRetry(0)]).toEqual([0, 500])
    for (let i = 0; i < 4; i++) budget.sent()
    expect([budget.takeRetry(0), budget.takeRetry(0), budget.takeRetry(10_000)]).toEqual([0, 500, 0])
  })

  it('goes on for as long as the policy says at least, however many tries that are', async () => {
    const clock = new VirtualClock()
    const store = layered(new MemoryBackend(), {
      headBucket: async () => {
        if (clock.nowMs() < 30_000) throw busy()
      },
    })
    const short = { attempts: 2, baseMs: 100, maxMs: 1_000 }
    await clock.run(withRetry(store, { clock, policy: { ...short, leastMs: 31_000 } }).headBucket('b'))
    expect(clock.nowMs()).toBeGreaterThanOrEqual(30_000)
  })

  it('gives an address that never answered few tries, and one that did all of them', async () => {
    let down = true
    let requests = 0
    const backend = layered(new MemoryBackend(), {
      headBucket: async () => {
        requests += 1
        if (down) throw reset()
      },
    })
    const patient = withRetry(backend, {
      clock: manualClock(),
      unreachedAttempts: 2,
      policy: { ...policy, attempts: 6 },
    })
    await expect(patient.headBucket('b')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(requests).toBe(2)
    down = false
    await patient.headBucket('b')
    down = true
    requests = 0
    await expect(patient.headBucket('b')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(requests).toBe(6)
    requests = 0
    await expect(patient.headBucket('other')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(requests).toBe(2)
  })

  it('draws retries from the budget: where it is used up they wait, and none is given up', async () => {
    const clock = new VirtualClock()
    const budget = new RetryBudget({ ratio: 0, perSecond: 2, burst: 1 })
    const sentAt: number[] = []
    const backend = layered(new MemoryBackend(), {
      headBucket: async () => {
        sentAt.push(clock.nowMs())
        if (sentAt.length <= 10) throw busy()
      },
    })
    const patient = withRetry(backend, { clock, budget, policy: { attempts: 20, baseMs: 1, maxMs: 1 } })
    await clock.run(Promise.all(Array.from({ length: 10 }, () => patient.headBucket('b'))))
    expect(sentAt).toHaveLength(20)
    // ten retries at two a second, one of them at once
    expect(sentAt.at(-1)).toBeCloseTo(4_500, 0)
  })
})

describe('a body under withRetry', () => {
  const CONTENT = Buffer.from(Array.from({ length: 1_000 }, (_, i) => i % 251))
  const read = async (body: AsyncIterable<Uint8Array>) => {
    const chunks: Uint8Array[] = []
    for await (const chunk of body) chunks.push(chunk)
    return Buffer.concat(chunks)
  }

  it.each(['throws', 'silence'] as const)('that ends short by %s goes on from its offset, pinned', async (cutOffBy) => {
    const inner = bytesBackend(CONTENT)
    const broken = chunkedBackend(inner, { chunk: 50, cutOffBy, cutOff: (get) => (get < 3 ? 120 : undefined) })
    const { body, range } = await patientReads(broken, { clock: manualClock() }).get('b', 'text')
    expect(range).toEqual({ start: 0, end: 1_000 })
    expect(await read(body)).toEqual(CONTENT)
    expect(broken.gets.map(({ start, end, ifMatch }) => [start, end, ifMatch])).toEqual([
      [0, 1_000, undefined],
      [120, 1_000, 'v1'],
      [240, 1_000, 'v1'],
      [360, 1_000, 'v1'],
    ])
  })

  it('that breaks when all of it came is complete', async () => {
    const broken = chunkedBackend(bytesBackend(CONTENT), { cutOff: () => 1_000 })
    expect(await read((await patientReads(broken, { clock: manualClock() }).get('b', 'text')).body)).toEqual(CONTENT)
    expect(broken.gets).toHaveLength(1)
  })

  it('gives up when the tries get nowhere, and counts anew after every progress', async () => {
    const stuck = chunkedBackend(bytesBackend(CONTENT), { cutOff: (get) => (get % 3 === 0 ? 10 : 0) })
    const layer = { clock: manualClock(), policy: { attempts: 3, baseMs: 1, maxMs: 1 } }
    const bytes = (await patientReads(stuck, layer).get('b', 'text')).body
    await expect(read(bytes)).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
    expect(stuck.gets.map(({ start }) => start)).toEqual([0, 10, 10])
    const trickling = chunkedBackend(bytesBackend(CONTENT), { cutOff: () => 10 })
    const all = (await patientReads(trickling, layer).get('b', 'text')).body
    expect(await read(all)).toEqual(CONTENT)
  })

  it.each([
    { how: 'other bytes', replace: Buffer.alloc(1_000, 'x') },
    { how: 'fewer bytes', replace: Buffer.alloc(5, 'x') },
  ])('of an object that has $how meanwhile is an ObjectChangedError, never a mixture', async ({ replace }) => {
    const inner = bytesBackend(CONTENT)
    const broken = chunkedBackend(inner, { chunk: 50, cutOff: (get) => (get === 0 ? 120 : undefined) })
    const { body } = await patientReads(broken, { clock: manualClock() }).get('b', 'text')
    const iterator = body[Symbol.asyncIterator]()
    await iterator.next()
    inner.replace(replace)
    await expect(read({ [Symbol.asyncIterator]: () => iterator })).rejects.toThrow(ObjectChangedError)
  })

  it('that goes on with another version, from a store that ignores the pin, is refused too', async () => {
    const inner = bytesBackend(CONTENT)
    const careless = {
      ...inner,
      get: (bucket: string, key: string, options = {}) => inner.get(bucket, key, { ...options, ifMatch: undefined }),
    }
    const broken = chunkedBackend(careless, { chunk: 50, cutOff: (get) => (get === 0 ? 120 : undefined) })
    const { body } = await patientReads(broken, { clock: manualClock() }).get('b', 'text')
    const iterator = body[Symbol.asyncIterator]()
    await iterator.next()
    inner.replace(Buffer.alloc(1_000, 'x'))
    await expect(read({ [Symbol.asyncIterator]: () => iterator })).rejects.toThrow(ObjectChangedError)
  })

  it('without a validator is begun again while nothing came, then never', async () => {
    const inner = bytesBackend(CONTENT, { etag: '' })
    const nothing = chunkedBackend(inner, { cutOff: (get) => (get === 0 ? 0 : undefined) })
    expect(await read((await patientReads(nothing, { clock: manualClock() }).get('b', 'text')).body)).toEqual(CONTENT)
    const some = chunkedBackend(inner, { cutOff: (get) => (get === 0 ? 10 : undefined) })
    const { body } = await patientReads(some, { clock: manualClock() }).get('b', 'text')
    await expect(read(body)).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
    expect(some.gets).toHaveLength(1)
  })

  it('counts its retries for the call', async () => {
    const tally = new RequestTally()
    const broken = chunkedBackend(bytesBackend(CONTENT), { cutOff: (get) => (get < 2 ? 120 : undefined) })
    await read((await patientReads(broken, { clock: manualClock() }).get('b', 'text', { tally })).body)
    expect(tally.of('memory').retries).toBe(2)
  })
})
