/**
 * Puts an object in the place of the version that is known to be there, and of no other: how outputs and manifests
 * appear. Repeating it is harmless: an object that is there already, with the same content, counts as put.
 *
 * Where the store puts conditionally this is exact. Where it does not (plain files, a stream larger than it takes under
 * a condition) the place is looked at once the last byte has been read, just before the object appears: who writes
 * in that moment is not seen.
 */
import { isRefusal, isTransient, NotFoundError, StorageError } from '../core/errors.ts'
import type { ObjectHead, StorageBackend } from '../storage/backend.ts'

export interface ExpectedPut {
  readonly bucket: string
  readonly key: string
  /** Etag of the version to be replaced; null: nothing is there. */
  readonly expect: string | null
  /** The store honours conditions. */
  readonly conditional: boolean
  readonly contentType: string
  readonly sizeBytes: number
  /** Asked once a try. */
  body(): Promise<Uint8Array | AsyncIterable<Uint8Array>>
  /** Whether what is there instead is what was to be put. */
  isSame(head: ObjectHead): Promise<boolean>
  /** It may have been put before: the place is looked at first, which saves sending the body in vain. */
  readonly again: boolean
  readonly signal?: AbortSignal | undefined
}

/** A put that ended in doubt is looked into and tried again; layers beneath have waited for the store by then. */
const TRIES = 3

/** @throws StorageError PRECONDITION_FAILED when something else is there by now */
export async function putExpected(target: StorageBackend, put: ExpectedPut): Promise<ObjectHead> {
  let { expect } = put
  for (let tries = 1; ; tries++) {
    if (put.again || tries > 1) {
      const now = await headIfAny(target, put.bucket, put.key)
      if ((now?.etag ?? null) !== expect) {
        if (now !== undefined && (await put.isSame(now))) return now
        if (now !== undefined) throw overtaken(target, put)
        // what was to be replaced is gone
        expect = null
      }
    }
    try {
      return await send(target, put, expect)
    } catch (error) {
      if (tries === TRIES || !(isRefusal(error) || isTransient(error))) throw error
    }
  }
}

/** The head of an object; undefined when there is none. */
export async function headIfAny(store: StorageBackend, bucket: string, key: string): Promise<ObjectHead | undefined> {
  try {
    return await store.head(bucket, key)
  } catch (error) {
    if (error instanceof NotFoundError) return undefined
    throw error
  }
}

async function send(target: StorageBackend, put: ExpectedPut, expect: string | null): Promise<ObjectHead> {
  const { bucket, key, contentType, signal } = put
  const body = await put.body()
  const { conditionalStreamBytes = Number.POSITIVE_INFINITY } = target.capabilities
  const isStreamTooLong = !(body instanceof Uint8Array) && put.sizeBytes > conditionalStreamBytes
  if (put.conditional && target.capabilities.conditionalPut && !isStreamTooLong) {
    const condition = expect === null ? { ifAbsent: true } : { ifMatch: expect }
    return target.put(bucket, key, body, { contentType, signal, ...condition })
  }
  const look = async () => {
    const now = await headIfAny(target, bucket, key)
    if ((now?.etag ?? null) !== expect) throw overtaken(target, put)
  }
  return target.put(bucket, key, guarded(body, look), { contentType, signal })
}

/** The body, which breaks at its end when `look` does: a put of it then leaves what is there. */
async function* guarded(
  body: Uint8Array | AsyncIterable<Uint8Array>,
  look: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  if (body instanceof Uint8Array) yield body
  else yield* body
  await look()
}

function overtaken({ name }: StorageBackend, { bucket, key, expect }: ExpectedPut): StorageError {
  const before = expect === null ? 'nothing was there' : `version ${expect} was there`
  const what = `somebody else has written it since this job began (${before})`
  return new StorageError('PRECONDITION_FAILED', what, { backend: name, operation: 'publish', bucket, key })
}
