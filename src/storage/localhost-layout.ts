/**
 * Where the localhost store keeps a key. A key that is a path lies at that path; any other lies aside, in
 * `.quern/keys/<sha256 of the key>/` as `body`, with the key itself in `key`.
 *
 * Invariant: `key` is whole before `body` appears, so a listing can trust what it reads. The rest of `.quern` holds
 * locks and bodies under way. Everything here is synchronous: it runs inside a key's lock.
 */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { dirname } from 'node:path'
import { compareUtf8 } from '../core/bytes.ts'
import type { StorageContext } from '../core/errors.ts'
import type { ObjectHead } from './backend.ts'
import { errnoOf, fileError, headOfFile, statIfFile, storedVersion } from './file-io.ts'
import { isCaselessPathKey, isPathKey } from './file-keys.ts'

/** Folder of a bucket that holds what is no key of its own. */
export const HIDDEN_FOLDER = '.quern'

/** A concurrent delete may remove a folder between its making and the move into it; each try needs another delete. */
const MOVE_TRIES = 100

export interface KeyPlaces {
  /** Undefined when no path can stand for the key. */
  readonly plain: string | undefined
  /** The key's folder when it lies aside, and its body in there. */
  readonly aside: string
  readonly body: string
  readonly lock: string
}

export function placesOf(bucketFolder: string, key: string): KeyPlaces {
  const hidden = `${bucketFolder}/${HIDDEN_FOLDER}`
  const hash = createHash('sha256').update(key, 'utf16le').digest('hex')
  const fits = process.platform === 'linux' ? isPathKey(key) : isCaselessPathKey(key)
  const reserved = key === HIDDEN_FOLDER || key.startsWith(`${HIDDEN_FOLDER}/`)
  return {
    plain: fits && !reserved ? `${bucketFolder}/${key}` : undefined,
    aside: `${hidden}/keys/${hash}`,
    body: `${hidden}/keys/${hash}/body`,
    lock: `${hidden}/locks/${hash}`,
  }
}

/** Makes the hidden folders of a bucket; the bucket itself must be there. */
export function prepareBucket(bucketFolder: string): void {
  for (const folder of ['', '/tmp', '/locks', '/keys']) {
    try {
      fs.mkdirSync(`${bucketFolder}/${HIDDEN_FOLDER}${folder}`)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
    }
  }
}

/** Moves a written file to its path, making folders; false when a file stands where a folder must, or the reverse. */
export function moveInPlace(temporary: string, path: string): boolean {
  for (let tries = 1; ; tries++) {
    try {
      // mostly the folder is there
      if (tries > 1) fs.mkdirSync(dirname(path), { recursive: true })
      fs.renameSync(temporary, path)
      return true
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOTDIR' || code === 'EEXIST' || code === 'EISDIR' || code === 'ENAMETOOLONG') return false
      if (code !== 'ENOENT' || tries === MOVE_TRIES) throw error
    }
  }
}

/** Moves a written file to the key's place aside; gives its path. */
export function moveAside(temporary: string, { aside, body }: KeyPlaces, key: string): string {
  fs.mkdirSync(aside, { recursive: true })
  if (!fs.existsSync(body)) fs.writeFileSync(`${aside}/key`, Buffer.from(key, 'utf16le'))
  fs.renameSync(temporary, body)
  return body
}

/** Removes a folder of the bucket, and those above it, as far as they hold nothing more. */
export function prune(from: string, bucketFolder: string): void {
  for (let folder = from; folder !== bucketFolder; folder = dirname(folder)) {
    try {
      fs.rmdirSync(folder)
    } catch (error) {
      const code = errnoOf(error)
      if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOENT') return
      throw error
    }
  }
}

/** The objects that lie aside, in UTF-8 byte order of their keys. */
export function keptAside(
  bucketFolder: string,
  prefix: string,
  startAfter: string | undefined,
  context: StorageContext,
): ObjectHead[] {
  const folder = `${bucketFolder}/${HIDDEN_FOLDER}/keys`
  const heads: ObjectHead[] = []
  for (const hash of hashesIn(folder, context)) {
    const stat = statIfFile(`${folder}/${hash}/body`, context)
    const key = stat === undefined ? undefined : readKey(`${folder}/${hash}/key`, context)
    if (stat === undefined || key === undefined || !key.startsWith(prefix)) continue
    if (startAfter === undefined || compareUtf8(key, startAfter) > 0) heads.push(headOfFile(key, stat, storedVersion))
  }
  return heads.sort((a, b) => compareUtf8(a.key, b.key))
}

function hashesIn(folder: string, context: StorageContext): string[] {
  try {
    return fs.readdirSync(folder)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw fileError(error, context)
  }
}

/** Undefined when the object was deleted meanwhile. */
function readKey(path: string, context: StorageContext): string | undefined {
  try {
    return fs.readFileSync(path).toString('utf16le')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw fileError(error, context)
  }
}
