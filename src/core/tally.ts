/** Counts of the requests that were sent for one call: written by the layers of a store, read when the call has ended. */

/** What can be asked of a store, as it is billed. */
export type RequestKind = 'get' | 'head' | 'list' | 'put' | 'delete'

export interface RequestCounts {
  get: number
  head: number
  list: number
  put: number
  delete: number
  /** Of those: sent again because an earlier try failed, or for the rest of a body that broke. */
  retries: number
  /** Of those: second ones for reads that took too long. */
  hedges: number
  /** Answers that asked to slow down. */
  throttled: number
  /** Of object bodies. */
  bytesReceived: number
  bytesSent: number
}

export function emptyCounts(): RequestCounts {
  const requests = { get: 0, head: 0, list: 0, put: 0, delete: 0 }
  return { ...requests, retries: 0, hedges: 0, throttled: 0, bytesReceived: 0, bytesSent: 0 }
}

export function addCounts(total: RequestCounts, more: Readonly<RequestCounts>): void {
  for (const name of Object.keys(total) as (keyof RequestCounts)[]) total[name] += more[name]
}

/** Of each store in either, by the backend's name. */
export function sumOfCounts(
  a: Readonly<Record<string, Readonly<RequestCounts>>>,
  b: Readonly<Record<string, Readonly<RequestCounts>>>,
): Record<string, RequestCounts> {
  const sum: Record<string, RequestCounts> = {}
  for (const counts of [a, b]) {
    for (const [backend, more] of Object.entries(counts)) {
      sum[backend] ??= emptyCounts()
      addCounts(sum[backend], more)
    }
  }
  return sum
}

/** The counts of each store, by the backend's name. */
export class RequestTally {
  readonly #counts = new Map<string, RequestCounts>()

  of(backend: string): RequestCounts {
    const known = this.#counts.get(backend)
    if (known !== undefined) return known
    const fresh = emptyCounts()
    this.#counts.set(backend, fresh)
    return fresh
  }

  /** A copy; undefined where nothing was counted. */
  counts(): Record<string, RequestCounts> | undefined {
    if (this.#counts.size === 0) return undefined
    return Object.fromEntries([...this.#counts].map(([backend, counts]) => [backend, { ...counts }]))
  }
}
