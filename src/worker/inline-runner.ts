/** The worker's work done in this process, for src/compute/inline.ts. Output is not caught: it is this program's own. */

import type { BackendResolver } from '../storage/backend.ts'
import { type LoadedJob, loadJob } from './loaded-job.ts'
import { InvocationRun } from './run-invocation.ts'
import { workerServices } from './services.ts'

const JOBS_KEPT = 16

export interface InvocationChannel {
  report(bytes: Uint8Array): void
  onFeed(handler: (bytes: Uint8Array) => void): void
}

/** Runs payloads one by one or interleaved; keeps the last jobs loaded. */
export function inlineRunner(
  resolve: BackendResolver,
): (
  shared: { readonly id: string; readonly bytes: Uint8Array },
  payload: Uint8Array,
  channel: InvocationChannel,
) => Promise<void> {
  const services = workerServices(resolve)
  const jobs = new Map<string, LoadedJob>()
  return async (shared, payload, channel) => {
    const job = jobs.get(shared.id) ?? loadJob(shared.bytes)
    jobs.delete(shared.id)
    jobs.set(shared.id, job)
    if (jobs.size > JOBS_KEPT) jobs.delete(jobs.keys().next().value as string)
    const run = new InvocationRun(job, services, (bytes) => channel.report(bytes))
    channel.onFeed((bytes) => run.feed(bytes))
    await run.run(payload)
  }
}
