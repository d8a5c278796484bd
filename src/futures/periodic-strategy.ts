/**
 * When a periodic function is called next: pure rules (futurist's), times in ms.
 *
 * - `last_started`: spacing after the start of the call before; at once when that took longer.
 * - `last_finished`: spacing after its end.
 * - `aligned_last_finished`: at the first whole multiple of spacing after its end.
 *
 * Each also `_jitter`: up to 5 % of spacing later, so that many workers do not act in step.
 */
const JITTER = 0.05

export const STRATEGIES = [
  'last_started',
  'last_started_jitter',
  'last_finished',
  'last_finished_jitter',
  'aligned_last_finished',
  'aligned_last_finished_jitter',
] as const

export type PeriodicStrategy = (typeof STRATEGIES)[number]

export interface CallTimes {
  readonly startedMs: number
  readonly finishedMs: number
}

/** `random` in [0, 1). */
export function nextCallMs(strategy: PeriodicStrategy, spacingMs: number, call: CallTimes, random: number): number {
  const jitterMs = strategy.endsWith('_jitter') ? random * JITTER * spacingMs : 0
  const { startedMs, finishedMs } = call
  if (strategy.startsWith('last_started')) return startedMs + spacingMs + jitterMs
  if (strategy.startsWith('last_finished')) return finishedMs + spacingMs + jitterMs
  return finishedMs - (finishedMs % spacingMs) + spacingMs + jitterMs
}
