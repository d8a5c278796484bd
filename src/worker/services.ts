/** What calls need from outside, made from a resolver: the composition roots bring the resolver. */
import { ReadAhead } from '../../partitioner/prefetch.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { Storage } from '../storage/storage.ts'
import { withTally } from '../storage/with-tally.ts'
import type { WorkerServices } from './run-call.ts'

/** Requests ahead of what is read, over all readers: with 8 MiB each, what a machine of one worker a core can hold. */
const READ_AHEAD_REQUESTS = 16

export function workerServices(resolve: BackendResolver): WorkerServices {
  return {
    resolveBackend: resolve,
    readAhead: new ReadAhead(READ_AHEAD_REQUESTS),
    openStorage: ({ backend, bucket }, tally) => {
      const counted: BackendResolver = async (name) => withTally(await resolve(name), tally())
      return new Storage({ backend: () => counted(backend), backendName: backend, bucket, resolve: counted })
    },
  }
}
