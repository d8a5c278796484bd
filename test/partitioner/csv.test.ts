import { parse as oracle } from 'csv-parse/sync'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CsvOptions } from '../../partitioner/csv/csv.ts'
import type { PartitionOptions } from '../../partitioner/plan.ts'
import { openPartition } from '../../partitioner/read.ts'
import { ValidationError } from '../../src/core/errors.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { planOf } from '../support/read-partitions.ts'

describe('csv', () => {
  it('gives the rows an independent parser gives, for every cut', async () => {
    const field = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'é', ' ', '1', ';') }),
      fc.string({ unit: fc.constantFrom('a', ',', '"', ' ', 'é') }).map((text) => `"${text.replaceAll('"', '""')}"`),
    )
    const row = fc.tuple(fc.constantFrom('k1', '"k,2"'), field, field).map((fields) => fields.join(','))
    const rows = fc.array(fc.oneof({ weight: 5, arbitrary: row }, fc.constant('')), { maxLength: 8 })
    const newline = fc.constantFrom('\n', '\r\n')
    const input = fc.record({
      rows,
      newline,
      last: fc.boolean(),
      mark: fc.boolean(),
      header: fc.boolean(),
      size: fc.integer({ min: 1, max: 60 }),
    })
    await fc.assert(
      fc.asyncProperty(input, async ({ rows: lines, newline: end, last, mark, header, size }) => {
        const text = (mark ? '\ufeff' : '') + ['x,y y,"z"', ...lines].join(end) + (last ? end : '')
        const expected: unknown[] = oracle(text, { columns: header, bom: true, skip_empty_lines: true })
        expect(await rowsOf(text, { header }, { objChunkSize: size })).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it.each([
    { text: 'a\tb\n1\t2\n', row: { a: '1', b: '2' } },
    { text: 'a;b\n1,5;2\n', row: { a: '1,5', b: '2' } },
    { text: 'a|b\n1|2\n', row: { a: '1', b: '2' } },
    { text: 'one\n1\n', row: { one: '1' } },
    { text: 'a,b\n1\n', row: { a: '1' } },
    { text: 'a,b\n1,2,3\n', row: { a: '1', b: '2', __parsed_extra: ['3'] } },
    { text: '__proto__,b\n1,2\n', row: JSON.parse('{"__proto__":"1","b":"2"}') },
  ])('finds the delimiter out from the first record: $text', async ({ text, row }) => {
    const rows = await rowsOf(text, {}, {})
    expect(JSON.stringify(rows)).toBe(JSON.stringify([row]))
  })

  it('reads the header once, by a small request, in a partition that does not hold it', async () => {
    const inner = bytesBackend(`name,n\n${'x,1\n'.repeat(50_000)}`)
    const partition = planOf(inner.object, { objChunkNumber: 4 }).partitions[2]
    const starts: number[] = []
    const backend: typeof inner = {
      ...inner,
      get: (bucket, key, options) => {
        starts.push(options?.range?.start ?? 0)
        return inner.get(bucket, key, options)
      },
    }
    const reader = openPartition(partition as never, { backend, read: { objNewline: '\n' } })
    for await (const [first] of reader.csv()) expect(first).toEqual({ name: 'x', n: '1' })
    expect(starts.filter((start) => start === 0)).toHaveLength(1)
    expect(starts).toHaveLength(2)
  })

  it.each([
    { defect: 'a newline in quotes', text: 'a,b\n1,2\n"x\ny",2\n3,4\n', offset: 8 },
    { defect: 'one that swallows exactly as many lines as quotes open', text: 'a,b\n"x\n","\ny"\n', offset: 4 },
    { defect: 'a quote that is not closed, in the last record', text: 'a,b\n1,2\n1,"x', offset: 8 },
    { defect: 'a quote in the middle of a field', text: 'a,b\n5" pipe,2\n', offset: 4 },
    { defect: 'text behind a closing quote', text: 'a,b\n"5"x,2\n', offset: 4 },
  ])('refuses $defect, and says where, for every cut', async ({ text, offset }) => {
    for (let size = 1; size <= text.length; size++) {
      await expect(rowsOf(text, {}, { objChunkSize: size })).rejects.toThrow(ValidationError)
    }
    await expect(rowsOf(text, {}, {})).rejects.toThrow(`record at byte ${offset} `)
    await expect(rowsOf(text, {}, {})).rejects.toThrow(/text\(\)/)
  })

  it.each([
    { text: '\n1,2\n', says: /first record is empty.*header: false/ },
    { text: 'a,a\n1,2\n', says: /"a" twice/ },
    { text: '"a\nb",c\n1,2\n', says: /not a whole header/ },
  ])('refuses the header of $text', async ({ text, says }) => {
    await expect(rowsOf(text, {}, {})).rejects.toThrow(says)
    await expect(rowsOf(text, {}, { objChunkSize: 1 })).rejects.toThrow(says)
  })

  it.each([
    { options: { header: 'yes' }, says: /csv options\.header/ },
    { options: { delimiter: '' }, says: /csv options\.delimiter/ },
    { options: { quoteChar: 'ab' }, says: /csv options\.quoteChar/ },
  ])('refuses the options $options', async ({ options, says }) => {
    await expect(rowsOf('a,b\n', options as unknown as CsvOptions, {})).rejects.toThrow(says)
  })
})

async function rowsOf(text: string, csv: CsvOptions, options: PartitionOptions): Promise<unknown[]> {
  const inner = bytesBackend(text)
  const plan = planOf(inner.object, options)
  const rows: unknown[] = []
  for (const partition of plan.partitions) {
    const reader = openPartition(partition, { backend: inner, read: plan.options })
    for await (const batch of reader.csv<unknown>(csv)) rows.push(...batch)
  }
  return rows
}
