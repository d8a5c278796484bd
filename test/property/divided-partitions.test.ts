/** Partitions that are told to end earlier while they are read, at any chunk, and the calls that read the rest. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { certify, type PartitionOutcome } from '../../partitioner/coverage.ts'
import { DividedPlan } from '../../partitioner/divided-plan.ts'
import { resolveEdges } from '../../partitioner/edges.ts'
import { partitionOptions } from '../../partitioner/options.ts'
import type { PartitionOptions } from '../../partitioner/plan.ts'
import { openPartition, type PartitionReader } from '../../partitioner/read.ts'
import type { ByteRange } from '../../src/core/bytes.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { chunkedBackend } from '../support/chunked-backend.ts'
import { planOf, type ReaderName, readWith } from '../support/read-partitions.ts'
import { sequentialContents, sequentialLines, sequentialRecords } from '../support/sequential-reader.ts'

const DELIMITERS = ['\n', '\r\n', '++', 'abab', '|*|', '→', '\n\n', 'aaab']
const BODY_CHUNKS = [1, 2, 7, Number.POSITIVE_INFINITY]
const FORMS = ['stream', 'bytes', 'text', 'records', 'recordBlocks', 'lines', 'lineBatches'] as const

interface Order {
  readonly call: number
  /** When: before this chunk is handed out (0: before anything is read), or while this request is under way. */
  readonly chunk: number
  readonly request?: number | undefined
  readonly share: number
}

interface Case {
  readonly text: Buffer
  readonly delimiter: string | null
  readonly options: PartitionOptions
  readonly body: number
  readonly reader: ReaderName
  readonly reach: 'process' | 'network'
  readonly requestBytes: number
  /** Resolve edges beforehand, as it is done for delimiters that can overlap themselves. */
  readonly edges: boolean
  /** Told to end at this share of the nominal range. */
  readonly orders: readonly Order[]
}

describe('a partition that is told to end earlier', () => {
  it('keeps what it handed out; with the rest it gives what a sequential reader gives, and the spans tile', async () => {
    let divisions = 0
    const property = fc.asyncProperty(randomCase(), async (c) => {
      divisions += await check(c)
    })
    await fc.assert(property, { numRuns: 2_000 })
    // the orders are not all refused
    expect(divisions).toBeGreaterThan(750)
  })

  it('keeps its end once that is fixed, and where it was not said to be splittable', () => {
    const { object, ...backend } = bytesBackend('one\ntwo\nthree\n')
    const [partition] = planOf(object, {}).partitions
    const open = (splittable: boolean) => {
      const read = partitionOptions({})
      return openPartition(partition as NonNullable<typeof partition>, { backend, read, splittable })
    }
    expect(open(false).endAt(4)).toBe(14)
    const fixed = open(true)
    fixed.fixEnd()
    expect(fixed.endAt(4)).toBe(14)
    const free = open(true)
    expect([free.endAt(4), free.endAt(9), free.range]).toEqual([4, 4, { start: 0, end: 4 }])
  })

  it('gives rows of CSV up to there, and the header to those who read the rest; a second pass ends there too', async () => {
    const rows = Array.from({ length: 50 }, (_, i) => ({ id: String(i), name: `name ${i}` }))
    const { object, ...inner } = bytesBackend(`id,name\n${rows.map(({ id, name }) => `${id},${name}\n`).join('')}`)
    const backend = chunkedBackend(inner, { chunk: 40 })
    const divided = new DividedPlan(planOf(object, {}))
    const read = partitionOptions({})
    const found: unknown[][] = []
    for (let call = 0; call < divided.calls; call++) {
      const { partition } = divided.inputOf(call)
      const reader = openPartition(partition, { backend, read, splittable: true })
      const own: unknown[] = []
      for await (const batch of reader.csv()) {
        own.push(...batch)
        const before = reader.range.end
        const middle = Math.floor((reader.range.start + before) / 2)
        if (divided.calls < 4 && reader.endAt(middle) < before) divided.divide(call, reader.range.end)
      }
      const again: unknown[] = []
      for await (const batch of reader.csv()) again.push(...batch)
      expect(again).toEqual(own)
      found[call] = own
    }
    expect(divided.calls).toBe(4)
    expect(divided.order().flatMap((call) => found[call] ?? [])).toEqual(rows)
  })
})

