/**
 * A job read back from its journal, to go on where its last driver stopped: what has a commit is settled with it, the
 * rest runs. The stored function is what runs; whether its files are still the same is checked before the job is taken
 * over, so a resume that is refused leaves the job as it was.
 *
 * A job that succeeded is only read: nothing runs, and no driver is fenced.
 */
import type { Division } from '../../partitioner/divided-plan.ts'
import type { JournalStorage } from '../config/options.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { CallError, InvalidStateError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { functionIdentity } from '../functions/identity.ts'
import { type CallEnd, type CommitPlace, readCommit } from '../job/commits.ts'
import { readDivisions } from '../job/division-log.ts'
import {
  type JobRecord,
  type OpenJournal,
  openItems,
  openJournal,
  type PartRecord,
  putFunction,
  readFunction,
  readOutputs,
  readPlan,
} from '../job/journal.ts'
import { commitsPrefix, outputsKey, seriesOf } from '../job/keys.ts'
import { DriverLease, type Generations } from '../job/lease.ts'
import { encodeJob, type JobHead } from '../job/messages.ts'
import type { OutputPlan } from '../job/output.ts'
import { type JournalPlace, jsonBytes, listUnder } from '../job/place.ts'
import { decodeItems, type StoredPlan } from '../job/stored-inputs.ts'
import type { QuarantinedRecord } from './division-journal.ts'
import type { JobDivisions } from './divisions.ts'
import { FinishedJournal, JobJournal, journalPlace, type Stores } from './durable.ts'
import type { JobRun } from './job-run.ts'
import { readSettings } from './kept-settings.ts'
import { type Inputs, planInputs } from './launch.ts'
import { outputSubject } from './output-hooks.ts'
import { outputsReplanned } from './output-replan.ts'
import type { JobSettings } from './parts.ts'
import { planAnew, type ReplannedPlan } from './replan.ts'
import type { RestoredCall } from './scheduler-protocol.ts'

export interface ResumeSettings {
  readonly useNewCode?: boolean | undefined
  readonly replan?: boolean | undefined
  readonly journalStorage?: JournalStorage | undefined
}

/** What a resume is about to go on with. */
export interface TakenJob {
  readonly record: JobRecord
  readonly journal: JobJournal | FinishedJournal
  readonly inputs: Inputs
  /** What earlier drivers divided, in order. */
  readonly divisions: readonly Division[]
  /** The map, and the reduce where there is one. */
  readonly parts: readonly StoredPart[]
  /** What was committed before does not count. */
  readonly isNewCode: boolean
  /** It succeeded: there is nothing to run. */
  readonly isFinished: boolean
  /** As src/executor/output.ts gave it to the journal. */
  readonly outputs: unknown
}

export interface StoredPart {
  readonly record: PartRecord
  readonly settings: JobSettings
  readonly head: JobHead
  /** Encoded. */
  readonly extraArgs: Uint8Array
  readonly place: CommitPlace
  /** Under which a call is committed. */
  idOf(call: number): string
}

const NO_BYTES = new Uint8Array(0)
const READS_AT_ONCE = 32

/**
 * Reads a journal and takes the job over.
 *
 * @throws NotFoundError when there is no such job
 * @throws InvalidStateError when it had not begun, its function is another by now, or somebody else resumes it
 * @throws ConfigError when the storage cannot hold a journal, or a secret is not in the environment
 */
