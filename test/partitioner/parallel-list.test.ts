import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { listingCuts } from '../../partitioner/listing/cuts.ts'
import { listInParallel, type ParallelListing } from '../../partitioner/listing/parallel.ts'
import { compareUtf8 } from '../../src/core/bytes.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withFaults } from '../../src/storage/with-faults.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { testStorageLayer } from '../support/layered-store.ts'
import { manualClock } from '../support/manual-retry.ts'
import { pagedStore } from '../support/paged-store.ts'

/** Where UTF-8 and UTF-16 order differ, where ranges of characters end, and many slashes. */
const CHARACTERS = ['/', '/', 'a', 'b', 'y', 'z', '0', '1', '8', '9', 'Z', '-', '~', ' ', 'é']
const ADVERSARIAL = ['\u007f', '\u0080', '\ud7ff', '\ue000', '\uffee', '\uffff', '\u{10000}', '\u{1f600}', '\u{10ffff}']
const key = fc
  .array(fc.constantFrom(...CHARACTERS, ...ADVERSARIAL), { minLength: 1, maxLength: 7 })
  .map((characters) => characters.join(''))
const keys = fc.uniqueArray(key, { maxLength: 60 })
const shape = fc.record({ pageKeys: fc.integer({ min: 1, max: 5 }), lanes: fc.integer({ min: 1, max: 6 }) })

async function stored(names: Iterable<string>): Promise<MemoryBackend> {
  const store = new MemoryBackend()
  await store.createBucket('b')
  for (const name of names) await store.put('b', name, Buffer.from(name))
  return store
}

async function listed(store: StorageBackend, options?: ParallelListing): Promise<string[]> {
  const found: string[] = []
  for await (const page of listInParallel(store, 'b', options)) found.push(...page.map((head) => head.key))
  return found
}

