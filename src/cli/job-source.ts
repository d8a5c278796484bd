/** What the flags of `run` and `plan` select: references, an inventory or a key list; else what the job file says. */
import { inventory, isObjectSelection, keyList, type ObjectSelection, objects } from '../../partitioner/select.ts'
import { UsageError } from './failures.ts'
import type { JobFile } from './job-file.ts'
import { type JobFlags, sourceFlags } from './job-flags.ts'

/** Undefined where nothing says it. @throws UsageError for flags that contradict each other */
export function selectionOf(flags: JobFlags, input: JobFile['input'] | undefined): ObjectSelection | undefined {
  const given = sourceFlags(flags)
  if (given.length > 1) throw new UsageError(`${given.join(' and ')} each say what is read: give one of them`)
  if (flags.keyBase !== undefined && flags.keyList === undefined) throw new UsageError('--key-base needs --key-list')
  const check = flags.checkHeads === true ? ('head' as const) : undefined
  if (check !== undefined && flags.inventory === undefined && flags.keyList === undefined) {
    throw new UsageError('--check-heads needs --inventory or --key-list')
  }
  if (flags.inventory !== undefined) return inventory(flags.inventory, { check })
  if (flags.keyList !== undefined) return keyList(flags.keyList, { base: flags.keyBase, check })
  const references = flags.input ?? input
  return references === undefined || isObjectSelection(references) ? references : objects(references)
}
