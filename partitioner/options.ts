/** PartitionOptions as the user gives them → PlanOptions as they stand in a plan, and back to a delimiter. */

import { ValidationError } from '../src/core/errors.ts'
import { parseSize } from '../src/core/sizes.ts'
import type { PartitionOptions, PlanOptions } from './plan.ts'

/** The option names that belong to partitioning. */
export const PARTITION_OPTIONS: readonly (keyof PartitionOptions)[] = [
  'objChunkSize',
  'objChunkNumber',
  'objNewline',
  'compression',
]

/**
 * The partitioning options among `options`, checked; sizes in bytes. `where` begins the messages: `"map options"`.
 * @throws ValidationError that names the option, what came and what is expected
 */
export function partitionOptions(options: PartitionOptions = {}, where = 'options'): PlanOptions {
  const { objChunkSize, objChunkNumber, objNewline, compression } = options
  const wrong = (name: keyof PartitionOptions, expected: string, value: unknown) =>
    new ValidationError(`${where}.${name}: expected ${expected}, got ${shown(value)}`)
  const size = objChunkSize === undefined ? undefined : chunkSize(objChunkSize)
  if (objChunkSize !== undefined && size === undefined) {
    throw wrong('objChunkSize', 'a size such as "64MiB" or a whole number of bytes >= 1', objChunkSize)
  }
  if (objChunkNumber !== undefined && !(Number.isSafeInteger(objChunkNumber) && objChunkNumber >= 1)) {
    throw wrong('objChunkNumber', 'a whole number >= 1', objChunkNumber)
  }
  const newline = newlineOption(objNewline)
  if (newline === undefined) {
    throw wrong('objNewline', 'a non-empty string or Uint8Array, or null for no alignment', objNewline)
  }
  if (compression !== undefined && compression !== null) {
    throw wrong('compression', 'null (read compressed objects as the bytes they are) or nothing', compression)
  }
  return {
    ...(size === undefined ? {} : { objChunkSize: size }),
    ...(objChunkNumber === undefined ? {} : { objChunkNumber }),
    objNewline: newline.value,
    ...(compression === null ? { compression } : {}),
  }
}

/** The delimiter's bytes; null when partitions are not aligned. */
export function delimiterOf({ objNewline }: Pick<PlanOptions, 'objNewline'>): Buffer | null {
  if (objNewline === null) return null
  return typeof objNewline === 'string' ? Buffer.from(objNewline) : Buffer.from(objNewline.base64, 'base64')
}

function chunkSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 1 ? value : undefined
  if (typeof value !== 'string') return undefined
  const bytes = parseSize(value)
  return bytes !== undefined && Number.isSafeInteger(bytes) && bytes >= 1 ? bytes : undefined
}

function newlineOption(value: unknown): { readonly value: PlanOptions['objNewline'] } | undefined {
  if (value === null) return { value }
  if (value === undefined) return { value: '\n' }
  if (typeof value === 'string') return value !== '' && Buffer.from(value).toString() === value ? { value } : undefined
  if (!(value instanceof Uint8Array) || value.length === 0) return undefined
  const text = Buffer.from(value).toString()
  return { value: Buffer.from(text).equals(value) ? text : { base64: Buffer.from(value).toString('base64') } }
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null)
    return `${value.constructor?.name ?? 'an object'} ${JSON.stringify(value)}`
  return String(value)
}
