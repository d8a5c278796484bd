/**
 * The divisions of one map job: failed calls halved until single records are found and set aside (`onFailure: "bisect"`),
 * and running ones that give a part away (`splittable`). Knows what every call reads by now.
 *
 * Invariant: a division is in the journal before a call that follows from it is sent. Where one is lost on the way, the
 * commit of a shortened call tells where it ended (ReadReport.nominalEnd), so nothing is read twice or never.
 * Left to others: when a call has failed for good (scheduler), the rules (bisection, splitting, partitioner/halve).
 */
import { DividedPlan, type Division } from '../../partitioner/divided-plan.ts'
import type { EdgeSource } from '../../partitioner/edges.ts'
import { boundariesOf, bytesAt, halve } from '../../partitioner/halve.ts'
import { delimiterOf } from '../../partitioner/options.ts'
import type { Plan } from '../../partitioner/plan.ts'
import type { ByteRange } from '../core/bytes.ts'
import type { CloudObject } from '../core/cloud-object.ts'
import { CallError, ConfigError, InvalidStateError, messageOf, StorageError, ValidationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { decodeError } from '../functions/error-codec.ts'
import type { CallInput } from '../job/messages.ts'
import type { AttemptEvent } from '../monitor/monitor.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { Bisection } from './bisection.ts'
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
  /** Puts it into the journal, where there is one. */
  record?(number: number, division: Division): Promise<void>
}

/** What of a launch its divisions need. */
export interface DividableJob {
  readonly run: Pick<JobRun, 'id'>
  readonly settings: DivisionSettings
  readonly inputs: Pick<Inputs, 'plan' | 'edges'>
  readonly feeds: boolean
  resolve: BackendResolver
  record?: DivisionsSpec['record'] | undefined
  /** Made by earlier drivers, in order. */
  readonly past?: readonly Division[] | undefined
}

/**
 * The divisions of a job; undefined where it is not to be divided.
 * @throws ValidationError for partitions without records to look for, or workers that cannot be told anything
 */
export function divisionsOf({ run, settings, inputs, feeds, resolve, record, past = [] }: DividableJob) {
  const { plan, edges } = inputs
  if ((settings.onFailure === undefined && settings.splittable !== true) || plan === undefined) return undefined
  if (settings.onFailure === 'bisect' && plan.options.objNewline === null) {
    throw new ValidationError("onFailure: 'bisect' looks for single records, and objNewline: null says there are none")
  }
  if (settings.splittable === true && !feeds) {
    throw new ConfigError('splittable: the workers of this backend cannot be told anything while they run')
  }
  const source = async ({ backend }: CloudObject) => ({ backend: await resolve(backend) })
  const divisions = new JobDivisions({ jobId: run.id, plan, edges, settings, source, ...(record && { record }) })
  for (const division of past) divisions.replay(division)
  return divisions
}

/** What a job's divisions tell its run loop. */
export interface DivisionLoop {
  divide(call: number, keeps?: number): void
  resolve(call: number, outcome: CallOutcome): void
}

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

type Failed = Extract<CallOutcome, { type: 'failed' }>

const MAX_QUARANTINED = 100
const KEPT_BYTES = 1024 * 1024

/** Ends that may be the doing of a record; the others are those of the machinery. */
const DEATHS: ReadonlySet<string> = new Set(['exited', 'outOfMemory', 'frozen'])

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
  #divisions = 0
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
    this.#divisions += 1
    this.#divide(parent, at, child)
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
    if (why.by === 'timeout' || why.by === 'silence') return true
    if (why.by === 'death') return DEATHS.has(why.death?.reason ?? '')
    if (why.by !== 'function') return false
    const error = decodeError(why.error)
    // an object that cannot be read is no record's doing
    return !(error instanceof StorageError && error.bucket === object.bucket && error.key === object.key)
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
    const recorded = this.#spec.record?.(this.#divisions++, division)
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
    if (this.#splitting === undefined) return []
    switch (event.type) {
      case 'started':
        this.#splitting.started(call, invocation, nowMs)
        return []
      case 'progress':
        this.#splitting.progress(call, invocation, event.bytesRead)
        return this.#splitting.choose(idleSlots, nowMs, (each) => this.plan.inputOf(each).partition.range)
      case 'divided':
        this.#answered(event)
        return []
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
    if (halving.type === 'cut') {
      this.#ends.set(call, { at: halving.at, failed: true })
      return this.#loop?.divide(call)
    }
    if (halving.type === 'none') return this.#loop?.resolve(call, outcome)
    const bytes = await bytesAt(object, halving.range, KEPT_BYTES, source)
    const error = this.#errorOf(call, outcome)
    this.quarantined.set(call, { object, range: halving.range, bytes, error, callId: callId(call) })
    this.#loop?.resolve(call, { ...outcome, quarantined: true })
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
