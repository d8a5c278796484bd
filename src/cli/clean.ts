/**
 * `quern clean`: deletes journals of jobs. Those that are named, or those that succeeded; `--all`: those that failed or were
 * interrupted too. Never one that runs. More than one is deleted only after it was confirmed, by who sits there or `--yes`.
 */
import { type Command, InvalidArgumentError } from 'commander'
import { InvalidStateError, NotFoundError } from '../core/errors.ts'
import { formatSize, parseDuration } from '../core/sizes.ts'
import { deleteJob, type JobInfo, listJobs } from '../job/journal-list.ts'
import { parseJobName } from '../job/keys.ts'
import { type JournalPlace, listUnder } from '../job/place.ts'
import type { CliContext, ExitCode } from './context.ts'
import { UsageError } from './failures.ts'
import { byAge, table } from './jobs.ts'
import { addJournalFlags, ageMs, type JournalFlags, openPlace } from './journals.ts'
import { counted, writeText } from './output.ts'
import { withStores } from './stores.ts'

interface CleanFlags extends JournalFlags {
  readonly olderThan?: number
  readonly all?: boolean
  readonly cloudobjects?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
}

const CLOUD_OBJECTS = 'quern.jobs/tmp/'

export function addClean(program: Command, context: CliContext, done: (code: ExitCode) => void): void {
  const command = program.command('clean').description('delete what is kept of jobs that are over')
  command.argument('[jobs...]', 'names, as quern jobs prints them; default: all that succeeded')
  addJournalFlags(command)
    .option('--older-than <age>', 'only jobs made longer ago than that: 7d, 12h', age)
    .option('--all', 'jobs that failed or were interrupted too: they cannot be resumed any more')
    .option('--cloudobjects', 'also the CloudObjects that their calls stored under default keys')
    .option('--dry-run', 'say what would be deleted, and delete nothing')
    .option('--yes', 'delete more than one job without asking')
    .action(async (names: readonly string[], flags: CleanFlags) => done(await clean(names, flags, context)))
}

async function clean(names: readonly string[], flags: CleanFlags, context: CliContext): Promise<ExitCode> {
  if (names.length > 0 && flags.all) throw new UsageError('clean: give names or --all, not both')
  return withStores(flags, context, async (stores, signal) => {
    const place = await openPlace(stores, flags)
    const listed = byAge(await listJobs(place))
    const chosen = names.length > 0 ? names.map((name) => named(name, listed, place)) : listed.filter(over(flags))
    const jobs = [...new Set(chosen)].filter((job) => isOldEnough(job, flags.olderThan))
    if (flags.dryRun) return tell(jobs, 'would be deleted', flags, context)
    if (jobs.length > 1 && !flags.yes && !(await isConfirmed(jobs, context, signal))) {
      context.stderr.write('nothing was deleted\n')
      return 1
    }
    for (const { name } of jobs) {
      signal.throwIfAborted()
      if (flags.cloudobjects) await deleteCloudObjects(place, name)
      await deleteJob(place, name)
    }
    return tell(jobs, 'deleted', flags, context)
  })
}

/** @throws NotFoundError, InvalidStateError for one that runs */
function named(name: string, listed: readonly JobInfo[], { backend, bucket }: JournalPlace): JobInfo {
  const { executorId, jobId } = parseJobName(name) ?? { executorId: name, jobId: '' }
  // of a map-reduce, the name of its map is taken too
  const names = [name, `${executorId}-${jobId.replace(/^M/, 'R')}`]
  const job = listed.find((each) => names.includes(each.name))
  if (job === undefined)
    throw new NotFoundError(`no job ${name} is kept there`, { backend: backend.name, operation: 'clean', bucket })
  if (job.state === 'running') throw new InvalidStateError(`${job.name} runs: interrupt it first`)
  return job
}

function over({ all }: CleanFlags): (job: JobInfo) => boolean {
  return ({ state }) => state === 'succeeded' || (all === true && state !== 'running')
}

function isOldEnough(job: JobInfo, olderThan: number | undefined): boolean {
  return olderThan === undefined || (ageMs(job, Date.now()) ?? Number.POSITIVE_INFINITY) >= olderThan
}

async function isConfirmed(
  jobs: readonly JobInfo[],
  { ask, stderr }: CliContext,
  signal: AbortSignal,
): Promise<boolean> {
  const what = `${counted(jobs.length, 'job')}, ${formatSize(bytesOf(jobs))}`
  if (ask === undefined) {
    throw new UsageError(`${what}: more than one is deleted only with --yes (--dry-run lists them)`)
  }
  stderr.write(`${table(jobs, Date.now())}\n`)
  const answer = await ask(`delete ${what}? [y/N] `, signal)
  return !signal.aborted && /^\s*y(es)?\s*$/i.test(answer)
}

async function tell(
  jobs: readonly JobInfo[],
  status: string,
  flags: CleanFlags,
  context: CliContext,
): Promise<ExitCode> {
  const lines = flags.json
    ? jobs.map(({ name, state, bytes }) => JSON.stringify({ name, state, bytes, status }))
    : [`${counted(jobs.length, 'job')}, ${formatSize(bytesOf(jobs))}: ${status}`]
  if (flags.dryRun && !flags.json && jobs.length > 0) lines.unshift(table(jobs, Date.now()))
  if (lines.length > 0) await writeText(context.stdout, `${lines.join('\n')}\n`)
  return 0
}

/** Of the calls of a job: of its maps and its reduces. */
async function deleteCloudObjects(place: JournalPlace, name: string): Promise<void> {
  for (const each of new Set([name, name.replace(/-R(\d+)$/, '-M$1')])) {
    for await (const page of listUnder(place, `${CLOUD_OBJECTS}${each}-`)) {
      const keys = page.map(({ key }) => key)
      if (keys.length > 0) await place.backend.delete(place.bucket, keys)
    }
  }
}

function bytesOf(jobs: readonly JobInfo[]): number {
  return jobs.reduce((sum, { bytes }) => sum + bytes, 0)
}

function age(value: string): number {
  const ms = parseDuration(value)
  if (ms === undefined) throw new InvalidArgumentError('Expected an age such as 7d, 12h or 30min.')
  return ms
}
