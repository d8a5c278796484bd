/**
 * Decides what runs: events in, commands out. It does no I/O and reads no clock (`nowMs` is monotonic and passed in),
 * so every schedule can be replayed in a test. What it holds:
 *
 *   - every call of a submitted job is settled exactly once, however many tries of it run (settlements);
 *   - never more invocations under way than slots; a reducer never takes a slot that a map could use (dispatch);
 *   - a worker's death or stop ends only the call that had started: what had not goes back to the queue.
 *
 * Left to others: what a failure leads to (failure-policy), who is a straggler (stragglers), what is due when
 * (deadlines), when reducers may start (reducers/scheduler), performing (run-loop), what a call's input is (job-run).
 */
import { ValidationError } from '../core/errors.ts'
import type { AttemptEvent } from '../monitor/monitor.ts'
import { type Demand, JobCalls } from './calls.ts'
import { type ActivityOf, Deadlines, type Due } from './deadlines.ts'
import { Dispatch } from './dispatch.ts'
import { nextMemoryMiB, retryAfterMs } from './failure-policy.ts'
import { Invocations, type RunningInvocation } from './invocations.ts'
import { OpenJobs } from './open-jobs.ts'
import { ReduceStarts } from './reduce-starts.ts'
import type {
  CallOutcome,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerJob,
  SchedulerLimits,
} from './scheduler-protocol.ts'
import { Settlements } from './settlements.ts'

type Failed = Extract<CallOutcome, { type: 'failed' }>
type EventOf<T extends SchedulerEvent['type']> = Extract<SchedulerEvent, { type: T }>

export class Scheduler {
  readonly #random: () => number
  readonly #jobs = new Map<string, JobCalls>()
  readonly #reduces = new ReduceStarts()
  readonly #demand: Demand = { wanting: 0 }
  readonly #running: Invocations
  readonly #deadlines: Deadlines
  readonly #dispatch: Dispatch
  readonly #settlements: Settlements
  readonly #open: OpenJobs
  #order = 0
  #commands: SchedulerCommand[] = []

