/** Where journals lie: a store and a bucket of it, and the ways in which what a journal holds is written and read. */

import { type RetryPolicy, retryDelayMs } from '../core/backoff.ts'
import { collectBytes } from '../core/bytes.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { isRefusal, isTransient, NotFoundError } from '../core/errors.ts'
import type { ObjectHead, StorageBackend } from '../storage/backend.ts'

export interface JournalPlace {
  readonly backend: StorageBackend
  readonly bucket: string
}

/** An object as it is now. */
export interface Version {
  readonly bytes: Uint8Array
  readonly etag: string
}

/** After a put that may or may not have been done: how long it is tried to find out. */
const DOUBT: RetryPolicy = { attempts: 8, baseMs: 50, maxMs: 5_000 }

export async function readObject({ backend, bucket }: JournalPlace, key: string): Promise<Version | undefined> {
  try {
    const { head, body } = await backend.get(bucket, key)
    return { bytes: await collectBytes(body), etag: head.etag }
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

/** The JSON an object holds; undefined when there is none. @throws Error when it is no JSON */
export async function readJson<T>(place: JournalPlace, key: string): Promise<{ value: T; etag: string } | undefined> {
  const version = await readObject(place, key)
  if (version === undefined) return undefined
  return { value: JSON.parse(Buffer.from(version.bytes).toString('utf8')) as T, etag: version.etag }
}

export function jsonBytes(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value))
}

/**
 * Puts an object that must not be there yet. Gives its etag, or what somebody else put before. `bytes` must differ from
 * what anybody else would put (a nonce), so that an answer that was lost on the way is not taken for a lost race.
 */
export async function putOnce(
  place: JournalPlace,
  key: string,
  bytes: Uint8Array,
  clock: Clock = systemClock,
): Promise<{ readonly won: true; readonly etag: string } | { readonly won: false; readonly other: Version }> {
  const outcome = await settled(place, key, bytes, { ifAbsent: true }, clock)
  if (outcome.head !== undefined) return { won: true, etag: outcome.head.etag }
  return outcome.now === undefined
    ? // it was there and is no more: whoever put it is done with it
      putOnce(place, key, bytes, clock)
    : { won: false, other: outcome.now }
}

/** Replaces this version and no other; undefined when it is not the current one any more. `bytes` as in `putOnce`. */
export async function replaceVersion(
  place: JournalPlace,
  key: string,
  etag: string,
  bytes: Uint8Array,
  clock: Clock = systemClock,
): Promise<string | undefined> {
  return (await settled(place, key, bytes, { ifMatch: etag }, clock)).head?.etag
}

interface Settled {
  readonly head?: { readonly etag: string }
  readonly now?: Version | undefined
}

/** Puts under a condition until it is known how that ended. */
async function settled(
  place: JournalPlace,
  key: string,
  bytes: Uint8Array,
  condition: { readonly ifAbsent?: true; readonly ifMatch?: string },
  clock: Clock,
): Promise<Settled> {
  const { backend, bucket } = place
  for (let attempt = 2; ; attempt++) {
    try {
      return { head: await backend.put(bucket, key, bytes, condition) }
    } catch (error) {
      const refused = isRefusal(error)
      if (!refused && !isTransient(error)) throw error
      if (!refused) {
        const pauseMs = retryDelayMs(DOUBT, attempt, Math.random())
        if (pauseMs === undefined) throw error
        await clock.sleep(pauseMs)
      }
      const now = await readObject(place, key)
      if (now !== undefined && Buffer.compare(now.bytes, bytes) === 0) return { head: now }
      // neither done nor refused: the version the condition is about is still the current one
      const open = !refused && now?.etag === condition.ifMatch
      if (!open) return { now }
    }
  }
}

/** All heads under a prefix, page by page; nothing where the bucket is not there. */
export async function* listUnder(
  { backend, bucket }: JournalPlace,
  prefix: string,
): AsyncGenerator<readonly ObjectHead[]> {
  try {
    yield* backend.list(bucket, { prefix })
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
  }
}
