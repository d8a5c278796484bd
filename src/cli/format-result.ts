/** Results for people: counts and records as tables, objects of stores by their URL, everything else as Node prints it. */
import { inspect } from 'node:util'
import { type CloudObject, isCloudObject } from '../core/cloud-object.ts'
import { formatSize } from '../core/sizes.ts'

const STORED_FIELDS: ReadonlySet<string> = new Set('backend bucket key size etag url contentType'.split(' '))

/** How many rows of a table are shown before `and N more`; undefined: all. */
export interface FormatOptions {
  readonly limit?: number | undefined
}

/** Text without a newline at its end. A Map of numbers is sorted by them, the largest first, then by key. */
export function formatResult(value: unknown, { limit }: FormatOptions = {}): string {
  if (value instanceof Map) return formatMap(value, limit)
  if (Array.isArray(value)) return formatList(value, limit)
  if (isStored(value)) return `${value.url}  ${formatSize(value.size)}`
  return formatCell(value, 6)
}

/** Columns padded to their widest cell; numbers on the right. */
export function formatTable(rows: readonly (readonly unknown[])[]): string {
  const cells = rows.map((row) => row.map((cell) => formatCell(cell, 2)))
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)))
  const isNumeric = widths.map((_, column) => rows.every((row, i) => i === 0 || typeof row[column] === 'number'))
  return cells
    .map((row) =>
      row
        .map((cell, i) => (isNumeric[i] ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

function formatMap(map: ReadonlyMap<unknown, unknown>, limit: number | undefined): string {
  const entries = [...map]
  if (entries.every(([, value]) => typeof value === 'number'))
    entries.sort(byCount as (a: unknown, b: unknown) => number)
  if (entries.some(([, value]) => isNested(value))) {
    return limited(entries, limit, (shown) =>
      shown.map(([key, value]) => `${formatCell(key, 2)}\n${indent(formatResult(value, { limit }))}`).join('\n'),
    )
  }
  return limited(entries, limit, (shown) => formatTable(shown))
}

function formatList(list: readonly unknown[], limit: number | undefined): string {
  const columns = recordColumns(list)
  if (columns !== undefined) {
    const records = list as readonly Readonly<Record<string, unknown>>[]
    return limited(records, limit, (shown) =>
      formatTable([columns, ...shown.map((record) => columns.map((column) => record[column]))]),
    )
  }
  const isTable = list.length > 0 && list.every((row) => Array.isArray(row) && !row.some(isNested))
  if (isTable) return limited(list as readonly unknown[][], limit, (shown) => formatTable(shown))
  return limited(list, limit, (shown) => shown.map((each) => formatResult(each, { limit })).join('\n'))
}

/** The keys that all elements have in common, when all are flat records with the same keys. */
function recordColumns(list: readonly unknown[]): readonly string[] | undefined {
  const first = list[0]
  if (!isFlatRecord(first) || isStored(first)) return undefined
  const columns = Object.keys(first)
  const same = (each: unknown) => isFlatRecord(each) && Object.keys(each).join('\n') === columns.join('\n')
  return list.every(same) ? columns : undefined
}

/** A CloudObject and nothing beside it: a record of the user's that names one is shown whole. */
function isStored(value: unknown): value is CloudObject {
  return isCloudObject(value) && Object.keys(value).every((key) => STORED_FIELDS.has(key))
}

function isFlatRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false
  return !Object.values(value).some(isNested)
}

function isNested(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !(value instanceof Date)
}

function limited<T>(rows: readonly T[], limit: number | undefined, format: (shown: readonly T[]) => string): string {
  if (rows.length === 0) return '(empty)'
  if (limit === undefined || rows.length <= limit) return format(rows)
  return `${format(rows.slice(0, limit))}\nand ${rows.length - limit} more`
}

function byCount([keyA, a]: [unknown, number], [keyB, b]: [unknown, number]): number {
  if (a !== b) return b - a
  return String(keyA) < String(keyB) ? -1 : 1
}

function formatCell(value: unknown, depth: number): string {
  return typeof value === 'string' ? value : inspect(value, { depth, maxArrayLength: 100, breakLength: 100 })
}

function indent(text: string): string {
  return text.replace(/^/gm, '  ')
}
