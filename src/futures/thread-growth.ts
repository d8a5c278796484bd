/**
 * How many threads a dynamic executor should have: pure, after futurist.
 *
 * Load is what runs and waits for each thread there is. Fewer than the least: one more. Load at the grow threshold or
 * above: one more, up to the most. At the shrink threshold or below: one idle thread less, down to the least.
 */
export interface GrowthRule {
  readonly minWorkers: number
  readonly maxWorkers: number
  /** Above 0, at most 1. */
  readonly growThreshold: number
  /** From 0, below `growThreshold`. */
  readonly shrinkThreshold: number
}

export interface ThreadLoad {
  readonly workers: number
  /** Of them, those that run nothing. */
  readonly idle: number
  /** Tasks that wait for a thread. */
  readonly queued: number
}

/** By how many threads to change now: 1, 0 or -1. */
export function growthStep({ workers, idle, queued }: ThreadLoad, rule: GrowthRule): 1 | 0 | -1 {
  if (workers < rule.minWorkers) return 1
  const load = (workers - idle + queued) / workers
  if (load >= rule.growThreshold && workers < rule.maxWorkers) return 1
  return load <= rule.shrinkThreshold && workers > rule.minWorkers && idle > 0 ? -1 : 0
}

/** How many threads there are when the step has been taken until nothing changes; a new thread is idle. */
export function settledSize(load: ThreadLoad, rule: GrowthRule): number {
  let { workers, idle } = load
  const { queued } = load
  for (let step = growthStep(load, rule); step !== 0; step = growthStep({ workers, idle, queued }, rule)) {
    workers += step
    idle += step
  }
  return workers
}
