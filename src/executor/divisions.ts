/**
 * The divisions of one map job: failed calls halved until single records are found and set aside (`onFailure: "bisect"`),
 * and running ones that give a part away (`splittable`). Knows what every call reads by now.
 *
 * Invariant: of a job with a journal, a division is committed in the place of the call's end before anything follows from
 * it (by who asked for it: the driver that halves, the worker that gives away), and in the log before a call that follows
 * from it is sent. So nothing is read twice or never, whoever dies, and whoever wakes up late.
 * Left to others: when a call has failed for good (scheduler), the rules (bisection, splitting, partitioner/halve).
 */
import { DividedPlan, type Division } from '../../partitioner/divided-plan.ts'
import type { EdgeSource } from '../../partitioner/edges.ts'
import { boundariesOf, bytesAt, halve } from '../../partitioner/halve.ts'
import { delimiterOf } from '../../partitioner/options.ts'
import type { Plan } from '../../partitioner/plan.ts'
import type { ByteRange } from '../core/bytes.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { CallError, ConfigError, InvalidStateError, messageOf, ValidationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import type { Commit, SetAside } from '../job/commits.ts'
import { shortenedId } from '../job/keys.ts'
import type { CallInput } from '../job/messages.ts'
import type { AttemptEvent } from '../monitor/monitor.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { Bisection, mayBeARecordsDoing } from './bisection.ts'
import { type DivisionJournal, type QuarantinedRecord, quarantinedRecord } from './division-journal.ts'
import type { JobRun } from './job-run.ts'
import type { Inputs } from './launch.ts'
import { errorOf } from './outcome-error.ts'
import type { CallOutcome, FailureReason } from './scheduler-protocol.ts'
import { type SplitOrder, Splitting } from './splitting.ts'

/** What of the options says how a job is divided. */
export interface DivisionSettings {
  readonly onFailure?: 'bisect' | undefined
  /** Records that may be set aside; default 100. */
  readonly maxQuarantined?: number | undefined
  readonly splittable?: boolean | undefined
}

export interface DivisionsSpec {
  readonly jobId: string
  readonly plan: Plan
  /** Record edges that are known beforehand, by call. */
  readonly edges?: readonly (ByteRange | undefined)[] | undefined
  readonly settings: DivisionSettings
  /** How an object is read by the driver. */
  source(object: CloudObject): Promise<EdgeSource>
  readonly journal?: DivisionJournal | undefined
}

/** What of a launch its divisions need. */
export interface DividableJob {
  readonly run: Pick<JobRun, 'id'>
  readonly settings: DivisionSettings
  readonly inputs: Pick<Inputs, 'plan' | 'edges'>
  readonly feeds: boolean
  resolve: BackendResolver
  readonly journal?: DivisionJournal | undefined
  /** Made by earlier drivers, in order. */
  readonly past?: readonly Division[] | undefined
}

/**
 * The divisions of a job; undefined where it is not to be divided.
 * @throws ValidationError for partitions without records to look for, or workers that cannot be told anything
 */
export function divisionsOf({ run, settings, inputs, feeds, resolve, journal, past = [] }: DividableJob) {
  const { plan, edges } = inputs
  if ((settings.onFailure === undefined && settings.splittable !== true) || plan === undefined) return undefined
  if (settings.onFailure === 'bisect' && plan.options.objNewline === null) {
    throw new ValidationError("onFailure: 'bisect' looks for single records, and objNewline: null says there are none")
  }
  if (settings.splittable === true && !feeds) {
    throw new ConfigError('splittable: the workers of this backend cannot be told anything while they run')
  }
  const source = async ({ backend }: CloudObject) => ({ backend: await resolve(backend) })
  const divisions = new JobDivisions({ jobId: run.id, plan, edges, settings, source, journal })
  for (const division of past) divisions.replay(division)
  return divisions
}

/** What a job's divisions tell its run loop. */
export interface DivisionLoop {
  divide(call: number, keeps?: number): void
  resolve(call: number, outcome: CallOutcome): void
}

type Failed = Extract<CallOutcome, { type: 'failed' }>

const MAX_QUARANTINED = 100
const KEPT_BYTES = 1024 * 1024

