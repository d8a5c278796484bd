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
 *   was refused for certain. Puts of a stream are sent once, as it cannot be read twice.
 * - A bucket that never gave any answer gets few tries: its address is more likely wrong than down.
 */
import { DEFAULT_RETRY, nextPauseMs, RetryBudget, type RetryPolicy } from '../core/backoff.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { isTransient, ObjectChangedError, StorageError } from '../core/errors.ts'
import type {
  GetOptions,
  ListOptions,
  ObjectHead,
  ObjectReading,
  PutOptions,
  RequestOptions,
  StorageBackend,
} from './backend.ts'
import { isOutside, isThrottled, isUnsupported, layered } from './layer.ts'

export interface RetryLayer {
  readonly policy?: RetryPolicy | undefined
  /** Shared by all stores of a process; default: one of its own. */
  readonly budget?: RetryBudget | undefined
  /** Tries where no answer ever came from the bucket. Default 4, never more than the policy's. */
  readonly unreachedAttempts?: number | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1): the jitter. */
  readonly random?: (() => number) | undefined
}

/** A store that asks for more is not waited for. */
const MAX_RETRY_AFTER_MS = 120_000

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
      return { ...reading, body: resumed(backend, { bucket, key, options }, reading, tries) }
    },
    put: (bucket, key, body, options) => {
      const send = () => backend.put(bucket, key, body, options)
      if (!(body instanceof Uint8Array)) return patience.begin(bucket, options, () => false).send(send)
      return isConditional(options) ? carefully(bucket, options, send) : patiently(bucket, options, send)
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
  readonly #reached = new Set<string>()

  constructor(backend: string, layer: RetryLayer) {
    const { policy = DEFAULT_RETRY, budget = new RetryBudget(), clock = systemClock, random = Math.random } = layer
    this.backend = backend
    this.policy = policy
    this.budget = budget
    this.clock = clock
    this.random = random
    this.#unreachedAttempts = Math.min(policy.attempts, layer.unreachedAttempts ?? 4)
  }

  begin(bucket: string, options: RequestOptions | undefined, mayRepeat: (error: unknown) => boolean = isTransient) {
    this.budget.sent()
    return new Tries(this, bucket, options ?? {}, mayRepeat)
  }

  answered(bucket: string): void {
    this.#reached.add(bucket)
  }

  /** After so many failures, the first of them so long ago. */
  isUsedUp(bucket: string, failures: number, sinceMs: number): boolean {
    if (!this.#reached.has(bucket)) return failures >= this.#unreachedAttempts
    return failures >= this.policy.attempts && sinceMs >= (this.policy.leastMs ?? 0)
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
    if (!this.#mayRepeat(error)) throw error
    const nowMs = clock.nowMs()
    if (this.#failed === 0) this.#firstAtMs = nowMs
    this.#failed += 1
    const askedMs = error instanceof StorageError ? (error.retryAfterMs ?? 0) : 0
    const usedUp = this.#patience.isUsedUp(this.#bucket, this.#failed, nowMs - this.#firstAtMs)
    if (usedUp || askedMs > MAX_RETRY_AFTER_MS) throw error
    this.#pausedMs = nextPauseMs(policy, this.#pausedMs, random())
    // beside what was asked for the jitter stays: all who were told the same time would come together
    await clock.sleep(Math.max(askedMs + this.#pausedMs, budget.takeRetry(nowMs)), signal)
    if (tally !== undefined) tally.of(backend).retries += 1
  }
}

interface GetRequest {
  readonly bucket: string
  readonly key: string
  readonly options: GetOptions | undefined
}

async function* resumed(
  backend: StorageBackend,
  request: GetRequest,
  first: ObjectReading,
  tries: Tries,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { head, range } = first
  let { body } = first
  for (let at = range.start; ; ) {
    try {
      for await (const chunk of body) {
        at += chunk.length
        tries.progress()
        yield chunk
      }
      if (at >= range.end || head.sizeUnknown === true) return
      throw truncated(backend, request, at, range.end)
    } catch (error) {
      if (!isTransient(error) || !canGoOn(backend, head, at > range.start)) throw error
      await tries.pause(error)
      if (at === range.end) return
      body = await tries
        .send(() => reopened(backend, request, first, at))
        .catch((refusal) => {
          throw isUnsupported(refusal) ? error : refusal
        })
    }
  }
}

function canGoOn({ capabilities }: StorageBackend, head: ObjectHead, begun: boolean): boolean {
  if (!begun) return true
  return capabilities.pin !== 'none' && head.etag !== '' && head.sizeUnknown !== true && head.acceptsRanges !== false
}

/** The rest of the body, of the version its beginning came from. @throws ObjectChangedError */
async function reopened(
  backend: StorageBackend,
  { bucket, key, options }: GetRequest,
  { head, range }: ObjectReading,
  at: number,
): Promise<AsyncIterable<Uint8Array>> {
  const whole = options?.range === undefined && at === range.start
  const pin = head.etag === '' || backend.capabilities.pin === 'none' ? undefined : head.etag
  const rest = {
    ...options,
    ...(whole ? {} : { range: { start: at, end: range.end } }),
    ifMatch: options?.ifMatch ?? pin,
  }
  const changed = (what: string, cause?: unknown) =>
    new ObjectChangedError(what, { backend: backend.name, operation: 'get', bucket, key, cause })
  const next = await backend.get(bucket, key, rest).catch((error) => {
    throw isOutside(error) ? changed(`it no longer has the ${head.size} bytes it had`, error) : error
  })
  if (next.head.etag === head.etag && next.head.size === head.size && next.range.end === range.end) return next.body
  throw changed(`its body was to go on at byte ${at} of ${head.size}, etag ${head.etag}: now ${next.head.etag}`)
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

function isConditional(options: PutOptions | undefined): boolean {
  return options?.ifAbsent === true || options?.ifMatch !== undefined
}

/** The store was there to say it, whatever it said. */
function isAnswer(error: unknown): boolean {
  return error instanceof StorageError && (error.code !== 'UNAVAILABLE' || error.status !== undefined)
}

function truncated({ name }: StorageBackend, { bucket, key }: GetRequest, at: number, end: number): StorageError {
  const context = { backend: name, operation: 'get', bucket, key }
  return new StorageError('BODY_TRUNCATED', `the body ended at byte ${at} of ${end}`, context)
}
