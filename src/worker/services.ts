/** What calls need from outside, made from a resolver: the composition roots bring the resolver. */
import type { BackendResolver } from '../storage/backend.ts'
import { Storage } from '../storage/storage.ts'
import type { WorkerServices } from './run-call.ts'

export function workerServices(resolve: BackendResolver): WorkerServices {
  return {
    resolveBackend: resolve,
    openStorage: ({ backend, bucket }) =>
      new Storage({ backend: () => resolve(backend), backendName: backend, bucket, resolve }),
  }
}
