/** Faults: each kind as it is described, by seed and not by order; and the layers that are made to withstand them. */
import { describe, expect, it } from 'vitest'
import { ObjectChangedError } from '../../src/core/errors.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { seededDraw } from '../../src/storage/seeded-draw.ts'
import { type FaultKind, withFaults } from '../../src/storage/with-faults.ts'
import { withHedge } from '../../src/storage/with-hedge.ts'
import { withLimit } from '../../src/storage/with-limit.ts'
import { withMetering } from '../../src/storage/with-metering.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { testStorageLayer } from '../support/layered-store.ts'
import { manualClock } from '../support/manual-retry.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

testStorageLayer('withFaults without faults', (backend) => withFaults(backend, { faults: {} }))

// what is lost for good where a put is sent once: a stream cannot be read twice
const PASSING = { throttle: 0.05, error: 0.05, reset: 0.05, truncate: 0.1, short: 0.1 }
testStorageLayer('all layers, a faulty store at the bottom', (backend) => {
  const spared = ['put', 'delete']
  const faulty = withFaults(backend, {
    faults: PASSING,
    when: ({ operation }) => (spared.includes(operation) ? 'none' : undefined),
  })
  const clock = manualClock()
  return withRetry(withLimit(withHedge(withMetering(faulty), { clock }), { clock }), { clock, unreachedAttempts: 12 })
})

async function faulty(kind: FaultKind, more: Parameters<typeof withFaults>[1] = {}) {
  const backend = new MemoryBackend()
  await backend.createBucket('b')
  const first = await backend.put('b', 'k', Buffer.from('0123456789'))
  return { backend, first, store: withFaults(backend, { when: () => kind, clock: manualClock(), ...more }) }
}

async function read(store: Pick<MemoryBackend, 'get'>, key = 'k', options = {}) {
  const parts: Uint8Array[] = []
  for await (const chunk of (await store.get('b', key, options)).body) parts.push(chunk)
  return Buffer.concat(parts).toString()
}

