/**
 * Decides what runs: events in, commands out. It does no I/O and reads no clock (`nowMs` is monotonic and passed in),
 * so every schedule can be replayed in a test. What it holds:
 *
 *   - every call of a submitted job is settled exactly once;
 *   - never more invocations under way than slots; a reducer never takes a slot that a map could use;
 *   - a worker's death ends only the call that had started: what had not goes back to the queue.
 *
 * Left to others: performing (run-loop), when reducers may start (reducers/scheduler), what a call's input is (job-run).
 */
import { DEFAULT_RETRY, retryDelayMs } from '../core/backoff.ts'
import { CancelledError } from '../core/errors.ts'
import type { AttemptEvent } from '../monitor/monitor.ts'
import { JobCalls } from './calls.ts'
import { Invocations, type RunningInvocation } from './invocations.ts'
import { ReduceStarts } from './reduce-starts.ts'
import type {
  CallOutcome,
  CallTry,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerJob,
  SchedulerLimits,
} from './scheduler-protocol.ts'

export class Scheduler {
  readonly #slots: number
  readonly #random: () => number
  readonly #jobs = new Map<string, JobCalls>()
  readonly #reduces = new ReduceStarts()
  readonly #running: Invocations
  #wakeAtMs = Number.POSITIVE_INFINITY
  #commands: SchedulerCommand[] = []

  /** `random` in [0, 1): the jitter of retries. */
  constructor(limits: SchedulerLimits, random: () => number = Math.random) {
    this.#running = new Invocations(limits)
    this.#slots = limits.slots
    this.#random = random
  }

  /** What to do now, in order. */
  handle(event: SchedulerEvent, nowMs: number): readonly SchedulerCommand[] {
    this.#take(event, nowMs)
    this.#dispatch(nowMs)
    this.#planWake(nowMs, event.type === 'time')
    const commands = this.#commands
    this.#commands = []
    return commands
  }

  /** Whether everything submitted has been settled. */
  get idle(): boolean {
    return this.#jobs.size === 0
  }

