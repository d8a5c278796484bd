/** A plan that comes back as JSON (saved, perhaps edited) → Plan, or a message that says where it is wrong. */
import { type CloudObject, cloudObject } from '../src/core/cloud-object.ts'
import { ValidationError } from '../src/core/errors.ts'
import { partitionOptions } from './options.ts'
import type { Partition, Plan, PlanOptions, Uncut } from './plan.ts'
import { totalsOf } from './plan-partitions.ts'

const UNCUT: readonly Uncut[] = ['no length', 'no ranges', 'no validator']

type Fields = Readonly<Record<string, unknown>>

/**
 * The plan, with what follows from its partitions counted anew. Whole objects may have been taken out or put in
 * another order; the ranges of each must tile it.
 * @throws ValidationError with the path of what is wrong: `plan.partitions[3].range: …`
 */
export function validatePlan(json: unknown): Plan {
  const plan = fieldsOf(json, 'plan')
  if (plan.version !== 1) throw wrong('plan.version', '1', plan.version)
  const partitions = partitionsOf(plan.partitions)
  const given = plan as unknown as Plan
  return {
    version: 1,
    selection: listOf(plan.selection, 'plan.selection', textOf),
    options: optionsOf(plan.options),
    partitions,
    ...totalsOf(partitions),
    ...(plan.unpinned === undefined ? {} : { unpinned: listOf(plan.unpinned, 'plan.unpinned', textOf) }),
    skipped: listOf(plan.skipped, 'plan.skipped', (entry, path) => {
      const { url, why } = fieldsOf(entry, path)
      return { url: textOf(url, `${path}.url`), why: textOf(why, `${path}.why`) }
    }),
    requests: { ...numbersOf(given.requests, 'plan.requests', ['get', 'list', 'put']) },
    cost: costOf(plan.cost),
    warnings: listOf(plan.warnings, 'plan.warnings', textOf),
  }
}

function partitionsOf(value: unknown): Partition[] {
  const partitions: Partition[] = []
  const seen = new Set<string>()
  let object: CloudObject | undefined
  let expected = 0
  for (const [i, entry] of arrayOf(value, 'plan.partitions').entries()) {
    const path = `plan.partitions[${i}]`
    const fields = fieldsOf(entry, path)
    const { index, count } = numbersOf(fields, path, ['index', 'count'])
    const { start, end } = numbersOf(fields.range, `${path}.range`, ['start', 'end'])
    if (expected === 0) {
      object = objectOf(fields.object, `${path}.object`)
      const name = JSON.stringify([object.backend, object.bucket, object.key])
      if (seen.has(name)) throw wrong(`${path}.object`, 'every object once', object.url)
      seen.add(name)
    } else if (!sameObject(object as CloudObject, fields.object)) {
      throw wrong(`${path}.object`, `partition ${expected} of ${object?.url}`, fields.object)
    }
    const { size } = object as CloudObject
    const first = expected === 0
    const before = partitions[partitions.length - 1]
    if (index !== expected) throw wrong(`${path}.index`, String(expected), index)
    if (count < 1 || (!first && count !== before?.count))
      throw wrong(`${path}.count`, 'the partitions of its object', count)
    const uncut = uncutOf(fields.uncut, `${path}.uncut`)
    if (uncut !== undefined && count !== 1) throw wrong(`${path}.count`, `1, for an object with ${uncut}`, count)
    if (uncut === 'no length' && size !== 0) throw wrong(`${path}.object.size`, '0, as no length is known', size)
    const from = first ? 0 : (before as Partition).range.end
    const to = index === count - 1 ? size : undefined
    const tiles =
      start === from && (to === undefined ? end > start && end < size : end === to && (end > start || size === 0))
    if (!tiles) throw wrong(`${path}.range`, `a range from ${from} to ${to ?? `below ${size}`}`, fields.range)
    const marker = uncut === undefined ? {} : { uncut }
    partitions.push({ object: object as CloudObject, range: { start, end }, index, count, ...marker })
    expected = index === count - 1 ? 0 : expected + 1
  }
  if (expected !== 0)
    throw wrong(`plan.partitions[${partitions.length}]`, `partition ${expected} of ${object?.url}`, undefined)
  return partitions
}

function objectOf(value: unknown, path: string): CloudObject {
  const fields = fieldsOf(value, path)
  const text = (name: string) => textOf(fields[name], `${path}.${name}`)
  const { size } = numbersOf(fields, path, ['size'])
  return cloudObject({ backend: text('backend'), bucket: text('bucket'), key: text('key'), etag: text('etag'), size })
}

function uncutOf(value: unknown, path: string): Uncut | undefined {
  if (value === undefined || UNCUT.includes(value as Uncut)) return value as Uncut | undefined
  throw wrong(path, UNCUT.map((why) => JSON.stringify(why)).join(', '), value)
}

function sameObject(object: CloudObject, value: unknown): boolean {
  const other = value as Partial<CloudObject> | null | undefined
  const names = ['backend', 'bucket', 'key', 'size', 'etag'] as const
  return names.every((name) => other?.[name] === object[name])
}

function optionsOf(value: unknown): PlanOptions {
  const { objNewline, ...rest } = fieldsOf(value, 'plan.options')
  if (typeof objNewline !== 'object' || objNewline === null) {
    return partitionOptions({ ...rest, objNewline: objNewline as string | null }, 'plan.options')
  }
  const base64 = textOf((objNewline as Fields).base64, 'plan.options.objNewline.base64')
  return partitionOptions({ ...rest, objNewline: Buffer.from(base64, 'base64') }, 'plan.options')
}

function costOf(value: unknown): Plan['cost'] {
  const { currency, amount, assumptions } = fieldsOf(value, 'plan.cost')
  if (typeof amount !== 'number' || !(amount >= 0)) throw wrong('plan.cost.amount', 'a number >= 0', amount)
  return {
    currency: textOf(currency, 'plan.cost.currency'),
    amount,
    assumptions: textOf(assumptions, 'plan.cost.assumptions'),
  }
}

function fieldsOf(value: unknown, path: string): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrong(path, 'an object', value)
  return value as Fields
}

function arrayOf(value: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(path, 'an array', value)
  return value
}

function listOf<T>(value: unknown, path: string, each: (entry: unknown, path: string) => T): T[] {
  return arrayOf(value, path).map((entry, i) => each(entry, `${path}[${i}]`))
}

function textOf(value: unknown, path: string): string {
  if (typeof value !== 'string') throw wrong(path, 'text', value)
  return value
}

function numbersOf<Name extends string>(value: unknown, path: string, names: readonly Name[]): Record<Name, number> {
  const fields = fieldsOf(value, path)
  const numbers = {} as Record<Name, number>
  for (const name of names) {
    const number = fields[name]
    if (!Number.isSafeInteger(number) || (number as number) < 0)
      throw wrong(`${path}.${name}`, 'a whole number >= 0', number)
    numbers[name] = number as number
  }
  return numbers
}

function wrong(path: string, expected: string, value: unknown): ValidationError {
  return new ValidationError(`${path}: expected ${expected}, got ${JSON.stringify(value) ?? 'nothing'}`)
}
