/** What the calls of a job have in common, made ready once per worker. */
import { decodeValueWith } from '../functions/codec.ts'
import { loadFunction, loadingFunctions } from '../functions/load-function.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import { decodeJob, type JobHead } from '../job/messages.ts'

export interface LoadedJob {
  readonly head: JobHead
  /** The user's function or reducer. Rejects when it cannot be loaded: that fails the calls, not the worker. */
  readonly target: Promise<unknown>
  /** What `target` gave, once it has. */
  readonly loaded: unknown
  /** Fresh for every call: what one call does to its arguments, the next does not see. */
  extraArgs(): readonly unknown[] | Promise<readonly unknown[]>
}

const NO_ARGUMENTS: readonly unknown[] = []

/** @throws Error when the bytes are of another protocol */
export function loadJob(shared: Uint8Array): LoadedJob {
  const { head, extraArgs } = decodeJob(shared)
  const target = loadTarget(head.fn)
  let none = false
  // decoded when a call asks: the function may bring the classes of what is in them
  const decode = () => {
    if (none) return NO_ARGUMENTS
    const args = decodeValueWith(extraArgs, loadingFunctions) as readonly unknown[] | Promise<readonly unknown[]>
    none = Array.isArray(args) && args.length === 0
    return args
  }
  const job = { head, target, loaded: undefined as unknown, extraArgs: decode }
  const keep = (loaded: unknown) => {
    job.loaded = loaded
  }
  // a failure is told by the calls that await it
  target.then(keep, () => undefined)
  return job
}

async function loadTarget(fn: ShippedFunction | ShippedBlob): Promise<unknown> {
  if (fn.kind !== 'blob') return loadFunction(fn)
  const { loadBlob } = await import('../functions/blob.ts')
  return loadBlob(Buffer.from(fn.bytes, 'base64'))
}
