/** Which keys are paths a file system holds as they are. */
import { isTemporaryName } from './file-io.ts'

const MAX_NAME_BYTES = 255
const LONE_SURROGATE = /\p{Surrogate}/u
/** On file systems that fold case or Unicode forms two keys could be one file. */
const SAME_IN_EVERY_CASE = /^[a-z0-9_\-.=/]+$/

/** Whether the path `key` names this key and no other. */
export function isPathKey(key: string): boolean {
  if (key.includes('\0') || LONE_SURROGATE.test(key)) return false
  return key.split('/').every(isName)
}

/** The same where file names that differ in case or Unicode form may be one: macOS and Windows, by default. */
export function isCaselessPathKey(key: string): boolean {
  return SAME_IN_EVERY_CASE.test(key) && isPathKey(key)
}

function isName(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false
  if (segment.length * 3 > MAX_NAME_BYTES && Buffer.byteLength(segment) > MAX_NAME_BYTES) return false
  return !isTemporaryName(segment)
}
