/**
 * From the map (and reduce) of a job, submitted now or read from its journal, to jobs that the run loop takes. What a
 * part travels as is made here, once its journal is known.
 */
import type { Plan } from '../../partitioner/plan.ts'
import { groupsOf } from '../../reducers/groups.ts'
import type { ComputeCapabilities } from '../compute/backend.ts'
import type { Config } from '../config/config.ts'
import type { CallSettings, MapSettings } from '../config/options.ts'
import { callId, jobKey } from '../core/ids.ts'
import { shippingFunctions } from '../functions/capture.ts'
import { encodeValue } from '../functions/codec.ts'
import type { ShippedBlob, ShippedFunction } from '../functions/shipped.ts'
import { type CallInput, encodeJob, type JobHead, type JournalHead, PROTOCOL } from '../job/messages.ts'
import type { DivisionSettings, JobDivisions } from './divisions.ts'
import type { JobRun } from './job-run.ts'
import type { Inputs } from './launch.ts'
import type { HookOutputs } from './output-hooks.ts'
import { schedulerJob } from './scheduler-job.ts'
import type { FailureReason, ReduceSpec, RestoredCall, SchedulerJob } from './scheduler-protocol.ts'

/** The settings of a job that its run needs; what JSON cannot hold of them is lost to a resume. */
export type JobSettings = Omit<CallSettings, 'extraEnv' | 'signal' | 'includeModules' | 'excludeModules'> &
  Pick<MapSettings, 'chunksize' | 'failFast' | 'maxFailures' | 'speculate'> &
  DivisionSettings

/** What makes a reduce. */
export interface ReduceForm {
  readonly byKey: boolean
  readonly spawnReducer?: number | undefined
  /** Set where it is a Reducer that folds: whether its order is free. */
  readonly folds?: { readonly commutative: boolean } | undefined
}

export interface Part {
  readonly run: JobRun
  readonly settings: JobSettings
  readonly head: JobHead
  /** Encoded. */
  readonly extraArgs: Uint8Array
  /** Set for a reduce. */
  readonly reduce?: ReduceForm | undefined
}

/** Of all settings of a submission those that its run needs; `extraEnv` travels in the head. */
export function jobSettings<S extends JobSettings>(settings: S): JobSettings {
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !NOT_OF_A_RUN.has(name)))
}

const NOT_OF_A_RUN: ReadonlySet<string> = new Set([
  ...['extraEnv', 'signal', 'includeModules', 'excludeModules', 'extraArgs', 'extraArgsReduce', 'partition'],
  ...['durable', 'journalStorage', 'output', 'showProgressbar', 'spawnReducer', 'objReduceByKey'],
])

/** What a journal adds to a part. */
export interface PartJournal {
  readonly head: JournalHead
  /** Tells shared parts of one job apart that differ in their journal: the driver's epoch. */
  readonly epoch: number
  /** Where it is not the call's own. */
  idOf?(call: number): string
  readonly restored?: readonly RestoredCall[] | undefined
}

/** Percent of the maps after which a reducer starts where waiting costs nothing (Lithops' default). */
const SPAWN_REDUCER = 20

/** The head of a part that was submitted just now. */
export function headOf(
  run: JobRun,
  fn: ShippedFunction | ShippedBlob,
  given: Pick<JobHead, 'splittable'> & {
    readonly extraEnv?: Readonly<Record<string, string>> | undefined
    readonly folds: boolean
  },
  plan: Plan | undefined,
  config: Config,
): JobHead {
  return {
    protocol: PROTOCOL,
    executorId: run.executorId,
    jobId: run.id,
    kind: run.spec.kind,
    fn,
    extraEnv: given.extraEnv ?? {},
    read: plan?.options,
    storage: { backend: config.storage, bucket: config.storageBucket ?? '' },
    reducer: given.folds,
    splittable: given.splittable,
  }
}

export function encodeArgs(extraArgs: readonly unknown[]): Uint8Array {
  return encodeValue(extraArgs, 'extraArgs', shippingFunctions)
}

