/**
 * What a selection was found to be, gathered object by object as pages and lists come in. One account for all ways of
 * selecting: each object once, folder markers and unwanted keys left out, what a store cannot tell noted.
 */

import { compareUtf8 } from '../src/core/bytes.ts'
import { type CloudObject, cloudObjectsIn } from '../src/core/cloud-object.ts'
import { ValidationError } from '../src/core/errors.ts'
import { globMatcher } from '../src/core/glob.ts'
import type { ObjectHead } from '../src/storage/backend.ts'
import { compressionOf } from './compression.ts'
import type { Uncut } from './plan.ts'

export interface SelectionOptions {
  /** Globs on the key, of which one must match. */
  readonly include?: string | readonly string[] | undefined
  /** Globs on the key, of which none may match. */
  readonly exclude?: string | readonly string[] | undefined
  /** What is missing is listed in the plan's `skipped`, instead of being an error. */
  readonly allowMissing?: boolean | undefined
  /** Objects without a validator may be cut, although their partitions may then see different versions. */
  readonly allowUnpinned?: boolean | undefined
}

/** What a selection was found to be. */
export interface Selected {
  /** The references as text. */
  readonly selection: readonly string[]
  readonly objects: readonly CloudObject[]
  /** Folder markers, and with `allowMissing` what is missing. */
  readonly skipped: readonly { readonly url: string; readonly why: string }[]
  /** Requests sent, per backend; `list` counts pages. */
  readonly requests: readonly {
    readonly backend: string
    readonly list: number
    readonly head: number
    readonly get?: number
  }[]
  /** Objects whose headers say that they are compressed. */
  readonly encoded: readonly { readonly url: string; readonly encoding: string }[]
  /** Objects that can only be read whole; the size of one with `no length` is 0 and means nothing. */
  readonly uncut?: readonly { readonly url: string; readonly why: Uncut }[]
  readonly allowUnpinned: boolean
  /** For the plan's warnings. */
  readonly notes?: readonly string[]
}

/** How far a selection has come. */
export interface SelectingProgress {
  readonly objects: number
  readonly bytes: number
  /** Pages listed, objects asked for one by one, and parts of inventories and key lists. */
  readonly requests: number
}

export interface SelectingOptions {
  readonly signal?: AbortSignal | undefined
  /** Where relative paths begin. */
  readonly cwd?: string | undefined
  /** Told after every page. */
  readonly onProgress?: ((progress: SelectingProgress) => void) | undefined
}

export class Gathered {
  readonly options: SelectionOptions
  readonly wanted: (key: string) => boolean
  readonly #onProgress: SelectingOptions['onProgress']
  readonly #objects: CloudObject[] = []
  readonly #skipped: { url: string; why: string }[] = []
  readonly #encoded: { url: string; encoding: string }[] = []
  readonly #uncut: { url: string; why: Uncut }[] = []
  readonly #notes: string[] = []
  readonly #requests = new Map<string, { list: number; head: number; get: number }>()
  /** Keys taken so far, by store; undefined where nothing can come twice. */
  readonly #taken: Map<string, Set<string>> | undefined
  /** That of the last object. */
  #store: { backend: string; bucket: string; make: ReturnType<typeof cloudObjectsIn> } | undefined
  #bytes = 0

  constructor(options: SelectionOptions, mayRepeat: boolean, onProgress: SelectingOptions['onProgress']) {
    this.options = options
    this.wanted = keyFilter(options)
    this.#taken = mayRepeat ? new Map() : undefined
    this.#onProgress = onProgress
  }

  get count(): number {
    return this.#objects.length
  }

