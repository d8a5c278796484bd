/**
 * An S3 Inventory → objects, pinned by what the inventory has of them: a list of millions of keys costs no listing.
 *
 * - Of a bucket with versions only the current ones are taken, and no delete markers.
 * - Keys are decoded where the format encodes them (CSV does, as forms do; Parquet does not).
 * - An inventory is some hours old. Every object is held to the etag it had then: one that was overwritten since fails
 *   with ObjectChangedError when it is read, or here with `check: 'head'`. One that was written since is not in it.
 * - What a plan needs and the inventory lacks is an error that names the column.
 *
 * Source: "Amazon S3 User Guide", "Amazon S3 Inventory list".
 */
import { createHash } from 'node:crypto'
import { mapConcurrent } from '../../src/core/concurrency.ts'
import { NotFoundError, ValidationError } from '../../src/core/errors.ts'
import { formatDuration, parseDuration } from '../../src/core/sizes.ts'
import type { BackendResolver, StorageBackend } from '../../src/storage/backend.ts'
import { csvRows } from '../csv/csv.ts'
import { type Located, locate } from '../reference.ts'
import { Gathered, type Selected, type SelectingOptions, type SelectionOptions } from '../selected.ts'
import { type Listed, takeListed } from './listed.ts'
import { type Column, type InventoryFile, type Manifest, parseManifest, placesOf } from './manifest.ts'
import { parquetRows } from './parquet.ts'
import { linesOf, listUrlOf, readList, type StoredList } from './stored-list.ts'

export interface InventoryOptions extends SelectionOptions {
  /** The bucket the inventory must be of. */
  readonly bucket?: string | undefined
  /** The backend of its files and objects. Default: that of the URL; of a manifest on disk or the web `aws_s3`. */
  readonly backend?: string | undefined
  /** `head`: every object is asked for now, and must be what the inventory has. Gives what columns are missing. */
  readonly check?: 'head' | undefined
  /** An inventory begun longer ago is refused: milliseconds, or "36h", "2d". */
  readonly maxAge?: number | string | undefined
}

const FILES_AT_ONCE = 4
const REPORT = /\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z\/manifest\.json$/

/** The objects of the inventory, in UTF-8 byte order. @throws as `selectObjects` */
export async function selectInventory(
  url: string,
  options: InventoryOptions,
  resolve: BackendResolver,
  { signal, cwd = process.cwd(), onProgress }: SelectingOptions,
): Promise<Selected> {
  const gathered = new Gathered(options, false, onProgress)
  const located = locate(url, cwd)
  const { backend, bucket } = located
  const store = await resolve(backend)
  const key = await manifestKey(located, store, gathered, signal)
  const at: StoredList = { store, bucket, key, gathered, signal }
  const manifest = parseManifest(await readManifest(at), listUrlOf(at))
  checkManifest(manifest, listUrlOf(at), options)
  const reader = new InventoryReader(at, manifest, options)
  const objectsIn = options.backend ?? (backend === 'file' || backend === 'http' ? 'aws_s3' : backend)
  const objectStore = await resolve(objectsIn)
  const near = backend === 'file' && options.backend === undefined
  const place = (file: InventoryFile): StoredList =>
    near
      ? { ...at, ...file, key: localFile(key, file) }
      : { ...at, ...file, store: objectStore, bucket: manifest.destinationBucket }
  await mapConcurrent(manifest.files, FILES_AT_ONCE, async (file) => {
    for await (const rows of reader.rowsOf(place(file))) {
      await takeListed(rows, { gathered, store: objectStore, backend: objectsIn, options, signal, list: listUrlOf(at) })
      gathered.progress()
    }
  })
  gathered.sortUnique(listUrlOf(at))
  gathered.note(reader.note())
  if (gathered.count === 0) noneMatches(listUrlOf(at), gathered, at)
  return gathered.selected([`inventory ${listUrlOf(at)}`])
}

/** The manifest of the URL; of a folder the newest report's. */
async function manifestKey(
  { text, backend, bucket, target }: Located,
  store: StorageBackend,
  gathered: Gathered,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (target.type === 'key') return target.key
  let newest: string | undefined
  for await (const page of store.list(bucket, { prefix: target.prefix, signal })) {
    gathered.request(backend, 'list')
    for (const { key } of page) if (REPORT.test(key) && (newest === undefined || key > newest)) newest = key
  }
  if (newest !== undefined) return newest
  const what = `there is no report of an inventory in ${text} (YYYY-MM-DDTHH-MMZ/manifest.json)`
  throw new NotFoundError(what, { backend, operation: 'list', bucket, key: target.prefix })
}

/** @throws ValidationError where the checksum beside it is another's */
async function readManifest(at: StoredList): Promise<Uint8Array> {
  const bytes = await readList(at)
  const beside = { ...at, key: at.key.replace(/[^/]*$/, 'manifest.checksum') }
  const checksum = await readList(beside).catch((error) => {
    if (error instanceof NotFoundError) return undefined
    throw error
  })
  const said = checksum === undefined ? undefined : Buffer.from(checksum).toString().trim().toLowerCase()
  const md5 = createHash('md5').update(bytes).digest('hex')
  if (said === undefined || said === md5) return bytes
  throw new ValidationError(`${listUrlOf(at)}: its MD5 is ${md5}, ${listUrlOf(beside)} says ${said}`)
}

