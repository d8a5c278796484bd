/** The option `output`: where results go as objects, checked and located where it is given. */
import { resolve } from 'node:path'
import { locate } from '../../partitioner/reference.ts'
import { ValidationError } from '../core/errors.ts'
import { type Field, type Fields, field, isRecord, oneOf, parseFields, show, text } from '../core/fields.ts'
import { isGlob } from '../core/glob.ts'

export interface OutputSettings {
  readonly to: OutputPrefix
  /** A template or a function; what it is given and gives is the naming's (executor/output-names.ts). */
  readonly name?: string | ((place: never) => string)
  readonly ifExists: 'refuse' | 'replace'
  readonly format: 'auto' | 'json' | 'ndjson'
  readonly contentType?: string
  readonly compress?: 'gzip'
}

export interface OutputPrefix {
  readonly backend: string
  readonly bucket: string
  /** Ends in a slash unless it is empty. */
  readonly prefix: string
}

const FIELDS: Fields = {
  to: text,
  name: field(
    'a template such as "{stem}.json", or a function',
    (value): value is string => (typeof value === 'string' && value !== '') || typeof value === 'function',
  ),
  ifExists: oneOf('refuse', 'replace'),
  format: oneOf('auto', 'json', 'ndjson'),
  contentType: text,
  compress: oneOf('gzip'),
}

/** Not parsed by itself: its messages name what lies inside. */
export const outputField: Field = {
  expected: 'a prefix such as "s3://bucket/results/", or { to, name, ifExists, format, contentType, compress }',
  parse: (value) => value,
}

/** @throws ValidationError, ConfigError naming the option below `where` */
export function parseOutput(value: unknown, where: string): OutputSettings {
  if (typeof value !== 'string' && !isRecord(value)) {
    throw new ValidationError(`${where}: expected ${outputField.expected}, got ${show(value)}`)
  }
  const given = typeof value === 'string' ? { to: value } : value
  const fail = (message: string) => new ValidationError(message)
  const { to, ...rest } = parseFields(FIELDS, given, { where, noun: 'option', fail })
  if (typeof to !== 'string') throw new ValidationError(`${where}.to: expected a prefix, got nothing`)
  const settings = rest as Omit<OutputSettings, 'to'>
  return {
    ...settings,
    ifExists: settings.ifExists ?? 'refuse',
    format: settings.format ?? 'auto',
    to: prefixOf(to, where),
  }
}

function prefixOf(to: string, where: string): OutputPrefix {
  if (isGlob(to)) throw new ValidationError(`${where}: expected a prefix to write under, got the pattern ${show(to)}`)
  const { backend, bucket, target } = locate(to, process.cwd())
  if (backend === 'http') throw new ValidationError(`${where}: expected a store that can be written, got ${show(to)}`)
  // the working directory may look like a pattern
  const key =
    target.type === 'key' ? target.key : target.type === 'prefix' ? target.prefix : resolve(process.cwd(), to).slice(1)
  return { backend, bucket, prefix: key === '' || key.endsWith('/') ? key : `${key}/` }
}