async function check(c: Case): Promise<number> {
  const { object, ...inner } = bytesBackend(c.text)
  let onGet: () => void = () => undefined
  const get: typeof inner.get = (...args) => {
    onGet()
    return inner.get(...args)
  }
  const backend = chunkedBackend({ ...inner, get }, { chunk: c.body, reach: c.reach })
  const read = partitionOptions({ ...c.options, objNewline: c.delimiter })
  const plan = planOf(object, { ...c.options, objNewline: c.delimiter })
  const needle = c.delimiter === null ? null : Buffer.from(c.delimiter)
  const cuts = [...plan.partitions.map(({ range }) => range.start), object.size]
  const boundaries = needle === null || !c.edges ? undefined : await resolveEdges(object, cuts, needle, { backend })
  const known = boundaries?.slice(1).map((end, i): ByteRange => ({ start: boundaries[i] as number, end }))
  const divided = new DividedPlan(plan, known)
  const outputs: (string | Buffer)[][] = []
  const outcomes: PartitionOutcome[] = []
  for (let call = 0; call < divided.calls; call++) {
    const { partition, edges } = divided.inputOf(call)
    const orders = c.orders.filter((order) => order.call === call)
    const { range } = partition
    let chunks = 0
    let handed = range.start
    let reader: PartitionReader | undefined
    const obey = (due: (order: Order) => boolean) => {
      for (const order of orders) {
        if (!due(order) || reader === undefined) continue
        const { share } = order
        const at = range.start + Math.round((range.end - range.start) * share)
        const before = reader.range.end
        const kept = reader.endAt(at)
        expect(kept).toBe(reader.range.end)
        if (kept === before) continue
        expect(kept).toBeGreaterThan(Math.max(range.start, handed))
        expect(kept).toBeGreaterThanOrEqual(at)
        expect(kept).toBeLessThan(before)
        divided.divide(call, kept)
      }
    }
    const obeyAtChunk = () => {
      obey(({ chunk, request }) => request === undefined && chunk === chunks)
      chunks += 1
    }
    let requests = 0
    onGet = () => {
      obey(({ request }) => request === requests)
      requests += 1
    }
    const onBytes = (bytes: number) => {
      handed = Math.max(handed, reader?.report().start ?? 0) + bytes
      obeyAtChunk()
    }
    const sized = { requestBytes: c.requestBytes }
    reader = openPartition(partition, { backend, read, edges, splittable: true, requests: sized, onBytes })
    obeyAtChunk()
    outputs[call] = await readWith(reader, c.reader)
    outcomes[call] = { state: 'committed', report: JSON.parse(JSON.stringify(reader.report())) }
  }
  const order = divided.order()
  const partitions = divided.partitions()
  expect(order.map((call) => joined(outputs[call] ?? [], c.reader))).toEqual(
    partitions.map(({ range }) => want(c, needle, range)),
  )
  const certificate = certify(
    { partitions },
    order.map((call) => outcomes[call] as PartitionOutcome),
    () => 'etag',
  )
  expect(certificate.complete).toBe(true)
  expect(certificate.objects[0]?.deliveredBytes).toBe(c.text.length)
  return divided.calls - plan.partitions.length
}

function joined(output: readonly (string | Buffer)[], reader: ReaderName): (string | Buffer)[] {
  return reader === 'stream' || reader === 'bytes' ? [Buffer.concat(output as Buffer[])] : [...output]
}

/** Which partition owns a record is said by its first byte. */
function want({ text, reader }: Case, needle: Buffer | null, range: ByteRange): (string | Buffer)[] {
  if (needle === null) return [Buffer.from(text.subarray(range.start, range.end))]
  const records = sequentialRecords(text, needle)
  const own = records.flatMap(({ start }, i) => (start >= range.start && start < range.end ? [i] : []))
  const first = records[own[0] ?? -1]
  const last = records[own[own.length - 1] ?? -1]
  const bytes = first === undefined || last === undefined ? Buffer.alloc(0) : text.subarray(first.start, last.end)
  if (reader === 'stream' || reader === 'bytes') return [Buffer.from(bytes)]
  if (reader === 'text') {
    const marked = first?.start === 0 && bytes.subarray(0, 3).equals(Buffer.from('\ufeff'))
    return [(marked ? bytes.subarray(3) : bytes).toString()]
  }
  const lines = reader === 'lines' || reader === 'lineBatches'
  const all = lines ? sequentialLines(text, needle) : sequentialContents(text, needle)
  return own.map((i) => all[i] as string | Buffer)
}

function randomCase(): fc.Arbitrary<Case> {
  return fc.constantFrom(null, ...DELIMITERS).chain((delimiter) => {
    const marks = delimiter ?? '\n'
    const bytes = [...Buffer.from(marks)].map((byte) => Buffer.from([byte]))
    const other = ['a', 'b', '+', '\r', 'é', '😀', '\ufeff', 'a record that is longer than others'].map((text) =>
      Buffer.from(text),
    )
    const piece = fc.constantFrom(Buffer.from(marks), Buffer.from(marks), ...bytes, ...other, Buffer.from([0xe2, 0x82]))
    const order = fc.record({
      call: fc.nat({ max: 4 }),
      chunk: fc.oneof(fc.nat({ max: 2 }), fc.nat({ max: 12 })),
      request: fc.option(fc.nat({ max: 2 }), { nil: undefined }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    })
    return fc.record({
      text: fc.array(piece, { maxLength: 30 }).map((pieces) => Buffer.concat(pieces)),
      delimiter: fc.constant(delimiter),
      options: fc.integer({ min: 1, max: 4 }).map((objChunkNumber) => ({ objChunkNumber })),
      body: fc.constantFrom(...BODY_CHUNKS),
      reader: delimiter === null ? fc.constantFrom('stream', 'bytes') : fc.constantFrom(...FORMS),
      reach: fc.constantFrom('process' as const, 'network' as const),
      requestBytes: fc.constantFrom(3, 8, 1_000_000),
      edges: fc.boolean(),
      orders: fc.array(order, { minLength: 3, maxLength: 12 }),
    })
  })
}
