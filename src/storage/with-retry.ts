/**
 * Layer: sends a request again while its failure may pass (`isTransient`). The one place where quern retries requests:
 * readers above it never do.
 *
 * - Pauses grow with decorrelated jitter, last at least as long as the store asked for (Retry-After), and are drawn
 *   from a budget that the stores of a process share, so a storm of retries dies down.
 * - A body that breaks, or ends before its length, goes on from its offset, held to the version its first bytes came
 *   from. Where the store cannot hold it, it is begun again only if nothing of it was delivered. Any progress starts
 *   the count of tries again.
 * - A listing goes on after the last key it gave.
 * - What must not happen twice (conditional puts, removing a bucket) is sent again only after THROTTLED: then the first
 *   was refused for certain. A stream cannot be read twice: of its put, the parts are repeated, by the backend.
 * - When a store is given up depends on what is wrong (`Patience`): a bucket that never gave any answer, a name that
 *   nobody knows and a certificate that does not hold get few tries, a server that refuses connections the time that one
 *   takes to start again, what is slow or busy longer. What no waiting mends (404, 403) is never tried again.
 */
import { DEFAULT_RETRY, nextPauseMs, RetryBudget, type RetryPolicy } from '../core/backoff.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { isTransient, StorageError } from '../core/errors.ts'
import type { ListOptions, ObjectHead, Patiently, PutOptions, RequestOptions, StorageBackend } from './backend.ts'
import { isThrottled, layered } from './layer.ts'
import { ResumedBody } from './resumed-body.ts'

export interface RetryLayer {
  readonly policy?: RetryPolicy | undefined
  /** Shared by all stores of a process; default: one of its own. */
  readonly budget?: RetryBudget | undefined
  /** Tries where no answer ever came from the bucket. Default 4, never more than the policy's. */
  readonly unreachedAttempts?: number | undefined
  /** Every bucket counts as one that gave an answer: to the process this one works for it did. */
  readonly reached?: boolean | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1): the jitter. */
  readonly random?: (() => number) | undefined
}

/** A store that asks for more is not waited for. */
const MAX_RETRY_AFTER_MS = 120_000
/** How long a server that gave answers before may refuse connections: longer than one takes to start again. */
const REFUSED_MS = 30_000
/** The system's and Node's names for names nobody knows, and for certificates that do not hold. */
const WRONG_ADDRESS = /^(ENOTFOUND|ERR_TLS_.*|CERT_.*|.*_CERT|.*_CERT_.*|UNABLE_TO_VERIFY_.*|EPROTO|ERR_SSL_.*)$/

/** The same store, patient. */
export function withRetry(backend: StorageBackend, layer: RetryLayer = {}): StorageBackend {
  const patience = new Patience(backend.name, layer)
  const patiently = <T>(bucket: string, options: RequestOptions | undefined, send: () => Promise<T>) =>
    patience.begin(bucket, options).send(send)
  const carefully = <T>(bucket: string, options: RequestOptions | undefined, send: () => Promise<T>) =>
    patience.begin(bucket, options, isThrottled).send(send)
  return layered(backend, {
    get: async (bucket, key, options) => {
      const tries = patience.begin(bucket, options)
      const reading = await tries.send(() => backend.get(bucket, key, options))
      return { ...reading, body: new ResumedBody({ backend, bucket, key, options }, reading, tries) }
    },
    put: (bucket, key, body, options) => {
      if (isConditional(options)) {
        const send = () => backend.put(bucket, key, body, options)
        return body instanceof Uint8Array
          ? carefully(bucket, options, send)
          : patience.begin(bucket, options, never).send(send)
      }
      const parts: Patiently = (send, signal) => patience.begin(bucket, { ...options, signal }).send(send)
      const send = () => backend.put(bucket, key, body, { ...options, patiently: parts })
      return body instanceof Uint8Array
        ? patiently(bucket, options, send)
        : patience.begin(bucket, options, never).send(send)
    },
    head: (bucket, key, options) => patiently(bucket, options, () => backend.head(bucket, key, options)),
    list: (bucket, options) => listed(backend, bucket, options, patience),
    delete: (bucket, keys, options) => patiently(bucket, options, () => backend.delete(bucket, keys, options)),
    headBucket: (bucket) => patiently(bucket, undefined, () => backend.headBucket(bucket)),
    createBucket: (bucket) => patiently(bucket, undefined, () => backend.createBucket(bucket)),
    deleteBucket: (bucket) => carefully(bucket, undefined, () => backend.deleteBucket(bucket)),
  })
}

/** What the requests of one store share. */
class Patience {
  readonly backend: string
  readonly policy: RetryPolicy
  readonly budget: RetryBudget
  readonly clock: Clock
  readonly random: () => number
  readonly #unreachedAttempts: number
  readonly #allReached: boolean
  readonly #reached = new Set<string>()
  readonly #givenUp = new WeakSet<object>()

