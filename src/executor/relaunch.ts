/** A job that was taken over → what is launched of it: its commits restored, its divisions made again, its outputs joined. */
import type { OutputPlan } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { divisionsJournal } from './division-journal.ts'
import { divisionsOf, type JobDivisions } from './divisions.ts'
import { JobJournal } from './durable.ts'
import type { JobRun } from './job-run.ts'
import { outputHooks, outputResults, outputSubject, outputsAnew } from './output-hooks.ts'
import type { Launch, Part, PartJournal, ReduceForm } from './parts.ts'
import type { ResumedRuns } from './resume.ts'
import { restoreCalls, type StoredPart, type TakenJob } from './resumed-job.ts'
import type { RestoredCall } from './scheduler-protocol.ts'

export interface Relaunching {
  readonly resolve: BackendResolver
  /** Whether workers can be told something while they run. */
  readonly feeds: boolean
}

/** What is launched of a job. Results of commits are in the runs when it settles. */
export async function relaunched(taken: TakenJob, runs: ResumedRuns, around: Relaunching): Promise<Launch> {
  const { inputs, isFinished } = taken
  const [map, reduce] = taken.parts as readonly [StoredPart, StoredPart | undefined]
  const divisions = dividedBefore(taken, runs.map, around)
  const restoring = { isFinished, divisions, resultOf: resultOf(map, isFinished, around) }
  const mapCalls = await restoreCalls(map, runs.map, divisions?.plan.calls ?? inputs.count, restoring)
  const journals = new Map([[map.record.jobId, partJournal(taken, map, mapCalls)]])
  if (reduce !== undefined && runs.reduce !== undefined) {
    const { calls } = reduce.record
    const results = resultOf(reduce, isFinished, around)
    const restored = await restoreCalls(reduce, runs.reduce, calls, { isFinished, resultOf: results })
    journals.set(reduce.record.jobId, partJournal(taken, reduce, restored))
  }
  return {
    inputs,
    map: partOf(map, runs.map),
    reduce: reduce && partOf(reduce, runs.reduce as JobRun),
    divisions,
    journalOf: (jobId) => journals.get(jobId),
    hookOutputs: isFinished ? undefined : await hooksOf(taken, around),
  }
}

function partOf({ record, settings, head, extraArgs }: StoredPart, run: JobRun): Part {
  return { run, settings, head, extraArgs, reduce: record.reduce as ReduceForm | undefined }
}

function partJournal({ journal }: TakenJob, part: StoredPart, restored: readonly RestoredCall[]): PartJournal {
  const epoch = journal instanceof JobJournal ? journal.epoch : 0
  return { head: journal.headOf(part.record.jobId), epoch, idOf: part.idOf, restored }
}

function dividedBefore(taken: TakenJob, run: JobRun, { resolve, feeds }: Relaunching): JobDivisions | undefined {
  const { inputs, journal, divisions: past } = taken
  const { record, settings, head, idOf } = taken.parts[0] as StoredPart
  const kept =
    journal instanceof JobJournal
      ? divisionsJournal(journal, { jobId: record.jobId, output: head.output, idOf }, resolve)
      : undefined
  return divisionsOf({ run, settings, inputs, feeds, resolve, journal: kept, past })
}

/** The result of a call that wrote an output is the object it is published as. */
function resultOf({ head, place }: StoredPart, isFinished: boolean, { resolve }: Relaunching) {
  if (head.output === undefined) return undefined
  return outputResults(head.output, place, resolve, isFinished)
}

async function hooksOf(taken: TakenJob, { resolve }: Relaunching): Promise<Launch['hookOutputs']> {
  const { outputs, inputs, parts, journal, isNewCode } = taken
  if (outputs === undefined) return undefined
  const subject = outputSubject(inputs, parts[1]?.record.reduce)
  const kept = outputs as OutputPlan
  if (!isNewCode) return outputHooks(kept, subject, resolve)
  // what older code published is to be replaced
  const divisions = subject.kind === 'map' ? taken.divisions : []
  const place = { ...journal.place, name: journal.name, generations: journal.generations }
  return outputHooks(await outputsAnew(kept, divisions, place, resolve), subject, resolve)
}