  /** `random` in [0, 1): the jitter of retries. */
  constructor(limits: SchedulerLimits, random: () => number = Math.random, activityOf?: ActivityOf) {
    this.#random = random
    this.#running = new Invocations(limits)
    this.#deadlines = new Deadlines(this.#running, activityOf)
    const emit = (command: SchedulerCommand) => this.#commands.push(command)
    const parts = { jobs: this.#jobs, running: this.#running, reduces: this.#reduces, deadlines: this.#deadlines, emit }
    this.#dispatch = new Dispatch({ ...parts, slots: limits.slots, demand: this.#demand })
    this.#settlements = new Settlements({ ...parts, dispatch: this.#dispatch })
    this.#open = new OpenJobs({ ...parts, dispatch: this.#dispatch, settlements: this.#settlements })
  }

  /** What to do now, in order. */
  handle(event: SchedulerEvent, nowMs: number): readonly SchedulerCommand[] {
    if (event.type === 'heard') {
      this.#running.heard(event.invocation, nowMs)
      return []
    }
    this.#take(event, nowMs)
    this.#dispatch.run(nowMs)
    const atMs = this.#deadlines.takeWake()
    if (atMs !== undefined) this.#commands.push({ type: 'wake', atMs: Math.max(nowMs, atMs) })
    const commands = this.#commands
    this.#commands = []
    return commands
  }

  /** Whether everything submitted has been settled. */
  get idle(): boolean {
    return this.#jobs.size === 0
  }

  /** Slots that nothing that waits for one wants. */
  get idleSlots(): number {
    return this.#demand.wanting > 0 ? 0 : this.#running.freeSlots
  }

  /** Whether the invocation runs this call, which has not ended, now. */
  runs(invocation: number, call: number): boolean {
    return this.#running.runs(invocation, call)
  }

  #take(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case 'submitted':
        return this.#submit(event.jobs, nowMs)
      case 'attempt':
        return this.#attempt(event.event, nowMs)
      case 'ended':
        return this.#ended(event.invocation, nowMs)
      case 'refused':
        return this.#refused(event.invocation, event.error)
      case 'unsendable':
        return this.#settle(event.job, event.call, { type: 'failed', why: { by: 'error', error: event.error } })
      case 'fed':
        return this.#fed(event.invocation, event.call, nowMs)
      case 'restore':
        return this.#settle(event.job, event.call, event.outcome)
      case 'resolve':
        if (this.#jobs.get(event.job)?.isParked(event.call) !== true) return
        return this.#settle(event.job, event.call, event.outcome)
      case 'divided':
        return this.#divided(event, nowMs)
      case 'extended':
        return this.#open.extend(event, nowMs)
      case 'sealed':
        return this.#open.seal(event)
      case 'cancel':
        return this.#settlements.cancelled(event)
      case 'broken':
        return this.#settlements.break(event.error)
      case 'time':
        for (const due of this.#deadlines.take(nowMs)) this.#due(due, nowMs)
    }
  }

  #submit(jobs: readonly SchedulerJob[], nowMs: number): void {
    for (const job of jobs) {
      if (job.calls === 0 && job.open !== true) continue
      const calls = new JobCalls(job, this.#order++, this.#demand)
      this.#jobs.set(job.id, calls)
      if (job.reduces !== undefined) this.#reduces.add(calls, job.reduces)
      this.#dispatch.enter(calls)
      this.#deadlines.queued(calls, undefined, nowMs)
    }
    for (const { id, restored = [] } of jobs) {
      const calls = this.#jobs.get(id)
      if (calls !== undefined) this.#settlements.restore(calls, restored)
    }
  }

  #attempt(event: AttemptEvent, nowMs: number): void {
    const running = this.#running.get(event.invocation)
    const attempt = running?.open.get(event.call)
    if (running === undefined || attempt === undefined) return
    const { calls, started } = running
    const { call } = event
    running.heardAtMs = nowMs
    switch (event.type) {
      case 'started':
        return this.#started(running, call, nowMs)
      case 'succeeded': {
        const { result, stats, read } = event
        const sinceMs = started?.call === call ? started.sinceMs : undefined
        if (sinceMs !== undefined && calls.job.speculate !== undefined) calls.took.add(nowMs - sinceMs)
        this.#running.close(running, call)
        return this.#settlements.settle(calls, call, { type: 'succeeded', result, stats, read })
      }
      case 'failed': {
        const { error, stats } = event
        this.#running.close(running, call)
        return this.#failed(calls, call, { type: 'failed', why: { by: 'function', error }, stats }, nowMs)
      }
      case 'lost':
        this.#running.close(running, call)
        return this.#lost(running, event, attempt, nowMs)
    }
  }

