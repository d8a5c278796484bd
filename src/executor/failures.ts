/** The failures of a job, one by one and as one error. */
import type { ByteRange } from '../core/bytes.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { CancelledError, JobError, type QuernError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import type { JobRun } from './job-run.ts'
import type { ResponseFuture } from './response-future.ts'

/** A call that failed; where it reads objects, of which, and the nominal range of its partition. */
export interface CallFailure {
  readonly jobId: string
  readonly callId: string
  readonly object?: CloudObject
  readonly range?: ByteRange
  readonly error: Error
}

/** The calls of a job that have failed, in the order in which their results would stand; cancelled ones are none. */
export function callFailures({ id, calls, launched }: JobRun): CallFailure[] {
  const failed: CallFailure[] = []
  for (const call of calls.order()) {
    const error = calls.table.error(call)
    if (error === undefined) continue
    const input = launched?.plan === undefined ? undefined : launched.inputOf(call)
    const partition = input?.type === 'partition' ? input.partition : undefined
    const where = partition === undefined ? {} : { object: partition.object, range: partition.range }
    failed.push({ jobId: id, callId: callId(call), ...where, error })
  }
  return failed
}

/**
 * One error for all of these calls that have failed, in order: JobError, or CancelledError when they were only
 * cancelled; undefined when none has. `callCount`: out of how many, where not all are given.
 */
export function failuresOf(
  jobId: string,
  futures: readonly ResponseFuture<unknown>[],
  callCount = futures.length,
): QuernError | undefined {
  const failures = futures.flatMap((future) => {
    const error = future.cancelled() ? undefined : future.snapshot().exception
    return error === undefined ? [] : [{ callId: future.callId, error }]
  })
  const cancelled = futures.filter((future) => future.cancelled())
  if (failures.length === 0) {
    const [first] = cancelled
    return first && new CancelledError(`call ${first.callId} of ${first.jobId} was cancelled`)
  }
  const shown = failures.slice(0, 3).map(({ error }) => error.message)
  const more = failures.length > shown.length ? `; and ${failures.length - shown.length} more` : ''
  const rest = cancelled.length > 0 ? ` (${cancelled.length} were cancelled)` : ''
  return new JobError(
    `${failures.length} of ${callCount} calls of ${jobId} failed${rest}: ${shown.join('; ')}${more}`,
    {
      jobId,
      errors: failures.map(({ error }) => error),
      failedCalls: failures.map(({ callId }) => callId),
      callCount,
    },
  )
}
