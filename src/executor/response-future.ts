/** The future of one call. Its result stays encoded until somebody reads it. */
import { CancelledError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { Future } from '../futures/future.ts'
import type { WorkerStats } from '../monitor/monitor.ts'
import { costOf } from './job-totals.ts'

/** Times are epoch ms: those of the driver's clock here, the worker's own under `worker`. */
export interface CallStats {
  readonly attempts: number
  readonly submittedAt: number
  /** When the driver learned that the last attempt runs. */
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  /** Measured in the worker; absent where it died. */
  readonly worker: WorkerStats | undefined
  /** Estimate of what its requests cost, in USD at list prices. */
  readonly requestCost: number
}

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
  decodeResult(call: number): unknown
  cancelCalls(calls: readonly number[], running: boolean): void
  onRead(): void
}

export class ResponseFuture<R> extends Future<R> {
  readonly #owner: CallOwner
  readonly #call: number
  #decoded: { readonly value: R } | undefined
  #logs: string[] | undefined
  #startedAt: number | undefined
  #endedAt: number | undefined
  #attempts = 0
  #worker: WorkerStats | undefined
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
    return (this.#logs ?? []).join('')
  }

  get stats(): CallStats {
    return {
      attempts: this.#attempts,
      submittedAt: this.#owner.submittedAt,
      startedAt: this.#startedAt,
      endedAt: this.#endedAt,
      worker: this.#worker,
      requestCost: this.#worker === undefined ? 0 : costOf(this.#worker),
    }
  }

  /** How the call ended; never throws for a call that failed or was cancelled. */
  async status(): Promise<CallStatus> {
    const error = this.done() && this.cancelled() ? undefined : await this.exception().catch((e: Error) => e)
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
  markRunning(at: number): void {
    this.#startedAt = at
    if (!this.running()) this.setRunningOrNotifyCancel()
    this.#onRunning?.()
  }

  /** @internal */
  whenRunning(callback: () => void): void {
    this.#onRunning = callback
    if (this.running()) callback()
  }

  /** @internal */
  addLog(text: string): void {
    if (this.#logs === undefined) this.#logs = []
    this.#logs.push(text)
  }

  /** @internal */
  end(attempts: number, at: number, worker: WorkerStats | undefined): void {
    this.#attempts = attempts
    this.#endedAt = at
    this.#worker = worker
  }

  /** @internal */
  markCancelled(): void {
    this.forceCancel()
  }

  protected override read(): R {
    if (this.#decoded === undefined) this.#decoded = { value: this.#owner.decodeResult(this.#call) as R }
    this.#owner.onRead()
    return this.#decoded.value
  }

  protected override cancellation(): CancelledError {
    return new CancelledError(`call ${this.callId} of ${this.jobId} was cancelled`)
  }
}
