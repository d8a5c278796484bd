/** Sizes and durations as users write them: numbers are bytes and milliseconds, strings carry a unit. */
const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
}

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

/** Bytes of `"64MiB"`, `"1.5 GB"` or a number, rounded down; undefined when it is no size. */
export function parseSize(value: number | string): number | undefined {
  const bytes = parseWithUnit(value, SIZE_UNITS)
  return bytes === undefined ? undefined : Math.floor(bytes)
}

/** Milliseconds of `"30s"`, `"5 min"` or a number; undefined when it is no duration. */
export function parseDuration(value: number | string): number | undefined {
  return parseWithUnit(value, DURATION_UNITS)
}

/** A size for people, with binary units and at most one decimal: `"64 MiB"`, `"1.5 GiB"`. */
export function formatSize(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  const text = unit === 0 || value >= 100 ? Math.round(value).toString() : value.toFixed(1).replace(/\.0$/, '')
  return `${text} ${units[unit]}`
}

/** A duration for people: `"340 ms"`, `"12.3 s"`, `"4 min 05 s"`, `"2 h 03 min"`. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  const two = (n: number) => n.toString().padStart(2, '0')
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`
  return `${Math.floor(seconds / 3_600)} h ${two(Math.floor((seconds % 3_600) / 60))} min`
}

function parseWithUnit(value: number | string, units: Readonly<Record<string, number>>): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(value)
  if (match === null) return undefined
  const unit = match[2] === '' ? 1 : units[(match[2] as string).toLowerCase()]
  return unit === undefined ? undefined : Number(match[1]) * unit
}
