import { RejectedSubmission, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import type { CheckAndReject } from './executor.ts'

/**
 * For `checkAndReject`: refuses a task when so many wait already, besides those that run.
 * @throws ValidationError when `maxBacklog` is no whole number from 0
 */
export function rejectWhenReached(maxBacklog: number): CheckAndReject {
  if (!Number.isSafeInteger(maxBacklog) || maxBacklog < 0) {
    throw new ValidationError(`rejectWhenReached: expected a whole number from 0, got ${show(maxBacklog)}`)
  }
  return (_executor, backlog) => {
    if (backlog < maxBacklog) return
    throw new RejectedSubmission(`Current backlog ${backlog} is not allowed to go beyond ${maxBacklog}`)
  }
}
