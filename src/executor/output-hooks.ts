/**
 * Joins a job with its outputs: what it decides before it runs, what each call is to write, and how it is concluded.
 * For jobs that are submitted and for such as are resumed.
 */
import type { Division } from '../../partitioner/divided-plan.ts'
import type { Partition } from '../../partitioner/plan.ts'
import { groupsOf } from '../../reducers/groups.ts'
import type { OutputSettings } from '../config/output-options.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { decodeValue, encodeValue } from '../functions/codec.ts'
import type { CallEnd, CommitPlace } from '../job/commits.ts'
import { outputsKey } from '../job/keys.ts'
import type { Generations } from '../job/lease.ts'
import { inputsOf, type OutputInput } from '../job/manifest.ts'
import type { CallInput, JournalHead } from '../job/messages.ts'
import type { CallOutput, OutputHead, OutputPlan, OutputRecord } from '../job/output.ts'
import { type JournalPlace, jsonBytes } from '../job/place.ts'
import type { BackendResolver, Reach, StorageBackend } from '../storage/backend.ts'
import { probeConditionalPuts } from '../storage/probe.ts'
import { commitPlace } from '../worker/committed-call.ts'
import { publishedOutput, publishOutput } from '../worker/output-publish.ts'
import type { JobRun } from './job-run.ts'
import type { Inputs } from './launch.ts'
import { JobOutput } from './output.ts'
import { type OutputSubject, outputInputs, planOutput, replaceable, versionsOf } from './output-plan.ts'
import type { Part } from './parts.ts'

/** What a run with outputs does beside running. */
export interface OutputHooks {
  outputOf(call: number): CallOutput
  /** Settles when the manifest is there. @throws StorageError PRECONDITION_FAILED when another job's came between */
  conclude(): Promise<void>
  /** Removes what workers that are gone left half-written beside the outputs. */
  sweep(): Promise<void>
}

/** The run whose calls write, as the run loop sees it. */
export interface OutputRun {
  readonly run: JobRun
  readonly journal: JournalHead
  /** Divisions included. */
  inputOf(call: number): CallInput
}

/** Gives the run its hooks. */
export type HookOutputs = (run: OutputRun) => OutputHooks

/** `reduce`: set where the reducers write. */
export function outputSubject(
  { plan, count }: Pick<Inputs, 'plan' | 'count'>,
  reduce: { readonly byKey: boolean } | undefined,
): OutputSubject {
  if (reduce === undefined) return { kind: 'map', count, plan }
  const groups = groupsOf(plan?.partitions, count, reduce.byKey)
  return { kind: 'reduce', count: groups.length, plan, groups }
}

export interface PreparedOutput {
  readonly plan: OutputPlan
  /** The map and the reduce, of which those that write know of it. */
  readonly parts: readonly [Part, Part | undefined]
  readonly hook: HookOutputs
}

/** Decides on the outputs of a job that was submitted. @throws what `planOutput` throws */
export async function preparedOutput(
  settings: OutputSettings,
  [map, reduce]: readonly [Part, Part | undefined],
  inputs: Inputs,
  stores: { readonly resolve: BackendResolver; readonly reach: Reach },
): Promise<PreparedOutput> {
  const subject = outputSubject(inputs, reduce?.reduce)
  const isConditional = async (store: StorageBackend, bucket: string) =>
    (await probeConditionalPuts(store, bucket)) === undefined
  const plan = await planOutput(settings, subject, { ...stores, isConditional })
  const writing = ({ head, ...part }: Part): Part => ({ ...part, head: { ...head, output: plan.head } })
  const parts = reduce === undefined ? ([writing(map), undefined] as const) : ([map, writing(reduce)] as const)
  return { plan, parts, hook: outputHooks(plan, subject, stores.resolve) }
}

export function outputHooks(plan: OutputPlan, subject: OutputSubject, resolve: BackendResolver): HookOutputs {
  const output = new JobOutput(plan)
  return (at) => {
    // for the manifest the results of all calls are looked at once more
    at.run.keepsResults = true
    return {
      outputOf: (call) => (call < plan.calls.length ? output.of(call) : partOf(output, subject, at.inputOf(call))),
      conclude: () => conclude(output, subject, at, resolve),
      sweep: async () => {
        const { backend, bucket } = plan.head
        await (await resolve(backend)).sweep?.(bucket, [plan.manifest.key, ...plan.calls.map(({ key }) => key)])
      },
    }
  }
}

