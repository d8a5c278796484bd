import { CancelledError, JobError, type QuernError } from '../core/errors.ts'
import type { ResponseFuture } from './response-future.ts'

/**
 * One error for all of these calls that have failed or were cancelled, in order: JobError, or CancelledError when they
 * were only cancelled; undefined when none has.
 */
export function failuresOf(jobId: string, futures: readonly ResponseFuture<unknown>[]): QuernError | undefined {
  const failures = futures.flatMap((future) => {
    const error = future.cancelled()
      ? new CancelledError(`call ${future.callId} of ${future.jobId} was cancelled`)
      : future.snapshot().exception
    return error === undefined ? [] : [{ callId: future.callId, error }]
  })
  if (failures.length === 0) return undefined
  if (failures.every(({ error }) => error instanceof CancelledError)) return failures[0]?.error as CancelledError
  const shown = failures.slice(0, 3).map(({ error }) => error.message)
  const more = failures.length > shown.length ? `; and ${failures.length - shown.length} more` : ''
  return new JobError(`${failures.length} of ${futures.length} calls of ${jobId} failed: ${shown.join('; ')}${more}`, {
    jobId,
    errors: failures.map(({ error }) => error),
    failedCalls: failures.map(({ callId }) => callId),
    callCount: futures.length,
  })
}
