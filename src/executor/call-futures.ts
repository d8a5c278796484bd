/**
 * The calls of one job as their reader sees them: futures, made when somebody asks for one; results, decoded when they
 * are first read and then given again; the order in which they stand, in which a divided call's parts follow it.
 */
import { CancelledError } from '../core/errors.ts'
import { decodeValue } from '../functions/codec.ts'
import type { CallFacts } from './call-table.ts'
import { CallTable } from './call-table.ts'
import { type CallOwner, ResponseFuture } from './response-future.ts'
import { ResultStore } from './result-store.ts'

const RESULTS_IN_MEMORY_BYTES = 256 * 1024 * 1024

/** What they ask of their job. */
export interface CallsOwner extends Omit<CallOwner, 'facts' | 'log' | 'read'> {
  /** Results are asked for again in the form they came in. */
  readonly keepsResults: boolean
}

export class CallFutures implements CallOwner {
  readonly table = new CallTable()
  readonly results = new ResultStore(RESULTS_IN_MEMORY_BYTES)
  readonly #owner: CallsOwner
  readonly #made: (ResponseFuture<unknown> | undefined)[] = []
  /** Decoded results by call; those that can be read from the disk again are not held, but for the last. */
  #values: unknown[] | undefined
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

  /** Calls in the order in which their results stand. */
  order(): Iterable<number> {
    return this.#parts.size === 0 ? countTo(this.table.count) : this.#inOrder()
  }

  /** The one future of a call. */
  future<R>(call: number): ResponseFuture<R> {
    let future = this.#made[call]
    if (future === undefined) {
      future = new ResponseFuture<unknown>(this, call)
      this.#tell(future, call)
      this.#made[call] = future
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
    this.#made[call]?.markRunning()
    return first
  }

  /** Its result, where it has one, is in `results`. */
  end(call: number, outcome: 'succeeded' | 'failed' | 'cancelled', error?: Error): void {
    this.table.end(call, outcome, Date.now(), error)
    const made = this.#made[call]
    if (made !== undefined) this.#tell(made, call)
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

  /** The result of a call that succeeded; the same at every reading, unless it lies on the disk and others were read since. */
  read(call: number): unknown {
    this.#values ??= new Array(this.table.count)
    const held = this.#lastSpilled?.call === call ? this.#lastSpilled.value : this.#values[call]
    if (held !== undefined) {
      this.#owner.onRead(false)
      return held
    }
    if (!this.results.has(call)) return undefined
    const value = this.#decode(call, this.#values)
    this.#owner.onRead(this.table.read(call, Date.now()))
    return value
  }

  cancelCalls(calls: readonly number[], running: boolean): void {
    this.#owner.cancelCalls(calls, running)
  }

  onRead(first: boolean): void {
    this.#owner.onRead(first)
  }

  #decode(call: number, values: unknown[]): unknown {
    const { keepsResults } = this.#owner
    const again = this.results.isSpilled(call)
    // a result that a reducer may be fed with again stays as it came
    const value = decodeValue(this.results.get(call), { adopt: !keepsResults || again })
    if (again) this.#lastSpilled = { call, value }
    else {
      values[call] = value
      if (!keepsResults && value !== undefined) this.results.drop(call)
    }
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
