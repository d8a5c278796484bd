/** Watchers as a table for people. */
import { ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { formatDuration } from '../core/sizes.ts'
import type { Watcher } from './watcher.ts'

export interface WatcherRow {
  readonly watcher: Watcher
  /** Until its next call; undefined when none is planned. */
  readonly dueInMs: number | undefined
}

const CELLS = {
  Name: ({ watcher }) => watcher.work.name,
  Active: ({ dueInMs }) => (dueInMs === undefined ? 'no' : 'yes'),
  Periodicity: ({ watcher }) => formatDuration(watcher.work.spacingMs),
  'Runs in': ({ dueInMs }) => timeOf(dueInMs),
  Runs: ({ watcher }) => `${watcher.runs}`,
  Failures: ({ watcher }) => `${watcher.failures}`,
  Successes: ({ watcher }) => `${watcher.successes}`,
  'Stop Requested': ({ watcher }) => (watcher.requestedStop ? 'yes' : 'no'),
  'Average elapsed': ({ watcher }) => timeOf(watcher.averageElapsed),
  'Average elapsed waiting': ({ watcher }) => timeOf(watcher.averageElapsedWaiting),
} satisfies Record<string, (row: WatcherRow) => string>

export type WatcherColumn = keyof typeof CELLS

const COLUMNS = Object.keys(CELLS) as WatcherColumn[]

/** @throws ValidationError for a column that does not exist, or none */
export function formatWatchers(rows: readonly WatcherRow[], columns: readonly WatcherColumn[] = COLUMNS): string {
  if (columns.length === 0) throw new ValidationError('pformat: expected one column or more, got none')
  for (const column of columns) {
    if (!Object.hasOwn(CELLS, column)) {
      throw new ValidationError(`pformat: unknown column ${show(column)}, expected some of ${COLUMNS.join(', ')}`)
    }
  }
  const lines = [columns, ...rows.map((row) => columns.map((column) => CELLS[column](row)))]
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => (line[i] as string).length)))
  const text = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] as number))
      .join(' | ')
      .trimEnd()
  const [head = '', ...body] = lines.map(text)
  return [head, widths.map((width) => '-'.repeat(width)).join('-+-'), ...body].join('\n')
}

function timeOf(ms: number | undefined): string {
  return ms === undefined ? '-' : formatDuration(ms)
}
