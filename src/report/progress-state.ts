/** What is known of running jobs, gathered from executor events. Reads no clock: times are those of the events. */
import type { ExecutorEvent } from '../job/events.ts'

export interface JobProgress {
  readonly jobId: string
  readonly name: string
  readonly silent: boolean
  readonly createdAt: number
  /** What its calls are called: `call`. */
  readonly noun: string
  /** While objects are looked up: how many there are so far, and their bytes. */
  selecting: { readonly objects: number; readonly bytes: number } | undefined
  /** Undefined until the job is planned. */
  callCount: number | undefined
  /** Items are still being read: `callCount` is of those so far. */
  open: boolean
  /** Nominal bytes of all calls; 0 where the job reads no objects. */
  totalBytes: number
  succeeded: number
  failed: number
  cancelled: number
  /** Bytes read by calls that have ended. */
  endedBytes: number
  /** Bytes read so far, by running call. */
  readonly running: Map<number, number>
  startedAt: number | undefined
  endedAt: number | undefined
  outcome: 'succeeded' | 'failed' | 'cancelled' | undefined
}

export type JobsProgress = Map<string, JobProgress>

/** Takes an event into the account; the job it belongs to, undefined for events that tell nothing of progress. */
export function recordProgress(jobs: JobsProgress, event: ExecutorEvent, noun = 'call'): JobProgress | undefined {
  if (event.type === 'job-created') {
    const job = newJob(event, noun)
    jobs.set(event.jobId, job)
    return job
  }
  if (event.type === 'worker-output' || event.type === 'warning' || event.type === 'call-log') return undefined
  const job = jobs.get(event.jobId)
  if (job !== undefined) apply(job, event)
  return job
}

/** Calls that are over, however they ended. */
export function endedCalls(job: JobProgress): number {
  return job.succeeded + job.failed + job.cancelled
}

export function bytesRead(job: JobProgress): number {
  let bytes = job.endedBytes
  for (const running of job.running.values()) bytes += running
  return bytes
}

/** From 0 to 1: by bytes where the job reads objects, otherwise by calls; 0 until it is planned and all calls are known. */
export function fractionDone(job: JobProgress): number {
  if (job.callCount === undefined || job.open) return 0
  const calls = job.callCount === 0 ? 1 : endedCalls(job) / job.callCount
  if (calls >= 1 || job.totalBytes === 0) return calls
  return Math.min(1, bytesRead(job) / job.totalBytes)
}

type JobCreated = Extract<ExecutorEvent, { type: 'job-created' }>

function newJob({ jobId, name, silent, at }: JobCreated, noun: string): JobProgress {
  return {
    jobId,
    name,
    silent,
    createdAt: at,
    noun,
    selecting: undefined,
    callCount: undefined,
    open: false,
    totalBytes: 0,
    succeeded: 0,
    failed: 0,
    cancelled: 0,
    endedBytes: 0,
    running: new Map(),
    startedAt: undefined,
    endedAt: undefined,
    outcome: undefined,
  }
}

function apply(job: JobProgress, event: Exclude<ExecutorEvent, JobCreated>): void {
  switch (event.type) {
    case 'job-selecting':
      job.selecting = { objects: event.objects, bytes: event.bytes }
      break
    case 'job-planned':
      job.callCount = event.callCount
      job.open = event.open === true
      job.totalBytes = event.bytes
      break
    case 'job-extended':
      job.callCount = event.callCount
      job.open = event.open
      break
    case 'call-divided':
      job.callCount = event.callCount
      break
    case 'call-started':
      job.startedAt ??= event.at
      job.running.set(event.call, 0)
      break
    case 'call-progress':
      job.running.set(event.call, event.bytesRead)
      break
    case 'call-ended':
      job.running.delete(event.call)
      job.endedBytes += event.bytesRead
      job[event.outcome] += 1
      break
    case 'job-ended':
      job.endedAt = event.at
      job.outcome = event.outcome
      break
  }
}
