/**
 * The calls of one job as their reader sees them: futures, made when somebody asks for one; results, decoded when they
 * are first read and then given again; the order in which they stand, in which a divided call's parts follow it.
 */
import type { StorePrices } from '../../partitioner/prices.ts'
import { CancelledError } from '../core/errors.ts'
import { decodeValue } from '../functions/codec.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import type { CallFacts } from './call-table.ts'
import { CallTable } from './call-table.ts'
import { costOf } from './job-totals.ts'
import { type CallOwner, ResponseFuture } from './response-future.ts'
import { ResultStore } from './result-store.ts'

const RESULTS_IN_MEMORY_BYTES = 256 * 1024 * 1024

/** What they ask of their job. */
export interface CallsOwner extends Omit<CallOwner, 'facts' | 'log' | 'read' | 'costOf'> {
  /** Results are asked for again in the form they came in. */
  readonly keepsResults: boolean
  readonly spec: { readonly prices?: StorePrices | undefined }
}

export class CallFutures implements CallOwner {
  readonly table = new CallTable()
  readonly results = new ResultStore(RESULTS_IN_MEMORY_BYTES)
  readonly #owner: CallsOwner
  /** Those whose call has ended are held as long as somebody else does: they can be made again. */
  readonly #made: (ResponseFuture<unknown> | WeakRef<ResponseFuture<unknown>> | undefined)[] = []
  /**
   * Decoded results by call: large ones, which took over their bytes; of others objects, as long as somebody holds them.
   * What can be decoded again is not held, but for the last from the disk.
   */
  readonly #values: unknown[] = []
  #lastSpilled: { readonly call: number; readonly value: unknown } | undefined
  /** By divided call: what was appended for its parts, in order. */
  readonly #parts = new Map<number, readonly number[]>()
  #waiters: (() => void)[] = []

  constructor(owner: CallsOwner) {
    this.#owner = owner
  }

  get executorId(): string {
    return this.#owner.executorId
  }

  get id(): string {
    return this.#owner.id
  }

  get submittedAt(): number {
    return this.#owner.submittedAt
  }

  get plannedAt(): number | undefined {
    return this.#owner.plannedAt
  }

  get functionBytes(): number | undefined {
    return this.#owner.functionBytes
  }

  costOf(stats: WorkerStats): number {
    return costOf(stats, this.#owner.spec.prices)
  }

  /** Calls in the order in which their results stand. */
  order(): Iterable<number> {
    return this.#parts.size === 0 ? countTo(this.table.count) : this.#inOrder()
  }

  /**
   * A future of a call that has ended: the one that others hold, or one for who asks alone. To remember it, be it weakly,
   * would cost more than the call, for each of very many.
   */
  ended<R>(call: number): ResponseFuture<R> {
    const made = this.#madeOf(call)
    if (made !== undefined) return made as ResponseFuture<R>
    const future = new ResponseFuture<R>(this, call)
    this.#tell(future, call)
    return future
  }

  /** The one future of a call. */
  future<R>(call: number): ResponseFuture<R> {
    let future = this.#madeOf(call)
    if (future === undefined) {
      future = new ResponseFuture<unknown>(this, call)
      this.#tell(future, call)
      this.#made[call] = future.done() ? new WeakRef(future) : future
    }
    return future as ResponseFuture<R>
  }

  /** `added` calls from `first` on have parts of what was this one's input; they stand after it, before earlier parts. */
  appended(call: number, first: number, added: number): void {
    const missing = first + added - this.table.count
    if (missing > 0) this.table.append(missing)
    const parts = Array.from({ length: added }, (_, i) => first + i)
    this.#parts.set(call, [...parts, ...(this.#parts.get(call) ?? [])])
  }

  /** False when another attempt of it runs already. */
  started(call: number): boolean {
    const first = this.table.started(call, Date.now())
    this.#madeOf(call)?.markRunning()
    return first
  }

  /** Its result, where it has one, is in `results`. */
  end(call: number, outcome: 'succeeded' | 'failed' | 'cancelled', error?: Error): void {
    this.table.end(call, outcome, Date.now(), error)
    const made = this.#madeOf(call)
    if (made !== undefined) {
      this.#tell(made, call)
      this.#made[call] = new WeakRef(made)
    }
    if (this.#waiters.length > 0) this.wake()
  }

  /** Calls that have not ended end with this. */
  endAll(error: Error): void {
    const outcome = error instanceof CancelledError ? 'cancelled' : 'failed'
    for (let call = 0; call < this.table.count; call++) {
      if (!this.table.isDone(call)) this.end(call, outcome, outcome === 'failed' ? error : undefined)
    }
  }

  /** Resolves when a call ends after now, or at `wake`. */
  nextEnd(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** Ends what waits for the next end: there may be none any more. */
  wake(): void {
    const waiters = this.#waiters
    this.#waiters = []
    for (const wake of waiters) wake()
  }

  facts(call: number): CallFacts {
    return this.table.facts(call)
  }

  log(call: number): string {
    return this.table.log(call)
  }

  /** The result of a call that succeeded; the same at every reading, as long as somebody holds it. */
  read(call: number): unknown {
    const held = this.#lastSpilled?.call === call ? this.#lastSpilled.value : this.#valueOf(call)
    if (held !== undefined) {
      this.#owner.onRead(false)
      return held
    }
    if (!this.results.has(call)) return undefined
    const value = this.#decode(call)
    this.#owner.onRead(this.table.read(call, Date.now()))
    return value
  }

  cancelCalls(calls: readonly number[], running: boolean): void {
    this.#owner.cancelCalls(calls, running)
  }

  onRead(first: boolean): void {
    this.#owner.onRead(first)
  }

  #madeOf(call: number): ResponseFuture<unknown> | undefined {
    const made = this.#made[call]
    return made instanceof WeakRef ? made.deref() : made
  }

  #valueOf(call: number): unknown {
    const value = this.#values[call]
    return value instanceof WeakRef ? value.deref() : value
  }

  #decode(call: number): unknown {
    const { results } = this
    const isSpilled = results.isSpilled(call)
    // a result that a reducer may be fed with again stays as it came
    const takesOver = results.isApart(call) && !this.#owner.keepsResults
    const value = decodeValue(results.get(call), { adopt: takesOver || isSpilled })
    if (isSpilled) this.#lastSpilled = { call, value }
    else if (takesOver && value !== undefined) {
      this.#values[call] = value
      results.handOver(call)
    } else if (typeof value === 'object' && value !== null) this.#values[call] = new WeakRef(value)
    return value
  }

  #tell(future: ResponseFuture<unknown>, call: number): void {
    switch (this.table.standing(call)) {
      case 'running':
        return future.markRunning()
      case 'succeeded':
        return future.setResult(undefined)
      case 'failed':
        return future.setException(this.table.error(call) as Error)
      case 'cancelled':
        return future.markCancelled()
    }
  }

  *#inOrder(): Iterable<number> {
    const open: number[] = []
    // children are no roots: they stand where their parent's part says
    const children = new Set([...this.#parts.values()].flat())
    for (let root = 0; root < this.table.count; root++) {
      if (children.has(root)) continue
      open.push(root)
      for (let call = open.pop(); call !== undefined; call = open.pop()) {
        yield call
        open.push(...(this.#parts.get(call) ?? []).toReversed())
      }
    }
  }
}

function* countTo(count: number): Iterable<number> {
  for (let i = 0; i < count; i++) yield i
}
