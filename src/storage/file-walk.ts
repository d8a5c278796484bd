/**
 * Walks a folder as a listing: the regular files below it, keys in UTF-8 byte order of the whole key.
 *
 * Invariant: within one folder a subfolder sorts as `name/`, because that is how its keys go on; so `a.txt` comes
 * before what lies in `a/`. Links are followed; a folder that is already on its own path is a loop and is left out.
 */
import fs, { type BigIntStats, type Dirent } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { compareUtf8 } from '../core/bytes.ts'
import { type StorageContext, StorageError } from '../core/errors.ts'
import type { ObjectHead } from './backend.ts'
import { errnoOf, type FileVersion, fileError, headOfFile, isTemporaryName } from './file-io.ts'
import { sortUtf8 } from './key-order.ts'

const PAGE_KEYS = 1_000

export interface WalkOptions {
  /** Folder whose path, with its final slash, stands before every key; itself without one. Empty: the root. */
  readonly root: string
  readonly prefix: string
  readonly startAfter: string | undefined
  /** A name at the top of `root` that is not part of the listing. */
  readonly hidden?: string | undefined
  readonly versionOf: FileVersion
  readonly context: StorageContext
}

interface Folder {
  readonly path: string
  /** Key up to and with its final slash; empty at the root. */
  readonly key: string
  readonly parent: Folder | undefined
}

/** Pages of 1,000 of a synchronous walk; the event loop turns between them. */
export async function* pages(
  heads: Iterable<ObjectHead>,
  signal: AbortSignal | undefined,
): AsyncGenerator<readonly ObjectHead[]> {
  let page: ObjectHead[] = []
  for (const head of heads) {
    page.push(head)
    if (page.length < PAGE_KEYS) continue
    yield page
    page = []
    await nextTurn()
    signal?.throwIfAborted()
  }
  if (page.length > 0) yield page
}

/** Heads one by one; synchronous, so the caller decides when the event loop turns. A missing folder holds nothing. */
export function* walkFiles(options: WalkOptions): Generator<ObjectHead> {
  const { root, prefix } = options
  const segments = prefix.split('/').slice(0, -1)
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..' || segment.includes('\0')))
    return
  if (segments[0] !== undefined && segments[0] === options.hidden) return
  let folder: Folder = { path: root, key: '', parent: undefined }
  for (const segment of segments) folder = below(folder, segment)
  yield* walkFolder(folder, options)
}

function below(folder: Folder, name: string): Folder {
  return { path: `${folder.path}/${name}`, key: `${folder.key}${name}/`, parent: folder }
}

function* walkFolder(folder: Folder, options: WalkOptions): Generator<ObjectHead> {
  const { prefix, startAfter } = options
  for (const name of namesInOrder(folder, options)) {
    const key = folder.key + name
    if (name.endsWith('/')) {
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue
      if (startAfter !== undefined && !startAfter.startsWith(key) && compareUtf8(key, startAfter) < 0) continue
      yield* walkFolder(below(folder, name.slice(0, -1)), options)
    } else if (key.startsWith(prefix) && (startAfter === undefined || compareUtf8(key, startAfter) > 0)) {
      const stat = statFile(`${folder.path}/${name}`, name, options.context)
      if (stat?.isFile()) yield headOfFile(key, stat, options.versionOf)
    }
  }
}

/** Names of files, and of folders with a slash after them. */
function namesInOrder(folder: Folder, { hidden, context }: WalkOptions): string[] {
  let entries: Dirent[]
  try {
    entries = fs.readdirSync(`${folder.path}/`, { withFileTypes: true })
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw fileError(error, { ...context, key: folder.key })
  }
  const names: string[] = []
  for (const entry of entries) {
    if (entry.isFile()) {
      if (!isTemporaryName(entry.name)) names.push(entry.name)
    } else if (entry.isDirectory()) {
      if (folder.parent !== undefined || entry.name !== hidden) names.push(`${entry.name}/`)
    } else if (entry.isSymbolicLink()) {
      const name = linkName(folder, entry.name, context)
      if (name !== undefined) names.push(name)
    }
  }
  return sortUtf8(names)
}

function linkName(folder: Folder, name: string, context: StorageContext): string | undefined {
  const target = statFile(`${folder.path}/${name}`, name, context)
  if (target === undefined) return undefined
  if (!target.isDirectory()) return target.isFile() ? name : undefined
  for (let above: Folder | undefined = folder; above !== undefined; above = above.parent) {
    const stat = fs.statSync(`${above.path}/`, { bigint: true })
    if (stat.dev === target.dev && stat.ino === target.ino) return undefined
  }
  return `${name}/`
}

/** Undefined when it is gone, or a link to nothing. */
function statFile(path: string, name: string, context: StorageContext): BigIntStats | undefined {
  try {
    const stat = fs.statSync(path, { bigint: true, throwIfNoEntry: false })
    if (stat === undefined && name.includes('\ufffd') && !isLink(path)) {
      throw new StorageError('UNSUPPORTED', `a file name there is not UTF-8: ${JSON.stringify(name)}`, context)
    }
    return stat
  } catch (error) {
    const code = errnoOf(error)
    if (code === 'ELOOP' || code === 'ENOTDIR') return undefined
    throw fileError(error, context)
  }
}

function isLink(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
}
