/**
 * How many tasks travel to a worker at once: pure.
 *
 * One message a task keeps a worker waiting for the post most of the time, so tasks of a function that was measured
 * short travel together, and a second bundle is sent ahead. What is unknown or slow travels alone: nothing ever waits
 * behind a task while another worker is idle, but for about BUNDLE_MS of predicted work.
 *
 * The prediction is a decayed maximum: slowness is believed at once, shortness only as often as it is seen. A single
 * task that took a little longer than its siblings says nothing (a collection, another program's turn): below
 * HICCUP_MS the mean of its bundle counts.
 */
const BUNDLE_MS = 1
const HICCUP_MS = 8
const MAX_BUNDLE = 512
const GROWTH = 4
const DECAY = 0.5

/** What is known of one function. */
export interface Pace {
  /** Predicted time of one task in a worker; undefined before the first was measured. */
  readonly taskMs: number | undefined
  /** The largest bundle that may be tried next. */
  readonly limit: number
}

export const UNKNOWN_PACE: Pace = { taskMs: undefined, limit: 1 }

export interface Measured {
  readonly tasks: number
  readonly totalMs: number
  readonly longestMs: number
}

/** What is known after `measured` came in. */
export function observe(pace: Pace, { tasks, totalMs, longestMs }: Measured): Pace {
  if (tasks === 0) return pace
  const seen = longestMs > HICCUP_MS ? longestMs : totalMs / tasks
  const taskMs = Math.max(seen, (pace.taskMs ?? 0) * DECAY)
  const fits = Math.floor(BUNDLE_MS / taskMs)
  return { taskMs, limit: Math.max(1, Math.min(fits, pace.limit * GROWTH, MAX_BUNDLE)) }
}

/** Whether tasks of this pace may lie ahead in a worker that runs others of the kind. */
export function isShort({ taskMs }: Pace): boolean {
  return taskMs !== undefined && taskMs < BUNDLE_MS
}

/** Tasks of the next bundle: no more than an even share of what is queued, so that the last ones are spread. */
export function bundleSize(pace: Pace, queued: number, workers: number): number {
  return isShort(pace) ? Math.max(1, Math.min(pace.limit, Math.ceil(queued / workers))) : 1
}

/** Whether one more bundle may leave: one a worker, and one ahead for each that runs short ones. */
export function mayLeave(bundles: { readonly out: number; readonly short: number }, workers: number, pace: Pace) {
  if (bundles.out < workers) return true
  return isShort(pace) && bundles.out < workers + Math.ceil(bundles.short / 2)
}
