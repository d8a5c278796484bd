/**
 * Layer: sends a request again while its failure may pass (`isTransient`), by a RetryPolicy. Same contract, same suite.
 *
 * - A listing goes on after the last key it gave. A body is begun again only before its first byte is delivered: what
 *   breaks later is resumed by whoever knows the offset (partitioner/ranged).
 * - Conditional puts and puts of a stream are sent once: the first may have been done although its answer was lost, the
 *   second cannot be read twice.
 */
import { DEFAULT_RETRY, type RetryPolicy, retryDelayMs } from '../core/backoff.ts'
import { type Clock, systemClock } from '../core/clock.ts'
import { isTransient } from '../core/errors.ts'
import type { ListOptions, ObjectHead, PutOptions, StorageBackend } from './backend.ts'

export interface RetryLayer {
  readonly policy?: RetryPolicy | undefined
  readonly clock?: Clock | undefined
  /** In [0, 1): the jitter. */
  readonly random?: (() => number) | undefined
}

/** The same store, patient. */
export function withRetry(backend: StorageBackend, layer: RetryLayer = {}): StorageBackend {
  const { policy = DEFAULT_RETRY, clock = systemClock, random = Math.random } = layer
  const pause = async (error: unknown, attempt: number, signal: AbortSignal | undefined): Promise<void> => {
    const delayMs = isTransient(error) ? retryDelayMs(policy, attempt + 1, random()) : undefined
    if (delayMs === undefined) throw error
    await clock.sleep(delayMs, signal)
  }
  const patiently = async <T>(send: () => Promise<T>, signal?: AbortSignal): Promise<T> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return await send()
      } catch (error) {
        await pause(error, attempt, signal)
      }
    }
  }
  async function* list(bucket: string, options: ListOptions = {}): AsyncGenerator<readonly ObjectHead[]> {
    let { startAfter } = options
    for (let attempt = 1; ; attempt++) {
      try {
        for await (const page of backend.list(bucket, { ...options, startAfter })) {
          startAfter = page.at(-1)?.key ?? startAfter
          attempt = 1
          yield page
        }
        return
      } catch (error) {
        await pause(error, attempt, options.signal)
      }
    }
  }
  return {
    name: backend.name,
    reach: backend.reach,
    capabilities: backend.capabilities,
    get: (bucket, key, options) => patiently(() => backend.get(bucket, key, options), options?.signal),
    put: (bucket, key, body, options) => {
      const send = () => backend.put(bucket, key, body, options)
      return isRepeatable(body, options) ? patiently(send, options?.signal) : send()
    },
    head: (bucket, key, options) => patiently(() => backend.head(bucket, key, options), options?.signal),
    list,
    delete: (bucket, keys, options) => patiently(() => backend.delete(bucket, keys, options), options?.signal),
    headBucket: (bucket) => patiently(() => backend.headBucket(bucket)),
    createBucket: (bucket) => patiently(() => backend.createBucket(bucket)),
    deleteBucket: (bucket) => backend.deleteBucket(bucket),
    close: () => backend.close(),
  }
}

function isRepeatable(body: Uint8Array | AsyncIterable<Uint8Array>, options: PutOptions | undefined): boolean {
  return body instanceof Uint8Array && options?.ifAbsent !== true && options?.ifMatch === undefined
}
