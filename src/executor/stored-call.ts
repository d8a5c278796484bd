/** One call as its journal has it: the function it runs, and what it reads. */
import { DividedPlan } from '../../partitioner/divided-plan.ts'
import { groupsOf } from '../../reducers/groups.ts'
import { mapConcurrent } from '../core/concurrency.ts'
import { InvalidStateError, ValidationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { readCommit } from '../job/commits.ts'
import { readDivisions } from '../job/division-log.ts'
import { type OpenJournal, openItems, openJournal, type PartRecord, readFunction, readPlan } from '../job/journal.ts'
import { seriesOf, shortenedId } from '../job/keys.ts'
import type { CallInput, JobHead } from '../job/messages.ts'
import type { JournalPlace } from '../job/place.ts'
import { decodeItems } from '../job/stored-inputs.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { type Inputs, planInputs } from './launch.ts'
import { idsOf } from './resumed-job.ts'

export interface StoredCall {
  readonly head: JobHead
  /** Encoded. */
  readonly extraArgs: Uint8Array
  readonly call: number
  readonly input: CallInput
  /** Of a reduce call: the encoded results it reads, in plan order; in the place of one that is absent its call. */
  readonly results: readonly (Uint8Array | number)[]
}

export interface CallPlace {
  readonly name: string
  /** The map or the reduce of the job. */
  readonly jobId: string
  readonly call: number
}

const READS_AT_ONCE = 16

/**
 * @throws NotFoundError, InvalidStateError when the journal does not have it, or maps that a reduce reads have not ended
 * @throws ValidationError for a call that the job does not have
 */
export async function readStoredCall(
  place: JournalPlace,
  { name, jobId, call }: CallPlace,
  resolve: BackendResolver,
): Promise<StoredCall> {
  const journal = await openJournal(place, name)
  const { record, driver } = journal
  const part = record.parts.find((each) => each.jobId === jobId) as PartRecord
  const { head, extraArgs } = await readFunction(place, record, seriesOf(jobId, driver.record.code), process.env)
  const stored = await storedInputs(place, journal, resolve)
  if (part.kind === 'map') {
    assertCall(call, stored.count, name)
    return { head, extraArgs, call, input: await stored.inputOf(call), results: [] }
  }
  const groups = groupsOf(stored.plan?.partitions, stored.planned, part.reduce?.byKey === true, stored.divisions)
  assertCall(call, groups.length, name)
  const { maps = [], object } = groups[call] ?? {}
  const results = await mapConcurrent(maps, READS_AT_ONCE, async (map) => (await stored.resultOf(map)) ?? map)
  return { head, extraArgs, call, input: { type: 'results', count: maps.length, object }, results }
}

async function storedInputs(place: JournalPlace, { record, driver }: OpenJournal, resolve: BackendResolver) {
  const { name, parts } = record
  const { code, replan } = driver.record
  const stored = record.inputs === 'plan' ? await readPlan(place, name, replan) : undefined
  const inputs: Inputs | undefined = stored && (await planInputs(stored.plan, resolve, 'process'))
  const plan = inputs?.plan
  const divided = plan && new DividedPlan(plan, inputs?.edges)
  for (const { parent, at } of divided === undefined ? [] : await readDivisions(place, name))
    divided?.divide(parent, at)
  const idOf = idsOf(stored, replan)
  const commits = { ...place, name, series: seriesOf((parts[0] as PartRecord).jobId, code) }
  const planned = (parts[0] as PartRecord).calls
  return {
    plan,
    planned: plan?.partitions.length ?? planned,
    count: divided?.calls ?? planned,
    divisions: divided?.divisions,
    async inputOf(call: number): Promise<CallInput> {
      if (divided !== undefined) return { type: 'partition', ...divided.inputOf(call) }
      return { type: 'item', value: await itemAt(place, name, call) }
    },
    /** Undefined: its record was set aside. */
    async resultOf(map: number): Promise<Uint8Array | undefined> {
      const kept = divided?.keptEnd(map)
      const commit = await readCommit(commits, kept === undefined ? idOf(map) : shortenedId(idOf(map), kept))
      if (commit?.type === 'end') return commit.end.result
      if (commit?.type === 'set aside') return undefined
      throw new InvalidStateError(
        `map call ${callId(map)} of ${name} has not ended: its reduce has no inputs to replay`,
      )
    },
  }
}

async function itemAt(place: JournalPlace, name: string, call: number): Promise<Uint8Array> {
  let at = 0
  for await (const item of decodeItems(await openItems(place, name))) if (at++ === call) return item
  throw new InvalidStateError(`the journal of ${name} has ${at} items, and none for call ${callId(call)}`)
}

function assertCall(call: number, calls: number, name: string): void {
  if (call < calls) return
  throw new ValidationError(`call: expected one of the ${calls} calls of ${name}, from 00000 on, got ${callId(call)}`)
}
