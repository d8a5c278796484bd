/**
 * Composition root of a worker process. Its imports decide how long a worker takes to start: backends and the reader of
 * partitions are loaded when a call needs them.
 */
import type { OpenSections } from '../backends.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { workerServices } from '../worker/services.ts'
import { serveWorker } from '../worker/worker-loop.ts'

serveWorker(({ config, workersOfProcess }, rates) => {
  let backends: Promise<{ readonly resolve: BackendResolver }> | undefined
  const connect = async () =>
    (await import('../backends.ts')).createBackends(config as OpenSections, { rates, workersOfProcess, reached: true })
  return workerServices(async (name) => {
    backends ??= connect()
    return (await backends).resolve(name)
  }, workersOfProcess)
})
