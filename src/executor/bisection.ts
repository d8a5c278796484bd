/**
 * Whether a call that failed may still be divided to find the records on which it fails. Pure.
 *
 * Failed ranges that do not contain each other have a bad record each, so their number is the least there can be; once
 * it is past `maxQuarantined`, looking on cannot end well: a function that fails on everything is found out after at most
 * 2 log n attempts for each of them, whatever the order in which calls run. A failure of one half of a failed range is
 * the failure of the whole, seen closer: it counts once. Where both halves succeed (memory, a sum that overflows), the
 * whole is counted no more.
 */
import type { CloudObject } from '../core/cloud-object.ts'
import { StorageError } from '../core/errors.ts'
import { decodeError } from '../functions/error-codec.ts'
import type { FailureReason } from './scheduler-protocol.ts'

/** Cuts that isolate one record of the longest object, with room to spare; a cap on attempts beside the rule above. */
const CUTS_PER_RECORD = 64

/** Ends that may be the doing of a record; the others are those of the machinery. */
const DEATHS: ReadonlySet<string> = new Set(['exited', 'outOfMemory', 'frozen'])

/** Whether a call that reads this object may have failed because of a record of it. */
export function mayBeARecordsDoing(why: FailureReason, object: CloudObject): boolean {
  if (why.by === 'timeout' || why.by === 'silence') return true
  if (why.by === 'death') return DEATHS.has(why.death?.reason ?? '')
  if (why.by !== 'function') return false
  const error = decodeError(why.error)
  // an object that cannot be read is no record's doing
  return !(error instanceof StorageError && error.bucket === object.bucket && error.key === object.key)
}

/** The two halves of a failed range, until the first of them fails. */
interface Suspicion {
  pending: number
  confirmed: boolean
}

export class Bisection {
  readonly #max: number
  readonly #suspicions = new Map<number, Suspicion>()
  #suspects = 0
  #cuts = 0

  /** `maxQuarantined`: records that may be set aside. */
  constructor(maxQuarantined: number) {
    this.#max = maxQuarantined
  }

  /** The call failed for good: whether it may be divided, or its record set aside. */
  failed(call: number): boolean {
    const suspicion = this.#suspicions.get(call)
    this.#suspicions.delete(call)
    if (suspicion === undefined || suspicion.confirmed) this.#suspects += 1
    else suspicion.confirmed = true
    if (suspicion !== undefined) suspicion.pending -= 1
    return this.#suspects <= this.#max && this.#cuts < CUTS_PER_RECORD * (this.#max + 1)
  }

  /** The failed call was cut in two. */
  cut(call: number, child: number): void {
    this.#cuts += 1
    const suspicion = { pending: 2, confirmed: false }
    this.#suspicions.set(call, suspicion)
    this.#suspicions.set(child, suspicion)
  }

  /** The call succeeded after all. */
  succeeded(call: number): void {
    const suspicion = this.#suspicions.get(call)
    if (suspicion === undefined) return
    this.#suspicions.delete(call)
    suspicion.pending -= 1
    if (suspicion.pending === 0 && !suspicion.confirmed) this.#suspects -= 1
  }
}
