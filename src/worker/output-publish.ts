/**
 * Brings a committed output to its final key. Invariant: only bytes that were committed appear there, and only in the
 * place of what was there when the job began; so it may be done by any attempt, and again by a resume.
 */
import { createHash } from 'node:crypto'
import { type CloudObject, cloudObject } from '../core/cloud-object.ts'
import { ObjectChangedError } from '../core/errors.ts'
import type { CommitPlace } from '../job/commits.ts'
import { publishedKey } from '../job/keys.ts'
import type { OutputHead, OutputRecord } from '../job/output.ts'
import { jsonBytes, readJson } from '../job/place.ts'
import { putExpected } from '../job/put-expected.ts'
import type { ObjectHead, StorageBackend } from '../storage/backend.ts'

export interface Publication {
  readonly record: OutputRecord
  /** The bytes, where they lie in the commit. */
  readonly inline: Uint8Array
  readonly head: OutputHead
  /** The store of the final key. */
  readonly target: StorageBackend
  readonly journal: CommitPlace
  /** Under which the call is committed. */
  readonly id: string
  /** Somebody may have published it before. */
  readonly again: boolean
  readonly signal?: AbortSignal | undefined
}

/** What is proved of a published output. */
interface Proof {
  readonly etag: string
}

/**
 * The object at the final key.
 * @throws StorageError PRECONDITION_FAILED when somebody else has written it since the job began
 */
export async function publishOutput(publication: Publication): Promise<CloudObject> {
  const { record, inline, head, target, journal, id, again, signal } = publication
  const { key, expect, contentType, sizeBytes, attemptKey } = record
  const { backend, bucket, conditional } = head
  const body = async () => {
    if (attemptKey === undefined) return inline
    return (await journal.backend.get(journal.bucket, attemptKey, { signal })).body
  }
  const proofKey = publishedKey(journal.name, journal.series, id)
  const proof = again && attemptKey !== undefined ? await readJson<Proof>(journal, proofKey) : undefined
  const isSame = async (now: ObjectHead) => now.etag === proof?.value.etag || (await holds(publication, now))
  const common = { bucket, key, expect, conditional, contentType, sizeBytes }
  const put = await putExpected(target, { ...common, body, isSame, again, signal })
  // small outputs are compared by their bytes in the time a proof would take to be read
  if (attemptKey !== undefined && put.etag !== proof?.value.etag) {
    await journal.backend.put(journal.bucket, proofKey, jsonBytes({ etag: put.etag } satisfies Proof))
  }
  return cloudObject({ backend, bucket, key, size: put.size, etag: put.etag, contentType })
}

/**
 * The object that a job which is over has published; nothing is written.
 * @throws NotFoundError when it is gone, ObjectChangedError when it is another by now
 */
export async function publishedOutput(publication: Omit<Publication, 'inline' | 'again'>): Promise<CloudObject> {
  const { record, head, target, journal, id } = publication
  const { backend, bucket } = head
  const { key, contentType } = record
  const now = await target.head(bucket, key)
  const proof = await readJson<Proof>(journal, publishedKey(journal.name, journal.series, id))
  if (now.etag !== proof?.value.etag && !(await holds(publication, now))) {
    const context = { backend, operation: 'read output', bucket, key }
    throw new ObjectChangedError('it is no longer what the job wrote', context)
  }
  return cloudObject({ backend, bucket, key, size: now.size, etag: now.etag, contentType })
}

/** Whether the object at the final key has the bytes of the record. */
async function holds(
  { record, target, head, signal }: Omit<Publication, 'inline' | 'again'>,
  now: ObjectHead,
): Promise<boolean> {
  if (now.size !== record.sizeBytes) return false
  const hash = createHash('sha256')
  const pinned = { ifMatch: now.etag, signal, reuse: true }
  const { body } = await target.get(head.bucket, record.key, pinned)
  for await (const chunk of body) hash.update(chunk)
  return hash.digest('hex') === record.digest
}
