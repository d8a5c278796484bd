/** The retry layer over what can only be read: as readers get their stores, with a test's clock and policy. */
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { type RetryLayer, withRetry } from '../../src/storage/with-retry.ts'

export function patientReads(
  { name, reach, get }: Pick<StorageBackend, 'name' | 'reach' | 'get'>,
  layer: RetryLayer,
): StorageBackend {
  return withRetry({ ...layered(new MemoryBackend(), { get }), name, reach }, layer)
}
