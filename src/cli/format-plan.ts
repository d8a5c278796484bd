import type { Plan } from '../../partitioner/plan.ts'
import { formatSize } from '../core/sizes.ts'
import { formatTable } from './format-result.ts'

const SHOWN_OBJECTS = 20

/** A plan for people: totals, sizes, requests, cost with what it assumes, what is skipped, warnings, the objects. */
export function formatPlan(plan: Plan): string {
  const { sizes, requests, cost } = plan
  const partitionCount = plan.partitions.length
  const lines = [
    `${count(plan.objects, 'object')}, ${formatSize(plan.bytes)}, ${count(partitionCount, 'partition')}`,
    `sizes     ${formatSize(sizes.min)} smallest, ${formatSize(sizes.median)} median, ${formatSize(sizes.max)} largest`,
    `requests  ${requests.get} GET, ${requests.list} LIST, ${requests.put} PUT`,
    `cost      ${formatAmount(cost.amount)} ${cost.currency} (${cost.assumptions})`,
    ...section('skipped', plan.skipped, ({ url, why }) => `${url}: ${why}`),
    ...section('unpinned', plan.unpinned ?? [], String),
    ...section('warnings', plan.warnings, String),
    '',
    formatObjects(plan),
  ]
  return lines.join('\n').trimEnd()
}

function formatObjects(plan: Plan): string {
  const first = plan.partitions.filter((partition) => partition.index === 0)
  const rows = first
    .slice(0, SHOWN_OBJECTS)
    .map(({ object, count: parts }) => [object.url, formatSize(object.size), count(parts, 'partition')])
  const more = first.length - rows.length
  return `${formatTable(rows)}${more > 0 ? `\nand ${count(more, 'object')} more` : ''}`
}

function section<T>(title: string, entries: readonly T[], format: (entry: T) => string): string[] {
  if (entries.length === 0) return []
  const shown = entries.slice(0, SHOWN_OBJECTS).map((entry) => `  ${format(entry)}`)
  const more = entries.length - shown.length
  return [`${title} (${entries.length})`, ...shown, ...(more > 0 ? [`  and ${more} more`] : [])]
}

/** Two digits that count, however small the amount. */
function formatAmount(amount: number): string {
  if (amount === 0 || amount >= 0.01) return amount.toFixed(2)
  return amount.toFixed(Math.min(12, 1 - Math.floor(Math.log10(amount))))
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en-US')} ${noun}${number === 1 ? '' : 's'}`
}
