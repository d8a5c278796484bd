/** S3 Inventories as S3 writes them, in a store: `manifest.json`, its checksum, and files. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { StorageBackend } from '../../src/storage/backend.ts'

export const REPORT = 'reports/source/daily/2026-11-20T01-00Z'
export const CREATED_AT = Date.parse('2026-11-20T01:00:00Z')
const SCHEMA = 'Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, ETag, StorageClass'

export type Row = readonly (string | number | boolean)[]

export interface InventoryParts {
  readonly schema?: string
  /** Rows of each file. */
  readonly files: readonly (readonly Row[])[]
  /** Put over the manifest's own members. */
  readonly manifest?: Readonly<Record<string, unknown>>
  readonly report?: string
}

/** Keys in a CSV inventory are encoded as in a form. */
export function formEncoded(key: string): string {
  return encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/')
}

/** A row of the default schema. */
export function row(key: string, size: number | string, etag: string, more: { old?: true; marker?: true } = {}): Row {
  const quoted = etag.replaceAll('"', '')
  return ['source', formEncoded(key), 'v', more.old !== true, more.marker === true, size, quoted, 'STANDARD']
}

export function md5(bytes: Uint8Array | string): string {
  return createHash('md5').update(bytes).digest('hex')
}

export function csvGz(rows: readonly Row[]): Buffer {
  return gzipSync(rows.map((values) => `${values.map((value) => `"${value}"`).join(',')}\n`).join(''))
}

/** Puts an inventory into the bucket `inv`; gives the URL of its manifest. */
export async function putInventory(store: StorageBackend, parts: InventoryParts): Promise<string> {
  const { files, schema = SCHEMA, report = REPORT } = parts
  const entries: object[] = []
  for (const [i, rows] of files.entries()) {
    const bytes = csvGz(rows)
    const key = `reports/source/daily/data/${i}.csv.gz`
    await store.put('inv', key, bytes)
    entries.push({ key, size: bytes.length, MD5checksum: md5(bytes) })
  }
  const manifest = {
    sourceBucket: 'source',
    destinationBucket: 'arn:aws:s3:::inv',
    version: '2016-11-30',
    creationTimestamp: String(CREATED_AT),
    fileFormat: 'CSV',
    fileSchema: schema,
    files: entries,
    ...parts.manifest,
  }
  return putManifest(store, JSON.stringify(manifest), report)
}

export async function putManifest(store: StorageBackend, text: string, report = REPORT): Promise<string> {
  await store.put('inv', `${report}/manifest.json`, Buffer.from(text))
  await store.put('inv', `${report}/manifest.checksum`, Buffer.from(`${md5(text)}\n`))
  return `memory://inv/${report}/manifest.json`
}
