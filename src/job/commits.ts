/**
 * How a call ended, as the journal keeps it: one object per call, put once by the worker that was first. Whoever reads
 * a commit sees a whole one, and what it refers to was there before it.
 *
 * A result that is small lies in the commit; a large one is an object of the attempt's own, written before.
 */
import { randomBytes } from 'node:crypto'
import { collectBytes } from '../core/bytes.ts'
import { QuernError } from '../core/errors.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import { frame, unframe } from './frame.ts'
import { attemptKey, commitKey } from './keys.ts'
import { type JournalPlace, putOnce, readObject } from './place.ts'

/** Results up to here lie in the commit itself. */
export const INLINE_RESULT_BYTES = 256 * 1024

/** Of the format of a commit; a reader refuses another. */
const VERSION = 1

/** What a call ended with. */
export interface CallEnd {
  /** 1 for the first try. */
  readonly attempt: number
  readonly result: Uint8Array
  readonly stats: WorkerStats
  /** The partition's ReadReport. */
  readonly read?: unknown
  /** What the call wrote as its output; plain JSON, opaque here. */
  readonly output?: unknown
}

/** A series of commits in a journal (keys.ts). */
export interface CommitPlace extends JournalPlace {
  readonly name: string
  readonly series: string
}

interface CommitHead {
  readonly version: number
  readonly nonce: string
  readonly attempt: number
  readonly stats: WorkerStats
  readonly read?: unknown
  readonly output?: unknown
  /** Set where the result is an object of its own. */
  readonly stored?: { readonly key: string; readonly size: number } | undefined
}

/**
 * Commits the end of a call unless it has one: whose it is, and the end that counts. Ambiguous answers of the store are
 * cleared up, so of many attempts exactly one wins.
 */
export async function commitEnd(
  place: CommitPlace,
  id: string,
  end: CallEnd,
): Promise<{ readonly won: boolean; readonly end: CallEnd }> {
  const { attempt, result, stats, read, output } = end
  const nonce = randomBytes(6).toString('hex')
  const large = result.byteLength > INLINE_RESULT_BYTES
  const key = attemptKey(place.name, place.series, id, attempt, nonce)
  if (large) await place.backend.put(place.bucket, key, result)
  const stored = large ? { key, size: result.byteLength } : undefined
  const head: CommitHead = { version: VERSION, nonce, attempt, stats, read, output, stored }
  const bytes = frame(head, large ? [] : [result])
  const put = await putOnce(place, commitKey(place.name, place.series, id), bytes)
  if (put.won) return { won: true, end }
  if (large) await place.backend.delete(place.bucket, [key])
  return { won: false, end: await endOf(place, put.other.bytes) }
}

/** How a call ended; undefined when it has not. @throws QuernError when the commit or its result cannot be read */
export async function readCommit(place: CommitPlace, id: string): Promise<CallEnd | undefined> {
  const version = await readObject(place, commitKey(place.name, place.series, id))
  return version === undefined ? undefined : endOf(place, version.bytes)
}

async function endOf({ backend, bucket }: JournalPlace, bytes: Uint8Array): Promise<CallEnd> {
  const { head, rest } = unframe<CommitHead>(bytes, 0)
  const { version, attempt, stats, read, output, stored } = head
  if (version !== VERSION) {
    throw new QuernError('STORAGE', `a commit is of format ${version}, this quern reads ${VERSION}: use the same quern`)
  }
  if (stored === undefined) return { attempt, stats, read, output, result: bytes.subarray(rest) }
  const result = await collectBytes((await backend.get(bucket, stored.key)).body)
  if (result.byteLength !== stored.size) {
    throw new QuernError('STORAGE', `the result at ${stored.key} has ${result.byteLength} bytes of ${stored.size}`)
  }
  return { attempt, stats, read, output, result }
}
