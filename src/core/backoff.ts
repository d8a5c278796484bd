/** When to try again: a policy as data and a pure rule (full jitter, after "Exponential Backoff And Jitter", AWS 2015). */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly attempts: number
  readonly baseMs: number
  readonly maxMs: number
}

export const DEFAULT_RETRY: RetryPolicy = { attempts: 5, baseMs: 50, maxMs: 5_000 }

/** Delay before try `attempt` (2 is the first retry); `random` in [0, 1). Undefined when the tries are used up. */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: number): number | undefined {
  if (attempt > policy.attempts) return undefined
  return random * Math.min(policy.maxMs, policy.baseMs * 2 ** (attempt - 2))
}