export async function takeJob(name: string, settings: ResumeSettings, stores: Stores): Promise<TakenJob> {
  const place = (await journalPlace('must', settings.journalStorage, stores)) as JournalPlace
  const opened = await openJournal(place, name)
  const { record, driver } = opened
  const { useNewCode = false, replan: wantsReplan = false } = settings
  const isFinished = driver.record.ended?.state === 'succeeded' && !useNewCode
  const functions = await readFunctions(place, opened, { anyCode: isFinished || useNewCode, anyEnv: isFinished })
  const dividedBefore = await readDivisions(place, record.name)
  let { code, replan } = driver.record
  let outputs = await readOutputs(place, record, replan)
  let plan = record.inputs === 'plan' ? await readPlan(place, record.name, replan) : undefined
  if (useNewCode) {
    code += 1
    await putFunctions(place, record.name, functions, code)
  } else if (wantsReplan && !isFinished && plan !== undefined) {
    const done = await committedIds(mapPlace(place, record, code))
    const job = { place, name: record.name, replan: replan + 1, divided: dividedBefore.length > 0 }
    const anew = await planAnew(job, plan, done, stores.resolve)
    if (anew !== undefined) {
      plan = anew
      replan += 1
      if (outputs !== undefined) outputs = await renamed(outputs as OutputPlan, anew, { place, record, replan }, stores)
    }
  }
  const journal = isFinished
    ? new FinishedJournal(record.name, place, driver)
    : await takeLease(place, opened, { code, replan })
  // a driver that still lived may have divided until its lease was taken
  const divisions = journal instanceof JobJournal ? await divisionsTaken(journal, record) : dividedBefore
  const parts = functions.map((part): StoredPart => {
    const series = seriesOf(part.record.jobId, code)
    const idOf = idsOf(part.record.kind === 'map' ? plan : undefined, replan)
    return { ...part, place: { ...place, name: record.name, series }, idOf }
  })
  const inputs =
    plan === undefined
      ? await storedItems(place, record, parts[0] as StoredPart)
      : await planInputs(plan.plan, stores.resolve, stores.reach)
  return { record, journal, inputs, parts, divisions, isFinished, isNewCode: useNewCode, outputs }
}

/** In the journal beside the plan that it is of. */
async function renamed(
  outputs: OutputPlan,
  { plan, before }: ReplannedPlan,
  job: { readonly place: JournalPlace; readonly record: JobRecord; readonly replan: number },
  { resolve }: Stores,
): Promise<OutputPlan> {
  const { place, record, replan } = job
  const reduce = record.parts[1]?.reduce
  const subject = outputSubject({ plan, count: plan.partitions.length }, reduce)
  const anew = await outputsReplanned(outputs, { subject, before }, resolve)
  await place.backend.put(place.bucket, outputsKey(record.name, replan), jsonBytes(anew))
  return anew
}

async function divisionsTaken(journal: JobJournal, { parts }: JobRecord): Promise<readonly Division[]> {
  const { onFailure, splittable } = (parts[0] as PartRecord).settings
  return onFailure === undefined && splittable !== true ? [] : journal.takeDivisions()
}

export interface Restoring {
  /** It succeeded: calls without a commit failed and were tolerated. */
  readonly isFinished: boolean
  /** Of a part whose calls may be divided. */
  readonly divisions?: JobDivisions | undefined
  /** What a call gave where that is not the result in its commit. */
  readonly resultOf?: ((end: CallEnd, id: string) => Promise<Uint8Array>) | undefined
}

/**
 * Gives a run the results that are committed; the calls they are of, for the scheduler. `calls`: how many the part has as
 * far as its divisions are logged; those that are only committed are made here.
 */
export async function restoreCalls(
  { place, idOf, record }: StoredPart,
  run: JobRun,
  calls: number,
  { isFinished, divisions, resultOf }: Restoring,
): Promise<RestoredCall[]> {
  const committed = await committedIds(place)
  const idNow = (call: number) => divisions?.commitIdOf(call, idOf(call)) ?? idOf(call)
  const found: RestoredCall[] = []
  let known = calls
  for (let pending = Array.from({ length: calls }, (_, call) => call); pending.length > 0; ) {
    const wanted = pending.filter((call) => committed.has(idNow(call)))
    pending = []
    const divided: { call: number; at: number }[] = []
    await mapConcurrent(wanted, READS_AT_ONCE, async (call) => {
      const id = idNow(call)
      const commit = await readCommit(place, id)
      if (commit?.type === 'divided') divided.push({ call, at: commit.at })
      if (commit?.type === 'set aside') found.push(setAside(call, divisions?.foundQuarantined(call, commit.record)))
      if (commit?.type !== 'end') return
      const { end } = commit
      run.results.put(call, (await resultOf?.(end, id)) ?? end.result)
      const { stats, read, attempt } = end
      // the result is there already: a million of them must not be held here
      found.push({ call, attempts: attempt, outcome: { type: 'succeeded', result: NO_BYTES, stats, read } })
    })
    for (const { call, at } of divided.sort((a, b) => a.call - b.call)) {
      const division = await divisions?.found(call, at)
      if (division === undefined)
        throw new InvalidStateError(`call ${callId(call)} was divided in a job that divides none`)
      pending.push(call, division.child)
      known += 1
    }
  }
  if (!isFinished || found.length === known) return found
  const there = new Set(found.map(({ call }) => call))
  for (let call = 0; call < known; call++) if (!there.has(call)) found.push(tolerated(record.jobId, call))
  return found
}

