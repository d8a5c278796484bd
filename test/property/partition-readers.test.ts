import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { resolveEdges } from '../../partitioner/edges.ts'
import type { PartitionOptions } from '../../partitioner/plan.ts'
import { bytesBackend } from '../support/bytes-backend.ts'
import { chunkedBackend } from '../support/chunked-backend.ts'
import { manualClock } from '../support/manual-retry.ts'
import { patientReads } from '../support/patient-reads.ts'
import { partitionsOf, READERS, type ReaderName, readAll } from '../support/read-partitions.ts'
import {
  sequentialBoundary,
  sequentialContents,
  sequentialLines,
  sequentialRecords,
} from '../support/sequential-reader.ts'

const DELIMITERS = ['\n', '\r\n', '++', 'abab', '|*|', '|*', '\0', '→', '\n\n', 'aaab']
const BODY_CHUNKS = [1, 2, 7, Number.POSITIVE_INFINITY]

interface Case {
  readonly text: Buffer
  readonly delimiter: string
  readonly options: PartitionOptions
  readonly body: number
  readonly reader: ReaderName
  readonly reach?: 'process' | 'network'
  readonly edges?: boolean
  readonly faults?: 'none' | 'throws' | 'silence'
  readonly requestBytes?: number
}

const large = process.env.QUERN_TEST_LARGE === '1'

describe('partitions give what a sequential reader gives', () => {
  it.each([
    { delimiter: '\n', alphabet: 'a\n', length: 5 },
    { delimiter: '\r\n', alphabet: 'a\r\n', length: 4 },
    { delimiter: '++', alphabet: 'a+', length: 6 },
    { delimiter: 'abab', alphabet: 'ab', length: large ? 8 : 7 },
  ])(
    'every string up to $length over $alphabet, every chunk size and number',
    async ({ delimiter, alphabet, length }) => {
      let turn = 0
      for (const text of strings(alphabet, length)) {
        for (let n = 1; n <= text.length; n++) {
          for (const options of [{ objChunkSize: n }, { objChunkNumber: n }]) {
            const reader = READERS[turn % READERS.length] as ReaderName
            await check({ text, delimiter, options, reader, body: BODY_CHUNKS[turn++ % 4] as number })
          }
        }
      }
      expect(turn).toBeGreaterThan(100)
    },
  )

  it('random objects, delimiters, cuts, body chunkings, request sizes and broken bodies', async () => {
    await fc.assert(fc.asyncProperty(randomCase(), check), { numRuns: large ? 10_000 : 1_500 })
  })

  it('boundaries resolved beforehand are those of the sequential reader', async () => {
    const property = fc.asyncProperty(randomCase(), async ({ text, delimiter, options, body }) => {
      const { object, ...backend } = bytesBackend(text)
      const ranges = partitionsOf(object, {
        chunkSize: options.objChunkSize as number,
        chunkNumber: options.objChunkNumber,
      })
      const cuts = [...ranges.map(({ range }) => range.start), text.length]
      const found = await resolveEdges(object, cuts, Buffer.from(delimiter), {
        backend: chunkedBackend(backend, { chunk: body }),
      })
      expect(found).toEqual(cuts.map((cut) => sequentialBoundary(text, Buffer.from(delimiter), cut)))
    })
    await fc.assert(property, { numRuns: 400 })
  })
})

