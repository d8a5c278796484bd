/**
 * A worker, process or thread: takes what its pool sends and runs it. One invocation at a time, as the pool promises.
 *
 * An error nobody caught (thrown from a timer, a rejection without a handler) fails the call that runs; the worker is
 * then in no state to run another, and leaves.
 */
import { OwnMemory } from '../pool/own-memory.ts'
import {
  DROP,
  END,
  FEED,
  INVOKE,
  MEMORY,
  MESSAGE,
  NEWS,
  NO_BYTES,
  READY,
  RECYCLE,
  SHARED,
  START,
  TELL,
  USE,
} from '../pool/protocol.ts'
import { connectToParent } from '../pool/worker-side.ts'
import { captureOutput } from './captured-output.ts'
import { type LoadedJob, loadJob } from './loaded-job.ts'
import { RateClient } from './rate-client.ts'
import type { WorkerServices } from './run-call.ts'
import { InvocationRun } from './run-invocation.ts'
import { decodeStartup, type WorkerStartup } from './startup.ts'

/** Serves the pool until it closes the channel. `compose` makes what calls need from the start-up message. */
export function serveWorker(compose: (startup: WorkerStartup, rates: RateClient) => WorkerServices): void {
  const jobs = new Map<number, LoadedJob>()
  let services: WorkerServices | undefined
  let job: LoadedJob | undefined
  let run: InvocationRun | undefined
  let memory: OwnMemory | undefined
  const parent = connectToParent((type, id, payload) => {
    if (type === INVOKE) void invoke(id, payload)
    else if (type === FEED) run?.feed(payload)
    else if (type === SHARED) job = keep(jobs, id, payload)
    else if (type === USE) job = jobs.get(id)
    else if (type === DROP) jobs.delete(id)
    else if (type === TELL) rates.take(payload)
    else if (type === START) {
      services = begin(payload, (startup) => compose(startup, rates))
      memory = new OwnMemory(id, (heldMiB) => parent.send(MEMORY, heldMiB, NO_BYTES))
      parent.send(READY, 0, NO_BYTES)
    }
  })
  const rates = new RateClient((bytes) => parent.send(NEWS, 0, bytes))
  captureOutput(() => run?.running)
  const fatal = (error: unknown) => leave(error, run)
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)

  async function invoke(id: number, payload: Uint8Array): Promise<void> {
    if (services === undefined || job === undefined || memory === undefined)
      throw new Error('an invocation came before what it needs')
    const own = memory
    let spent = false
    const write = (bytes: Uint8Array) => {
      parent.send(MESSAGE, id, bytes)
      // a call's time-out counts from its start: the driver must hear of it while the call keeps this worker busy
      parent.flush()
    }
    run = new InvocationRun(job, services, write, (nowMs) => {
      spent = own.isSpent(nowMs)
      return spent
    })
    own.watch()
    await run.run(payload)
    own.unwatch()
    run = undefined
    parent.send(END, id, spent ? RECYCLE : NO_BYTES)
  }
}

function begin(payload: Uint8Array, compose: (startup: WorkerStartup) => WorkerServices): WorkerServices {
  const startup = decodeStartup(payload)
  process.argv[1] = startup.argv1
  return compose(startup)
}

function keep(jobs: Map<number, LoadedJob>, number: number, bytes: Uint8Array): LoadedJob {
  const job = loadJob(bytes)
  jobs.set(number, job)
  return job
}

function leave(error: unknown, run: InvocationRun | undefined): never {
  const running = run?.running
  if (running === undefined) process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  else running.fail(error)
  process.exit(1)
}
