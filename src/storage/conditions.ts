/** The rule of conditional puts, for stores that check it themselves. */
import { type StorageContext, StorageError } from '../core/errors.ts'
import type { PutOptions } from './backend.ts'

/**
 * Whether a put may replace what is there (`etag`, undefined when nothing is).
 *
 * @throws StorageError ALREADY_EXISTS (`ifAbsent`), PRECONDITION_FAILED (`ifMatch`)
 */
export function assertPutCondition(options: PutOptions, etag: string | undefined, context: StorageContext): void {
  if (options.ifAbsent === true && etag !== undefined) {
    throw new StorageError('ALREADY_EXISTS', 'the key is there already', context)
  }
  if (options.ifMatch === undefined || options.ifMatch === etag) return
  const what = etag === undefined ? 'there is no such key' : `its etag is ${etag}`
  throw new StorageError('PRECONDITION_FAILED', `${what}, expected ${options.ifMatch}`, context)
}
