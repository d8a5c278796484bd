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

/** Prices that were given for some stores, by the names of their backends; in the currency of the table they amend. */
export type StorePrices = Readonly<Record<string, Partial<Pick<PriceTable, 'get' | 'list' | 'put' | 'gib'>>>>

const UNPRICED_BACKENDS: ReadonlySet<string> = new Set(['file', 'localhost', 'memory', 'minio', 'http'])
const FREE = { get: 0, list: 0, put: 0 }
const GIB = 2 ** 30

/** The prices of a store; undefined where it bills nothing by the request and none are given. What is not given is as in `table`. */
export function pricesOf(
  backend: string,
  given: StorePrices = {},
  table: PriceTable = DEFAULT_PRICES,
): PriceTable | undefined {
  const own = given[backend]
  const isPriced = !UNPRICED_BACKENDS.has(backend)
  if (own === undefined) return isPriced ? table : undefined
  return { ...table, ...(isPriced ? {} : FREE), ...own }
}

/** What the requests cost, in the currency of the table; a HEAD is priced as a GET, a DELETE costs nothing. */
export function requestCost(
  requests: Partial<Pick<RequestCounts, 'get' | 'head' | 'list' | 'put' | 'bytesReceived'>>,
  prices: PriceTable = DEFAULT_PRICES,
): number {
  const { get = 0, head = 0, list = 0, put = 0, bytesReceived = 0 } = requests
  const sent = ((get + head) * prices.get + list * prices.list + put * prices.put) / 1_000
  return sent + (bytesReceived / GIB) * (prices.gib ?? 0)
}
