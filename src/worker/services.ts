/** What calls need from outside, made from a resolver: the composition roots bring the resolver. */
import { ReadAhead } from '../../partitioner/prefetch.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { Storage } from '../storage/storage.ts'
import { withTally } from '../storage/with-tally.ts'
import { MemoryMeter } from './measure.ts'
import type { WorkerServices } from './run-call.ts'

/** Requests ahead of what is read, over all readers: with 8 MiB each, what a machine of one worker a core can hold. */
const READ_AHEAD_REQUESTS = 16

/** `workersOfProcess`: threads of one process read ahead together no more than a process of one worker does. */
export function workerServices(resolve: BackendResolver, workersOfProcess = 1): WorkerServices {
  let began = false
  return {
    resolveBackend: resolve,
    memory: new MemoryMeter(),
    isFirstCall() {
      const first = !began
      began = true
      return first
    },
    readAhead: new ReadAhead(Math.max(1, Math.floor(READ_AHEAD_REQUESTS / workersOfProcess))),
    openStorage: ({ backend, bucket }, tally, session) => {
      const counted: BackendResolver = async (name) => withTally(await resolve(name), tally())
      return new Storage({ backend: () => counted(backend), backendName: backend, bucket, resolve: counted, session })
    },
  }
}
