/**
 * References → objects, pinned: every object with the size and etag that every later read is held to. References in
 * the order given, keys in UTF-8 byte order within one, each object once. What is not there is an error that names
 * the reference, unless that was allowed: never a silently smaller job.
 */

import { compareUtf8 } from '../src/core/bytes.ts'
import { type CloudObject, cloudObject, isCloudObject } from '../src/core/cloud-object.ts'
import { mapConcurrent } from '../src/core/concurrency.ts'
import { NotFoundError, ObjectChangedError, ValidationError } from '../src/core/errors.ts'
import { globMatcher } from '../src/core/glob.ts'
import { nearestName } from '../src/core/nearest.ts'
import type { BackendResolver, ObjectHead, StorageBackend } from '../src/storage/backend.ts'
import { compressionOf } from './compression.ts'
import type { Uncut } from './plan.ts'
import { type Located, locate, type ObjectReference, type Target, urlText } from './reference.ts'

export type { ObjectReference } from './reference.ts'

const HEADS_AT_ONCE = 32
const SURROGATE = /[\ud800-\udfff]/
const SELECTION_OPTIONS = ['include', 'exclude', 'allowMissing', 'allowUnpinned'] as const

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

/** Plain data: what was asked for, not yet looked up. */
export interface ObjectSelection {
  readonly kind: 'object-selection'
  readonly references: readonly (string | CloudObject)[]
  readonly options: SelectionOptions
}

/** What a selection was found to be. */
export interface Selected {
  /** The references as text. */
  readonly selection: readonly string[]
  readonly objects: readonly CloudObject[]
  /** Folder markers, and with `allowMissing` what is missing. */
  readonly skipped: readonly { readonly url: string; readonly why: string }[]
  /** Requests sent, per backend; `list` counts pages. */
  readonly requests: readonly { readonly backend: string; readonly list: number; readonly head: number }[]
  /** Objects whose headers say that they are compressed. */
  readonly encoded: readonly { readonly url: string; readonly encoding: string }[]
  /** Objects that can only be read whole; the size of one with `no length` is 0 and means nothing. */
  readonly uncut?: readonly { readonly url: string; readonly why: Uncut }[]
  readonly allowUnpinned: boolean
}

/**
 * Selects objects: keys, prefixes that end in "/", globs, paths, URLs, CloudObjects, or a list that mixes them.
 * @throws ValidationError, ConfigError for a reference or an option that cannot be one
 */
export function objects(
  references: ObjectReference | readonly ObjectReference[],
  options: SelectionOptions = {},
): ObjectSelection {
  const list: readonly unknown[] = Array.isArray(references) ? references : [references]
  const checked = list.map(checkedReference)
  for (const reference of checked) locate(reference, '/')
  return { kind: 'object-selection', references: checked, options: checkedOptions(options) }
}

export function isObjectSelection(value: unknown): value is ObjectSelection {
  return typeof value === 'object' && value !== null && (value as ObjectSelection).kind === 'object-selection'
}

/**
 * Looks a selection up.
 * @throws NotFoundError for a missing key, bucket or URL, and a prefix or glob that matches nothing
 * @throws ObjectChangedError for a CloudObject whose etag is no longer the store's
 */
export async function selectObjects(
  selection: ObjectSelection,
  resolve: BackendResolver,
  options: { readonly signal?: AbortSignal | undefined; readonly cwd?: string | undefined } = {},
): Promise<Selected> {
  const lookup = new Lookup(selection, resolve, options.signal)
  const located = selection.references.map((reference) => locate(reference, options.cwd ?? process.cwd()))
  return lookup.run(located)
}

type Key = Extract<Target, { type: 'key' }>

