import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { resolveEdges } from '../../partitioner/edges.ts'
import type { PartitionOptions } from '../../partitioner/plan.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { chunkedBackend } from '../support/chunked-backend.ts'
import { planOf, READERS, readAll } from '../support/read-partitions.ts'

interface Regression {
  readonly defect: string
  readonly text: readonly (string | { readonly repeat: readonly [string, number] })[]
  readonly delimiter: string
  readonly options: readonly PartitionOptions[]
  readonly records?: readonly string[]
  readonly recordCount?: number
}

const folder = fileURLToPath(new URL('../../fixtures/regressions', import.meta.url))
const cases = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory())

describe.each(cases.map(({ name }) => name).sort())('%s', (name) => {
  const { text: parts, delimiter, options, records, recordCount, defect } = load(name)
  const text = parts.map((part) => (typeof part === 'string' ? part : part.repeat[0].repeat(part.repeat[1]))).join('')
  const long = text.length > 2_000

  it.each(
    options.flatMap((option) =>
      (long ? [4_096, Number.POSITIVE_INFINITY] : [1, 2, 7, Number.POSITIVE_INFINITY]).map((chunk) => ({
        option,
        chunk,
      })),
    ),
  )(`${defect}: $option, body in chunks of $chunk`, async ({ option, chunk }) => {
    const { object, ...inner } = bytesBackend(text)
    const backend = chunkedBackend(inner, { chunk })
    const requests = { requestBytes: long ? 10_000 : 16 }
    for (const reader of READERS) {
      const read = { backend, requests }
      const { outputs, certificate } = await readAll(object, { ...option, objNewline: delimiter }, reader, read)
      const all = outputs.flat()
      expect(certificate).toMatchObject({ complete: true, objects: [{ deliveredBytes: Buffer.byteLength(text) }] })
      if (reader === 'stream' || reader === 'bytes') expect(Buffer.concat(all as Buffer[]).toString()).toBe(text)
      else if (reader === 'text') expect(all.join('')).toBe(text.replace(/^\ufeff/, ''))
      else if (records === undefined) expect(all).toHaveLength(recordCount as number)
      else if (reader === 'records' || reader === 'recordBlocks') expect(all.map(String)).toEqual(records)
      else expect(all).toEqual(records.map((record, i) => (i === 0 ? record.replace(/^\ufeff/, '') : record)))
    }
  })
})

describe('an object that is one chain', () => {
  it('has its edges resolved in O(size), however many cuts there are', async () => {
    const size = 1_000_000
    const { object, ...inner } = bytesBackend('+'.repeat(size))
    const backend = chunkedBackend(inner)
    const { partitions } = planOf(object, { objChunkNumber: 50, objNewline: '++' })
    const cuts = [...partitions.map(({ range }) => range.start), size]
    const edges = await resolveEdges(object, cuts, Buffer.from('++'), { backend })
    expect(edges).toEqual(cuts.map((cut) => cut + (cut % 2)))
    expect(backend.gets.reduce((sum, { taken }) => sum + taken, 0)).toBeLessThan(3 * size)
  })
})

function load(name: string): Regression {
  return JSON.parse(readFileSync(`${folder}/${name}/case.json`, 'utf8')) as Regression
}
