/**
 * Public list of `quern/testing`: the contracts as suites for vitest, to be called in a test file of a backend, and a
 * layer that makes a store fail on purpose.
 */
export {
  type FaultKind,
  type FaultOptions,
  type FaultRequest,
  type FaultyStore,
  withFaults,
} from '../../src/storage/with-faults.ts'
export { type ComputeUnderTest, testComputeBackend } from './compute-backend.ts'
export { type Command, type CommandChannel, commandPayload, performCommand } from './compute-program.ts'
export { type ExecutorChoice, type ExecutorTraits, executorConformance, type MakeExecutor } from './executor.ts'
export { testMonitor } from './monitor.ts'
export { type StorageSuiteOptions, type StorageUnderTest, testStorageBackend } from './storage-backend.ts'
