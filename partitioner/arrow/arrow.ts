/** Record batches of Arrow IPC, file or stream, on the optional package apache-arrow. */
import { ConfigError, messageOf, ValidationError } from '../../src/core/errors.ts'

/** What is certain of a record batch without its package; name its own type to have all: `arrow<RecordBatch>()`. */
export interface ArrowBatch extends Iterable<unknown> {
  readonly numRows: number
  readonly numCols: number
  readonly schema: { readonly fields: readonly { readonly name: string }[] }
  getChild(name: string): (Iterable<unknown> & { readonly length: number; get(index: number): unknown }) | null
}

/**
 * The batches in `chunks`, the bytes of a whole object, in order.
 * @throws ConfigError when apache-arrow is not installed
 * @throws ValidationError when the bytes are no Arrow IPC
 */
export async function* arrowBatches(
  chunks: AsyncIterable<Uint8Array>,
  url: string,
): AsyncGenerator<ArrowBatch, void, undefined> {
  const { RecordBatchReader } = await loadArrow()
  let batches = 0
  try {
    const reader = await RecordBatchReader.from(chunks)
    for await (const batch of reader) {
      batches += 1
      yield batch as unknown as ArrowBatch
    }
    if (batches === 0 && reader.schema === undefined) throw new Error('no schema in it')
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw error
    throw new ValidationError(`${url} is not readable as an Arrow IPC file or stream: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

/** @throws ValidationError unless the partition is its whole object */
export function requireWhole(url: string, count: number): void {
  if (count === 1) return
  throw new ValidationError(
    `arrow() reads whole objects, but ${url} is cut into ${count} partitions: leave out objChunkSize and objChunkNumber`,
  )
}

async function loadArrow(): Promise<typeof import('apache-arrow')> {
  try {
    return await import('apache-arrow')
  } catch (error) {
    throw new ConfigError('arrow() needs the package apache-arrow: npm install apache-arrow', { cause: error })
  }
}
