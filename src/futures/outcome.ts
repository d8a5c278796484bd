/** What a task's end becomes in its future. */
import { ShutdownExecutorError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import type { Task } from './executor.ts'
import type { TaskFuture } from './task-future.ts'
import { isThenable } from './thenable.ts'

/** The error itself; anything else that was thrown as the `cause` of one. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`the task threw ${show(thrown)}`, { cause: thrown })
}

/** Of a future that `shutdown({ killWorkers: true })` ended. One for each: its stack is its own. */
export function killedByShutdown(): ShutdownExecutorError {
  return new ShutdownExecutorError('the executor was shut down with killWorkers before this task could complete')
}

/** @throws ValidationError for a task with something to move: here nothing leaves the program's memory */
export function requireNoTransfer({ transfer }: Task): void {
  if (transfer === undefined) return
  throw new ValidationError('submitWith options.transfer: nothing travels in this executor, so nothing can be moved')
}

/** Settles the future with what `run` gives or throws; a promise is awaited. It resolves when that is done, if it takes time. */
export function settleWith(future: TaskFuture<unknown>, run: () => unknown): Promise<void> | undefined {
  let value: unknown
  try {
    value = run()
  } catch (error) {
    if (!future.done()) future.setException(asError(error))
    return undefined
  }
  if (isThenable(value)) return settleLater(future, value)
  if (!future.done()) future.setResult(value)
  return undefined
}

async function settleLater(future: TaskFuture<unknown>, promise: PromiseLike<unknown>): Promise<void> {
  try {
    const value = await promise
    if (!future.done()) future.setResult(value)
  } catch (error) {
    if (!future.done()) future.setException(asError(error))
  }
}
