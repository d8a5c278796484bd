/**
 * The manifest of an S3 Inventory, read and checked. Pure.
 * Source: "Amazon S3 User Guide", "Locating your inventory list"; `version` 2016-11-30.
 */
import { messageOf, ValidationError } from '../../src/core/errors.ts'

export interface InventoryFile {
  readonly key: string
  readonly size: number | undefined
  readonly md5: string | undefined
}

export interface Manifest {
  readonly sourceBucket: string
  /** Where the files are. */
  readonly destinationBucket: string
  readonly format: 'CSV' | 'Parquet'
  /** As the files name them. */
  readonly columns: readonly string[]
  /** Epoch ms: when the inventory was begun. */
  readonly createdAt: number
  readonly files: readonly InventoryFile[]
}

/** Columns a plan can need, by their names in either format without "_" and capitals. */
export const COLUMNS = ['bucket', 'key', 'versionid', 'islatest', 'isdeletemarker', 'size', 'etag'] as const
export type Column = (typeof COLUMNS)[number]

/** @throws ValidationError that says what is wrong with it, and for ORC */
export function parseManifest(bytes: Uint8Array, url: string): Manifest {
  const wrong = (what: string) => new ValidationError(`${url} is no inventory manifest: ${what}`)
  const json = parsed(bytes, wrong)
  const text = (name: string): string => {
    const value = json[name]
    if (typeof value !== 'string' || value === '') throw wrong(`${name}: expected text, got ${JSON.stringify(value)}`)
    return value
  }
  const version = text('version')
  if (version !== '2016-11-30') throw wrong(`version: expected "2016-11-30", got ${JSON.stringify(version)}`)
  const createdAt = Number(json.creationTimestamp)
  if (!Number.isSafeInteger(createdAt)) {
    throw wrong(`creationTimestamp: expected epoch milliseconds, got ${JSON.stringify(json.creationTimestamp)}`)
  }
  const format = text('fileFormat')
  if (format === 'ORC') {
    throw new ValidationError(`${url} is an inventory in ORC, which is not read: have it written as CSV or Parquet`)
  }
  if (format !== 'CSV' && format !== 'Parquet') {
    throw wrong(`fileFormat: expected "CSV" or "Parquet", got ${JSON.stringify(format)}`)
  }
  return {
    sourceBucket: text('sourceBucket'),
    destinationBucket: text('destinationBucket').replace(/^arn:[^:]*:s3:::/, ''),
    format,
    columns: columnsOf(text('fileSchema'), format),
    createdAt,
    files: filesOf(json.files, wrong),
  }
}

/** Place of each column a plan can need, by what stands in the schema; absent where the inventory lacks it. */
export function placesOf(columns: readonly string[]): ReadonlyMap<Column, number> {
  const names = columns.map((name) => name.replaceAll('_', '').toLowerCase())
  return new Map(COLUMNS.map((name) => [name, names.indexOf(name)] as const).filter(([, at]) => at !== -1))
}

function parsed(bytes: Uint8Array, wrong: (what: string) => Error): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(bytes).toString())
  } catch (error) {
    throw wrong(messageOf(error))
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw wrong('expected a JSON object')
  return json as Record<string, unknown>
}

/** `Bucket, Key, …`, or `message s3.inventory { required binary key (UTF8); … }`. */
function columnsOf(schema: string, format: Manifest['format']): string[] {
  if (format === 'CSV') return schema.split(',').map((name) => name.trim())
  return [...schema.matchAll(/\b(?:required|optional)\s+\w+\s+(\w+)/g)].map(([, name = '']) => name)
}

function filesOf(files: unknown, wrong: (what: string) => Error): InventoryFile[] {
  if (!Array.isArray(files)) throw wrong(`files: expected a list, got ${JSON.stringify(files)}`)
  return files.map((file: Record<string, unknown> | null, i) => {
    const { key, size, MD5checksum } = file ?? {}
    if (typeof key !== 'string' || key === '') throw wrong(`files[${i}].key: expected text, got ${JSON.stringify(key)}`)
    return {
      key,
      size: typeof size === 'number' ? size : undefined,
      md5: typeof MD5checksum === 'string' && MD5checksum !== '' ? MD5checksum : undefined,
    }
  })
}