function checkManifest(manifest: Manifest, url: string, { bucket, maxAge, check, allowUnpinned }: InventoryOptions) {
  const { sourceBucket, columns, createdAt } = manifest
  if (bucket !== undefined && bucket !== sourceBucket) {
    throw new ValidationError(`${url} is an inventory of the bucket ${sourceBucket}, not of ${bucket}`)
  }
  const ageMs = Date.now() - createdAt
  if (maxAge !== undefined && ageMs > (parseDuration(maxAge) as number)) {
    throw new ValidationError(`${url} was begun ${formatDuration(ageMs)} ago: more than maxAge, ${maxAge}`)
  }
  const places = placesOf(columns)
  const lacks = (column: string, why: string) =>
    new ValidationError(`${url}: the inventory has no column ${column}${why}; it has ${columns.join(', ')}`)
  if (!places.has('key')) throw lacks('Key', '')
  if (places.has('versionid') && !places.has('islatest')) throw lacks('IsLatest', ', so versions cannot be told apart')
  if (check === 'head') return
  const otherwise = "add it to the configuration of the inventory, or ask for every object with check: 'head'"
  if (!places.has('size')) throw lacks('Size', `: ${otherwise}`)
  if (!places.has('etag') && allowUnpinned !== true) {
    throw lacks('ETag', ` to pin objects by: ${otherwise}, or take them unpinned with allowUnpinned: true`)
  }
}

/** Of an inventory on disk, laid out as S3 does: `<report>/manifest.json` beside `data/`. */
function localFile(manifest: string, { key }: InventoryFile): string {
  const folder = manifest.split('/').slice(0, -2)
  return [...folder, 'data', key.slice(key.lastIndexOf('/') + 1)].join('/')
}

class InventoryReader {
  readonly #at: StoredList
  readonly #manifest: Manifest
  readonly #columns: readonly Column[]
  readonly #places: ReadonlyMap<Column, number>
  readonly #needsSize: boolean
  #old = 0
  #markers = 0

  constructor(at: StoredList, manifest: Manifest, { check }: InventoryOptions) {
    this.#at = at
    this.#manifest = manifest
    this.#places = placesOf(manifest.columns)
    this.#columns = [...this.#places.keys()]
    this.#needsSize = check !== 'head'
  }

  async *rowsOf(file: StoredList): AsyncGenerator<Listed[]> {
    const rows = this.#manifest.format === 'CSV' ? this.#csv(file) : this.#parquet(file)
    for await (const batch of rows) {
      yield batch.map((row) => this.#listed(row, file)).filter((listed) => listed !== undefined)
    }
  }

  note(): string {
    const left = [
      ...(this.#old > 0 ? [`${this.#old} versions that are not current`] : []),
      ...(this.#markers > 0 ? [`${this.#markers} delete markers`] : []),
    ]
    const begun = new Date(this.#manifest.createdAt).toISOString()
    return `from an inventory begun ${begun}: objects written since are not in the plan, changed ones will fail${left.length > 0 ? `; left out: ${left.join(', ')}` : ''}`
  }

  /** Values in the order of `#columns`. */
  async *#csv(file: StoredList): AsyncGenerator<(readonly unknown[])[]> {
    const source = {
      url: listUrlOf(file),
      batches: linesOf(file, file.key.endsWith('.gz')),
      fromStart: true,
      firstLine: () => Promise.resolve(''),
      offsetOf: ({ offset }: { readonly offset: number }) => offset,
    }
    const places = this.#columns.map((column) => this.#places.get(column) as number)
    for await (const { rows } of csvRows(source, { header: false, delimiter: ',' })) {
      yield (rows as string[][]).map((row) => places.map((at) => row[at]))
    }
  }

  #parquet(file: StoredList): AsyncGenerator<(readonly unknown[])[]> {
    const names = this.#columns.map((column) => this.#manifest.columns[this.#places.get(column) as number] as string)
    return parquetRows(file, names)
  }

  /** Undefined for what is no current object. */
  #listed(row: readonly unknown[], file: StoredList): Listed | undefined {
    const value = (column: Column): string | undefined => {
      const at = this.#columns.indexOf(column)
      const found = at === -1 ? undefined : row[at]
      return found === undefined || found === null || found === '' ? undefined : String(found)
    }
    if (value('islatest')?.toLowerCase() === 'false') {
      this.#old += 1
      return undefined
    }
    if (value('isdeletemarker')?.toLowerCase() === 'true') {
      this.#markers += 1
      return undefined
    }
    const wrong = (what: string) => new ValidationError(`${listUrlOf(file)}: ${what}`)
    const key = this.#key(value('key'), wrong)
    const bucket = value('bucket')
    const { sourceBucket } = this.#manifest
    if (bucket !== undefined && bucket !== sourceBucket) {
      throw wrong(`${key} is of the bucket ${bucket}, the manifest is of ${sourceBucket}`)
    }
    const size = value('size')
    if (this.#needsSize && (size === undefined || !/^\d+$/.test(size))) {
      throw wrong(`the Size of ${key}: expected bytes, got ${JSON.stringify(size ?? '')}`)
    }
    const etag = value('etag')
    return {
      bucket: sourceBucket,
      key,
      size: size === undefined ? undefined : Number(size),
      // requests and answers have it in quotes
      etag: etag === undefined || etag.startsWith('"') ? etag : `"${etag}"`,
      where: this.#at.key,
    }
  }

  #key(text: string | undefined, wrong: (what: string) => Error): string {
    if (text === undefined) throw wrong('a row has no key')
    if (this.#manifest.format === 'Parquet') return text
    try {
      return decodeURIComponent(text.replaceAll('+', ' '))
    } catch {
      throw wrong(`the key ${JSON.stringify(text)} is not URL-encoded, as keys in CSV are`)
    }
  }
}

function noneMatches(url: string, gathered: Gathered, { store, bucket, key }: StoredList): void {
  const what = `nothing in the inventory ${url} matches`
  if (gathered.options.allowMissing === true) return gathered.skip(url, what)
  throw new NotFoundError(`${what}; allowMissing: true would go on`, {
    backend: store.name,
    operation: 'list',
    bucket,
    key,
  })
}
