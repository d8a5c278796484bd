/** Storage contract: atomic, streamed and conditional puts. A lost race may also be answered UNAVAILABLE. */
import { describe, expect } from 'vitest'
import type { StorageError } from '../../src/core/errors.ts'
import { CONTENT, collect, MIB, noise, pieces, type StorageBench } from './storage-bench.ts'

export function testWrites(bench: StorageBench): void {
  const { at, clause, list, put, text } = bench
  describe('put', () => {
    clause('gives the head that head gives', async () => {
      const written = await put('head', 'one')
      const head = await bench.storage.head(bench.bucket, at('head'))
      expect(head).toMatchObject({ key: at('head'), size: 3, etag: written.etag })
      expect(written).toMatchObject({ key: at('head'), size: 3 })
      expect(head.etag).not.toBe('')
    })

    clause('changes the etag with the content, also of equal length', async () => {
      const etags = new Set<string>()
      for (let i = 0; i < 20; i++) etags.add((await put('same', `${i + 10}`)).etag)
      expect(etags.size).toBe(20)
    })

    clause('writes a stream of many MiB', async () => {
      const content = noise(20 * MIB + 1)
      const head = await bench.storage.put(bench.bucket, at('stream'), pieces(content, 300_000))
      expect(head).toMatchObject({
        size: content.length,
        etag: (await bench.storage.head(bench.bucket, at('stream'))).etag,
      })
      const { body } = await bench.storage.get(bench.bucket, at('stream'))
      expect((await collect(body)).equals(content)).toBe(true)
    })

    clause('writes streams of no chunks and of empty chunks', async () => {
      expect(await bench.storage.put(bench.bucket, at('none'), pieces(Buffer.alloc(0), 1))).toMatchObject({ size: 0 })
      const chunks = async function* () {
        for (const chunk of ['', 'a', '', 'b', '']) yield Buffer.from(chunk)
      }
      await bench.storage.put(bench.bucket, at('gaps'), chunks())
      expect([await text('none'), await text('gaps')]).toEqual(['', 'ab'])
    })

    clause('of a stream that fails leaves the old object, and throws the error of the stream', async () => {
      await put('kept')
      const broken = new Error('the source broke')
      const failing = async function* () {
        yield* pieces(noise(18 * MIB), MIB)
        throw broken
      }
      await expect(bench.storage.put(bench.bucket, at('kept'), failing())).rejects.toBe(broken)
      await expect(bench.storage.put(bench.bucket, at('fresh'), failing())).rejects.toBe(broken)
      expect(await text('kept')).toBe(CONTENT)
      expect(await list('')).toEqual(['kept'])
    })

    clause('into a missing bench.bucket makes nothing and is NOT_FOUND', async () => {
      const missing = bench.storage.put(`${bench.bucket}-none`, 'k', Buffer.from('x'))
      await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await expect(bench.storage.headBucket(`${bench.bucket}-none`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })

    clause('is atomic: a reader sees the whole of one version', async () => {
      const version = (i: number) => Buffer.alloc(2 * MIB + 7, 65 + i)
      await put('atomic', version(0))
      let writing = true
      const write = async () => {
        for (let i = 1; i < 12; i++) await put('atomic', version(i % 26))
        writing = false
      }
      const read = async () => {
        do {
          const { body, head } = await bench.storage.get(bench.bucket, at('atomic'))
          const seen = await collect(body).catch(changed)
          if (seen === undefined) continue
          expect(seen.length).toBe(head.size)
          expect(seen.equals(Buffer.alloc(seen.length, seen[0]))).toBe(true)
        } while (writing)
      }
      await Promise.all([write(), read(), read()])
    })
  })

  describe('conditional put', () => {
    const claimed = () => bench.storage.capabilities.conditionalPut

    clause('is refused as UNSUPPORTED where it is not claimed', async ({ skip }) => {
      if (claimed()) return skip('claimed')
      const absent = bench.storage.put(bench.bucket, at('cond'), Buffer.from('x'), { ifAbsent: true })
      await expect(absent).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      const match = bench.storage.put(bench.bucket, at('cond'), Buffer.from('x'), { ifMatch: 'e' })
      await expect(match).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      expect(await list('')).toEqual([])
    })

    clause('lets one of 20 writers with ifAbsent win, and the reader see its content', async ({ skip }) => {
      if (!claimed()) return skip('not claimed')
      const writers = Array.from({ length: 20 }, (_, i) =>
        bench.storage.put(bench.bucket, at('race'), Buffer.from(`${i}`), { ifAbsent: true }),
      )
      const outcomes = await Promise.allSettled(writers)
      const winners = outcomes.flatMap(({ status }, i) => (status === 'fulfilled' ? [`${i}`] : []))
      expect(winners).toEqual([await text('race')])
      for (const outcome of outcomes) {
        if (outcome.status === 'rejected') expect(['ALREADY_EXISTS', 'UNAVAILABLE']).toContain(outcome.reason.code)
      }
    })

    clause('counts exactly when writers increment under ifMatch', async ({ skip }) => {
      if (!claimed()) return skip('not claimed')
      await put('counter', '0')
      const increment = async () => {
        for (;;) {
          const { head, body } = await bench.storage.get(bench.bucket, at('counter'))
          const seen = await collect(body).catch(changed)
          if (seen === undefined) continue
          const next = Number(seen) + 1
          try {
            return await bench.storage.put(bench.bucket, at('counter'), Buffer.from(`${next}`), { ifMatch: head.etag })
          } catch (error) {
            expect(['PRECONDITION_FAILED', 'UNAVAILABLE']).toContain((error as StorageError).code)
          }
        }
      }
      const lane = async () => {
        for (let i = 0; i < 10; i++) await increment()
      }
      await Promise.all(Array.from({ length: 5 }, lane))
      expect(await text('counter')).toBe('50')
    })

    clause('with ifMatch fails on another version and on a missing key, and takes streams', async ({ skip }) => {
      if (!claimed()) return skip('not claimed')
      const { etag } = await put('cond')
      const missing = bench.storage.put(bench.bucket, at('missing'), Buffer.from('x'), { ifMatch: etag })
      await expect(missing).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
      await bench.storage.put(bench.bucket, at('cond'), pieces(Buffer.from('streamed'), 3), { ifMatch: etag })
      const stale = bench.storage.put(bench.bucket, at('cond'), pieces(Buffer.from('stale'), 3), { ifMatch: etag })
      await expect(stale).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
      expect(await text('cond')).toBe('streamed')
    })

    clause('of a stream longer than it says it takes is refused, and leaves what is there', async ({ skip }) => {
      const { conditionalStreamBytes } = bench.storage.capabilities
      if (!claimed() || conditionalStreamBytes === undefined) return skip('takes any')
      const { etag } = await put('long')
      const chunk = Buffer.alloc(4 * MIB)
      const stream = async function* () {
        for (let sent = 0; sent <= conditionalStreamBytes; sent += chunk.length) yield chunk
      }
      const refused = { code: 'UNSUPPORTED' }
      await expect(bench.storage.put(bench.bucket, at('long'), stream(), { ifMatch: etag })).rejects.toMatchObject(
        refused,
      )
      await expect(bench.storage.put(bench.bucket, at('fresh'), stream(), { ifAbsent: true })).rejects.toMatchObject(
        refused,
      )
      expect(await text('long')).toBe(CONTENT)
      expect(await list('')).toEqual(['long'])
    })
  })
}

/** A reader overtaken by a writer may be told so; it may not be given bytes of both. */
function changed(error: unknown): undefined {
  expect(error).toMatchObject({ code: 'OBJECT_CHANGED' })
}
