/** The future of a submitted task: it knows when the task began, and its executor can end it while it runs. */
import type { Clock } from '../core/clock.ts'
import { CancelledError } from '../core/errors.ts'
import { Future } from './future.ts'

export class TaskFuture<T> extends Future<T> {
  /** For BaseExecutor: where its task waits. */
  place: 'nowhere' | 'delay' | 'queue' = 'nowhere'
  readonly #clock: Clock
  #startedAtMs: number | undefined
  #reason: unknown

  /** For executors. */
  constructor(clock: Clock) {
    super()
    this.#clock = clock
  }

  /** When it began to run, by the executor's clock; undefined when it has not. */
  get startedAtMs(): number | undefined {
    return this.#startedAtMs
  }

  /**
   * For executors, before they run the task: false when it was cancelled and must be skipped, however often it is
   * asked. @throws InvalidStateError when it ran already
   */
  override setRunningOrNotifyCancel(): boolean {
    if (this.state === 'CANCELLED_AND_NOTIFIED') return false
    const runs = super.setRunningOrNotifyCancel()
    if (runs) this.#startedAtMs = this.#clock.nowMs()
    return runs
  }

  /** For executors: cancelled with `reason` as the cause, though it runs. False when it was done before. */
  abort(reason: unknown): boolean {
    if (this.done()) return false
    this.#reason = reason
    return this.forceCancel()
  }

  protected override cancellation(): CancelledError {
    if (this.#reason === undefined) return super.cancellation()
    return new CancelledError('the future was cancelled by its signal', { cause: this.#reason })
  }
}
