/**
 * Opens a partition: its owned bytes in every form a map function may ask for, and a report of what was found and
 * delivered, from which the certificate is made (coverage.ts). Which bytes are owned: owned.ts.
 */
import { asBuffer, type ByteRange, collectBytes } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import { ValidationError } from '../src/core/errors.ts'
import { type ArrowBatch, arrowBatches, requireWhole } from './arrow/arrow.ts'
import { refuseCompressed } from './compression.ts'
import { type CsvOptions, type CsvRow, csvRows } from './csv/csv.ts'
import { Delivery, type Pass, type ReadReport } from './delivery.ts'
import { firstRecord } from './first-record.ts'
import { decode, type LineBatch, lineBatchesOf, withoutMark } from './lines.ts'
import { NominalEnd } from './nominal-end.ts'
import { delimiterOf } from './options.ts'
import { type OwnedRead, ownedChunks } from './owned.ts'
import type { ObjectPartition } from './partition.ts'
import type { Partition, PlanOptions } from './plan.ts'
import type { RangedOptions } from './ranged.ts'
import { type AlignedBlock, alignedBlocks, type RecordBlock, RecordSplitter } from './records.ts'

export type { ReadReport } from './delivery.ts'
export type { ObjectPartition } from './partition.ts'

export interface OpenOptions {
  readonly backend: RangedOptions['backend']
  readonly read: PlanOptions
  /** Record edges that were resolved beforehand (edges.ts); found while reading where absent. */
  readonly edges?: Partial<ByteRange> | undefined
  readonly signal?: AbortSignal | undefined
  /** Told of every owned chunk as it is read. */
  readonly onBytes?: ((bytes: number) => void) | undefined
  /** `endAt` may move the nominal end while the partition is read. */
  readonly splittable?: boolean | undefined
  /** How requests are sent; see rangedBytes. */
  readonly requests?: Pick<RangedOptions, 'requestBytes' | 'ahead' | 'readAhead'> | undefined
}

/** The reader of one partition; nothing is requested before something is read. */
export function openPartition(partition: Partition, options: OpenOptions): PartitionReader {
  return new PartitionReader(partition, options)
}

/** What a map function gets as ObjectPartition, and the worker asks for its report. */
export class PartitionReader implements ObjectPartition {
  readonly object: CloudObject
  readonly index: number
  readonly count: number
  readonly #end: NominalEnd
  readonly #read: OwnedRead
  readonly #onBytes: (bytes: number) => void
  readonly #delivery: Delivery

  constructor(partition: Partition, options: OpenOptions) {
    const { backend, read, edges = {}, signal, onBytes, requests } = options
    this.object = partition.object
    this.index = partition.index
    this.count = partition.count
    const onHead: RangedOptions['onHead'] = (head) =>
      refuseCompressed(partition.object, head.contentEncoding, read.compression)
    const delimiter = delimiterOf(read)
    const splittable = options.splittable === true && partition.uncut === undefined
    this.#end = new NominalEnd(partition.range, splittable ? (delimiter?.length ?? 0) : undefined)
    const source = { ...requests, backend, signal, onHead }
    this.#read = { partition, delimiter, edges, source, movable: splittable ? this.#end : undefined }
    this.#onBytes = onBytes ?? (() => undefined)
    this.#delivery = new Delivery(partition.range)
  }

  /** The nominal range as it is now. */
  get range(): ByteRange {
    const { range } = this.#read.partition
    return this.#end.at === range.end ? range : { start: range.start, end: this.#end.at }
  }

  /** What was found and delivered so far, over all passes: the furthest one counts. */
  report(): ReadReport {
    return this.#delivery.report()
  }

  /**
   * Ends the partition at `at`, or where it still can: gives the nominal end that is kept, past all that was handed
   * out; what lies behind it is read by nobody here. The end as it was: nothing can be given away.
   */
  endAt(at: number): number {
    return this.#end.moveTo(at)
  }

  /** From now on the end stays where it is: the result is made of what was read up to it. */
  fixEnd(): void {
    this.#end.fix()
  }

  async *stream(): AsyncGenerator<Uint8Array, void, undefined> {
    const pass = this.#delivery.begin(false)
    for await (const chunk of this.#chunks(false)) {
      pass.deliver(chunk.length)
      yield chunk
    }
    pass.complete()
  }

  bytes(): Promise<Uint8Array> {
    return collectBytes(this.stream())
  }

  async text(): Promise<string> {
    const bytes = asBuffer(await this.bytes())
    return decode(withoutMark(bytes, this.range.start))
  }

