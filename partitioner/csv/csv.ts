/**
 * Rows of CSV from whole lines, on papaparse. A row is exactly one record: papaparse is given only lines that are
 * well-formed by themselves, so a newline inside quotes is refused where it is, never glued or torn.
 */
import { ValidationError } from '../../src/core/errors.ts'
import type { LineBatch } from '../lines.ts'

export interface CsvOptions {
  /** The object's first record names the fields and rows are objects (default); false: rows are arrays. */
  readonly header?: boolean | undefined
  /** Default: found out from the object's first record, one of `,` tab `|` `;`. */
  readonly delimiter?: string | undefined
  /** Default `"`. */
  readonly quoteChar?: string | undefined
}

/** A row by field name. Fields a row has beyond the header are in `__parsed_extra`, as papaparse has it. */
export type CsvRow = Record<string, string>

export interface CsvSource {
  readonly url: string
  readonly batches: AsyncIterable<LineBatch>
  /** Whether the batches begin with the object's first record. */
  readonly fromStart: boolean
  /** The object's first record as text, without its delimiter. */
  firstLine(): Promise<string>
  /** Where line `index` of a batch lies in the object. */
  offsetOf(batch: LineBatch, index: number): number
}

export interface RowBatch {
  readonly rows: (string[] | CsvRow)[]
  readonly batch: LineBatch
}

/** The rows of every batch of lines, in order; empty lines are no rows, the header is none. */
export async function* csvRows(source: CsvSource, options: CsvOptions = {}): AsyncGenerator<RowBatch, void, undefined> {
  const { header = true, delimiter, quoteChar = '"' } = checked(options)
  const { default: papa } = await import('papaparse')
  let dialect: Dialect | undefined
  let fields: string[] | undefined
  for await (const batch of source.batches) {
    const first = batch.offset === 0
    if (dialect === undefined) {
      const line = source.fromStart ? (batch.lines[0] as string) : await source.firstLine()
      dialect = dialectOf(delimiter ?? guessDelimiter(papa, line, quoteChar), quoteChar)
      if (header) fields = headerOf(papa, line, dialect, source.url)
    }
    const skip = header && first ? 1 : 0
    const lines = batch.lines.filter((line, index) => index >= skip && line !== '')
    const malformed = lines.find((line) => line.includes(quoteChar) && !dialect?.wellFormed.test(line))
    if (malformed !== undefined) throw tornRow(source, batch, malformed, quoteChar)
    const rows = lines.length === 0 ? [] : parse(papa, lines.join('\n'), dialect)
    if (rows.length !== lines.length) throw tornRow(source, batch, batch.lines[skip] as string, quoteChar)
    const named = fields
    yield { rows: named === undefined ? rows : rows.map((row) => byName(named, row)), batch }
  }
}

interface Dialect {
  readonly delimiter: string
  readonly quoteChar: string
  /** A line whose quotes open and close as RFC 4180 says. */
  readonly wellFormed: RegExp
}

type Papa = typeof import('papaparse')

function checked(options: CsvOptions): CsvOptions {
  const { header, delimiter, quoteChar } = options
  if (header !== undefined && typeof header !== 'boolean') {
    throw new ValidationError(`csv options.header: expected true or false, got ${JSON.stringify(header)}`)
  }
  if (
    delimiter !== undefined &&
    (typeof delimiter !== 'string' || delimiter === '' || /[\r\n"\ufeff]/.test(delimiter))
  ) {
    const expected = 'a non-empty string without quotes or newlines'
    throw new ValidationError(`csv options.delimiter: expected ${expected}, got ${JSON.stringify(delimiter)}`)
  }
  if (quoteChar !== undefined && (typeof quoteChar !== 'string' || quoteChar.length !== 1 || quoteChar === delimiter)) {
    const expected = 'one character other than the delimiter'
    throw new ValidationError(`csv options.quoteChar: expected ${expected}, got ${JSON.stringify(quoteChar)}`)
  }
  return options
}

function dialectOf(delimiter: string, quoteChar: string): Dialect {
  const d = escaped(delimiter)
  const q = escaped(quoteChar)
  const field = `(?:${q}(?:[^${q}\\n]|${q}${q})*${q}|(?:(?!${d})[^${q}\\n])*)`
  return { delimiter, quoteChar, wellFormed: new RegExp(`^${field}(?:${d}${field})*$`) }
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')
}

function guessDelimiter(papa: Papa, line: string, quoteChar: string): string {
  const { meta } = papa.parse(line, { quoteChar, delimitersToGuess: [',', '\t', '|', ';'], newline: '\n' })
  return line.includes(meta.delimiter) ? meta.delimiter : ','
}

function parse(papa: Papa, text: string, { delimiter, quoteChar }: Dialect): string[][] {
  return papa.parse<string[]>(text, { delimiter, quoteChar, newline: '\n' }).data
}

function headerOf(papa: Papa, line: string, dialect: Dialect, url: string): string[] {
  const where = `csv of ${url}: the first record`
  if (line === '') throw new ValidationError(`${where} is empty, so it names no fields: pass header: false`)
  if (line.includes(dialect.quoteChar) && !dialect.wellFormed.test(line)) {
    throw new ValidationError(
      `${where} is not a whole header: newlines in quotes are not supported, pass header: false`,
    )
  }
  const fields = parse(papa, line, dialect)[0] ?? []
  const doubled = fields.find((field, index) => fields.indexOf(field) !== index)
  if (doubled !== undefined) {
    throw new ValidationError(`${where} names the field ${JSON.stringify(doubled)} twice: pass header: false`)
  }
  return fields
}

function byName(fields: readonly string[], row: readonly string[]): CsvRow {
  const named: Record<string, unknown> = {}
  const known = Math.min(fields.length, row.length)
  for (let i = 0; i < known; i++) put(named, fields[i] as string, row[i])
  if (row.length > fields.length) named.__parsed_extra = row.slice(fields.length)
  return named as CsvRow
}

function put(row: Record<string, unknown>, field: string, value: unknown): void {
  if (field !== '__proto__') row[field] = value
  else Object.defineProperty(row, field, { value, enumerable: true, configurable: true, writable: true })
}

function tornRow(source: CsvSource, batch: LineBatch, line: string, quoteChar: string): ValidationError {
  const offset = source.offsetOf(batch, batch.lines.indexOf(line))
  return new ValidationError(
    `csv of ${source.url}: the record at byte ${offset} is not a whole row: a quote (${quoteChar}) opens or closes in the middle of a field, or is not closed. Newlines in quotes are not supported yet; read such an object with text() in one partition and parse it there`,
  )
}