  constructor(backend: string, layer: RetryLayer) {
    const { policy = DEFAULT_RETRY, budget = new RetryBudget(), clock = systemClock, random = Math.random } = layer
    this.backend = backend
    this.policy = policy
    this.budget = budget
    this.clock = clock
    this.random = random
    this.#allReached = layer.reached === true
    this.#unreachedAttempts = Math.min(policy.attempts, layer.unreachedAttempts ?? 4)
  }

  begin(bucket: string, options: RequestOptions | undefined, mayRepeat: (error: unknown) => boolean = isTransient) {
    this.budget.sent()
    return new Tries(this, bucket, options ?? {}, mayRepeat)
  }

  /** A part of a put that was tried to the end is no reason to try the whole again. */
  hasGivenUp(error: unknown): boolean {
    return this.#givenUp.has(error as object)
  }

  givingUp(error: unknown): unknown {
    if (error instanceof Error) this.#givenUp.add(error)
    return error
  }

  answered(bucket: string): void {
    this.#reached.add(bucket)
  }

  /** After so many failures, the first of them so long ago, the last with this error. */
  isUsedUp(bucket: string, error: unknown, failures: number, sinceMs: number): boolean {
    const code = networkCode(error)
    const reached = this.#allReached || this.#reached.has(bucket)
    if (!reached || WRONG_ADDRESS.test(code)) return failures >= this.#unreachedAttempts
    const { attempts, leastMs = 0, mostMs = Number.POSITIVE_INFINITY } = this.policy
    if (sinceMs >= mostMs) return true
    return failures >= attempts && sinceMs >= (code === 'ECONNREFUSED' ? Math.min(leastMs, REFUSED_MS) : leastMs)
  }
}

/** The tries of one request. */
class Tries {
  readonly #patience: Patience
  readonly #bucket: string
  readonly #options: RequestOptions
  readonly #mayRepeat: (error: unknown) => boolean
  #failed = 0
  #firstAtMs = 0
  #pausedMs = 0

  constructor(patience: Patience, bucket: string, options: RequestOptions, mayRepeat: (error: unknown) => boolean) {
    this.#patience = patience
    this.#bucket = bucket
    this.#options = options
    this.#mayRepeat = mayRepeat
  }

  async send<T>(request: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const answer = await request()
        this.#patience.answered(this.#bucket)
        return answer
      } catch (error) {
        await this.pause(error)
      }
    }
  }

  /** What came so far was worth it: the next failure is the first one. */
  progress(): void {
    this.#failed = 0
    this.#pausedMs = 0
  }

  /** Waits until the request may be sent again. @throws the error when it may not */
  async pause(error: unknown): Promise<void> {
    const { policy, budget, clock, random, backend } = this.#patience
    const { signal, tally } = this.#options
    if (isAnswer(error)) this.#patience.answered(this.#bucket)
    if (!this.#mayRepeat(error) || this.#patience.hasGivenUp(error)) throw error
    const nowMs = clock.nowMs()
    if (this.#failed === 0) this.#firstAtMs = nowMs
    this.#failed += 1
    const askedMs = error instanceof StorageError ? (error.retryAfterMs ?? 0) : 0
    const usedUp = this.#patience.isUsedUp(this.#bucket, error, this.#failed, nowMs - this.#firstAtMs)
    if (usedUp || askedMs > MAX_RETRY_AFTER_MS) throw this.#patience.givingUp(error)
    this.#pausedMs = nextPauseMs(policy, this.#pausedMs, random())
    // beside what was asked for the jitter stays: all who were told the same time would come together
    await clock.sleep(Math.max(askedMs + this.#pausedMs, budget.takeRetry(nowMs)), signal)
    if (tally !== undefined) tally.of(backend).retries += 1
  }
}

async function* listed(
  backend: StorageBackend,
  bucket: string,
  options: ListOptions = {},
  patience: Patience,
): AsyncGenerator<readonly ObjectHead[]> {
  const tries = patience.begin(bucket, options)
  for (let { startAfter } = options; ; ) {
    try {
      for await (const page of backend.list(bucket, { ...options, startAfter })) {
        startAfter = page.at(-1)?.key ?? startAfter
        tries.progress()
        yield page
      }
      return
    } catch (error) {
      await tries.pause(error)
    }
  }
}

const never = (): boolean => false

/** What the network said, where no answer came; else nothing. */
function networkCode(error: unknown): string {
  if (isAnswer(error) || !(error instanceof Error)) return ''
  const { code = '' } = (error.cause ?? {}) as { readonly code?: unknown }
  return typeof code === 'string' ? code : ''
}

function isConditional(options: PutOptions | undefined): boolean {
  return options?.ifAbsent === true || options?.ifMatch !== undefined
}

/** The store was there to say it, whatever it said. */
function isAnswer(error: unknown): boolean {
  return error instanceof StorageError && (error.code !== 'UNAVAILABLE' || error.status !== undefined)
}
