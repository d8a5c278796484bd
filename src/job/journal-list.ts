/** What journals lie in a bucket, and the removal of one. For people and `clean`: nothing here changes a job that lives. */
import { mapConcurrent } from '../core/concurrency.ts'
import { processRuns } from '../core/process-runs.ts'
import { readDivisions } from './division-log.ts'
import type { JobRecord } from './journal.ts'
import {
  commitsPrefix,
  divisionsPrefix,
  driverFile,
  functionFile,
  itemsFile,
  JOBS_PREFIX,
  jobFile,
  jobOfKey,
  jobPrefix,
  outputsKey,
  planFile,
  seriesOf,
} from './keys.ts'
import { type Generations, isDriven, readDriver } from './lease.ts'
import { type JournalPlace, listUnder, readJson } from './place.ts'

/** `unbegun`: left while its journal was written (or removed); it cannot be resumed, only cleaned. */
export type JobState = 'running' | 'interrupted' | 'succeeded' | 'failed' | 'unbegun'

export interface JobInfo {
  /** `{executorId}-{jobId}` */
  readonly name: string
  readonly state: JobState
  /** Epoch ms; absent, as all below, where the journal does not say. */
  readonly createdAt?: number | undefined
  /** Of the user's functions: map, then reduce. */
  readonly title?: string | undefined
  readonly host?: string | undefined
  readonly user?: string | undefined
  readonly pid?: number | undefined
  readonly error?: string | undefined
  /** Calls it has in all, maps and reduces, parts of divided ones included, and how many have been committed. */
  readonly calls: number
  readonly committed: number
  /** Of those, records that were set aside; absent until the job has ended. */
  readonly quarantined?: number | undefined
  /** Of everything in its journal. */
  readonly bytes: number
}

export interface Surroundings {
  readonly nowMs: number
  /** Of this host. */
  isRunning(pid: number): boolean
}

const AT_ONCE = 16

/** All jobs with a journal in the bucket, by name; none where the bucket is not there. */
export async function listJobs(
  place: JournalPlace,
  around: Surroundings = { nowMs: Date.now(), isRunning: processRuns },
): Promise<JobInfo[]> {
  const sizes = new Map<string, JobSize>()
  for await (const page of listUnder(place, JOBS_PREFIX)) for (const head of page) count(sizes, head)
  return mapConcurrent([...sizes], AT_ONCE, ([name, size]) => infoOf(place, name, size, around))
}

interface JobSize {
  bytes: number
  /** Its keys but for commits and what is written beside them. */
  readonly parts: Set<string>
  /** By series. */
  readonly commits: Map<string, number>
  divided: boolean
}

function count(sizes: Map<string, JobSize>, { key, size }: { readonly key: string; readonly size: number }): void {
  const name = jobOfKey(key)
  if (name === undefined) return
  const found = sizes.get(name) ?? { bytes: 0, parts: new Set(), commits: new Map(), divided: false }
  sizes.set(name, found)
  found.bytes += size
  found.divided ||= key.startsWith(divisionsPrefix(name))
  const commits = commitsPrefix(name)
  if (!key.startsWith(commits)) return void (isPart(key) && found.parts.add(key))
  const series = key.slice(commits.length, key.indexOf('/', commits.length))
  found.commits.set(series, (found.commits.get(series) ?? 0) + 1)
}

function isPart(key: string): boolean {
  return !/^[^/]+\/[^/]+\/(attempts|published|divisions)\//.test(key)
}

/** Whether everything is there that `createJournal` puts at once with the lease. */
function isWhole(
  { name, parts, inputs, outputs }: JobRecord,
  { code, replan }: Generations,
  { parts: there }: JobSize,
) {
  const needed = [
    ...parts.map(({ jobId }) => functionFile(name, seriesOf(jobId, code))),
    inputs === 'plan' ? planFile(name, replan) : itemsFile(name),
    ...(outputs ? [outputsKey(name, replan)] : []),
  ]
  return needed.every((key) => there.has(key))
}

async function infoOf(place: JournalPlace, name: string, size: JobSize, around: Surroundings): Promise<JobInfo> {
  const [record, driver] = await Promise.all([readJson<JobRecord>(place, jobFile(name)), readDriver(place, name)])
  const { bytes } = size
  if (record === undefined) return { name, state: 'unbegun', calls: 0, committed: 0, bytes }
  const { createdAt, host, user, pid, parts } = record.value
  const divisions = size.divided ? (await readDivisions(place, name)).length : 0
  const calls = parts.reduce((sum, part) => sum + part.calls, divisions)
  const title = parts.map((part) => part.title).join(', ')
  const known = { name, createdAt, title, host, user, pid, calls, bytes }
  if (driver === undefined) return { ...known, state: 'unbegun', committed: 0 }
  const { code, ended } = driver.record
  const driven = isDriven(driver.record, around.nowMs, around.isRunning)
  if (!driven && !isWhole(record.value, driver.record, size)) return { ...known, state: 'unbegun', committed: 0 }
  const current = parts.map(({ jobId }) => (code === 0 ? jobId : `${jobId}.${code}`))
  // that a call was divided is committed too, and is no call
  const commits = current.reduce((sum, series) => sum + (size.commits.get(series) ?? 0), -divisions)
  const state = ended?.state ?? (driven ? 'running' : 'interrupted')
  return { ...known, state, committed: Math.max(0, commits), error: ended?.error, quarantined: ended?.quarantined }
}

/**
 * Removes a journal, whatever its state: the lease first, which stops a driver that lives and any resume, the claim of
 * its name last, so that one whose removal was cut short is still found. Removing one that is gone is no error.
 */
export async function deleteJob(place: JournalPlace, name: string): Promise<void> {
  const { backend, bucket } = place
  const claim = jobFile(name)
  await backend.delete(bucket, [driverFile(name)])
  // again until nothing comes: workers of a driver that was killed may still commit
  for (let removed = -1; removed !== 0; ) {
    removed = 0
    for await (const page of listUnder(place, jobPrefix(name))) {
      const keys = page.map(({ key }) => key).filter((key) => key !== claim)
      if (keys.length > 0) await backend.delete(bucket, keys)
      removed += keys.length
    }
  }
  await backend.delete(bucket, [claim])
}
