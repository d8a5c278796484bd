/** A clock on which waiting takes no time; it keeps what was waited for. */
import type { Clock } from '../../src/core/clock.ts'

export function manualClock(): Clock & { readonly waits: number[] } {
  const waits: number[] = []
  return {
    waits,
    nowMs: () => waits.reduce((sum, ms) => sum + ms, 0),
    sleep: async (ms, signal) => {
      signal?.throwIfAborted()
      waits.push(ms)
    },
  }
}