  #started(running: RunningInvocation, call: number, nowMs: number): void {
    const { calls } = running
    running.everStarted = true
    running.started = { call, sinceMs: calls.job.reduces === undefined ? nowMs : undefined }
    if (calls.isEnded(call)) return this.#settlements.stop(running)
    this.#deadlines.watch(running)
    if (calls.start(call)) this.#commands.push({ type: 'running', job: calls.job.id, call })
  }

  #lost(
    { calls, everStarted, stopping }: RunningInvocation,
    { call, started, death }: Extract<AttemptEvent, { type: 'lost' }>,
    attempt: number,
    nowMs: number,
  ): void {
    if (calls.isEnded(call)) return
    const failure: Failed = { type: 'failed', why: { by: 'death', death } }
    if (started && !stopping) return this.#failed(calls, call, failure, nowMs)
    // a neighbour's death or a stop is not held against a call that had not started
    const innocent = everStarted || stopping || death?.reason === 'stopped'
    if (!started && !calls.unsend(call, attempt, innocent)) return this.#failed(calls, call, failure, nowMs)
    if (calls.holders(call).length > 0) return
    const before = calls.troubles.last(call)
    if (before?.type === 'failed') this.#afterFailure(calls, call, before, nowMs)
    else this.#queue(calls, call, nowMs)
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
    const { calls } = running
    for (const [call, attempt] of [...running.open]) {
      this.#running.close(running, call)
      if (calls.isEnded(call)) continue
      calls.unsend(call, attempt, true)
      if (calls.holders(call).length > 0) continue
      this.#settlements.settle(calls, call, { type: 'failed', why: { by: 'error', error } })
    }
  }

  #fed(invocation: number, call: number, nowMs: number): void {
    const running = this.#running.get(invocation)
    if (running?.started?.call !== call) return
    running.started.sinceMs = nowMs
    this.#deadlines.watch(running)
  }

  /** A try failed: its twin may do better, or the call is tried again. */
  #failed(calls: JobCalls, call: number, outcome: Failed, nowMs: number): void {
    if (calls.isEnded(call)) return
    calls.troubles.addFailure(call, outcome)
    if (calls.holders(call).length === 0) this.#afterFailure(calls, call, outcome, nowMs)
  }

  #afterFailure(calls: JobCalls, call: number, outcome: Failed, nowMs: number): void {
    const { job, troubles, retriesSpent } = calls
    const { why } = outcome
    const failed = { why, call, attempt: calls.attempts(call), failures: troubles.failures(call), retriesSpent }
    let delayMs: number | undefined
    try {
      delayMs = retryAfterMs(job.retries, failed, this.#random())
    } catch (cause) {
      const error = new ValidationError(`retries.retryIf of ${job.id} threw: ${String(cause)}`, { cause })
      return this.#settlements.settle(calls, call, { type: 'failed', why: { by: 'error', error } })
    }
    if (delayMs === undefined) return this.#giveUp(calls, call, outcome)
    calls.delay(call, nextMemoryMiB(job.retries ?? {}, why, troubles.memoryMiB(call) ?? job.memoryMiB))
    this.#deadlines.again(calls, call, nowMs + delayMs)
  }

  #giveUp(calls: JobCalls, call: number, outcome: Failed): void {
    const { job } = calls
    if (job.divides?.(call, outcome.why) !== true) return this.#settlements.settle(calls, call, outcome)
    calls.park(call)
    this.#commands.push({ type: 'divide', job: job.id, call, outcome })
  }

  #divided({ job, call, added, keeps }: EventOf<'divided'>, nowMs: number): void {
    const calls = this.#jobs.get(job)
    if (calls === undefined || calls.isEnded(call)) return
    const parked = calls.isParked(call)
    // an answer that came too late: the call has ended, or runs elsewhere on all of its input
    if (keeps === undefined ? !parked : !calls.holders(call).includes(keeps)) return
    const first = calls.count
    calls.append(added)
    this.#commands.push({ type: 'appended', job, call, first, added })
    for (let child = calls.count - 1; child >= first; child--) this.#reduces.insert(job, call, child)
    for (let child = first; child < calls.count; child++) this.#deadlines.queued(calls, child, nowMs)
    this.#dispatch.enter(calls)
    if (parked) {
      calls.troubles.forget(call)
      return this.#queue(calls, call, nowMs)
    }
    for (const id of calls.holders(call)) {
      const holder = this.#running.get(id)
      if (holder === undefined || id === keeps) continue
      // what it gives is of an input that is no more the call's
      this.#running.close(holder, call)
      this.#settlements.stop(holder)
    }
  }

  #settle(job: string, call: number, outcome: CallOutcome): void {
    const calls = this.#jobs.get(job)
    if (calls !== undefined) this.#settlements.settle(calls, call, outcome)
  }

  #queue(calls: JobCalls, call: number, nowMs: number): void {
    calls.putBack(call)
    this.#deadlines.queued(calls, call, nowMs)
    this.#dispatch.enter(calls)
    if (calls.job.reduces !== undefined) this.#reduces.again(calls.job.id, call)
  }

  #due(due: Due, nowMs: number): void {
    if (!('running' in due)) {
      const { type, calls, call } = due
      if (type === 'again') return this.#queue(calls, call, nowMs)
      const timeoutMs = calls.job.queueTimeoutMs as number
      return this.#settlements.settle(calls, call, { type: 'failed', why: { by: 'queue', timeoutMs } })
    }
    const { running, call, why } = due
    if (running.started?.call !== call || running.stopping) return
    this.#running.close(running, call)
    this.#settlements.stop(running)
    this.#failed(running.calls, call, { type: 'failed', why }, nowMs)
  }
}
