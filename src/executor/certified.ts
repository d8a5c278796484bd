/** The certificate of a job that has ended, from what its calls read. */
import { type Certificate, certify, type PartitionOutcome } from '../../partitioner/coverage.ts'
import type { ReadReport } from '../../partitioner/read.ts'
import { InvalidStateError } from '../core/errors.ts'
import type { LaunchedJob } from './launched-job.ts'

/** `errorOf`: why a call read nothing. @throws CoverageError when what was read does not tile every object */
export function certificateOf(
  { plan, divisions, pinOf }: LaunchedJob,
  reads: ReadonlyMap<number, ReadReport>,
  errorOf: (call: number) => string,
): Certificate {
  if (plan === undefined) throw new InvalidStateError('a job over items has no certificate')
  const outcomeOf = (call: number): PartitionOutcome => {
    const report = reads.get(call)
    if (report !== undefined) return { state: 'committed', report }
    const record = divisions?.quarantined.get(call)
    const error = errorOf(call)
    return record === undefined ? { state: 'failed', error } : { state: 'quarantined', error, range: record.range }
  }
  const pin = (object: Parameters<NonNullable<typeof pinOf>>[0]) => pinOf?.(object) ?? 'none'
  if (divisions === undefined)
    return certify(
      plan,
      plan.partitions.map((_, call) => outcomeOf(call)),
      pin,
    )
  return certify({ partitions: divisions.plan.partitions() }, divisions.plan.order().map(outcomeOf), pin)
}
