/** What a map function receives: one partition, to be read in whichever form suits, any number of times. */
import type { ByteRange } from '../src/core/bytes.ts'
import type { CloudObject } from '../src/core/cloud-object.ts'
import type { ArrowBatch } from './arrow/arrow.ts'
import type { CsvOptions, CsvRow } from './csv/csv.ts'
import type { RecordBlock } from './records.ts'

export interface ObjectPartition {
  readonly object: CloudObject
  /** 0-based place within its object. */
  readonly index: number
  /** Partitions of its object. */
  readonly count: number
  /** The nominal range; the records owned are those whose first byte lies in it. */
  readonly range: ByteRange
  /** The owned bytes, chunk by chunk, delimiters included. */
  stream(): AsyncIterable<Uint8Array>
  /** The owned bytes in one array; memory of their sum. */
  bytes(): Promise<Uint8Array>
  /** The owned bytes as UTF-8 text, without the byte order mark at the object's beginning. */
  text(): Promise<string>
  /** Records, delimiters removed. They share memory with what was read; nothing writes to it again. */
  records(): AsyncIterable<Uint8Array>
  /** The fast path: records as offsets into the bytes they arrived in. A block is valid until the next iteration. */
  recordBlocks(): AsyncIterable<RecordBlock>
  /** Records as text; where the delimiter is "\n", one "\r" before it is removed too. */
  lines(): AsyncIterable<string>
  /**
   * Lines in batches of about 64 KiB: the fast path to text. A line keeps the text of its batch in memory; copy what
   * is kept for long.
   */
  lineBatches(): AsyncIterable<string[]>
  /**
   * Rows, in batches. With `header` (default) rows are objects, and the object's first record is no row.
   * @throws ValidationError for a record that is no whole row: newlines in quotes are not supported
   */
  csv<Row = CsvRow>(options?: CsvOptions): AsyncIterable<Row[]>
  /** Record batches of an Arrow IPC file or stream; the partition must be a whole object. Needs `apache-arrow`. */
  arrow<Batch = ArrowBatch>(): AsyncIterable<Batch>
}
