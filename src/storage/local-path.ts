/** Where an object is put under a folder of this machine: keys are others' text, and none may lead out of it. */
import { join, resolve } from 'node:path'
import { ValidationError } from '../core/errors.ts'

/**
 * The path of `key` under `root`, its slashes as folders; empty and `.` segments vanish, as in paths.
 * @throws ValidationError for a key with a `..` segment, or that names a folder or no file at all
 */
export function localPath(root: string, key: string): string {
  const base = resolve(root)
  const path = join(base, key)
  if (key.split(/[/\\]/).includes('..') || path === base || /\/$|\0/.test(key)) {
    throw new ValidationError(`key ${JSON.stringify(key)} names no file under ${root}: give it a path of its own`)
  }
  return path
}
