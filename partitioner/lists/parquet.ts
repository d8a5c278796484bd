/** Columns of a Parquet file in a store, on the optional package hyparquet: only their bytes are fetched. */
import { collectBytes } from '../../src/core/bytes.ts'
import { ConfigError, messageOf, QuernError, ValidationError } from '../../src/core/errors.ts'
import { assertSize, chunksOf, listUrlOf, type StoredList } from './stored-list.ts'

/** What is used of hyparquet 1; named here, so that its types are not needed where it is not installed. */
interface Hyparquet {
  parquetMetadataAsync(file: AsyncBuffer): Promise<ParquetMetadata>
  parquetReadObjects(options: {
    readonly file: AsyncBuffer
    readonly metadata: ParquetMetadata
    readonly columns: readonly string[]
    readonly rowStart: number
    readonly rowEnd: number
  }): Promise<Record<string, unknown>[]>
}

interface AsyncBuffer {
  readonly byteLength: number
  slice(start: number, end?: number): Promise<ArrayBuffer>
}

interface ParquetMetadata {
  readonly schema: readonly { readonly name: string }[]
  readonly row_groups: readonly { readonly num_rows: bigint }[]
}

/**
 * The rows of a file, a row group at a time, as the values of `columns` in their order; null where a row has none.
 * @throws ConfigError when hyparquet is not installed; ValidationError for what is no Parquet, or lacks a column
 */
export async function* parquetRows(
  list: StoredList,
  columns: readonly string[],
): AsyncGenerator<(readonly unknown[])[], void, undefined> {
  const { parquetMetadataAsync, parquetReadObjects } = await loadHyparquet()
  const file = await openFile(list)
  const reading = async <T>(read: () => Promise<T>): Promise<T> => {
    try {
      return await read()
    } catch (error) {
      if (error instanceof QuernError || list.signal?.aborted === true) throw error
      const message = messageOf(error)
      throw new ValidationError(`${listUrlOf(list)} is not readable as Parquet: ${message}`, { cause: error })
    }
  }
  const metadata = await reading(() => parquetMetadataAsync(file))
  const names = new Set(metadata.schema.map(({ name }) => name))
  const lacking = columns.find((column) => !names.has(column))
  if (lacking !== undefined) throw new ValidationError(`${listUrlOf(list)} lacks the column ${lacking} of its manifest`)
  let rowStart = 0
  for (const { num_rows: count } of metadata.row_groups) {
    const rowEnd = rowStart + Number(count)
    const rows = await reading(() => parquetReadObjects({ file, metadata, columns, rowStart, rowEnd }))
    yield rows.map((row) => columns.map((column) => row[column]))
    rowStart = rowEnd
  }
}

/** Under one version, its MD5 checked first: by the etag, which is it where the file was put in one piece. */
async function openFile(list: StoredList): Promise<AsyncBuffer> {
  const { store, bucket, key, signal, md5, gathered } = list
  gathered.request(store.name, 'head')
  const { etag, size } = await store.head(bucket, key, { signal })
  assertSize(list, size)
  const isChecked = md5 === undefined || etag.replaceAll('"', '') === md5.toLowerCase()
  if (!isChecked) for await (const chunk of chunksOf(list)) void chunk
  const pin = etag === '' || store.capabilities.pin === 'none' ? {} : { ifMatch: etag }
  return {
    byteLength: size,
    async slice(start, end = size) {
      if (start >= end) return new ArrayBuffer(0)
      gathered.request(store.name, 'get')
      const { body } = await store.get(bucket, key, { range: { start, end }, signal, ...pin })
      return Uint8Array.from(await collectBytes(body)).buffer
    },
  }
}

async function loadHyparquet(): Promise<Hyparquet> {
  try {
    return (await import('hyparquet')) as unknown as Hyparquet
  } catch (error) {
    const hint = 'an inventory in Parquet needs the package hyparquet: npm install hyparquet'
    throw new ConfigError(`${hint} (or have the inventory written as CSV)`, { cause: error })
  }
}