export class JobDivisions {
  readonly plan: DividedPlan
  readonly quarantined = new Map<number, QuarantinedRecord>()
  readonly #spec: DivisionsSpec
  readonly #delimiter: Buffer | null
  readonly #max: number
  readonly #bisection: Bisection | undefined
  readonly #splitting: Splitting | undefined
  /** Where the range of a call is to end, from when that is known until the scheduler has taken it. */
  readonly #ends = new Map<number, { readonly at: number; readonly failed: boolean }>()
  readonly #recorded = new Map<number, Promise<void>>()
  #loop: DivisionLoop | undefined

  constructor(spec: DivisionsSpec) {
    const { onFailure, splittable, maxQuarantined = MAX_QUARANTINED } = spec.settings
    this.#spec = spec
    this.#max = maxQuarantined
    this.#delimiter = delimiterOf(spec.plan.options)
    this.plan = new DividedPlan(spec.plan, spec.edges)
    this.#bisection = onFailure === 'bisect' ? new Bisection(maxQuarantined) : undefined
    this.#splitting = splittable === true ? new Splitting() : undefined
  }

  connect(loop: DivisionLoop): void {
    this.#loop = loop
  }

  /** A division of an earlier driver; in the order in which they were made. */
  replay({ parent, at, child }: Division): void {
    this.#divide(parent, at, child)
  }

  /** A call was found divided at `at` by an earlier driver that did not get to log it. */
  async found(parent: number, at: number): Promise<Division> {
    const division = this.plan.divide(parent, at)
    await this.#spec.journal?.record(division)
    return division
  }

  /** A record that an earlier driver has set aside. */
  foundQuarantined(call: number, record: SetAside): QuarantinedRecord {
    const { object } = this.plan.inputOf(call).partition
    const found = quarantinedRecord(record, { object, callId: callId(call) })
    this.quarantined.set(call, found)
    return found
  }

  /** Under which the call is committed now, `id` being that under which it was made. */
  commitIdOf(call: number, id: string): string {
    const end = this.plan.keptEnd(call)
    return end === undefined ? id : shortenedId(id, end)
  }

  /** In plan order. */
  quarantinedRecords(): QuarantinedRecord[] {
    return this.plan.order().flatMap((call) => this.quarantined.get(call) ?? [])
  }

  inputOf(call: number): CallInput {
    return { type: 'partition', ...this.plan.inputOf(call) }
  }

