/**
 * What the divisions of a job need of its journal: where a division, or a record that is set aside, is committed in the
 * place of the call's end, and where parts get their numbers. The first to commit counts, whether driver or worker.
 */
import type { Division } from '../../partitioner/divided-plan.ts'
import type { ByteRange } from '../core/bytes.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { callId } from '../core/ids.ts'
import { decodeError, encodeError } from '../functions/error-codec.ts'
import {
  type CallEnd,
  type Commit,
  type CommitPlace,
  commitDivision,
  commitSetAside,
  type SetAside,
} from '../job/commits.ts'
import type { OutputHead } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { JobJournal } from './durable.ts'
import { outputResults } from './output-hooks.ts'
import type { CallOutcome } from './scheduler-protocol.ts'

/** A record on which the function fails. */
export interface QuarantinedRecord {
  readonly object: CloudObject
  /** Its bytes in the object, delimiter included. */
  readonly range: ByteRange
  /** Those bytes; of a record longer than 1 MiB its first MiB. */
  readonly bytes: Uint8Array
  /** What the function threw, or what became of its worker. */
  readonly error: Error
  readonly callId: string
}

export interface DivisionJournal {
  /** Under which a call is committed as it was planned, or made by a division. */
  idOf(call: number): string
  /** Settles when it is in the log, and all before it. */
  record(division: Division): Promise<void>
  /** Ends a call at a byte, unless something else is committed; what counts. */
  divide(id: string, at: number): Promise<Commit>
  /** Sets the record aside that is all of a call, unless something else is committed: that. */
  setAside(id: string, record: QuarantinedRecord): Promise<Commit | undefined>
  /** A call that another attempt has ended after all. */
  outcomeOf(id: string, end: CallEnd): Promise<CallOutcome>
}

export interface DivisionCommits {
  readonly place: CommitPlace
  idOf?: ((call: number) => string) | undefined
  record(division: Division): Promise<void>
  /** What a call gave where that is not the result in its commit. */
  resultOf?: ((end: CallEnd, id: string) => Promise<Uint8Array>) | undefined
}

export function divisionJournal({ place, record, resultOf, idOf = callId }: DivisionCommits): DivisionJournal {
  return {
    idOf,
    record,
    divide: (id, at) => commitDivision(place, id, at),
    async setAside(id, { range, bytes, error }) {
      const { won, commit } = await commitSetAside(place, id, { range, bytes, error: encodeError(error) })
      return won ? undefined : commit
    },
    async outcomeOf(id, end) {
      const { stats, read } = end
      return { type: 'succeeded', result: (await resultOf?.(end, id)) ?? end.result, stats, read }
    },
  }
}

/** `output`: where the calls that are divided write some. */
export function divisionsJournal(
  journal: JobJournal,
  map: { readonly jobId: string; readonly output: OutputHead | undefined; idOf?(call: number): string },
  resolve: BackendResolver,
): DivisionJournal {
  const place = { ...journal.place, name: journal.name, series: journal.headOf(map.jobId).series }
  return divisionJournal({
    place,
    idOf: map.idOf,
    record: (division) => journal.recordDivision(division),
    resultOf: map.output && outputResults(map.output, place, resolve, false),
  })
}

/** As it was committed by whoever found it. */
export function quarantinedRecord(
  { range, bytes, error }: SetAside,
  call: { readonly object: CloudObject; readonly callId: string },
): QuarantinedRecord {
  return { ...call, range, bytes, error: decodeError(error) }
}
