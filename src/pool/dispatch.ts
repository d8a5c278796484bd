/**
 * Who runs what: the line of accepted invocations, what each worker has of them, and what is handed out next.
 *
 * - In the order of the line, as far as slots go; what waits has slots of its own.
 * - Where every slot is taken, workers get up to `prefetch` ahead. The first that may not go ahead stops this for all
 *   behind it: they would keep every worker busy for ever.
 */
import { type Accepted, InvocationQueue, type PoolInvocation } from './invocation.ts'
import type { PoolWorker } from './pool-worker.ts'
import type { WorkerSet } from './worker-set.ts'

export interface HandedOut {
  /** In a slot of their own, for lack of an idle worker. */
  readonly wanted: readonly PoolInvocation[]
  /** Off the line again: their direct value cannot travel. */
  readonly refused: readonly { readonly id: number; readonly error: Error }[]
}

export class Dispatch {
  slots: number
  readonly #waitingSlots: number
  readonly #prefetch: number
  readonly #workers: WorkerSet
  readonly #queue = new InvocationQueue()
  /** Who runs it, or has it ahead. */
  readonly #taken = new Map<number, PoolWorker>()
  #ahead = 0
  #waiting = 0

  constructor(
    limits: { readonly slots: number; readonly waitingSlots: number; readonly prefetch?: number | undefined },
    workers: WorkerSet,
  ) {
    this.slots = limits.slots
    this.#waitingSlots = limits.waitingSlots
    this.#prefetch = limits.prefetch ?? 0
    this.#workers = workers
  }

  /** In the line, or ahead in a worker. */
  get queued(): number {
    return this.#queue.size + this.#ahead
  }

  get running(): number {
    return this.#taken.size - this.#ahead
  }

  has(id: number): boolean {
    return this.#queue.has(id) || this.#taken.has(id)
  }

  accept(invocation: PoolInvocation): void {
    this.#queue.push({ invocation, fed: [], stopped: false })
  }

  feed(id: number, bytes: Uint8Array): void {
    const queued = this.#queue.get(id)
    if (queued === undefined) this.#taken.get(id)?.feed(id, bytes)
    else queued.fed.push(bytes)
  }

  /** Takes it off the line; false when it is not in the line. */
  withdraw(id: number): boolean {
    return this.#queue.delete(id)
  }

  /** Takes all off the line. */
  withdrawAll(): number[] {
    return this.#queue.drain()
  }

  /** The worker that runs it or has it ahead. */
  holder(id: number): PoolWorker | undefined {
    return this.#taken.get(id)
  }

  handOut(): HandedOut {
    const wanted: PoolInvocation[] = []
    const refused: { id: number; error: Error }[] = []
    let free = this.slots - (this.running - this.#waiting)
    let waitingFree = this.#waitingSlots - this.#waiting
    let ahead = this.#prefetch > 0
    for (const accepted of this.#queue) {
      if (free <= 0 && waitingFree <= 0 && !ahead) break
      const { invocation } = accepted
      const waits = this.#isWaiting(invocation)
      let worker: PoolWorker | undefined
      if ((waits ? waitingFree : free) > 0) {
        if (waits) waitingFree -= 1
        else free -= 1
        worker = this.#workers.idle(invocation.memoryMiB)
        if (worker === undefined) wanted.push(invocation)
      } else if (!waits && ahead) {
        worker = this.#aheadIn(invocation)
        ahead = worker !== undefined
      }
      const error = worker === undefined ? undefined : this.#give(worker, accepted)
      if (error !== undefined) refused.push({ id: invocation.id, error })
    }
    return { wanted, refused }
  }

  /** Takes from a worker what it ran; what lay ahead runs now. */
  release(worker: PoolWorker): Accepted {
    const ended = worker.finish()
    if (worker.running !== undefined) this.#ahead -= 1
    this.#taken.delete(ended.invocation.id)
    if (this.#isWaiting(ended.invocation)) this.#waiting -= 1
    return ended
  }

  /** Back to the front of the line with what lies ahead in a worker. Gives those that were stopped: they end here. */
  takeBack(worker: PoolWorker): number[] {
    const returned = worker.takeBack()
    this.#ahead -= returned.length
    for (const { invocation } of returned) this.#taken.delete(invocation.id)
    this.#queue.unshift(returned.filter(({ stopped }) => !stopped))
    return returned.filter(({ stopped }) => stopped).map(({ invocation }) => invocation.id)
  }

  /** Hands it to a worker, to run now or next; the error when it cannot travel. */
  #give(worker: PoolWorker, accepted: Accepted): Error | undefined {
    const { invocation } = accepted
    const behind = worker.running !== undefined
    this.#queue.delete(invocation.id)
    try {
      worker.invoke(accepted)
    } catch (error) {
      return error as Error
    }
    this.#taken.set(invocation.id, worker)
    if (behind) this.#ahead += 1
    if (this.#isWaiting(invocation)) this.#waiting += 1
    return undefined
  }

  #aheadIn({ alone, direct, memoryMiB }: PoolInvocation): PoolWorker | undefined {
    // what was moved to a worker that dies could not be given to another
    if (alone === true || (direct !== undefined && direct.transfer.length > 0)) return undefined
    return this.#workers.roomAhead(memoryMiB, this.#prefetch)
  }

  /** Only where there are slots for waiting; elsewhere it takes an ordinary one. */
  #isWaiting(invocation: PoolInvocation): boolean {
    return invocation.waits === true && this.#waitingSlots > 0
  }
}
