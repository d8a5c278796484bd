import { describe, expect, it } from 'vitest'
import { ReadAhead } from '../../partitioner/prefetch.ts'
import { expectedGets, type RangedOptions, rangedBytes } from '../../partitioner/ranged.ts'
import { openPartition } from '../../partitioner/read.ts'
import { ObjectChangedError, StorageError, ValidationError } from '../../src/core/errors.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { type Chunking, chunkedBackend } from '../support/chunked-backend.ts'
import { manualClock } from '../support/manual-retry.ts'
import { patientReads } from '../support/patient-reads.ts'

const CONTENT = Buffer.from(Array.from({ length: 1_000 }, (_, i) => i % 251))

describe('rangedBytes', () => {
  it.each([
    { reach: 'process' as const, gets: [[100, 900]] },
    { reach: 'machine' as const, gets: [[100, 900]] },
    {
      reach: 'network' as const,
      gets: [
        [100, 356],
        [356, 612],
        [612, 900],
      ],
    },
  ])('over $reach sends the ranges $gets, each pinned', async ({ reach, gets }) => {
    const { backend, read } = reading({ reach, chunk: 7 })
    expect(await read({ start: 100, end: 900, requestBytes: 256 })).toEqual(CONTENT.subarray(100, 900))
    expect(backend.gets.map(({ start, end }) => [start, end])).toEqual(gets)
    expect(backend.gets.every(({ ifMatch }) => ifMatch === 'v1')).toBe(true)
    if (reach === 'network') expect(expectedGets(800, 256)).toBe(gets.length)
  })

  it('goes past its end on demand, in requests that double', async () => {
    const { backend, read } = reading({})
    expect(await read({ start: 0, end: 10, limit: 1_000, requestBytes: 300 })).toEqual(CONTENT)
    expect(backend.gets.map(({ start, end }) => [start, end])).toEqual([
      [0, 10],
      [10, 310],
      [310, 610],
      [610, 910],
      [910, 1_000],
    ])
  })

  it('asks for nothing past its end when nobody does', async () => {
    const { backend, options } = reading({})
    for await (const chunk of rangedBytes({ ...options, start: 0, end: 10, limit: 1_000 })) if (chunk.length > 0) break
    expect(backend.gets).toHaveLength(1)
  })

  it.each(['throws', 'silence'] as const)(
    'a body that ends short by %s is an error, never the end',
    async (cutOffBy) => {
      const { backend, read } = reading({ chunk: 50, cutOffBy, cutOff: () => 120 })
      await expect(read({ start: 0, end: 1_000 })).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
      expect(backend.gets).toHaveLength(1)
    },
  )

  it('under the retry layer goes on from its offset, and every request is sent once', async () => {
    const { inner, backend } = reading({ chunk: 50, cutOff: (get) => (get < 3 ? 120 : undefined) })
    const patient = patientReads(backend, { clock: manualClock() })
    const bytes = rangedBytes({ backend: patient, object: inner.object, start: 0, end: 1_000 })
    expect(await drain(bytes)).toEqual(CONTENT)
    expect(backend.gets.map(({ start }) => start)).toEqual([0, 120, 240, 360])
    expect(backend.gets.every(({ ifMatch }) => ifMatch === 'v1')).toBe(true)
  })

  it('never mixes versions: a change between two requests is final', async () => {
    const { inner, backend, options } = reading({ reach: 'network' })
    const iterator = rangedBytes({ ...options, start: 0, end: 1_000, requestBytes: 100, ahead: 2 })
    await iterator.next()
    inner.replace(Buffer.alloc(1_000, 'x'))
    await expect(drain(iterator)).rejects.toThrow(ObjectChangedError)
    expect(backend.gets.length).toBeLessThan(5)
  })

  it.each([
    { defect: 'shorter', content: Buffer.alloc(10) },
    { defect: 'longer', content: Buffer.alloc(2_000) },
  ])('an object without validator that became $defect is a changed one', async ({ content }) => {
    const inner = bytesBackend(CONTENT, { etag: '' })
    inner.replace(content)
    const bytes = rangedBytes({ backend: inner, object: inner.object, start: 500, end: 600 })
    await expect(drain(bytes)).rejects.toThrow(ObjectChangedError)
  })

  it('an object without validator is read by one uncut get, and not resumed in the middle', async () => {
    const inner = bytesBackend(CONTENT, { etag: '', reach: 'network' })
    const seen: unknown[] = []
    const backend: typeof inner = {
      ...inner,
      get: (bucket, key, options) => {
        seen.push(options)
        return inner.get(bucket, key, options)
      },
    }
    const breaking = chunkedBackend(backend, { cutOff: (get) => (get === 0 ? 500 : undefined), chunk: 100 })
    const whole = { object: inner.object, start: 0, end: 1_000 }
    await expect(drain(rangedBytes({ ...whole, backend: breaking }))).rejects.toMatchObject({ code: 'BODY_TRUNCATED' })
    expect(await drain(rangedBytes({ ...whole, backend: breaking }))).toEqual(CONTENT)
    expect(seen).toEqual([
      expect.not.objectContaining({ range: expect.anything() }),
      expect.not.objectContaining({ range: expect.anything() }),
    ])
  })

  it('leaving early, and an abort, end what is in flight', async () => {
    const signals: AbortSignal[] = []
    const { inner, options } = reading({ reach: 'network' })
    const backend: RangedOptions['backend'] = {
      ...options.backend,
      get: (bucket, key, get) => {
        if (get?.signal) signals.push(get.signal)
        return inner.get(bucket, key, get)
      },
    }
    for await (const chunk of rangedBytes({ ...options, backend, start: 0, end: 1_000, requestBytes: 100 }))
      if (chunk) break
    expect(signals.length).toBeGreaterThan(1)
    expect(signals.every(({ aborted }) => aborted)).toBe(true)
    const abort = new AbortController()
    const iterator = rangedBytes({ ...options, start: 0, end: 1_000, requestBytes: 100, signal: abort.signal })
    await iterator.next()
    abort.abort(new Error('enough'))
    await expect(drain(iterator)).rejects.toThrow('enough')
  })

  it('reads ahead no more than it may hold', async () => {
    const { backend, options } = reading({ reach: 'network' })
    const iterator = rangedBytes({ ...options, start: 0, end: 1_000, requestBytes: 100, ahead: 3 })
    await iterator.next()
    for (let i = 0; i < 50; i++) await Promise.resolve()
    expect(backend.gets).toHaveLength(3)
    await iterator.return()
  })

  it('readers that share their read-ahead have one request each, and the places among them', async () => {
    const readAhead = new ReadAhead(2)
    const readers = Array.from({ length: 4 }, () => {
      const { backend, options } = reading({ reach: 'network' })
      return { backend, bytes: rangedBytes({ ...options, start: 0, end: 1_000, requestBytes: 100, readAhead }) }
    })
    for (const { bytes } of readers) await bytes.next()
    expect(readers.map(({ backend }) => backend.gets.length)).toEqual([3, 1, 1, 1])
    await readers[0]?.bytes.return()
    const rest = await Promise.all(readers.slice(1).map(({ bytes }) => drain(bytes)))
    for (const bytes of rest) expect(bytes.equals(CONTENT.subarray(100))).toBe(true)
    // all places were given back
    expect([readAhead.take(), readAhead.take(), readAhead.take()]).toEqual([true, true, false])
  })

  it('a body that is longer than its range is refused', async () => {
    const inner = bytesBackend(CONTENT)
    const backend: RangedOptions['backend'] = {
      ...inner,
      get: async (bucket, key, options) => {
        const { range, head } = await inner.get(bucket, key, options)
        return { range, head, body: (await inner.get(bucket, key)).body }
      },
    }
    await expect(drain(rangedBytes({ backend, object: inner.object, start: 0, end: 10 }))).rejects.toThrow(StorageError)
  })
})