function inOrder(names: readonly string[]): string[] {
  return names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

describe('listInParallel', () => {
  it('gives what one listing gives, whatever the keys, pages, lanes and room', async () => {
    const prefix = fc.constantFrom('', 'a', 'a/', '/', '\u{1f600}', '\ud7ff')
    const after = fc.option(key, { nil: undefined })
    const room = fc.integer({ min: 1, max: 8 })
    await fc.assert(
      fc.asyncProperty(
        keys,
        shape,
        prefix,
        after,
        room,
        async (names, { pageKeys, lanes }, p, startAfter, heldPages) => {
          const store = pagedStore(await stored(names.map((name, i) => (i % 2 === 0 ? p + name : name))), pageKeys)
          const expected: string[] = []
          for await (const page of store.list('b', { prefix: p, startAfter })) expected.push(...page.map((h) => h.key))
          expect(await listed(store, { prefix: p, startAfter, lanes, heldPages })).toEqual(expected)
          expect(store.open).toBe(0)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('loses and doubles no key that is there all along, while others come and go', async () => {
    await fc.assert(
      fc.asyncProperty(keys, keys, shape, async (staying, passing, { pageKeys, lanes }) => {
        const memory = await stored([...staying, ...passing.filter((_, i) => i % 2 === 0)])
        const coming = passing.filter((name) => !staying.includes(name))
        const store = pagedStore(memory, pageKeys, async () => {
          const name = coming.pop()
          if (name === undefined) return
          if (coming.length % 2 === 0) await memory.put('b', name, Buffer.from('new'))
          else await memory.delete('b', [name])
        })
        const found = await listed(store, { lanes })
        expect(found).toEqual(inOrder([...new Set(found)]))
        expect(found.filter((name) => staying.includes(name))).toEqual(inOrder(staying))
      }),
      { numRuns: 200 },
    )
  })

  it('gives all through failing requests, under retries', async () => {
    await fc.assert(
      fc.asyncProperty(keys, shape, fc.integer(), async (names, { pageKeys, lanes }, seed) => {
        const faults = { throttle: 0.1, error: 0.1, reset: 0.1 }
        const failing = withFaults(pagedStore(await stored(names), pageKeys), { seed, faults })
        const store = withRetry(failing, { clock: manualClock(), random: () => 0.5 })
        expect(await listed(store, { lanes })).toEqual(inOrder(names))
      }),
      { numRuns: 100 },
    )
  })

  const shapes: Record<string, (i: number) => string> = {
    'one folder a host': (i) => `logs/2026/11/21/host-${i % 97}/part-${i}.log`,
    'numbers of one length': (i) => `p/part-${String(i).padStart(8, '0')}`,
    'numbers as they are': (i) => `p/${i}`,
    'random names': (i) => `${((i * 2_654_435_761) >>> 0).toString(16).padStart(8, '0')}-${i}`,
    'another script': (i) => `日本/${String.fromCodePoint(0x4e00 + (i % 2_000))}/${i}`,
  }
  it.each(Object.entries(shapes))('lists %s in far fewer turns, for few more requests', async (_, nameOf) => {
    const names = Array.from({ length: 20_000 }, (__, i) => nameOf(i))
    const store = pagedStore(await stored(names), 100)
    expect(await listed(store, { lanes: 8 })).toEqual(inOrder(names))
    expect(store.requests).toBeLessThan(200 * 1.3)
    expect(store.turns).toBeLessThan(200 / 2.5)
  })

  it('asks for no more than one listing does where that is one page or two', async () => {
    for (const [count, requests] of [
      [0, 1],
      [1, 1],
      [10, 1],
      [11, 2],
      [19, 2],
    ] as const) {
      const store = pagedStore(await stored(Array.from({ length: count }, (_, i) => `k/${i}`)), 10)
      let told = 0
      expect(await listed(store, { onRequest: () => (told += 1) })).toHaveLength(count)
      expect({ count, requests: store.requests, told }).toEqual({ count, requests, told: requests })
    }
  })

  it('holds no more pages than it may while nobody takes them, and closes all listings', async () => {
    const names = Array.from({ length: 5_000 }, (_, i) => `host-${i % 83}/${i}`)
    const store = pagedStore(await stored(names), 10)
    const pages = listInParallel(store, 'b', { lanes: 4, heldPages: 12 })
    let taken = 0
    for (; taken < 40; taken++) await pages.next()
    let before = -1
    while (before !== store.requests) {
      before = store.requests
      for (let i = 0; i < 5; i++) await new Promise(setImmediate)
    }
    expect(store.requests - taken).toBeLessThanOrEqual(12 + 4 + taken / 2)
    await pages.return()
    expect(store.open).toBe(0)
    expect(store.requests).toBe(before)
  })

  it('fails with the error of the request that failed, and stops the others', async () => {
    const store = pagedStore(await stored(Array.from({ length: 3_000 }, (_, i) => `h-${i % 50}/${i}`)), 10)
    const failing = withFaults(store, {
      when: ({ key: request = '' }) => (request.endsWith('\n') ? 'none' : 'throttle'),
    })
    await expect(listed(failing, { lanes: 4 })).rejects.toMatchObject({ code: 'THROTTLED' })
    expect(store.open).toBe(0)
  })

  it('is stopped by its signal', async () => {
    const store = pagedStore(await stored(Array.from({ length: 3_000 }, (_, i) => `h-${i % 50}/${i}`)), 10)
    const abort = new AbortController()
    const reading = (async () => {
      for await (const page of listInParallel(store, 'b', { signal: abort.signal })) {
        if ((page[0]?.key as string) > 'h-2') abort.abort(new Error('enough'))
      }
    })()
    await expect(reading).rejects.toThrow('enough')
    expect(store.open).toBe(0)
  })

  it('refuses a store that lists out of order, instead of losing keys', async () => {
    const shuffled = layered(new MemoryBackend(), {
      async *list() {
        yield ['a', 'c', 'b'].map((name) => ({ key: name, size: 1, etag: 'e' }))
      },
    })
    await expect(listed(shuffled)).rejects.toThrow(/"b" is listed after "c", not in UTF-8 byte order/)
  })
})

testStorageLayer('listInParallel', (backend) =>
  layered(backend, { list: (bucket, options) => listInParallel(backend, bucket, { ...options, lanes: 3 }) }),
)

describe('listingCuts', () => {
  it('lie after the page, before the end, under the prefix, in order, as text', () => {
    fc.assert(
      fc.property(keys, fc.constantFrom('', 'p/'), fc.integer({ min: 0, max: 9 }), (names, prefix, count) => {
        const [first, last, end] = inOrder(names.map((name) => prefix + name))
        if (first === undefined || last === undefined) return
        const cuts = listingCuts({ first, last }, end, prefix, count)
        expect(cuts.length).toBeLessThanOrEqual(count)
        const bounds = [last, ...cuts, ...(end === undefined ? [] : [end])]
        for (const [i, cut] of bounds.slice(1).entries()) expect(compareUtf8(bounds[i] as string, cut)).toBeLessThan(0)
        for (const cut of cuts)
          expect([cut.startsWith(prefix), Buffer.from(cut).toString() === cut]).toEqual([true, true])
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    [
      'numbers, not words',
      { first: 'l/host-1/000', last: 'l/host-1/120' },
      undefined,
      ['l/host-1/9', 'l/host-2', 'l/host-3'],
    ],
    ['words where no number is left', { first: 'l/h-1/0', last: 'l/h-2/5' }, undefined, ['l/i', 'l/j', 'm']],
    ['ten of the last number', { first: 'n/00100', last: 'n/00199' }, 'n/9', ['n/009', 'n/01', 'n/1']],
    ['no room', { first: 'n/00100', last: 'n/00199' }, 'n/002', []],
  ])('%s', (_, page, end, cuts) => {
    expect(listingCuts(page, end, '', 3)).toEqual(cuts)
  })
})