  async *records(): AsyncGenerator<Uint8Array, void, undefined> {
    const { delimiter, pass } = this.#begin('records()')
    const splitter = new RecordSplitter(delimiter)
    for await (const block of this.#blocks(delimiter, false)) {
      const { bytes, starts, ends, count } = splitter.split(block)
      let given = 0
      try {
        while (given < count) yield bytes.subarray(starts[given], ends[given++])
      } finally {
        pass.deliver(given < count ? (starts[given] as number) : bytes.length, given)
      }
    }
    pass.complete()
  }

  async *recordBlocks(): AsyncGenerator<RecordBlock, void, undefined> {
    const { delimiter, pass } = this.#begin('recordBlocks()')
    const splitter = new RecordSplitter(delimiter)
    for await (const aligned of this.#blocks(delimiter, true)) {
      const block = splitter.split(aligned)
      pass.deliver(block.bytes.length, block.count)
      yield block
    }
    pass.complete()
  }

  async *lines(): AsyncGenerator<string, void, undefined> {
    const { delimiter, pass } = this.#begin('lines()')
    const splitter = new RecordSplitter(delimiter)
    for await (const batch of this.#lineBatches(delimiter, splitter)) {
      const { lines, bytes } = batch
      let given = 0
      try {
        while (given < lines.length) yield lines[given++] as string
      } finally {
        pass.deliver(given < lines.length ? startOfRecord(splitter, batch, given) : bytes.length, given)
      }
    }
    pass.complete()
  }

  async *lineBatches(): AsyncGenerator<string[], void, undefined> {
    const { delimiter, pass } = this.#begin('lineBatches()')
    for await (const { lines, bytes } of this.#lineBatches(delimiter, new RecordSplitter(delimiter))) {
      pass.deliver(bytes.length, lines.length)
      yield lines
    }
    pass.complete()
  }

  async *csv<Row = CsvRow>(options?: CsvOptions): AsyncGenerator<Row[], void, undefined> {
    const { delimiter, pass } = this.#begin('csv()')
    const splitter = new RecordSplitter(delimiter)
    const source = {
      url: this.object.url,
      batches: this.#lineBatches(delimiter, splitter),
      fromStart: this.range.start === 0,
      firstLine: () => this.#firstLine(delimiter, splitter),
      offsetOf: (batch: LineBatch, index: number) => batch.offset + startOfRecord(splitter, batch, index),
    }
    for await (const { rows, batch } of csvRows(source, options)) {
      pass.deliver(batch.bytes.length, batch.lines.length)
      if (rows.length > 0) yield rows as Row[]
    }
    pass.complete()
  }

  async *arrow<Batch = ArrowBatch>(): AsyncGenerator<Batch, void, undefined> {
    requireWhole(this.object.url, this.count)
    for await (const batch of arrowBatches(this.stream(), this.object.url)) yield batch as Batch
  }

  async *#chunks(reuse: boolean): AsyncGenerator<Buffer, void, undefined> {
    for await (const chunk of ownedChunks(this.#read, this.#delivery.found, reuse)) {
      this.#onBytes(chunk.length)
      yield chunk
    }
  }

  /** `reuse`: no block is kept beyond the next iteration. */
  #blocks(delimiter: Buffer, reuse: boolean): AsyncGenerator<AlignedBlock, void, undefined> {
    return alignedBlocks(this.#chunks(reuse), () => this.#delivery.found.start as number, delimiter, reuse)
  }

  async *#lineBatches(delimiter: Buffer, splitter: RecordSplitter): AsyncGenerator<LineBatch, void, undefined> {
    for await (const block of this.#blocks(delimiter, true)) yield* lineBatchesOf(block, delimiter, splitter)
  }

  async #firstLine(delimiter: Buffer, splitter: RecordSplitter): Promise<string> {
    const bytes = await firstRecord(this.object, delimiter, this.#read.source)
    const [batch] = lineBatchesOf({ bytes, offset: 0 }, delimiter, splitter)
    return batch?.lines[0] ?? ''
  }

  #begin(what: string): { delimiter: Buffer; pass: Pass } {
    const { delimiter } = this.#read
    if (delimiter !== null) return { delimiter, pass: this.#delivery.begin(true) }
    throw new ValidationError(
      `${what} of ${this.object.url}: objNewline is null, so there are no records: read stream()`,
    )
  }
}

function startOfRecord(splitter: RecordSplitter, block: AlignedBlock, index: number): number {
  return splitter.split(block).starts[index] as number
}
