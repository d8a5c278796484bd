import { createLocalhostCompute } from '../../src/compute/localhost.ts'
import { testComputeBackend } from '../conformance/compute-backend.ts'

const workerEntry = new URL('../conformance/compute-worker.ts', import.meta.url)

testComputeBackend(
  'threads',
  (options) => createLocalhostCompute({ ...options, workers: 'threads', workerEntry }),
  'threads',
)
