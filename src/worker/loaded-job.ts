/** What the calls of a job have in common, made ready once per worker. */
import { decodeValueWith } from '../functions/codec.ts'
import { loadFunction, loadingFunctions } from '../functions/load-function.ts'
import { decodeJob, type JobHead } from '../job/messages.ts'

export interface LoadedJob {
  readonly head: JobHead
  /** The user's function or reducer. Rejects when it cannot be loaded: that fails the calls, not the worker. */
  readonly target: Promise<unknown>
  /** Fresh for every call: what one call does to its arguments, the next does not see. */
  extraArgs(): readonly unknown[] | Promise<readonly unknown[]>
}

const NO_ARGUMENTS: readonly unknown[] = []

/** @throws Error when the bytes are of another protocol */
export function loadJob(shared: Uint8Array): LoadedJob {
  const { head, extraArgs } = decodeJob(shared)
  const target = loadFunction(head.fn)
  // told by the calls that await it
  target.catch(() => undefined)
  const decode = () => decodeValueWith(extraArgs, loadingFunctions) as readonly unknown[] | Promise<readonly unknown[]>
  const first = decode()
  if (first instanceof Promise) first.catch(() => undefined)
  const none = Array.isArray(first) && first.length === 0
  return { head, target, extraArgs: () => (none ? NO_ARGUMENTS : decode()) }
}
