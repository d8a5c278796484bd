/** What requests cost: one table for the plan's estimate and for what a job really sent. */
import type { RequestCounts } from '../src/core/tally.ts'
import type { PriceTable } from './plan.ts'

/** Version 1 of the price table: Amazon S3 Standard, us-east-1, list prices of 2025; per 1,000 requests. */
export const DEFAULT_PRICES: PriceTable = {
  currency: 'USD',
  get: 0.0004,
  list: 0.005,
  put: 0.005,
  assumptions: 'requests only, at list prices of S3 Standard in us-east-1 (2025); no transfer, storage or compute',
}

const UNPRICED_BACKENDS: ReadonlySet<string> = new Set(['file', 'localhost', 'memory', 'minio', 'http'])

/** Whether requests to the store are billed one by one. */
export function isPriced(backend: string): boolean {
  return !UNPRICED_BACKENDS.has(backend)
}

/** What the requests cost, in the currency of the table; a HEAD is priced as a GET, a DELETE costs nothing. */
export function requestCost(
  requests: Partial<Pick<RequestCounts, 'get' | 'head' | 'list' | 'put'>>,
  prices: PriceTable = DEFAULT_PRICES,
): number {
  const { get = 0, head = 0, list = 0, put = 0 } = requests
  return ((get + head) * prices.get + list * prices.list + put * prices.put) / 1_000
}
