/** What went wrong with the calls of a job so far; nothing is kept of a call that never had trouble. */
import type { CallOutcome } from './scheduler-protocol.ts'

interface Trouble {
  failures: number
  losses: number
  memoryMiB: number | undefined
  last: CallOutcome | undefined
}

export class Troubles {
  readonly #of = new Map<number, Trouble>()

  /** Tries of it that failed. */
  failures(call: number): number {
    return this.#of.get(call)?.failures ?? 0
  }

  /** Workers that died before they started it, for no other reason known. */
  losses(call: number): number {
    return this.#of.get(call)?.losses ?? 0
  }

  /** What its next try needs, where that differs from the job's. */
  memoryMiB(call: number): number | undefined {
    return this.#of.size === 0 ? undefined : this.#of.get(call)?.memoryMiB
  }

  /** How its last try failed, until it is tried again. */
  last(call: number): CallOutcome | undefined {
    return this.#of.get(call)?.last
  }

  addFailure(call: number, outcome: CallOutcome): void {
    const trouble = this.#get(call)
    trouble.failures += 1
    trouble.last = outcome
  }

  addLoss(call: number): void {
    this.#get(call).losses += 1
  }

  /** It is tried again, with that memory from now on where it is given. */
  again(call: number, memoryMiB: number | undefined): void {
    const trouble = this.#get(call)
    trouble.last = undefined
    trouble.memoryMiB = memoryMiB ?? trouble.memoryMiB
  }

  forget(call: number): void {
    this.#of.delete(call)
  }

  #get(call: number): Trouble {
    let trouble = this.#of.get(call)
    if (trouble === undefined) {
      trouble = { failures: 0, losses: 0, memoryMiB: undefined, last: undefined }
      this.#of.set(call, trouble)
    }
    return trouble
  }
}
