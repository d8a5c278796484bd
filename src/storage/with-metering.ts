/**
 * Layer: counts requests and bytes in the tally of the call they are sent for. Innermost, so that retries and hedges
 * are counted as the requests they are.
 *
 * A listing counts by its pages, a put that is larger than a part by its parts and what opens and ends it. Requests for
 * buckets are few and not counted.
 */
import type { ListOptions, ObjectHead, RequestOptions, StorageBackend } from './backend.ts'
import { isThrottled, layered } from './layer.ts'
import { observedBody } from './observed-body.ts'

/** As the stores here cut large puts. */
const PART_BYTES = 8 << 20
const KEYS_PER_DELETE = 1_000

/** The same store; requests that carry a tally are counted in it. */
export function withMetering(backend: StorageBackend): StorageBackend {
  const counting = async <T>(
    options: RequestOptions | undefined,
    kind: 'get' | 'head' | 'put' | 'delete',
    send: () => Promise<T>,
    requests = 1,
  ): Promise<T> => {
    const counts = options?.tally?.of(backend.name)
    if (counts === undefined) return send()
    counts[kind] += requests
    return send().catch((error) => {
      if (isThrottled(error)) counts.throttled += 1
      throw error
    })
  }
  return layered(backend, {
    get: async (bucket, key, options) => {
      const reading = await counting(options, 'get', () => backend.get(bucket, key, options))
      const counts = options?.tally?.of(backend.name)
      if (counts === undefined) return reading
      const body = observedBody(reading.body, (bytes) => {
        counts.bytesReceived += bytes
      })
      return { ...reading, body }
    },
    put: async (bucket, key, body, options) => {
      const counts = options?.tally?.of(backend.name)
      if (counts === undefined) return backend.put(bucket, key, body, options)
      const sentBefore = counts.bytesSent
      const counted = body instanceof Uint8Array ? body : observedBody(body, (bytes) => (counts.bytesSent += bytes))
      if (body instanceof Uint8Array) counts.bytesSent += body.length
      const head = await counting(options, 'put', () => backend.put(bucket, key, counted, options))
      counts.put += extraPutRequests(counts.bytesSent - sentBefore)
      return head
    },
    head: (bucket, key, options) => counting(options, 'head', () => backend.head(bucket, key, options)),
    list: (bucket, options) => countedPages(backend, bucket, options),
    delete: (bucket, keys, options) =>
      counting(
        options,
        'delete',
        () => backend.delete(bucket, keys, options),
        Math.ceil(keys.length / KEYS_PER_DELETE),
      ),
  })
}

async function* countedPages(
  backend: StorageBackend,
  bucket: string,
  options: ListOptions | undefined,
): AsyncGenerator<readonly ObjectHead[]> {
  const counts = options?.tally?.of(backend.name)
  // one that finds nothing was a request too
  let pages = 0
  try {
    for await (const page of backend.list(bucket, options)) {
      pages += 1
      yield page
    }
  } catch (error) {
    if (counts !== undefined && isThrottled(error)) counts.throttled += 1
    throw error
  } finally {
    if (counts !== undefined) counts.list += Math.max(1, pages)
  }
}

function extraPutRequests(bytes: number): number {
  return bytes <= PART_BYTES ? 0 : Math.ceil(bytes / PART_BYTES) + 1
}
