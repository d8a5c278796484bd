/**
 * What a list says of objects → objects: taken as it is, or held against what the store has now. What is wanted is
 * asked for 32 at a time; the order of the list stays.
 */
import { objectUrl } from '../../src/core/cloud-object.ts'
import { mapConcurrent } from '../../src/core/concurrency.ts'
import { NotFoundError, ObjectChangedError } from '../../src/core/errors.ts'
import type { ObjectHead, StorageBackend } from '../../src/storage/backend.ts'
import type { Gathered } from '../selected.ts'

/** One object, with what the list has of it. */
export interface Listed {
  readonly bucket: string
  readonly key: string
  readonly size: number | undefined
  readonly etag: string | undefined
  /** Its place in the list, for messages: `line 12`. */
  readonly where: string
}

export interface ListedFrom {
  readonly gathered: Gathered
  readonly store: StorageBackend
  readonly backend: string
  readonly options: { readonly check?: 'head' | undefined; readonly allowMissing?: boolean | undefined }
  readonly signal: AbortSignal | undefined
  /** URL of the list. */
  readonly list: string
}

const HEADS_AT_ONCE = 32

/** The same text by itself: a piece of a batch of lines keeps all of it in memory. */
function alone(text: string): string {
  return Buffer.from(text).toString()
}

/**
 * Takes them in their order.
 * @throws NotFoundError, ObjectChangedError for one that is not as the list has it, where it is asked for
 */
export async function takeListed(listed: readonly Listed[], from: ListedFrom): Promise<void> {
  const wanted = listed.filter(({ key }) => from.gathered.wanted(key))
  const heads = await mapConcurrent(wanted, HEADS_AT_ONCE, (each) => headOf(each, from))
  for (const [i, { bucket }] of wanted.entries()) {
    const head = heads[i]
    if (head !== undefined) from.gathered.take(from.backend, bucket, head)
  }
}

async function headOf(each: Listed, from: ListedFrom): Promise<ObjectHead | undefined> {
  const { bucket, key, size, etag, where } = each
  const { store, backend, options, gathered, signal, list } = from
  if (options.check !== 'head' && size !== undefined) return { key: alone(key), size, etag: alone(etag ?? '') }
  gathered.request(backend, 'head')
  const url = objectUrl(backend, bucket, key)
  const place = { backend, operation: 'head', bucket, key }
  try {
    const head = await store.head(bucket, key, { signal })
    if ((etag === undefined || etag === head.etag) && (size === undefined || size === head.size)) return head
    const had = `etag ${etag ?? '(none)'} and ${size ?? 'unknown'} bytes, the store has ${head.etag} and ${head.size}`
    throw new ObjectChangedError(`${list} (${where}) has ${url} with ${had}`, place)
  } catch (error) {
    if (!(error instanceof NotFoundError)) throw error
    if (options.allowMissing !== true) {
      const what = `${list} (${where}) names ${url}: there is no such object; allowMissing: true would skip it`
      throw new NotFoundError(what, { ...place, cause: error })
    }
    gathered.skip(url, 'there is no such object')
    return undefined
  }
}