/**
 * The results of calls that were committed before a resume: their outputs, published where that is not proved. Of a
 * job that is over they are only looked at.
 */
export function outputResults(
  head: OutputHead,
  journal: CommitPlace,
  resolve: BackendResolver,
  isFinished: boolean,
): (end: Pick<CallEnd, 'result' | 'output'>, id: string) => Promise<Uint8Array> {
  return async ({ result: inline, output }, id) => {
    const target = await resolve(head.backend)
    const publication = { record: output as OutputRecord, head, target, journal, id }
    const object = isFinished
      ? await publishedOutput(publication)
      : await publishOutput({ ...publication, inline, again: true })
    return encodeValue(object, 'output')
  }
}

/**
 * The outputs of a job whose commits were all discarded: what it has published so far is replaced, that of the parts of
 * divided calls too, or removed when the job concludes. `divisions`: of the calls that write.
 */
export async function outputsAnew(
  plan: OutputPlan,
  divisions: readonly Division[],
  journal: JournalPlace & { readonly name: string; readonly generations: Generations },
  resolve: BackendResolver,
): Promise<OutputPlan> {
  const again = await replaceable(plan, [...plan.calls.keys()], resolve)
  const { head, prefix, previous } = again
  const parts = await versionsOf(await resolve(head.backend), head.bucket, prefix, partKeys(plan, divisions))
  const published = Array.from(parts, ([key, etag]) => ({ key, etag }))
  const anew = { ...again, previous: [...previous.filter(({ key }) => !parts.has(key)), ...published] }
  const { backend, bucket, name, generations } = journal
  await backend.put(bucket, outputsKey(name, generations.replan), jsonBytes(anew))
  return anew
}

/** What the parts that divisions made of calls of the plan are called, where they write. */
function partKeys(plan: OutputPlan, divisions: readonly Division[]): string[] {
  const output = new JobOutput(plan)
  const planned = new Map<number, number>()
  return divisions.map(({ parent, at, child }) => {
    const call = planned.get(parent) ?? parent
    planned.set(child, call)
    return output.partOf(call, at).key
  })
}

async function conclude(
  output: JobOutput,
  subject: OutputSubject,
  { run, journal, inputOf }: OutputRun,
  resolve: BackendResolver,
): Promise<void> {
  const order = [...run.calls.order()]
  const conclusion = {
    job: journal.name,
    outputs: () => published(run, order),
    inputsOf: (place: number) => inputsAt(subject, order[place] as number, { inputOf, run }),
    journal: await commitPlace(journal, resolve),
  }
  await output.conclude(conclusion, resolve)
}

function* published({ results }: JobRun, order: readonly number[]): Generator<CloudObject | undefined> {
  for (const call of order) yield results.has(call) ? (decodeValue(results.get(call)) as CloudObject) : undefined
}

/** What a call reads, divided or not; of one whose record was set aside, that record. The groups of a reduce are of the plan's partitions, which their parts tile. */
function inputsAt(
  subject: OutputSubject,
  call: number,
  { inputOf, run }: Pick<OutputRun, 'inputOf' | 'run'>,
): readonly OutputInput[] {
  if (subject.plan === undefined || subject.kind === 'reduce') return outputInputs(subject, call)
  const aside = run.launched?.divisions?.quarantined.get(call)
  if (aside !== undefined) return [{ url: aside.object.url, etag: aside.object.etag, range: aside.range }]
  const input = inputOf(call)
  return input.type === 'partition' ? inputsOf([input.partition]) : []
}

function partOf(output: JobOutput, { plan }: OutputSubject, input: CallInput): CallOutput {
  if (plan === undefined || input.type !== 'partition') throw new RangeError('only partitions are divided')
  const { object, range } = input.partition
  const isIn = (planned: Partition) =>
    planned.object.url === object.url && planned.range.start <= range.start && range.start < planned.range.end
  return output.partOf(plan.partitions.findIndex(isIn), range.start)
}
