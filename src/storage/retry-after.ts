/** How long a server asks to be left alone, by its Retry-After header: seconds, or a date. */
export function retryAfter(header: unknown, nowMs: number = Date.now()): { readonly retryAfterMs?: number } {
  if (typeof header !== 'string') return {}
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - nowMs
  return Number.isFinite(ms) && ms > 0 ? { retryAfterMs: ms } : {}
}
