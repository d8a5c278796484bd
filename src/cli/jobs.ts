/** `quern jobs`: the jobs whose journals are kept, the youngest first. */
import type { Command } from 'commander'
import { formatDuration, formatSize } from '../core/sizes.ts'
import { type JobInfo, listJobs } from '../job/journal-list.ts'
import type { CliContext, ExitCode } from './context.ts'
import { formatTable } from './format-result.ts'
import { addJournalFlags, ageMs, type JournalFlags, openPlace } from './journals.ts'
import { writeText } from './output.ts'
import { printable } from './storage-ls.ts'
import { withStores } from './stores.ts'

export function addJobs(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program.command('jobs').description('list the jobs that are kept: state, age, size')
  addJournalFlags(command).action(async (flags: JournalFlags) => done(await jobs(flags, context)))
}

async function jobs(flags: JournalFlags, context: CliContext): Promise<ExitCode> {
  return withStores(flags, context, async (stores) => {
    const found = byAge(await listJobs(await openPlace(stores, flags)))
    const text = flags.json ? found.map((job) => JSON.stringify(job)).join('\n') : table(found, Date.now())
    if (text !== '') await writeText(context.stdout, `${text}\n`)
    return 0
  })
}

/** The youngest first; those of unknown age last. */
export function byAge(jobs: readonly JobInfo[]): JobInfo[] {
  return jobs.toSorted((a, b) => (b.createdAt ?? 0) - (a.createdAt ?? 0) || (a.name < b.name ? -1 : 1))
}

/** One row a job. */
export function table(jobs: readonly JobInfo[], nowMs: number): string {
  if (jobs.length === 0) return 'no jobs'
  const rows = jobs.map((job) => {
    const age = ageMs(job, nowMs)
    const { name, state, calls, committed, bytes, title = '', quarantined = 0 } = job
    return [
      ...[
        name,
        quarantined === 0 ? state : `${state}, ${quarantined} set aside`,
        `${committed}/${calls}`,
        age === undefined ? '?' : formatDuration(age),
        formatSize(bytes),
      ],
      printable(title),
    ]
  })
  return formatTable([['JOB', 'STATE', 'CALLS', 'AGE', 'SIZE', 'FUNCTIONS'], ...rows])
}