describe('a partition', () => {
  it('that a long record covers never reads to the end of it', async () => {
    const text = Buffer.from(`head\n${'x'.repeat(2_000_000)}\ntail`)
    const inner = bytesBackend(text)
    const backend = chunkedBackend(inner, { chunk: 1_000 })
    const partition = { object: inner.object, range: { start: 1_000, end: 3_000 }, index: 1, count: 9 }
    const reader = openPartition(partition, { backend, read: { objNewline: '\n' } })
    expect(await reader.bytes()).toHaveLength(0)
    expect(reader.report()).toMatchObject({ empty: true })
    expect(backend.gets.reduce((sum, { taken }) => sum + taken, 0)).toBeLessThan(5_000)
  })

  it('takes one request where its last record ends within the look-ahead', async () => {
    const text = Buffer.from('0123456789\n'.repeat(10_000))
    const inner = bytesBackend(text)
    const backend = chunkedBackend(inner, { reach: 'network' })
    const partition = { object: inner.object, range: { start: 50_000, end: 60_000 }, index: 5, count: 11 }
    expect((await openPartition(partition, { backend, read: { objNewline: '\n' } }).bytes()).length % 11).toBe(0)
    expect(backend.gets).toHaveLength(1)
  })

  it.each(['gzip', 'br', 'zstd', 'deflate', 'gzip, aws-chunked'])(
    'whose headers say %s is refused, unless its raw bytes are wanted',
    async (contentEncoding) => {
      const inner = bytesBackend(CONTENT, { head: { contentEncoding } })
      const partition = { object: inner.object, range: { start: 0, end: 1_000 }, index: 0, count: 1 }
      const reader = openPartition(partition, { backend: inner, read: { objNewline: '\n' } })
      await expect(reader.bytes()).rejects.toThrow(ValidationError)
      await expect(reader.bytes()).rejects.toThrow(/memory:\/\/b\/text is compressed.*compression: null/)
      const raw = openPartition(partition, { backend: inner, read: { objNewline: '\n', compression: null } })
      expect(Buffer.from(await raw.bytes())).toEqual(CONTENT)
    },
  )

  it('without delimiter is its nominal range, and has no records', async () => {
    const inner = bytesBackend(CONTENT)
    const partition = { object: inner.object, range: { start: 10, end: 20 }, index: 1, count: 100 }
    const reader = openPartition(partition, { backend: inner, read: { objNewline: null } })
    expect(Buffer.from(await reader.bytes())).toEqual(CONTENT.subarray(10, 20))
    expect(reader.report()).toEqual({ start: 10, end: 20, deliveredEnd: 20 })
    await expect(reader.lines().next()).rejects.toThrow(/objNewline is null/)
  })
})

function reading(chunking: Chunking, more: Partial<RangedOptions> = {}) {
  const inner = bytesBackend(CONTENT)
  const backend = chunkedBackend(inner, chunking)
  const options = { backend, object: inner.object, ...more }
  const read = (range: { start: number; end: number; limit?: number; requestBytes?: number }) =>
    drain(rangedBytes({ ...options, ...range }))
  return { inner, backend, options, read }
}

async function drain(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of bytes) parts.push(part)
  return Buffer.concat(parts)
}
