/** The options of `objects`, `inventory` and `keyList`, checked where they are given. */
import { ValidationError } from '../src/core/errors.ts'
import {
  type Checking,
  duration,
  type Field,
  type Fields,
  flag,
  MISFIT,
  oneOf,
  parseFields,
  text,
} from '../src/core/fields.ts'

const globs: Field = {
  expected: 'a glob or a list of globs',
  parse: (value) => {
    const list = Array.isArray(value) ? value : [value]
    return list.every((glob) => typeof glob === 'string' && glob !== '') ? value : MISFIT
  },
}

const OBJECTS: Fields = { include: globs, exclude: globs, allowMissing: flag, allowUnpinned: flag }

const TABLES = {
  objects: OBJECTS,
  inventory: { ...OBJECTS, bucket: text, backend: text, check: oneOf('head'), maxAge: duration() },
  keyList: { ...OBJECTS, base: text, format: oneOf('text', 'csv', 'ndjson'), check: oneOf('head') },
} satisfies Record<string, Fields>

/** The options as they were given. @throws ValidationError that names the option, what came and what is expected */
export function checkedOptions<T extends object>(method: keyof typeof TABLES, options: T): T {
  const checking: Checking = {
    where: `${method} options`,
    noun: 'option',
    fail: (message) => new ValidationError(message),
  }
  parseFields(TABLES[method], options, checking)
  return options
}
