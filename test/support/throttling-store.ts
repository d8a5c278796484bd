/** A store in virtual time that takes so many heads a second, refuses what is above, and answers after 20 to 60 ms. */
import { StorageError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { seededDraw } from '../../src/storage/seeded-draw.ts'
import type { VirtualClock } from './virtual-clock.ts'

export interface Answered {
  readonly atMs: number
  readonly ok: boolean
}

export function slowDown(retryAfterMs?: number): StorageError {
  return new StorageError('THROTTLED', 'SlowDown', {
    backend: 'memory',
    operation: 'head',
    status: 503,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

/** It takes at once what it would take in a tenth of a second, and one more. */
export function throttlingStore(
  perSecond: number,
  clock: VirtualClock,
): { readonly store: StorageBackend; readonly answers: readonly Answered[] } {
  const answers: Answered[] = []
  const most = perSecond * 0.1 + 1
  let tokens = most
  let at = 0
  const head: StorageBackend['head'] = async (_bucket, key) => {
    const latencyMs = 20 + seededDraw(1, `${answers.length}`) * 40
    await clock.sleep(latencyMs / 2)
    tokens = Math.min(most, tokens + ((clock.nowMs() - at) * perSecond) / 1_000)
    at = clock.nowMs()
    const ok = tokens >= 1
    if (ok) tokens -= 1
    answers.push({ atMs: at, ok })
    await clock.sleep(latencyMs / 2)
    if (!ok) throw slowDown()
    return { key, size: 0, etag: 'e' }
  }
  return { store: layered(new MemoryBackend(), { head }), answers }
}

/** Of what was asked between the two times: accepted as a share of what the store takes, refused as a share of all. */
export function settledShares(
  answers: readonly Answered[],
  perSecond: number,
  { fromMs, toMs }: { readonly fromMs: number; readonly toMs: number },
): { readonly accepted: number; readonly refused: number } {
  const settled = answers.filter(({ atMs }) => atMs > fromMs && atMs < toMs)
  const accepted = settled.filter(({ ok }) => ok).length
  return { accepted: accepted / ((toMs - fromMs) / 1_000) / perSecond, refused: 1 - accepted / settled.length }
}
