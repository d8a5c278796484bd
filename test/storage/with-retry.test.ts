import { describe, expect, it } from 'vitest'
import { NotFoundError, StorageError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'
import { manualClock } from '../support/manual-retry.ts'

testStorageBackend('MemoryBackend under withRetry', async () => {
  const backend = new MemoryBackend()
  await backend.createBucket('bucket')
  return { backend: withRetry(backend), bucket: 'bucket' }
})

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
      expect(clock.waits).toEqual([50, 100])
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

  it('sends conditional puts and streams once', async () => {
    async function* body() {
      yield Buffer.from('x')
    }
    for (const send of [
      (store: StorageBackend) => store.put('b', 'new', Buffer.from('x'), { ifAbsent: true }),
      (store: StorageBackend) => store.put('b', 'k0000', Buffer.from('x'), { ifMatch: 'e' }),
      (store: StorageBackend) => store.put('b', 'new', body()),
    ]) {
      const { patient, counts } = await flaky(1)
      await expect(send(patient)).rejects.toMatchObject({ code: 'THROTTLED' })
      expect(counts.requests).toBe(1)
    }
  })
})