export interface Launch {
  readonly inputs: Inputs
  readonly map: Part
  readonly reduce?: Part | undefined
  /** Of the map, where its calls may be divided. */
  readonly divisions?: JobDivisions | undefined
  /** By job id; undefined where the job is not durable. */
  journalOf(jobId: string): PartJournal | undefined
  /** Set where the calls of the reduce, or of a map alone, write outputs. */
  readonly hookOutputs?: HookOutputs | undefined
}

/** Launches the runs of a job; what the run loop is to be given, the map first. */
export function launchRuns(
  { inputs, map, reduce, divisions, journalOf, hookOutputs }: Launch,
  config: Config,
  { idleCost }: ComputeCapabilities,
): JobRun[] {
  const mapJournal = journalOf(map.run.id)
  const calls = divisions?.plan.calls ?? inputs.count
  const divides = divisions && ((call: number, why: FailureReason) => divisions.divides(call, why))
  const hooksOf = ({ run }: Part, journal: PartJournal | undefined, inputOf: Inputs['inputOf']) =>
    journal === undefined ? {} : hookOutputs?.({ run, journal: journal.head, inputOf })
  const mapInputOf = (call: number) => divisions?.inputOf(call) ?? inputs.inputOf(call)
  map.run.launch({
    scheduler: { ...scheduled(map, calls, config, mapJournal?.restored), divides, open: inputs.items !== undefined },
    shared: sharedPart(map, mapJournal),
    plan: inputs.plan,
    items: inputs.items,
    pinOf: inputs.pinOf,
    inputOf: mapInputOf,
    divisions,
    commitOf: mapJournal && commitIds(mapJournal, divisions),
    ...(reduce === undefined ? hooksOf(map, mapJournal, mapInputOf) : {}),
  })
  if (reduce?.reduce === undefined) return [map.run]
  const { byKey, folds, spawnReducer = idleCost === 'billed' ? 100 : SPAWN_REDUCER } = reduce.reduce
  const groups = groupsOf(inputs.plan?.partitions, inputs.count, byKey, divisions?.plan.divisions)
  const reduceJournal = journalOf(reduce.run.id)
  const anyOrder = folds?.commutative === true
  const open = inputs.items !== undefined
  const reduces: ReduceSpec = { mapJob: map.run.key, spawnReducer, groups, anyOrder, open }
  const inputOf = (call: number): CallInput => {
    const count = open ? map.run.totals.calls : (groups[call]?.maps.length ?? 0)
    return { type: 'results', count, object: groups[call]?.object }
  }
  reduce.run.launch({
    scheduler: { ...scheduled(reduce, groups.length, config, reduceJournal?.restored), reduces },
    shared: sharedPart(reduce, reduceJournal),
    inputOf,
    commitOf: reduceJournal?.idOf,
    ...hooksOf(reduce, reduceJournal, inputOf),
  })
  return [map.run, reduce.run]
}

/** Undefined where all calls are committed under their own. */
function commitIds({ idOf }: PartJournal, divisions: JobDivisions | undefined) {
  if (divisions === undefined) return idOf
  return (call: number) => divisions.commitIdOf(call, idOf?.(call) ?? callId(call))
}

function sharedPart({ run, head, extraArgs }: Part, journal: PartJournal | undefined) {
  const name = jobKey(run.executorId, run.id)
  return {
    id: journal === undefined ? name : `${name}.${journal.epoch}`,
    bytes: encodeJob(journal === undefined ? head : { ...head, journal: journal.head }, extraArgs),
  }
}

function scheduled(
  { run, settings }: Part,
  calls: number,
  config: Config,
  restored: readonly RestoredCall[] | undefined,
): SchedulerJob {
  const { chunksize, timeoutMs } = config
  const job = { id: run.key, kind: run.spec.kind, calls, memoryMiB: run.memoryMiB }
  return { ...schedulerJob(job, { chunksize, timeoutMs, ...settings }), restored }
}
