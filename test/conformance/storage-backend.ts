/**
 * The storage contract (src/storage/backend.ts) as tests. Every backend and every layer runs it; so can backends
 * outside this repository. What a backend claims is tested, what it does not claim must be refused.
 */
import { describe } from 'vitest'
import { type StorageSuiteOptions, type StorageUnderTest, storageBench } from './storage-bench.ts'
import { testKeys } from './storage-keys.ts'
import { testReads } from './storage-reads.ts'
import { testWrites } from './storage-writes.ts'

export type { StorageSuiteOptions, StorageUnderTest } from './storage-bench.ts'

/** @param create gives a backend and an empty bucket; called once a test */
export function testStorageBackend(
  name: string,
  create: () => Promise<StorageUnderTest>,
  options: StorageSuiteOptions = {},
): void {
  describe(`${name} keeps the storage contract`, () => {
    const bench = storageBench(create, options)
    testReads(bench)
    testWrites(bench)
    testKeys(bench)
  })
}