  /** @throws ValidationError for an object without a length */
  take(backend: string, bucket: string, head: ObjectHead): void {
    if (!this.wanted(head.key) || this.#seen(backend, bucket, head.key)) return
    if (!Number.isSafeInteger(head.size) || head.size < 0) {
      throw new ValidationError(`${backend} ${bucket}/${head.key}: the store tells no length, so it cannot be planned`)
    }
    const object = this.#objectsIn(backend, bucket)(head.key, head.size, head.etag)
    if (head.size === 0 && head.sizeUnknown !== true && head.key.endsWith('/')) {
      this.skip(object.url, 'a folder marker: no bytes, and its key ends in "/"')
      return
    }
    if (head.contentEncoding !== undefined && compressionOf('', head.contentEncoding) !== undefined) {
      this.#encoded.push({ url: object.url, encoding: head.contentEncoding })
    }
    if (head.sizeUnknown === true) this.#uncut.push({ url: object.url, why: 'no length' })
    else if (head.acceptsRanges === false) this.#uncut.push({ url: object.url, why: 'no ranges' })
    this.#objects.push(object)
    this.#bytes += head.size
  }

  skip(url: string, why: string): void {
    this.#skipped.push({ url, why })
  }

  note(text: string): void {
    this.#notes.push(text)
  }

  /** A request was answered. */
  request(backend: string, kind: 'list' | 'head' | 'get'): void {
    const made = this.#requests.get(backend) ?? { list: 0, head: 0, get: 0 }
    this.#requests.set(backend, made)
    made[kind] += 1
  }

  /** Tells whoever watches. */
  progress(): void {
    if (this.#onProgress === undefined) return
    let requests = 0
    for (const { list, head, get } of this.#requests.values()) requests += list + head + get
    this.#onProgress({ objects: this.#objects.length, bytes: this.#bytes, requests })
  }

  /** Puts what came since into the order of keys. */
  sortFrom(first: number): void {
    if (first === 0) {
      this.#objects.sort(byKey)
      return
    }
    const own = this.#objects.splice(first).sort(byKey)
    for (const object of own) this.#objects.push(object)
  }

  /** Puts all into the order of keys, each once. @throws ValidationError for one key with two versions */
  sortUnique(where: string): void {
    this.#objects.sort(byKey)
    let kept = 0
    for (const object of this.#objects) {
      const last = this.#objects[kept - 1]
      if (kept === 0 || last?.key !== object.key) this.#objects[kept++] = object
      else if (last.etag !== object.etag || last.size !== object.size) {
        throw new ValidationError(`${where} has ${object.url} twice: as ${last.etag} and as ${object.etag}`)
      }
    }
    this.#objects.length = kept
  }

  selected(selection: readonly string[]): Selected {
    return {
      selection,
      objects: this.#objects,
      skipped: this.#skipped,
      requests: [...this.#requests].map(([backend, { list, head, get }]) => ({
        backend,
        list,
        head,
        ...(get === 0 ? {} : { get }),
      })),
      encoded: this.#encoded,
      ...(this.#uncut.length === 0 ? {} : { uncut: this.#uncut }),
      ...(this.#notes.length === 0 ? {} : { notes: this.#notes }),
      allowUnpinned: this.options.allowUnpinned === true,
    }
  }

  #objectsIn(backend: string, bucket: string): ReturnType<typeof cloudObjectsIn> {
    if (this.#store?.backend !== backend || this.#store.bucket !== bucket) {
      this.#store = { backend, bucket, make: cloudObjectsIn(backend, bucket) }
    }
    return this.#store.make
  }

  #seen(backend: string, bucket: string, key: string): boolean {
    if (this.#taken === undefined) return false
    const store = JSON.stringify([backend, bucket])
    const keys = this.#taken.get(store) ?? new Set<string>()
    this.#taken.set(store, keys)
    if (keys.has(key)) return true
    keys.add(key)
    return false
  }
}

function byKey(a: CloudObject, b: CloudObject): number {
  return compareUtf8(a.key, b.key)
}

function keyFilter({ include, exclude }: SelectionOptions): (key: string) => boolean {
  if (include === undefined && exclude === undefined) return () => true
  const includes = include === undefined ? [() => true] : globList(include).map(globMatcher)
  const excludes = exclude === undefined ? [] : globList(exclude).map(globMatcher)
  return (key) => includes.some((matches) => matches(key)) && !excludes.some((matches) => matches(key))
}

function globList(globs: string | readonly string[]): readonly string[] {
  return typeof globs === 'string' ? [globs] : globs
}
