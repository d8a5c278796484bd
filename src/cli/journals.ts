/** Where the commands on jobs look for them: the bucket of the configured storage, or the one that is named. */
import type { Command } from 'commander'
import type { JobInfo } from '../job/journal-list.ts'
import type { JournalPlace } from '../job/place.ts'
import type { CliStores } from './context.ts'
import { UsageError } from './failures.ts'
import { locateDestination } from './storage-references.ts'

export interface JournalFlags {
  readonly config?: string
  readonly json?: boolean
  readonly journal?: string
}

export function addJournalFlags(command: Command): Command {
  return command
    .option('--journal <url>', 'the bucket to look in, where it is not that of the configured storage: s3://bucket')
    .option('--config <file>', 'configuration file')
    .option('--json', 'print JSON')
}

/** @throws UsageError for a URL of no bucket, ConfigError */
export async function openPlace({ config, resolve }: CliStores, flags: JournalFlags): Promise<JournalPlace> {
  if (flags.journal === undefined) {
    const { storage, storageBucket = '' } = config
    if (storageBucket !== '') return { backend: await resolve(storage), bucket: storageBucket }
    throw new UsageError(
      `the configured storage ${storage} has no storage_bucket: say where jobs are kept with --journal`,
    )
  }
  const { backend, bucket, key } = locateDestination(flags.journal, '/')
  if (key === '' && backend !== 'file') return { backend: await resolve(backend), bucket }
  throw new UsageError(`--journal ${flags.journal}: expected the URL of a bucket, such as s3://bucket`)
}

/** Since its job was made, ms; undefined where the journal does not say. */
export function ageMs({ createdAt }: JobInfo, nowMs: number): number | undefined {
  return createdAt === undefined ? undefined : Math.max(0, nowMs - createdAt)
}
