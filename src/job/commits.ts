/**
 * What became of a call, as the journal keeps it: one object per call, put once by whoever was first. Mostly it is how
 * the call ended; or that it was divided, or its record set aside, which then keeps every attempt at the whole of it from
 * ending it, however late it comes. Whoever reads a commit sees a whole one, and what it refers to was there before it.
 *
 * A result that is small lies in the commit; a large one is an object of the attempt's own, written before.
 */
import { randomBytes } from 'node:crypto'
import { type ByteRange, collectBytes } from '../core/bytes.ts'
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

/** A record on which the function fails. */
export interface SetAside {
  /** In its object. */
  readonly range: ByteRange
  readonly bytes: Uint8Array
  /** Encoded. */
  readonly error: Uint8Array
}

export type Commit =
  | { readonly type: 'end'; readonly end: CallEnd }
  /** The call ends at this byte and has another id; what lies behind is another call's. */
  | { readonly type: 'divided'; readonly at: number }
  | { readonly type: 'set aside'; readonly record: SetAside }

/** Whether what was to be committed is, and what counts. */
export interface Committed {
  readonly won: boolean
  readonly commit: Commit
}

/** A series of commits in a journal (keys.ts). */
export interface CommitPlace extends JournalPlace {
  readonly name: string
  readonly series: string
}

type CommitHead = { readonly version: number; readonly nonce: string } & (
  | {
      readonly type?: undefined
      readonly attempt: number
      readonly stats: WorkerStats
      readonly read?: unknown
      readonly output?: unknown
      /** Set where the result is an object of its own. */
      readonly stored?: { readonly key: string; readonly size: number } | undefined
    }
  | { readonly type: 'divided'; readonly at: number }
  /** `size`: of the record's bytes; its error follows them. */
  | { readonly type: 'set aside'; readonly range: ByteRange; readonly size: number }
)

/**
 * Commits the end of a call unless something else is: whether that was done, and what counts. Ambiguous answers of the
 * store are cleared up, so of many attempts exactly one wins.
 */
export async function commitEnd(place: CommitPlace, id: string, end: CallEnd): Promise<Committed> {
  const { attempt, result, stats, read, output } = end
  const nonce = newNonce()
  const large = result.byteLength > INLINE_RESULT_BYTES
  const key = attemptKey(place.name, place.series, id, attempt, nonce)
  if (large) await place.backend.put(place.bucket, key, result)
  const stored = large ? { key, size: result.byteLength } : undefined
  const head: CommitHead = { version: VERSION, nonce, attempt, stats, read, output, stored }
  const bytes = frame(head, large ? [] : [result])
  const put = await putOnce(place, commitKey(place.name, place.series, id), bytes)
  if (put.won) return { won: true, commit: { type: 'end', end } }
  if (large) await place.backend.delete(place.bucket, [key])
  return { won: false, commit: await decoded(place, put.other.bytes) }
}

/** Commits that the call ends at `at` unless something else is; what counts. */
export async function commitDivision(place: CommitPlace, id: string, at: number): Promise<Commit> {
  return (await commitInstead(place, id, { version: VERSION, nonce: newNonce(), type: 'divided', at }, [])).commit
}

/** Commits that the record which is all of the call is set aside unless something else is: as `commitEnd`. */
export function commitSetAside(place: CommitPlace, id: string, { range, bytes, error }: SetAside): Promise<Committed> {
  const head: CommitHead = { version: VERSION, nonce: newNonce(), type: 'set aside', range, size: bytes.byteLength }
  return commitInstead(place, id, head, [bytes, error])
}

/** Undefined where nothing is committed. @throws QuernError when the commit or its result cannot be read */
export async function readCommit(place: CommitPlace, id: string): Promise<Commit | undefined> {
  const version = await readObject(place, commitKey(place.name, place.series, id))
  return version === undefined ? undefined : decoded(place, version.bytes)
}

async function commitInstead(
  place: CommitPlace,
  id: string,
  head: CommitHead,
  bodies: readonly Uint8Array[],
): Promise<Committed> {
  const bytes = frame(head, bodies)
  const put = await putOnce(place, commitKey(place.name, place.series, id), bytes)
  return { won: put.won, commit: await decoded(place, put.won ? bytes : put.other.bytes) }
}

async function decoded({ backend, bucket }: JournalPlace, bytes: Uint8Array): Promise<Commit> {
  const { head, rest } = unframe<CommitHead>(bytes, 0)
  if (head.version !== VERSION) {
    const found = `a commit is of format ${head.version}, this quern reads ${VERSION}: use the same quern`
    throw new QuernError('STORAGE', found)
  }
  if (head.type === 'divided') return { type: 'divided', at: head.at }
  if (head.type === 'set aside') {
    const { range, size } = head
    const record = { range, bytes: bytes.subarray(rest, rest + size), error: bytes.subarray(rest + size) }
    return { type: 'set aside', record }
  }
  const { attempt, stats, read, output, stored } = head
  const end = (result: Uint8Array): Commit => ({ type: 'end', end: { attempt, stats, read, output, result } })
  if (stored === undefined) return end(bytes.subarray(rest))
  const result = await collectBytes((await backend.get(bucket, stored.key)).body)
  if (result.byteLength !== stored.size) {
    throw new QuernError('STORAGE', `the result at ${stored.key} has ${result.byteLength} bytes of ${stored.size}`)
  }
  return end(result)
}

function newNonce(): string {
  return randomBytes(6).toString('hex')
}
