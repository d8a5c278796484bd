/** What a failed call leads to: another try, when and with how much memory; and how many failures a job survives. Pure. */
import { type RetryPolicy, retryDelayMs } from '../core/backoff.ts'
import type { FailureReason } from './scheduler-protocol.ts'

/** `attempts` counts failures: a call has failed for good when so many of its tries have. */
export interface CallRetries extends RetryPolicy {
  /** Whether a failure is worth another try; `attempt` is the try that failed. Absent: every one. */
  retryIf?(why: FailureReason, call: number, attempt: number): boolean
  /** The next try after an out-of-memory has so many times the memory. Default 2. */
  readonly memoryFactor?: number | undefined
  /** What memory grows to, MiB. */
  readonly maxMemoryMiB?: number | undefined
  /** Retries allowed in the whole job. */
  readonly budget?: number | undefined
}

/** Failed calls allowed: so many, or so many percent of the job's calls, rounded down. */
export type FailureTolerance = { readonly count: number } | { readonly percent: number }

export interface FailedTry {
  readonly why: FailureReason
  readonly call: number
  /** The try that failed last. */
  readonly attempt: number
  /** Tries of this call that have failed. */
  readonly failures: number
  /** Retries of the whole job so far. */
  readonly retriesSpent: number
}

const MEMORY_FACTOR = 2

/** How long to wait before the next try; undefined where there is none. `random` in [0, 1). @throws what `retryIf` throws */
export function retryAfterMs(policy: CallRetries | undefined, failed: FailedTry, random: number): number | undefined {
  if (policy === undefined || !mayPass(failed.why)) return undefined
  if (failed.retriesSpent >= (policy.budget ?? Number.POSITIVE_INFINITY)) return undefined
  const delayMs = retryDelayMs(policy, failed.failures + 1, random)
  if (delayMs === undefined || policy.retryIf?.(failed.why, failed.call, failed.attempt) === false) return undefined
  return delayMs
}

/** Memory of the next try, MiB, after one with `currentMiB`; undefined: as before. */
export function nextMemoryMiB(
  { memoryFactor = MEMORY_FACTOR, maxMemoryMiB = Number.POSITIVE_INFINITY }: Partial<CallRetries>,
  why: FailureReason,
  currentMiB: number | undefined,
): number | undefined {
  if (why.by !== 'death' || why.death?.reason !== 'outOfMemory') return undefined
  const hadMiB = currentMiB ?? why.death.memoryLimitMiB
  if (hadMiB === undefined) return undefined
  const nextMiB = Math.min(maxMemoryMiB, Math.ceil(hadMiB * memoryFactor))
  return nextMiB > hadMiB ? nextMiB : undefined
}

/** How many of so many calls may fail; the slack keeps 0.07 % of 10,000 at 7 where floating point says 6.999999999999999. */
export function allowedFailures(tolerance: FailureTolerance, calls: number): number {
  return 'count' in tolerance ? tolerance.count : Math.floor((tolerance.percent * calls) / 100 + 1e-9)
}

/** What another try cannot change: inputs that are not there, a queue that was too long, an executor that closes. */
function mayPass(why: FailureReason): boolean {
  if (why.by === 'death') return why.death?.reason !== 'closed'
  return why.by === 'function' || why.by === 'timeout' || why.by === 'silence'
}
