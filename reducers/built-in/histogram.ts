import { ValidationError } from '../../src/core/errors.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import type { Reducer } from '../reducer.ts'

/**
 * How many numbers fall between bounds: `bounds.length + 1` counts. Bin 0 holds v < bounds[0], bin i holds
 * bounds[i - 1] ≤ v < bounds[i], the last holds v ≥ the last bound. Each call gives a number or a list of them. Of
 * nothing: zeros.
 *
 * @throws ValidationError when bounds do not ascend; in the reduce call, when a value is no number, or NaN
 */
export function histogram(bounds: readonly number[]): Reducer<number | readonly number[], number[], number[]> {
  const edges = [...bounds]
  edges.forEach((edge, i) => {
    if (Number.isFinite(edge) && (i === 0 || edge > (edges[i - 1] as number))) return
    throw new ValidationError(`histogram(bounds): expected finite numbers that ascend, got [${edges.join(', ')}]`)
  })
  return moduleReducer(
    import.meta.url,
    'histogram',
    {
      initial: () => new Array<number>(edges.length + 1).fill(0),
      add: (bins: number[], value: number | readonly number[]) => {
        if (Array.isArray(value)) for (const each of value) bins[binOf(edges, each)]! += 1
        else bins[binOf(edges, value)]! += 1
        return bins
      },
      merge: (a: number[], b: number[]) => a.map((n, i) => n + (b[i] as number)),
      finish: (bins: number[]) => bins,
      commutative: true,
    },
    [edges],
  )
}

/** Count of edges at or below the value. */
function binOf(edges: readonly number[], value: unknown): number {
  if (typeof value !== 'number' || Number.isNaN(value)) {
    throw new ValidationError(`histogram(): expected numbers from each call, got ${String(value)}`)
  }
  let low = 0
  let high = edges.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((edges[middle] as number) <= value) low = middle + 1
    else high = middle
  }
  return low
}
