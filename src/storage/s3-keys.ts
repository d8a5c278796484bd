/** Keys as S3's answers and requests carry them, and the order a listing must have. */
import { precedesUtf8 } from '../core/bytes.ts'
import { type StorageContext, StorageError } from '../core/errors.ts'

/** As many as one request deletes. */
export const DELETE_KEYS = 1_000

/** XML, in which keys to delete are named, cannot carry these. */
export const NOT_IN_XML = /[\x00-\x1f\ufffe\uffff]/

/** A key listed under `encoding-type=url`, which is a form's: a space is `+`, a plus `%2B`. */
export function decodeListedKey(encoded: string): string {
  return /[%+]/.test(encoded) ? decodeURIComponent(encoded.replaceAll('+', ' ')) : encoded
}

/**
 * Holds a listing to UTF-8 byte order, page by page; gives the last key. Not every store keeps it.
 * @throws StorageError UNSUPPORTED
 */
export function assertKeyOrder(
  last: string | undefined,
  page: readonly { readonly key: string }[],
  context: StorageContext,
): string | undefined {
  let before = last
  for (const { key } of page) {
    if (before !== undefined && !precedesUtf8(before, key)) {
      const what = `the server lists ${JSON.stringify(key)} after ${JSON.stringify(before)}, not in UTF-8 byte order`
      throw new StorageError('UNSUPPORTED', what, context)
    }
    before = key
  }
  return before
}

/** What is wrong with a delete of many keys of which some were refused. */
export function deletionError(
  errors: readonly { readonly Code?: string; readonly Message?: string; readonly Key?: string }[],
  asked: number,
  context: StorageContext,
): StorageError | undefined {
  const failed = errors.find(({ Code }) => Code !== 'NoSuchKey')
  if (failed === undefined) return undefined
  const { Code = '', Message = '', Key } = failed
  const code = Code === 'AccessDenied' ? 'PERMISSION_DENIED' : Code === 'SlowDown' ? 'THROTTLED' : 'STORAGE'
  const what = `${errors.length} of ${asked} keys were not deleted; ${Code}: ${Message}`
  return new StorageError(code, what, { ...context, ...(Key === undefined ? {} : { key: Key }) })
}
