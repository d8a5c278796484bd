/** The future of one call. Its result stays encoded until somebody reads it. */
import { CancelledError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { Future, type ResultOptions } from '../futures/future.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import type { CallFacts } from './call-table.ts'

/**
 * What one call took. Times are epoch ms: those of the driver's clock here, the worker's own under `worker`; never
 * subtract one from the other. docs/jobs.md says which field of Lithops each is.
 */
export interface CallStats {
  readonly attempts: number
  /** When its job was submitted, and when that was ready to run: source read, function shipped. */
  readonly submittedAt: number
  readonly plannedAt: number | undefined
  /** What all calls of the job have in common, function included; encoded. */
  readonly functionBytes: number | undefined
  /** The item of this call, encoded; undefined where it is given a partition or results. */
  readonly dataBytes: number | undefined
  /** When the last attempt was handed to the backend. */
  readonly sentAt: number | undefined
  /** When the driver learned that the last attempt runs. */
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  /** When its result was first read. */
  readonly readAt: number | undefined
  /** Measured in the worker; absent where it died. */
  readonly worker: WorkerStats | undefined
  /** Estimate of what its requests cost, in USD at list prices, or those of the configuration. */
  readonly requestCost: number
}

/**
 * Lithops' names of what becomes of a call: not sent yet, sent, running, its result is here, its result was read, it
 * failed. `Cancelled` is quern's own; Lithops' Ready and Unknown cannot arise.
 */
export type CallState = 'New' | 'Invoked' | 'Running' | 'Success' | 'Done' | 'Error' | 'Cancelled'

export interface CallStatus {
  readonly executorId: string
  readonly jobId: string
  readonly callId: string
  readonly state: 'succeeded' | 'failed' | 'cancelled'
  readonly error: Error | undefined
  readonly stats: CallStats
}

/** What a future needs of the job it belongs to. */
export interface CallOwner {
  readonly executorId: string
  readonly id: string
  readonly submittedAt: number
  readonly plannedAt: number | undefined
  readonly functionBytes: number | undefined
  facts(call: number): CallFacts
  /** Estimate of what its requests cost, in USD. */
  costOf(stats: WorkerStats): number
  /** What the call printed, in order. */
  log(call: number): string
  /** The value of a call that succeeded. */
  read(call: number): unknown
  cancelCalls(calls: readonly number[], running: boolean): void
  /** A reader was told how the call ended. `first`: its value was not read before. */
  onRead(first: boolean): void
}

export class ResponseFuture<R> extends Future<R> {
  readonly #owner: CallOwner
  readonly #call: number
  #onRunning: (() => void) | undefined

  /** For the executor. */
  constructor(owner: CallOwner, call: number) {
    super()
    this.#owner = owner
    this.#call = call
  }

  get callId(): string {
    return callId(this.#call)
  }

  /** Place in its job, from 0. */
  get index(): number {
    return this.#call
  }

  get jobId(): string {
    return this.#owner.id
  }

  get executorId(): string {
    return this.#owner.executorId
  }

  /** What the call printed, in order. */
  get logs(): string {
    return this.#owner.log(this.#call)
  }

  get stats(): CallStats {
    const { submittedAt, plannedAt, functionBytes } = this.#owner
    const facts = this.#owner.facts(this.#call)
    const requestCost = facts.worker === undefined ? 0 : this.#owner.costOf(facts.worker)
    return { submittedAt, plannedAt, functionBytes, ...facts, requestCost }
  }

  /** Where the call stands, in Lithops' words; `state` has PEP 3148's. */
  get callState(): CallState {
    if (this.cancelled()) return 'Cancelled'
    if (this.failed()) return 'Error'
    if (this.done()) return this.stats.readAt === undefined ? 'Success' : 'Done'
    if (this.running()) return 'Running'
    return this.stats.sentAt === undefined ? 'New' : 'Invoked'
  }

  /** How the call ended; a call that failed or was cancelled is no error here. @throws TimeoutError, the signal's reason */
  async status(options: ResultOptions = {}): Promise<CallStatus> {
    const error = await this.exception(options).catch((e: Error) => {
      // what ended the wait is no end of the call
      if (!this.done()) throw e
      return e
    })
    const state = this.cancelled() ? 'cancelled' : error === null ? 'succeeded' : 'failed'
    const { executorId, jobId, callId, stats } = this
    return { executorId, jobId, callId, state, error: state === 'failed' ? (error as Error) : undefined, stats }
  }

  /** Without `running`: true only before the call is sent to a worker. With it, what runs is stopped too. */
  override cancel(options: { readonly running?: boolean } = {}): boolean {
    if (!this.done()) this.#owner.cancelCalls([this.#call], options.running === true)
    return this.cancelled()
  }

  /** @internal */
  markRunning(): void {
    if (!this.running()) this.setRunningOrNotifyCancel()
    this.#onRunning?.()
  }

  /** @internal */
  whenRunning(callback: () => void): void {
    this.#onRunning = callback
    if (this.running()) callback()
  }

  /** @internal */
  markCancelled(): void {
    this.forceCancel()
  }

  protected override read(): R {
    return this.#owner.read(this.#call) as R
  }

  protected override told(error: Error): Error {
    this.#owner.onRead(false)
    return error
  }

  protected override cancellation(): CancelledError {
    this.#owner.onRead(false)
    return new CancelledError(`call ${this.callId} of ${this.jobId} was cancelled`)
  }
}
