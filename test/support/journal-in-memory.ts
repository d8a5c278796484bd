/** An empty store of journals in this process, and ends of calls to commit there. */
import type { CallEnd } from '../../src/job/commits.ts'
import type { JournalPlace } from '../../src/job/place.ts'
import type { WorkerStats } from '../../src/monitor/monitor.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { NO_STATS } from './no-stats.ts'

export const STATS: WorkerStats = { ...NO_STATS, startedAt: 1, endedAt: 2, runMs: 1, cpuMs: 1 }

/** Its bucket is `b`. */
export async function emptyPlace(): Promise<{ readonly memory: MemoryBackend; readonly place: JournalPlace }> {
  const memory = new MemoryBackend()
  await memory.createBucket('b')
  return { memory, place: { backend: memory, bucket: 'b' } }
}

export function callEnd(result: Uint8Array, attempt = 1): CallEnd {
  return { attempt, result, stats: STATS }
}
