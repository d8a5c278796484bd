/** Storage contract: ranges, pins, bodies left early or aborted. */
import { describe, expect } from 'vitest'
import { CONTENT, chunksOf, collect, MIB, noise, type StorageBench } from './storage-bench.ts'

export function testReads(bench: StorageBench): void {
  const { at, clause, put, text } = bench
  describe('get', () => {
    const ranges = [
      { range: undefined, gives: 'arbitrary data' },
      { range: { start: 0, end: 1 }, gives: 'a' },
      { range: { start: 2, end: 5 }, gives: 'bit' },
      { range: { start: 13, end: 14 }, gives: 'a' },
      { range: { start: 0, end: 14 }, gives: 'arbitrary data' },
      { range: { start: 10, end: 9_999 }, gives: 'data' },
    ]
    for (const { range, gives } of ranges) {
      clause(`gives ${range ? `[${range.start}, ${range.end})` : 'the whole object'}, its range and head`, async () => {
        const { etag } = await put('dir/data.txt')
        const reading = await bench.storage.get(bench.bucket, at('dir/data.txt'), { range })
        expect((await collect(reading.body)).toString()).toBe(gives)
        const start = range?.start ?? 0
        expect(reading.range).toEqual({ start, end: start + gives.length })
        expect(reading.head).toMatchObject({ key: at('dir/data.txt'), size: 14, etag })
      })
    }

    const refused = [
      { what: 'that starts at the end', range: { start: 14, end: 20 } },
      { what: 'that starts past the end', range: { start: 99, end: 100 } },
      { what: 'without bytes', range: { start: 3, end: 3 } },
      { what: 'that ends before it starts', range: { start: 3, end: 2 } },
      { what: 'that starts below zero', range: { start: -1, end: 2 } },
    ]
    for (const { what, range } of refused) {
      clause(`refuses a range ${what}`, async () => {
        await put('data')
        await expect(bench.storage.get(bench.bucket, at('data'), { range })).rejects.toMatchObject({
          code: 'RANGE_INVALID',
        })
      })
    }

    clause('gives an empty object as no chunks, and refuses any range of it', async () => {
      expect(await put('empty', '')).toMatchObject({ size: 0 })
      const { body, range, head } = await bench.storage.get(bench.bucket, at('empty'))
      expect(await chunksOf(body)).toEqual([])
      expect({ range, size: head.size }).toEqual({ range: { start: 0, end: 0 }, size: 0 })
      const some = bench.storage.get(bench.bucket, at('empty'), { range: { start: 0, end: 1 } })
      await expect(some).rejects.toMatchObject({ code: 'RANGE_INVALID' })
    })

    clause(
      'answers NOT_FOUND for a missing key, also one that is the folder of another, and for a bench.bucket',
      async () => {
        await put('dir/data')
        for (const key of ['dir', 'dir/', 'dir/data/x', 'none', 'dir/dat']) {
          await expect(bench.storage.get(bench.bucket, at(key)), key).rejects.toMatchObject({
            code: 'NOT_FOUND',
            key: at(key),
          })
          await expect(bench.storage.head(bench.bucket, at(key)), key).rejects.toMatchObject({ code: 'NOT_FOUND' })
        }
        await expect(bench.storage.get(`${bench.bucket}-none`, 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
        await expect(bench.storage.head(`${bench.bucket}-none`, 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
      },
    )

    clause('gives many MiB in chunks that are not empty and not written again', async () => {
      const content = noise(5 * MIB + 3)
      await put('big', content)
      const { body } = await bench.storage.get(bench.bucket, at('big'), { range: { start: 1, end: content.length } })
      const chunks = await chunksOf(body)
      expect(chunks.every((chunk) => chunk.length > 0)).toBe(true)
      expect(Buffer.concat(chunks).equals(content.subarray(1))).toBe(true)
    })

    clause('keeps what is stored apart from the bytes given and taken', async () => {
      const given = Buffer.from(CONTENT)
      await put('own', given)
      given.fill(0)
      for (const chunk of await chunksOf((await bench.storage.get(bench.bucket, at('own'))).body)) chunk.fill(1)
      expect(await text('own')).toBe(CONTENT)
    })

    clause('reads the version that ifMatch names, and no other', async () => {
      expect(bench.storage.capabilities.pin).not.toBe('none')
      const { etag } = await put('pinned')
      expect(await text('pinned', { ifMatch: etag, range: { start: 0, end: 9 } })).toBe('arbitrary')
      await put('pinned', 'overwritten!!!')
      const how = { ifMatch: etag, range: { start: 0, end: 9 } }
      await expect(text('pinned', how)).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
      await expect(text('pinned', { ifMatch: etag })).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
    })

    clause('frees what a body left early held', async () => {
      await put('left', noise(3 * MIB))
      for (let i = 0; i < 300; i++) {
        const { body } = await bench.storage.get(bench.bucket, at('left'))
        for await (const chunk of body) {
          expect(chunk.length).toBeGreaterThan(0)
          break
        }
      }
      expect(await text('left', { range: { start: 0, end: 4 } })).toHaveLength(4)
    })

    clause('ends with the reason of an aborted signal, before and while a body is read', async () => {
      await put('aborted', noise(8 * MIB))
      const reason = new Error('enough')
      const early = bench.storage.get(bench.bucket, at('aborted'), { signal: AbortSignal.abort(reason) })
      await expect(early).rejects.toBe(reason)
      const controller = new AbortController()
      const { body } = await bench.storage.get(bench.bucket, at('aborted'), { signal: controller.signal })
      const read = async () => {
        for await (const chunk of body) if (chunk.length > 0) controller.abort(reason)
      }
      await expect(read()).rejects.toBe(reason)
    })
  })
}
