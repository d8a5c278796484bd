/** When to try again: policies as data and pure rules (after "Exponential Backoff And Jitter", AWS 2015). */
export interface RetryPolicy {
  /** Tries in all, the first included. */
  readonly attempts: number
  readonly baseMs: number
  readonly maxMs: number
  /** Storage: tries go on for at least so long after the first failure, however many there were. */
  readonly leastMs?: number
  /** Storage: and no longer than so long, however few there were. */
  readonly mostMs?: number
}

/** Longer than a server takes to start again. */
export const DEFAULT_RETRY: RetryPolicy = { attempts: 10, baseMs: 50, maxMs: 10_000, leastMs: 45_000, mostMs: 180_000 }

/** Full jitter: delay before try `attempt` (2 is the first retry); `random` in [0, 1). Undefined when the tries are used up. */
export function retryDelayMs(policy: RetryPolicy, attempt: number, random: number): number | undefined {
  if (attempt > policy.attempts) return undefined
  return random * Math.min(policy.maxMs, policy.baseMs * 2 ** (attempt - 2))
}

/**
 * Decorrelated jitter that never shrinks: the pause after one of `previousMs` (0: the first), so that clients which
 * failed together come back apart. `random` in [0, 1).
 */
export function nextPauseMs(policy: RetryPolicy, previousMs: number, random: number): number {
  const least = Math.max(policy.baseMs, previousMs)
  return Math.min(policy.maxMs, least + random * 2 * least)
}

export interface RetryBudgetOptions {
  /** Retries a request allows for. Default 0.5. */
  readonly ratio?: number
  /** Retries a second that are allowed however few requests there are. Default 10. */
  readonly perSecond?: number
  /** What may be saved up. Default 100. */
  readonly burst?: number
  /** Budgets that have the last two between them, as the threads of a process have. Default 1. */
  readonly sharers?: number
}

/**
 * How many retries a process may send: a share of its requests, and a trickle. Where that is used up a retry has to
 * wait, so a store in trouble sees less of us, not more, and no request is given up for it. Pure: time is an argument.
 */
export class RetryBudget {
  readonly #ratio: number
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #atMs: number | undefined

  constructor({ ratio = 0.5, perSecond = 10, burst = 100, sharers = 1 }: RetryBudgetOptions = {}) {
    this.#ratio = ratio
    this.#perMs = perSecond / 1_000 / sharers
    this.#burst = burst / sharers
    this.#tokens = burst / sharers
  }

  /** A request is sent for the first time. */
  sent(): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + this.#ratio)
  }

  /** Takes a retry; how many ms it has to wait. */
  takeRetry(nowMs: number): number {
    const sinceMs = Math.max(0, nowMs - (this.#atMs ?? nowMs))
    this.#atMs = nowMs
    this.#tokens = Math.min(this.#burst, this.#tokens + sinceMs * this.#perMs) - 1
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#perMs
  }
}
