import { RecordBatchFileWriter, RecordBatchStreamWriter, tableFromArrays } from 'apache-arrow'
import { describe, expect, it } from 'vitest'
import { openPartition } from '../../partitioner/read.ts'
import { ValidationError } from '../../src/core/errors.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { chunkedBackend } from '../support/chunked-backend.ts'
import { planOf } from '../support/read-partitions.ts'

const table = tableFromArrays({ n: Int32Array.from({ length: 1_000 }, (_, i) => i) })

describe('arrow', () => {
  it.each([
    { form: 'file', bytes: RecordBatchFileWriter.writeAll(table).toUint8Array(true) },
    { form: 'stream', bytes: RecordBatchStreamWriter.writeAll(table).toUint8Array(true) },
  ])('reads an IPC $form, in chunks too', async ({ bytes }) => {
    for (const chunk of [100, Number.POSITIVE_INFINITY]) {
      const inner = bytesBackend(bytes)
      const reader = openPartition(planOf(inner.object, {}).partitions[0] as never, {
        backend: chunkedBackend(inner, { chunk }),
        read: { objNewline: '\n' },
      })
      const numbers: unknown[] = []
      for await (const batch of reader.arrow()) numbers.push(...(batch.getChild('n') ?? []))
      expect(numbers).toEqual(Array.from({ length: 1_000 }, (_, i) => i))
    }
  })

  it('refuses a part of an object', async () => {
    const inner = bytesBackend('x'.repeat(10))
    const [partition] = planOf(inner.object, { objChunkSize: 5 }).partitions
    const reader = openPartition(partition as never, { backend: inner, read: { objNewline: '\n' } })
    await expect(reader.arrow().next()).rejects.toThrow(/cut into 2 partitions: leave out objChunkSize/)
    await expect(reader.arrow().next()).rejects.toThrow(ValidationError)
  })

  it.each(['no arrow at all, just text', ''])('refuses what is no Arrow: "%s"', async (text) => {
    const inner = bytesBackend(text)
    const reader = openPartition(planOf(inner.object, {}).partitions[0] as never, {
      backend: inner,
      read: { objNewline: '\n' },
    })
    await expect(reader.arrow().next()).rejects.toThrow(/not readable as an Arrow IPC file or stream/)
  })
})