  #take(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case 'submitted':
        for (const job of event.jobs) this.#submit(job)
        return
      case 'attempt':
        return this.#attempt(event.event, nowMs)
      case 'ended':
        return this.#ended(event.invocation, nowMs)
      case 'refused':
        return this.#refused(event.invocation, event.error)
      case 'unsendable':
        return this.#fail(event.job, event.call, { type: 'failed', why: { by: 'error', error: event.error } })
      case 'fed':
        return this.#fed(event.job, event.call, nowMs)
      case 'cancel':
        return this.#cancel(event.job, event.calls, event.running, event.reason)
      case 'broken':
        return this.#break(event.error)
      case 'time':
        for (const calls of this.#jobs.values()) calls.wake(nowMs)
        return this.#stopOverdue(nowMs)
    }
  }

  #submit(job: SchedulerJob): void {
    if (job.calls === 0) return
    this.#jobs.set(job.id, new JobCalls(job))
    if (job.reduces !== undefined) this.#reduces.add(job.id, job.reduces)
  }

  #attempt(event: AttemptEvent, nowMs: number): void {
    const running = this.#running.get(event.invocation)
    if (running === undefined || !running.open.has(event.call)) return
    const { calls } = running
    switch (event.type) {
      case 'started':
        if (!calls.start(event.call)) return
        running.everStarted = true
        running.started = { call: event.call, sinceMs: calls.job.reduces === undefined ? nowMs : undefined }
        this.#commands.push({ type: 'running', job: event.job, call: event.call })
        return
      case 'succeeded': {
        const { result, stats, read } = event
        this.#running.close(running, event.call)
        return this.#settle(calls, event.call, { type: 'succeeded', result, stats, read })
      }
      case 'failed':
        this.#running.close(running, event.call)
        return this.#failed(
          calls,
          event.call,
          { type: 'failed', why: { by: 'function', error: event.error }, stats: event.stats },
          nowMs,
        )
      case 'lost':
        this.#running.close(running, event.call)
        return this.#lost(running, event, nowMs)
      default:
        return
    }
  }

  #lost(
    { calls, everStarted }: RunningInvocation,
    event: Extract<AttemptEvent, { type: 'lost' }>,
    nowMs: number,
  ): void {
    if (calls.isEnded(event.call)) return
    // a neighbour's death or a stop is not held against a call that had not started
    const innocent = everStarted || event.death?.reason === 'stopped'
    if (!event.started && calls.putBack(event.call, innocent)) {
      if (calls.job.reduces !== undefined) this.#reduces.again(calls.job.id, event.call)
      return
    }
    this.#failed(calls, event.call, { type: 'failed', why: { by: 'death', death: event.death } }, nowMs)
  }

  #ended(invocation: number, nowMs: number): void {
    const running = this.#running.get(invocation)
    if (running === undefined) return
    this.#running.release(running)
    if (running.open.size === 0) running.calls.chunking.observe(running.tries.length, nowMs - running.sentAtMs)
  }

  #refused(invocation: number, error: Error): void {
    const running = this.#running.get(invocation)
    if (running === undefined) return
    this.#running.release(running)
    for (const { call } of running.tries)
      this.#settle(running.calls, call, { type: 'failed', why: { by: 'error', error } })
  }

  #fed(job: string, call: number, nowMs: number): void {
    const calls = this.#jobs.get(job)
    if (calls === undefined) return
    for (const { started } of this.#running.holding(calls, (each) => each === call)) {
      if (started?.call === call) started.sinceMs = nowMs
    }
  }

  /** A failure that may be tried again. */
  #failed(calls: JobCalls, call: number, outcome: CallOutcome, nowMs: number): void {
    if (calls.isEnded(call)) return
    const delayMs = retryDelayMs(
      calls.job.retries ?? { ...DEFAULT_RETRY, attempts: 1 },
      calls.attempts(call) + 1,
      this.#random(),
    )
    if (delayMs === undefined) return this.#settle(calls, call, outcome)
    calls.tryAgainAt(call, nowMs + delayMs)
    if (calls.job.reduces !== undefined) this.#reduces.again(calls.job.id, call)
  }

  #fail(job: string, call: number, outcome: CallOutcome): void {
    const calls = this.#jobs.get(job)
    if (calls !== undefined) this.#settle(calls, call, outcome)
  }

  /** The one place where a call ends. */
  #settle(calls: JobCalls, call: number, outcome: CallOutcome): void {
    if (!calls.end(call)) return
    const job = calls.job
    this.#commands.push({ type: 'settle', job: job.id, call, attempts: calls.attempts(call), outcome })
    if (calls.ended) this.#forget(job)
    if (job.reduces === undefined) this.#tellReducers(job.id, call, outcome)
    if (outcome.type === 'failed' && job.failFast === true) {
      this.#cancel(job.id, undefined, true, new CancelledError(`call ${call} of ${job.id} failed and failFast is set`))
    }
  }

  #forget({ id, reduces }: SchedulerJob): void {
    this.#jobs.delete(id)
    if (reduces !== undefined) this.#reduces.remove(id)
  }

  #tellReducers(mapJob: string, call: number, outcome: CallOutcome): void {
    if (outcome.type === 'succeeded') return this.#reduces.mapEnded(mapJob, call)
    for (const { reduceJob, group } of this.#reduces.mapFailed(mapJob, call)) this.#failReducer(reduceJob, group, call)
  }

  #failReducer(reduceJob: string, group: number, failedMap: number): void {
    const calls = this.#jobs.get(reduceJob)
    if (calls === undefined) return
    const mapJob = calls.job.reduces?.mapJob as string
    this.#stopCalls(calls, (call) => call === group)
    this.#settle(calls, group, { type: 'failed', why: { by: 'input', mapJob, call: failedMap } })
  }

  #cancel(job: string, only: readonly number[] | undefined, running: boolean, reason: Error): void {
    const calls = this.#jobs.get(job)
    if (calls === undefined) return
    const wanted = only === undefined ? undefined : new Set(only)
    const hit = (call: number) => wanted === undefined || wanted.has(call)
    if (running) this.#stopCalls(calls, hit)
    for (const call of [...calls.unended()]) {
      if (hit(call) && (running || calls.isQueued(call))) this.#settle(calls, call, { type: 'cancelled', reason })
    }
  }

  #break(error: Error): void {
    for (const calls of [...this.#jobs.values()]) {
      for (const call of [...calls.unended()])
        this.#settle(calls, call, { type: 'failed', why: { by: 'error', error } })
    }
  }

  /** Stops the invocations that run or hold one of these calls; their other calls are put back when they are lost. */
  #stopCalls(calls: JobCalls, hit: (call: number) => boolean): void {
    for (const { id } of this.#running.holding(calls, hit)) this.#commands.push({ type: 'stop', invocation: id })
  }

  #stopOverdue(nowMs: number): void {
    for (const running of this.#running.overdue(nowMs)) {
      const call = running.started?.call as number
      this.#running.close(running, call)
      this.#commands.push({ type: 'stop', invocation: running.id })
      const timeoutMs = running.calls.job.timeoutMs as number
      this.#failed(running.calls, call, { type: 'failed', why: { by: 'timeout', timeoutMs } }, nowMs)
    }
  }

  #dispatch(nowMs: number): void {
    let wantedByMaps = 0
    for (const calls of this.#jobs.values()) {
      if (calls.job.reduces !== undefined) continue
      while (this.#running.freeSlots > 0 && calls.queued > 0) {
        const size = calls.job.chunksize ?? calls.chunking.next(calls.queued, this.#slots)
        const tries = calls.take(size)
        if (tries.length === 0) break
        this.#invoke(calls, tries, false, nowMs)
      }
      wantedByMaps += calls.wanting
    }
    this.#dispatchReducers(wantedByMaps, nowMs)
  }

  #dispatchReducers(wantedByMaps: number, nowMs: number): void {
    for (const calls of this.#jobs.values()) {
      if (calls.job.reduces === undefined) continue
      const { freeSlots: free, freeWaitingSlots: waitingFree } = this.#running
      for (const { group, waits } of this.#reduces.take(calls.job.id, { free, wantedByMaps, waitingFree }, calls)) {
        if (!calls.isEnded(group)) this.#invoke(calls, [calls.send(group)], waits, nowMs)
      }
    }
  }

  #invoke(calls: JobCalls, tries: readonly CallTry[], waits: boolean, nowMs: number): void {
    const { id } = this.#running.add(calls, tries, waits, nowMs)
    this.#commands.push({ type: 'invoke', invocation: id, job: calls.job.id, calls: tries, waits })
  }

  /** Asks to be woken for the next deadline or retry, when nobody has been asked for an earlier time. */
  #planWake(nowMs: number, woken: boolean): void {
    if (woken) this.#wakeAtMs = Number.POSITIVE_INFINITY
    let next = this.#running.nextDeadlineMs
    for (const calls of this.#jobs.values()) next = Math.min(next, calls.nextDelayedMs ?? next)
    if (next >= this.#wakeAtMs) return
    this.#wakeAtMs = Math.max(nowMs, next)
    this.#commands.push({ type: 'wake', atMs: this.#wakeAtMs })
  }
}