describe('the fault', () => {
  it.each([
    { kind: 'throttle', code: 'THROTTLED', status: 503, retryAfterMs: 700 },
    { kind: 'error', code: 'UNAVAILABLE', status: 500, retryAfterMs: undefined },
    { kind: 'reset', code: 'UNAVAILABLE', status: undefined, retryAfterMs: undefined },
  ] as const)('$kind refuses every request and does nothing', async ({ kind, ...error }) => {
    const { store, backend, first } = await faulty(kind, { retryAfterMs: 700 })
    const requests = [
      () => store.get('b', 'k'),
      () => store.put('b', 'k', Buffer.from('x')),
      () => store.head('b', 'k'),
      () => store.delete('b', ['k']),
      () => store.list('b')[Symbol.asyncIterator]().next(),
    ]
    for (const request of requests) await expect(request()).rejects.toMatchObject(error)
    expect((await backend.head('b', 'k')).etag).toBe(first.etag)
    expect([store.requests, store.faults[kind]]).toEqual([5, 5])
  })

  it('lost-reply does a write and does not say so', async () => {
    const { store, backend } = await faulty('lost-reply')
    await expect(store.put('b', 'k', Buffer.from('new'))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await read(backend)).toBe('new')
    await expect(store.delete('b', ['k'])).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(backend.head('b', 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('duplicate does a write twice, one with a condition once', async () => {
    const { store, backend, first } = await faulty('duplicate')
    const put = await store.put('b', 'k', Buffer.from('new'))
    expect(put.etag).toBe((await backend.head('b', 'k')).etag)
    expect(Number(put.etag.slice(1, -1)) - Number(first.etag.slice(1, -1))).toBe(2)
    await expect(store.put('b', 'fresh', Buffer.from('x'), { ifAbsent: true })).resolves.toMatchObject({ size: 1 })
  })

  it('truncate breaks a body in the middle, short ends it there, of the range that was asked for', async () => {
    await expect(read((await faulty('truncate')).store)).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
    expect(await read((await faulty('short')).store)).toBe('01234')
    expect(await read((await faulty('short')).store, 'k', { range: { start: 2, end: 6 } })).toBe('23')
  })

  it('slow waits before the answer and before each chunk', async () => {
    const clock = manualClock()
    expect(await read((await faulty('slow', { clock, slowMs: 40 })).store)).toBe('0123456789')
    expect(clock.waits).toEqual([40, 40])
  })

  it('stale gives the head of the version before', async () => {
    const { store, first } = await faulty('stale')
    expect((await store.head('b', 'k')).etag).toBe(first.etag)
    const second = await store.put('b', 'k', Buffer.from('second'))
    expect(second.etag).not.toBe(first.etag)
    expect((await store.head('b', 'k')).etag).toBe(first.etag)
  })

  it('overwrite changes the object under its reader, who is told and never given a mixture', async () => {
    const { backend } = await faulty('overwrite')
    let left = 1
    const once = withFaults(backend, {
      when: ({ operation }) => (operation === 'get' && left-- > 0 ? 'overwrite' : 'none'),
    })
    await expect(read(withRetry(once, { clock: manualClock() }))).rejects.toThrow(ObjectChangedError)
    expect(await read(backend)).toBe('1032547698')
  })
})

describe('faults by share', () => {
  const SHARES = { throttle: 0.1, truncate: 0.1 }
  async function outcomes(seed: number, keys: readonly number[]) {
    const backend = new MemoryBackend()
    await backend.createBucket('b')
    await backend.put('b', 'k', Buffer.alloc(4_000))
    const store = withFaults(backend, { seed, faults: SHARES })
    const seen: Record<number, string> = {}
    await Promise.all(
      keys.map(async (n) => {
        const range = { start: n, end: n + 10 }
        seen[n] = await read(store, 'k', { range }).then(
          () => 'done',
          (error) => error.code,
        )
      }),
    )
    return { seen, faults: store.faults }
  }

  it('are the same for the same seed in whatever order requests run, others for another, as many as told', async () => {
    const keys = Array.from({ length: 3_000 }, (_, i) => i)
    const one = await outcomes(1, keys)
    expect((await outcomes(1, [...keys].reverse())).seen).toEqual(one.seen)
    expect((await outcomes(2, keys)).seen).not.toEqual(one.seen)
    for (const kind of ['throttle', 'truncate'] as const) {
      expect(one.faults[kind]).toBeGreaterThan(240)
      expect(one.faults[kind]).toBeLessThan(360)
    }
  })

  it('differ between tries of one request: what failed may succeed', () => {
    const draws = Array.from({ length: 1_000 }, (_, i) => seededDraw(7, `same${i}`))
    expect(draws.every((draw) => draw >= 0 && draw < 1)).toBe(true)
    expect(draws.filter((draw) => draw < 0.2).length / 1_000).toBeCloseTo(0.2, 1)
  })
})

describe('a store that is down for a while', () => {
  it.each(['reset', 'error', 'throttle'] as const)('(%s for 30 s) loses nothing', async (kind) => {
    const clock = new VirtualClock()
    const backend = new MemoryBackend()
    await backend.createBucket('b')
    const down = () => clock.nowMs() > 1_000 && clock.nowMs() < 31_000
    const store = withFaults(backend, { clock, when: () => (down() ? kind : 'none') })
    let draws = 0
    const random = () => seededDraw(3, `${draws++}`)
    const patient = withRetry(withLimit(store, { clock }), { clock, random })
    const lane = async (number: number) => {
      for (let i = 0; i < 20; i++) {
        await patient.put('b', `${number}/${i}`, Buffer.from(`${i}`))
        await clock.sleep(100)
        expect(await read(patient, `${number}/${i}`)).toBe(`${i}`)
      }
    }
    await clock.run(Promise.all(Array.from({ length: 16 }, (_, number) => lane(number))))
    expect(clock.nowMs()).toBeGreaterThan(31_000)
    expect(clock.nowMs()).toBeLessThan(90_000)
    // while it was down it was left alone: far less than sixteen clients that ask as fast as they can
    expect(store.faults[kind]).toBeLessThan(500)
  })
})