function setAside(call: number, record: QuarantinedRecord | undefined): RestoredCall {
  const error = record?.error ?? new CallError(`the record of call ${callId(call)} was set aside`, callId(call))
  return { call, attempts: 0, outcome: { type: 'failed', why: { by: 'error', error }, quarantined: true } }
}

function tolerated(jobId: string, call: number): RestoredCall {
  const id = callId(call)
  const error = new CallError(`call ${id} of ${jobId} failed, and its job tolerated it`, id)
  return { call, attempts: 0, outcome: { type: 'failed', why: { by: 'error', error }, quarantined: true } }
}

type ReadFunction = Omit<StoredPart, 'place' | 'idOf'>

/** @throws InvalidStateError when a function is another by now, unless `anyCode` */
async function readFunctions(
  place: JournalPlace,
  { record, driver }: OpenJournal,
  { anyCode, anyEnv }: { readonly anyCode: boolean; readonly anyEnv: boolean },
): Promise<ReadFunction[]> {
  const functions: ReadFunction[] = []
  for (const part of record.parts) {
    const series = seriesOf(part.jobId, driver.record.code)
    const { identity, head, extraArgs } = await readFunction(place, record, series, anyEnv ? undefined : process.env)
    if (!anyCode && (await functionIdentity(head.fn)) !== identity) {
      throw new InvalidStateError(
        `the ${part.kind} function of ${record.name} is not what it was: a file it is loaded from has changed; ` +
          `useNewCode: true runs it as it is now and discards what was committed`,
      )
    }
    // of a job that is over nothing is tried again
    const settings = anyEnv ? (part.settings as JobSettings) : await readSettings(part.settings)
    functions.push({ record: part, settings, head, extraArgs })
  }
  return functions
}

async function putFunctions(
  place: JournalPlace,
  name: string,
  functions: readonly ReadFunction[],
  code: number,
): Promise<void> {
  for (const { record, head, extraArgs } of functions) {
    const identity = await functionIdentity(head.fn)
    await putFunction(place, name, seriesOf(record.jobId, code), { identity, bytes: encodeJob(head, extraArgs) })
  }
}

async function takeLease(place: JournalPlace, { record, driver }: OpenJournal, generations: Generations) {
  const lease = await DriverLease.take(place, record.name, driver, generations, Date.now())
  if (lease === undefined) {
    throw new InvalidStateError(
      `${record.name} was taken over by another driver just now: it runs there, or look again`,
    )
  }
  return new JobJournal(record.name, place, lease, generations)
}

function mapPlace(place: JournalPlace, { name, parts }: JobRecord, code: number): CommitPlace {
  return { ...place, name, series: seriesOf((parts[0] as PartRecord).jobId, code) }
}

async function committedIds(place: CommitPlace): Promise<Set<string>> {
  const prefix = commitsPrefix(place.name, place.series)
  const ids = new Set<string>()
  for await (const page of listUnder(place, prefix)) for (const { key } of page) ids.add(key.slice(prefix.length))
  return ids
}

/** Under which id a call is committed: those of a plan keep the one they had before it was planned anew; all others have one of the plan's generation. */
export function idsOf(plan: StoredPlan | undefined, replan: number): (call: number) => string {
  const planned = plan?.plan.partitions.length ?? 0
  const prefix = replan === 0 ? '' : `r${replan}-`
  return (call) => (plan !== undefined && call < planned ? plan.idOf(call) : `${prefix}${callId(call)}`)
}

/** Items of calls that have not ended; the others are passed over as they are read. */
async function storedItems(place: JournalPlace, record: JobRecord, map: StoredPart): Promise<Inputs> {
  const committed = await committedIds(map.place)
  const items = new Map<number, Uint8Array>()
  let call = 0
  for await (const item of decodeItems(await openItems(place, record.name))) {
    if (!committed.has(map.idOf(call))) items.set(call, item)
    call += 1
  }
  return { count: call, inputOf: (wanted) => ({ type: 'item', value: items.get(wanted) ?? NO_BYTES }) }
}
