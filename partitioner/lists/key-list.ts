/**
 * A file that names objects → objects, in its order, each once. One a line: URLs and paths as elsewhere, but taken as
 * they are, without globs; with `base` the keys that follow it. CSV and NDJSON may say size and etag too (as `quern
 * storage ls --json` prints them); what is not said is asked of the store.
 */
import { messageOf, NotFoundError, ValidationError } from '../../src/core/errors.ts'
import type { BackendResolver } from '../../src/storage/backend.ts'
import { type CsvRow, csvRows } from '../csv/csv.ts'
import { locate, locateObject } from '../reference.ts'
import { Gathered, type Selected, type SelectingOptions, type SelectionOptions } from '../selected.ts'
import { type Listed, takeListed } from './listed.ts'
import { linesOf, listUrlOf, type StoredList } from './stored-list.ts'

export interface KeyListOptions extends SelectionOptions {
  /** Stands before every name: `s3://bucket/` or `s3://bucket/prefix/`; then names are keys, not URLs or paths. */
  readonly base?: string | undefined
  /** Default: by the name of the list (`.csv`, `.ndjson`, `.jsonl`, `.gz` behind any of them), else text. */
  readonly format?: 'text' | 'csv' | 'ndjson' | undefined
  /** `head`: every object is asked for now, and must be what the list says of it. */
  readonly check?: 'head' | undefined
}

/** An object as a line names it. */
interface Named extends Listed {
  readonly backend: string
}

type Fields = Readonly<Record<string, unknown>>

/** @throws as `selectObjects` */
export async function selectKeyList(
  url: string,
  options: KeyListOptions,
  resolve: BackendResolver,
  { signal, cwd = process.cwd(), onProgress }: SelectingOptions,
): Promise<Selected> {
  const gathered = new Gathered(options, true, onProgress)
  const at = locateObject(url, cwd)
  const list: StoredList = { ...at, store: await resolve(at.backend), gathered, signal }
  const names = new LineReader(list, options, cwd)
  for await (const batch of names.batches()) {
    for (const run of runsOf(batch)) {
      const { backend } = run[0] as Named
      const store = await resolve(backend)
      await takeListed(run, { gathered, store, backend, options, signal, list: listUrlOf(list) })
    }
    gathered.progress()
  }
  if (gathered.count === 0) {
    const what = `the list ${listUrlOf(list)} names no object`
    if (options.allowMissing !== true) {
      throw new NotFoundError(`${what}; allowMissing: true would go on`, { ...at, operation: 'get' })
    }
    gathered.skip(listUrlOf(list), what)
  }
  return gathered.selected([`key list ${listUrlOf(list)}`])
}

class LineReader {
  readonly #list: StoredList
  readonly #format: 'text' | 'csv' | 'ndjson'
  readonly #base: { readonly backend: string; readonly bucket: string; readonly key: string } | undefined
  readonly #cwd: string
  #line = 0

  constructor(list: StoredList, { base, format }: KeyListOptions, cwd: string) {
    this.#list = list
    this.#format = format ?? formatOf(list.key)
    this.#base = base === undefined ? undefined : baseOf(base, cwd)
    this.#cwd = cwd
  }

  async *batches(): AsyncGenerator<Named[]> {
    const lines = linesOf(this.#list, this.#list.key.endsWith('.gz'))
    if (this.#format === 'csv') return yield* this.#csv(lines)
    const read = this.#format === 'text' ? (line: string) => this.#object({ name: line }) : this.#json
    for await (const batch of lines) {
      const named: Named[] = []
      for (const line of batch.lines) {
        this.#line += 1
        if (line.trim() !== '') named.push(read.call(this, line))
      }
      yield named
    }
  }

  async *#csv(batches: ReturnType<typeof linesOf>): AsyncGenerator<Named[]> {
    const source = {
      url: listUrlOf(this.#list),
      batches,
      fromStart: true,
      firstLine: () => Promise.resolve(''),
      offsetOf: ({ offset }: { readonly offset: number }) => offset,
    }
    this.#line = 1
    for await (const { rows } of csvRows(source)) {
      yield (rows as CsvRow[]).map((row) => {
        this.#line += 1
        return this.#fields(row)
      })
    }
  }

  #json(line: string): Named {
    let fields: unknown
    try {
      fields = JSON.parse(line)
    } catch (error) {
      throw this.#wrong(messageOf(error))
    }
    if (typeof fields !== 'object' || fields === null) throw this.#wrong(`expected a JSON object, got ${line}`)
    return this.#fields(fields as Fields)
  }

  /** `url`, or `key` with `bucket` (and `backend`) or behind `base`; `size` and `etag` where they are given. */
  #fields(fields: Fields): Named {
    const text = (name: string) => (typeof fields[name] === 'string' && fields[name] !== '' ? fields[name] : undefined)
    const size = fields.size === undefined || fields.size === '' ? undefined : Number(fields.size)
    if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0)) {
      throw this.#wrong(`size: expected bytes, got ${JSON.stringify(fields.size)}`)
    }
    const [url, key, bucket] = [text('url'), text('key'), text('bucket')]
    const known = { size, etag: text('etag') }
    if (key !== undefined && bucket !== undefined) {
      const backend = text('backend') ?? this.#base?.backend ?? (url === undefined ? undefined : this.#at(url).backend)
      return { backend: backend ?? 'aws_s3', bucket, key, ...known, where: this.#where }
    }
    if (url !== undefined) return { ...this.#at(url), ...known, where: this.#where }
    if (key === undefined) throw this.#wrong(`expected a url or a key, got ${Object.keys(fields).join(', ')}`)
    if (this.#base === undefined) throw this.#wrong(`a key without a bucket: say which with base, "s3://bucket/"`)
    return this.#object({ name: key, ...known })
  }

  /** What a name means: behind `base` a key, else a URL or a path. */
  #object({
    name,
    size,
    etag,
  }: {
    readonly name: string
    readonly size?: number | undefined
    readonly etag?: string | undefined
  }): Named {
    const base = this.#base
    const at = base === undefined ? this.#at(name) : { ...base, key: base.key + name }
    return { ...at, size, etag, where: this.#where }
  }

  #at(url: string): { backend: string; bucket: string; key: string } {
    try {
      return locateObject(url, this.#cwd)
    } catch (error) {
      throw this.#wrong(messageOf(error))
    }
  }

  get #where(): string {
    return `line ${this.#line}`
  }

  #wrong(what: string): ValidationError {
    return new ValidationError(`${listUrlOf(this.#list)}, ${this.#where}: ${what}`)
  }
}

function formatOf(name: string): 'text' | 'csv' | 'ndjson' {
  const [, ending] = /\.(csv|ndjson|jsonl)(?:\.gz)?$/i.exec(name) ?? []
  return ending === undefined ? 'text' : ending.toLowerCase() === 'csv' ? 'csv' : 'ndjson'
}

function baseOf(base: string, cwd: string): { backend: string; bucket: string; key: string } {
  const { backend, bucket, target } = locate(base, cwd)
  const key = target.type === 'glob' ? target.glob : target.type === 'key' ? target.key : target.prefix
  return { backend, bucket, key }
}

/** Neighbours in one store together. */
function runsOf(named: readonly Named[]): Named[][] {
  const runs: Named[][] = []
  for (const each of named) {
    const last = runs.at(-1)
    if (last?.[0]?.backend === each.backend) last.push(each)
    else runs.push([each])
  }
  return runs
}