  /** Whether a call that failed for good may be divided. */
  divides(call: number, why: FailureReason): boolean {
    if (this.#bisection === undefined || this.#delimiter === null) return false
    const { object, uncut } = this.plan.inputOf(call).partition
    if (uncut !== undefined) return false
    return mayBeARecordsDoing(why, object)
  }

  /** The call failed for good and was parked: it is divided, its record set aside, or it fails. */
  failed(call: number, outcome: CallOutcome): void {
    if (outcome.type !== 'failed') throw new InvalidStateError(`call ${call} is divided, but has not failed`)
    if (this.#bisection?.failed(call) !== true) return this.#loop?.resolve(call, this.#tooMany(call, outcome))
    this.#examine(call, outcome).catch((error) => this.#loop?.resolve(call, this.#unexamined(call, outcome, error)))
  }

  /** The scheduler has taken a division: `child` has what `parent` gave away. */
  appended(parent: number, child: number): void {
    const end = this.#ends.get(parent)
    if (end === undefined) throw new InvalidStateError(`call ${parent} was divided, nobody said where`)
    this.#ends.delete(parent)
    const division = this.#divide(parent, end.at, child)
    if (end.failed) this.#bisection?.cut(parent, child)
    const recorded = this.#spec.journal?.record(division)
    if (recorded === undefined) return
    // who waits for it hears of a failure
    recorded.catch(() => undefined)
    for (const call of [parent, child]) this.#recorded.set(call, recorded)
  }

  /** Until then these calls must not be sent. Rejects when the journal cannot be written. */
  ready(calls: readonly { readonly call: number }[]): Promise<unknown> | undefined {
    if (this.#recorded.size === 0) return undefined
    const waits = calls.flatMap(({ call }) => this.#recorded.get(call) ?? [])
    return waits.length === 0 ? undefined : Promise.all(waits)
  }

  /** Takes what is reported of calls; the orders to send now. `idleSlots`: those nobody has anything for. */
  watch(event: AttemptEvent, idleSlots: number, nowMs: number): readonly (SplitOrder & { invocation: number })[] {
    const { call, invocation } = event
    if (event.type === 'succeeded') this.#bisection?.succeeded(call)
    // also where nobody was asked: an attempt may find that a driver before has divided its call
    if (event.type === 'divided') this.#answered(event)
    if (this.#splitting === undefined) return []
    switch (event.type) {
      case 'started':
        this.#splitting.started(call, invocation, nowMs)
        return []
      case 'progress':
        this.#splitting.progress(call, invocation, event.bytesRead)
        return this.#splitting.choose(idleSlots, nowMs, (each) => this.plan.inputOf(each).partition.range)
      case 'succeeded':
      case 'failed':
      case 'lost':
        this.#splitting.ended(call, invocation)
        return []
      default:
        return []
    }
  }

  #answered({ call, invocation, end }: Extract<AttemptEvent, { type: 'divided' }>): void {
    const { range } = this.plan.inputOf(call).partition
    const gaveNothing = end >= range.end
    this.#splitting?.answered(call, gaveNothing)
    if (gaveNothing) return
    this.#ends.set(call, { at: end, failed: false })
    this.#loop?.divide(call, invocation)
  }

  async #examine(call: number, outcome: Failed): Promise<void> {
    const { object, range } = this.plan.inputOf(call).partition
    const source = await this.#spec.source(object)
    const halving = await halve(range, object.size, boundariesOf(object, this.#delimiter as Buffer, source))
    if (halving.type === 'none') return this.#loop?.resolve(call, outcome)
    const { journal } = this.#spec
    if (halving.type === 'cut') {
      const commit = await journal?.divide(this.#idOf(call, journal), halving.at)
      return this.#conclude(call, outcome, commit ?? { type: 'divided', at: halving.at })
    }
    const bytes = await bytesAt(object, halving.range, KEPT_BYTES, source)
    const error = this.#errorOf(call, outcome)
    const record = { object, range: halving.range, bytes, error, callId: callId(call) }
    const commit = await journal?.setAside(this.#idOf(call, journal), record)
    if (commit !== undefined) return this.#conclude(call, outcome, commit)
    this.quarantined.set(call, record)
    this.#loop?.resolve(call, { ...outcome, quarantined: true })
  }

  /** What is committed of a call that failed for good here. */
  async #conclude(call: number, outcome: Failed, commit: Commit): Promise<void> {
    switch (commit.type) {
      case 'divided':
        this.#ends.set(call, { at: commit.at, failed: true })
        return this.#loop?.divide(call)
      case 'set aside':
        this.foundQuarantined(call, commit.record)
        return this.#loop?.resolve(call, { ...outcome, quarantined: true })
      case 'end': {
        // an attempt that was given up has ended it meanwhile
        const { journal } = this.#spec as { readonly journal: DivisionJournal }
        this.#loop?.resolve(call, await journal.outcomeOf(this.#idOf(call, journal), commit.end))
      }
    }
  }

  #idOf(call: number, journal: DivisionJournal): string {
    return this.commitIdOf(call, journal.idOf(call))
  }

  #divide(parent: number, at: number, child: number): Division {
    const division = this.plan.divide(parent, at)
    if (division.child !== child) {
      throw new InvalidStateError(`the part of call ${parent} is call ${child}, but ${division.child} is the next`)
    }
    return division
  }

  #errorOf(call: number, { why }: Failed): Error {
    return errorOf(this.#spec.jobId, call, why, (map) => new Error(`map ${map}`))
  }

  #tooMany(call: number, outcome: Failed): Failed {
    const error = this.#errorOf(call, outcome)
    return failedWith(
      call,
      error,
      `more than ${this.#max} records fail (maxQuarantined), so it is not divided to find them`,
      outcome,
    )
  }

  #unexamined(call: number, outcome: Failed, cause: unknown): Failed {
    const why = messageOf(cause)
    const error = this.#errorOf(call, outcome)
    return failedWith(call, error, `its records could not be looked at to find the one that fails: ${why}`, outcome)
  }
}

function failedWith(call: number, cause: Error, what: string, { stats }: Failed): Failed {
  const error = new CallError(`${cause.message}; ${what}`, callId(call), { cause })
  return { type: 'failed', why: { by: 'error', error }, stats }
}
