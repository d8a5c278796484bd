/** A job as the scheduler takes it, from the settings of its options. */
import type { CallSettings, MapSettings } from '../config/options.ts'
import { decodeError } from '../functions/error-codec.ts'
import type { CallRetries } from './failure-policy.ts'
import { errorOf } from './outcome-error.ts'
import type { FailureReason, SchedulerJob } from './scheduler-protocol.ts'
import { DEFAULT_SPECULATION } from './stragglers.ts'

/** What of the options is the scheduler's affair. */
export type SchedulingSettings = CallSettings &
  Pick<MapSettings, 'chunksize' | 'failFast' | 'maxFailures' | 'speculate'>

export interface JobToSchedule {
  readonly id: string
  readonly kind: 'call' | 'map' | 'reduce'
  readonly calls: number
  readonly memoryMiB?: number | undefined
}

const BACKOFF_MS = 100
const MAX_BACKOFF_MS = 10_000

/** Failures are tolerated of maps only: what a failed reduce would have given is missing from the result. */
export function schedulerJob({ kind, ...job }: JobToSchedule, settings: SchedulingSettings): SchedulerJob {
  const { chunksize, timeoutMs, silenceTimeoutMs, failFast, speculate } = settings
  const own = { chunksize, timeoutMs, silenceTimeoutMs, failFast }
  const forMaps =
    kind === 'reduce' ? {} : { queueTimeoutMs: settings.queueTimeoutMs, maxFailures: settings.maxFailures }
  const backups = speculate === undefined ? undefined : { ...DEFAULT_SPECULATION, ...speculate }
  return { ...job, ...own, ...forMaps, speculate: backups, retries: retriesOf(job.id, settings.retries) }
}

function retriesOf(job: string, settings: CallSettings['retries']): CallRetries | undefined {
  if (settings === undefined || settings.retries === 0) return undefined
  const { retries, backoffMs = BACKOFF_MS, maxBackoffMs = MAX_BACKOFF_MS, retryIf, ...memoryAndBudget } = settings
  const pauses = { attempts: retries + 1, baseMs: backoffMs, maxMs: Math.max(backoffMs, maxBackoffMs) }
  if (retryIf === undefined) return { ...pauses, ...memoryAndBudget }
  const ask = (why: FailureReason, call: number, attempt: number) => retryIf(thrown(job, call, why), attempt)
  return { ...pauses, ...memoryAndBudget, retryIf: ask }
}

/** What the user's function threw, or the error that says what became of its worker. */
function thrown(job: string, call: number, why: FailureReason): Error {
  return why.by === 'function' ? decodeError(why.error) : errorOf(job, call, why, (map) => new Error(`map ${map}`))
}
