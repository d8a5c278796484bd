/** What a pool runs, and the line of what it has accepted and not yet handed to a worker. */
import type { Direct } from './worker-link.ts'

export interface PoolInvocation {
  /** Unique among those that have not ended. */
  readonly id: number
  /** The part many invocations have in common: sent to a worker once. */
  readonly shared: { readonly id: string; readonly bytes: Uint8Array }
  readonly payload: Uint8Array
  /** Beside the payload, as it is: only where workers are threads. */
  readonly direct?: Direct | undefined
  /** Heap limit of the worker; a worker with another limit is replaced. */
  readonly memoryMiB?: number | undefined
  /** It mostly waits for what it is fed: it takes one of `waitingSlots`, where there are any. */
  readonly waits?: boolean | undefined
  /** It is never given ahead to a busy worker, and nothing is given ahead to the worker that runs it. */
  readonly alone?: boolean | undefined
}

/** An accepted invocation until it ends. */
export interface Accepted {
  readonly invocation: PoolInvocation
  /** What was sent to it before it ran. */
  readonly fed: Uint8Array[]
  /** Told to stop while it lay ahead in a worker. */
  stopped: boolean
}

/**
 * First in, first out; what comes back from a dead worker goes to the front. Taking from the front costs the same however
 * long the line is: a Map alone would walk over all it has deleted.
 */
export class InvocationQueue {
  readonly #byId = new Map<number, Accepted>()
  /** In order from `#first` on; what `#byId` does not have has left. */
  #line: (Accepted | undefined)[] = []
  #first = 0

  get size(): number {
    return this.#byId.size
  }

  has(id: number): boolean {
    return this.#byId.has(id)
  }

  get(id: number): Accepted | undefined {
    return this.#byId.get(id)
  }

  push(accepted: Accepted): void {
    this.#byId.set(accepted.invocation.id, accepted)
    this.#line.push(accepted)
  }

  /** Puts them before all others, in the order given. */
  unshift(returned: readonly Accepted[]): void {
    if (returned.length === 0) return
    // anew from what is here: a returned one may still stand where it was taken from
    this.#line = [...returned, ...this]
    this.#first = 0
    for (const accepted of returned) this.#byId.set(accepted.invocation.id, accepted)
  }

  /** False when it is not here. */
  delete(id: number): boolean {
    return this.#byId.delete(id)
  }

  /** Empties it; ids in order. */
  drain(): number[] {
    const ids = Array.from(this, ({ invocation }) => invocation.id)
    this.#byId.clear()
    this.#line = []
    this.#first = 0
    return ids
  }

  /** In order; what is deleted meanwhile is left out. */
  *[Symbol.iterator](): Generator<Accepted, undefined, undefined> {
    this.#skipDeleted()
    for (let i = this.#first; i < this.#line.length; i++) {
      const accepted = this.#line[i]
      if (accepted !== undefined && this.#isHere(accepted)) yield accepted
    }
  }

  #skipDeleted(): void {
    for (; this.#first < this.#line.length; this.#first++) {
      const accepted = this.#line[this.#first]
      if (accepted !== undefined && this.#isHere(accepted)) break
      this.#line[this.#first] = undefined
    }
    if (this.#first < 1_024 || this.#first < this.#line.length / 2) return
    this.#line = this.#line.slice(this.#first)
    this.#first = 0
  }

  #isHere(accepted: Accepted): boolean {
    return this.#byId.get(accepted.invocation.id) === accepted
  }
}
