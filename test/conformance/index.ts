/** Public list of `quern/testing`: the contracts as suites for vitest. Call one in a test file of a backend. */
export { type ComputeUnderTest, testComputeBackend } from './compute-backend.ts'
export { type Command, type CommandChannel, commandPayload, performCommand } from './compute-program.ts'
export { testMonitor } from './monitor.ts'
export { type StorageSuiteOptions, type StorageUnderTest, testStorageBackend } from './storage-backend.ts'