class Lookup {
  readonly #options: SelectionOptions
  readonly #resolve: BackendResolver
  readonly #signal: AbortSignal | undefined
  readonly #wanted: (key: string) => boolean
  readonly #objects: CloudObject[] = []
  readonly #skipped: { url: string; why: string }[] = []
  readonly #encoded: { url: string; encoding: string }[] = []
  readonly #uncut: { url: string; why: Uncut }[] = []
  readonly #requests = new Map<string, { list: number; head: number }>()
  /** Keys taken so far, by store; undefined where nothing can come twice. */
  readonly #taken: Map<string, Set<string>> | undefined

  constructor({ references, options }: ObjectSelection, resolve: BackendResolver, signal: AbortSignal | undefined) {
    this.#options = options
    this.#resolve = resolve
    this.#signal = signal
    this.#wanted = keyFilter(options)
    this.#taken = references.length > 1 ? new Map() : undefined
  }

  async run(located: readonly Located[]): Promise<Selected> {
    const heads = await mapConcurrent(located, HEADS_AT_ONCE, (reference) => this.#head(reference))
    for (const [i, reference] of located.entries()) {
      const head = heads[i]
      if (head instanceof NotFoundError && !isDirectoryPath(reference)) this.#missing(reference, head)
      else if (head === undefined || head instanceof NotFoundError) await this.#list(reference, head)
      else this.#take(reference, head)
    }
    return {
      selection: located.map(({ text }) => text),
      objects: this.#objects,
      skipped: this.#skipped,
      requests: [...this.#requests].map(([backend, made]) => ({ backend, ...made })),
      encoded: this.#encoded,
      ...(this.#uncut.length === 0 ? {} : { uncut: this.#uncut }),
      allowUnpinned: this.#options.allowUnpinned === true,
    }
  }

  /** The head of an exact key, or the error that it is missing; undefined for what has to be listed. */
  async #head({ text, backend, bucket, target }: Located): Promise<ObjectHead | NotFoundError | undefined> {
    if (target.type !== 'key') return undefined
    const store = await this.#resolve(backend)
    this.#requestsOf(backend).head += 1
    try {
      const head = await store.head(bucket, target.key, { signal: this.#signal })
      checkVersion(text, store, bucket, target, head)
      return head
    } catch (error) {
      if (error instanceof NotFoundError) return error
      throw error
    }
  }

  async #list(reference: Located, missing: NotFoundError | undefined): Promise<void> {
    const { backend, bucket, target } = reference
    const matches = target.type === 'glob' ? globMatcher(target.glob) : () => true
    const store = await this.#resolve(backend)
    const first = this.#objects.length
    let found = 0
    let previous = ''
    let sorted = true
    try {
      for await (const page of store.list(bucket, { prefix: prefixOf(target), signal: this.#signal })) {
        this.#signal?.throwIfAborted()
        this.#requestsOf(backend).list += 1
        for (const head of page) {
          if (!matches(head.key) || !this.#wanted(head.key)) continue
          found += 1
          sorted &&= found === 1 || comesBefore(previous, head.key)
          previous = head.key
          this.#take(reference, head)
        }
      }
    } catch (error) {
      if (!(error instanceof NotFoundError)) throw error
      return this.#missing(reference, error)
    }
    if (!sorted) this.#sortFrom(first)
    if (found === 0) this.#missing(reference, missing)
  }

  #take({ backend, bucket }: Located, head: ObjectHead): void {
    if (!this.#wanted(head.key) || this.#seen(backend, bucket, head.key)) return
    if (!Number.isSafeInteger(head.size) || head.size < 0) {
      throw new ValidationError(`${backend} ${bucket}/${head.key}: the store tells no length, so it cannot be planned`)
    }
    const object = cloudObject({ backend, bucket, key: head.key, size: head.size, etag: head.etag })
    if (head.size === 0 && head.sizeUnknown !== true && head.key.endsWith('/')) {
      this.#skipped.push({ url: object.url, why: 'a folder marker: no bytes, and its key ends in "/"' })
      return
    }
    if (head.contentEncoding !== undefined && compressionOf('', head.contentEncoding) !== undefined) {
      this.#encoded.push({ url: object.url, encoding: head.contentEncoding })
    }
    if (head.sizeUnknown === true) this.#uncut.push({ url: object.url, why: 'no length' })
    else if (head.acceptsRanges === false) this.#uncut.push({ url: object.url, why: 'no ranges' })
    this.#objects.push(object)
  }

  #missing({ text, backend, bucket, target }: Located, cause: NotFoundError | undefined): void {
    const why = target.type === 'key' ? 'there is no such object' : 'nothing matches it'
    if (this.#options.allowMissing === true) {
      this.#skipped.push({ url: text, why })
      return
    }
    const hint = target.type === 'key' && backend !== 'http' ? ' (a prefix ends in "/")' : ''
    throw new NotFoundError(`the selection ${text}: ${why}${hint}; allowMissing: true would skip it`, {
      backend,
      operation: target.type === 'key' ? 'head' : 'list',
      bucket,
      key: target.type === 'key' ? target.key : prefixOf(target),
      cause,
    })
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

  #sortFrom(first: number): void {
    const own = this.#objects.splice(first).sort((a, b) => compareUtf8(a.key, b.key))
    for (const object of own) this.#objects.push(object)
  }

  #requestsOf(backend: string): { list: number; head: number } {
    const made = this.#requests.get(backend) ?? { list: 0, head: 0 }
    this.#requests.set(backend, made)
    return made
  }
}

/** Whether `a` is first in UTF-8 byte order: the engine's own order is that one, unless `a` has a surrogate. */
function comesBefore(a: string, b: string): boolean {
  return a < b && !SURROGATE.test(a) ? true : compareUtf8(a, b) < 0
}

/** A path that is no file may be a directory: it need not end in "/" as a prefix must. */
function isDirectoryPath({ backend, target }: Located): boolean {
  return backend === 'file' && target.type === 'key' && target.etag === undefined
}

function prefixOf(target: Target): string {
  return target.type === 'key' ? `${target.key}/` : target.prefix
}

function checkVersion(text: string, store: StorageBackend, bucket: string, { key, etag }: Key, head: ObjectHead): void {
  if (etag === undefined || etag === head.etag) return
  const what = `${text} was given with etag "${etag}", the store has "${head.etag}"`
  throw new ObjectChangedError(what, { backend: store.name, operation: 'head', bucket, key })
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

function checkedReference(reference: unknown): string | CloudObject {
  if (reference instanceof URL) return urlText(reference)
  if (typeof reference === 'string' || isCloudObject(reference)) return reference
  const came = reference === null || typeof reference !== 'object' ? String(reference) : JSON.stringify(reference)
  throw new ValidationError(`objects: expected a path, a URL or a CloudObject, got ${came}`)
}

function checkedOptions(options: SelectionOptions): SelectionOptions {
  const wrong = (name: string, expected: string, value: unknown) =>
    new ValidationError(`objects options.${name}: expected ${expected}, got ${JSON.stringify(value)}`)
  for (const name of ['include', 'exclude'] as const) {
    const globs: unknown = options[name]
    const list = Array.isArray(globs) ? globs : [globs]
    const fine = list.every((glob) => typeof glob === 'string' && glob !== '')
    if (globs !== undefined && !fine) throw wrong(name, 'a glob or a list of globs', globs)
  }
  for (const name of ['allowMissing', 'allowUnpinned'] as const) {
    const flag: unknown = options[name]
    if (flag !== undefined && typeof flag !== 'boolean') throw wrong(name, 'true or false', flag)
  }
  const unknown = Object.keys(options).find((name) => !(SELECTION_OPTIONS as readonly string[]).includes(name))
  if (unknown !== undefined) {
    const nearest = nearestName(unknown, SELECTION_OPTIONS)
    const hint = nearest === undefined ? `known are ${SELECTION_OPTIONS.join(', ')}` : `did you mean ${nearest}?`
    throw new ValidationError(`objects options.${unknown}: there is no such option; ${hint}`)
  }
  return options
}