async function check(c: Case): Promise<void> {
  const { object, ...inner } = bytesBackend(c.text)
  const faults = c.faults ?? 'none'
  const cutOff = (get: number) => (faults !== 'none' && get % 2 === 0 ? get % 5 : undefined)
  const chunking = {
    chunk: c.body,
    reach: c.reach ?? 'process',
    ...(faults === 'none' ? {} : { cutOff, cutOffBy: faults }),
  }
  const policy = { attempts: 20, baseMs: 1, maxMs: 1 }
  const backend = patientReads(chunkedBackend(inner, chunking), { policy, clock: manualClock() })
  const needle = Buffer.from(c.delimiter)
  const options = { ...c.options, objNewline: c.delimiter }
  const requests = { requestBytes: c.requestBytes ?? 8 }
  const cuts = partitionsOf(object, {
    chunkSize: c.options.objChunkSize as number,
    chunkNumber: c.options.objChunkNumber,
  })
  const resolved = cuts.map(({ range }) => sequentialBoundary(c.text, needle, range.start))
  const edgesOf = (index: number) =>
    c.edges ? { start: resolved[index] as number, end: resolved[index + 1] ?? c.text.length } : undefined
  const { outputs, certificate } = await readAll(object, options, c.reader, { backend, requests, edgesOf })
  const records = sequentialRecords(c.text, needle)
  // which partition owns a record is said by its first byte
  const owners = cuts.map(({ range }) => records.filter(({ start }) => start >= range.start && start < range.end))
  const expected = owners.map((own) => own.map((record) => records.indexOf(record)))
  expect(outputs.map((output) => joined(output, c.reader))).toEqual(expected.map((own) => want(c, needle, own)))
  expect(certificate.complete).toBe(true)
  const [certified] = certificate.objects
  expect(certified?.deliveredBytes).toBe(c.text.length)
  if (!['stream', 'bytes', 'text'].includes(c.reader)) expect(certified?.records).toBe(records.length)
}

/** Streams and texts as one item, whatever chunks they came in. */
function joined(output: readonly (string | Buffer)[], reader: ReaderName): (string | Buffer)[] {
  if (reader === 'stream' || reader === 'bytes') return [Buffer.concat(output as Buffer[])]
  return [...output]
}

function want({ text, reader }: Case, needle: Buffer, own: readonly number[]): (string | Buffer)[] {
  const records = sequentialRecords(text, needle)
  const first = records[own[0] ?? -1]
  const last = records[own[own.length - 1] ?? -1]
  const bytes = first === undefined || last === undefined ? Buffer.alloc(0) : text.subarray(first.start, last.end)
  if (reader === 'stream' || reader === 'bytes') return [Buffer.from(bytes)]
  if (reader === 'text') {
    const mark = first?.start === 0 && bytes.subarray(0, 3).equals(Buffer.from('\ufeff'))
    return [(mark ? bytes.subarray(3) : bytes).toString()]
  }
  const all =
    reader === 'lines' || reader === 'lineBatches' ? sequentialLines(text, needle) : sequentialContents(text, needle)
  return own.map((index) => all[index] as string | Buffer)
}

function randomCase(): fc.Arbitrary<Case> {
  return fc.constantFrom(...DELIMITERS).chain((delimiter) => {
    const parts = [...delimiter].map((part) => Buffer.from(part))
    const bytes = [...Buffer.from(delimiter)].map((byte) => Buffer.from([byte]))
    const other = ['a', 'b', '+', '\r', '\n', 'é', '😀', '\ufeff', 'long text without any of it'].map((text) =>
      Buffer.from(text),
    )
    const invalid = [[0xff], [0xe2, 0x82], [0xf0, 0x9f], [0xc2]].map((text) => Buffer.from(text))
    const piece = fc.constantFrom(Buffer.from(delimiter), ...parts, ...bytes, ...other, ...invalid)
    const text = fc.array(piece, { maxLength: 24 }).map((pieces) => Buffer.concat(pieces))
    const size = fc.integer({ min: 1, max: 40 })
    return fc.record({
      text,
      delimiter: fc.constant(delimiter),
      options: fc.oneof(
        size.map((objChunkSize) => ({ objChunkSize })),
        size.map((objChunkNumber) => ({ objChunkNumber })),
      ),
      body: fc.constantFrom(...BODY_CHUNKS),
      reader: fc.constantFrom(...READERS),
      reach: fc.constantFrom('process' as const, 'network' as const),
      edges: fc.boolean(),
      faults: fc.constantFrom('none' as const, 'throws' as const, 'silence' as const),
      requestBytes: fc.constantFrom(3, 8, 1_000_000),
    })
  })
}

function* strings(alphabet: string, length: number): Generator<Buffer> {
  for (let size = 1; size <= length; size++) {
    for (let n = 0; n < alphabet.length ** size; n++) {
      let text = ''
      for (let rest = n, i = 0; i < size; i++, rest = Math.floor(rest / alphabet.length))
        text += alphabet[rest % alphabet.length]
      yield Buffer.from(text)
    }
  }
}
