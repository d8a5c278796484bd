/**
 * Performs what the scheduler decides: one loop, no decisions of its own. Events go in one at a time; what happens
 * while commands are performed waits its turn.
 */
import type { ComputeBackend, InvocationDeath } from '../compute/backend.ts'
import type { Clock } from '../core/clock.ts'
import { BrokenExecutorError, messageOf, SerializationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { type CallSpec, encodeCalls, encodeFeed } from '../job/messages.ts'
import type { AttemptEvent, Monitor } from '../monitor/monitor.ts'
import type { JobDivisions } from './divisions.ts'
import type { JobRun } from './job-run.ts'
import { ReduceFeeds } from './reduce-feeds.ts'
import { Scheduler } from './scheduler.ts'
import type { CallOutcome, RestoredCall, SchedulerCommand, SchedulerEvent } from './scheduler-protocol.ts'

export class RunLoop {
  readonly #compute: ComputeBackend
  readonly #monitor: Monitor
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #runs = new Map<string, JobRun>()
  readonly #feeds: ReduceFeeds
  readonly #events: SchedulerEvent[] = []
  /** What was told to stop and may run still. */
  readonly #stops = new Set<Promise<void>>()
  #performing = false
  #timer: NodeJS.Timeout | undefined

  constructor(compute: ComputeBackend, monitor: Monitor, clock: Clock) {
    this.#compute = compute
    this.#monitor = monitor
    this.#clock = clock
    this.#scheduler = new Scheduler(compute.capabilities, Math.random, (id, ms) => compute.activityOf?.(id, ms))
    this.#feeds = new ReduceFeeds(
      (invocation, bytes) => compute.send(invocation, bytes),
      (invocation, call) => this.#tell({ type: 'fed', invocation, call }),
    )
    monitor.listen((event) => this.#attempt(event))
  }

  /** The listener to hand to the compute backend. */
  readonly onMessage = (invocation: number, bytes: Uint8Array): void => this.#monitor.message(invocation, bytes)

  readonly onEnd = (invocation: number, death?: InvocationDeath): void => {
    this.#monitor.ended(invocation, death)
    this.#feeds.closed(invocation)
    this.#tell({ type: 'ended', invocation })
  }

  /** Takes launched jobs; a map job stands before the reduce job that reads it. */
  submit(runs: readonly JobRun[]): void {
    const jobs = runs.map((run) => (run.launched as NonNullable<JobRun['launched']>).scheduler)
    const maps = new Map(runs.map((run) => [run.key, run]))
    for (const run of runs) {
      if (run.totals.calls > 0 || run.totals.open) this.#runs.set(run.key, run)
      const reduces = run.launched?.scheduler.reduces
      if (reduces !== undefined) this.#feeds.add(run, maps.get(reduces.mapJob) as JobRun, reduces)
      run.launched?.divisions?.connect({
        divide: (call, keeps) => this.divide(run.key, call, 1, keeps),
        resolve: (call, outcome) => this.resolve(run.key, call, outcome),
      })
    }
    this.#tell({ type: 'submitted', jobs })
    for (const { key: job, launched } of runs) {
      launched?.items?.follow({
        extend: (added) => this.#tell({ type: 'extended', job, added }),
        seal: (error) => this.#tell({ type: 'sealed', job, error }),
      })
    }
  }

  cancel(job: string, calls: readonly number[] | undefined, running: boolean, reason: Error): void {
    this.#tell({ type: 'cancel', job, calls, running, reason })
  }

  /** What a call did elsewhere is known now: it ends with it, whatever runs of it. */
  restore(job: string, restored: RestoredCall): void {
    this.#tell({ type: 'restore', job, ...restored })
  }

  /** A call gave away a part of its input to `added` new calls (scheduler-protocol: `divided`). */
  divide(job: string, call: number, added: number, keeps?: number): void {
    this.#tell({ type: 'divided', job, call, added, keeps })
  }

  /** Ends a call that failed for good and is not divided further. */
  resolve(job: string, call: number, outcome: CallOutcome): void {
    this.#tell({ type: 'resolve', job, call, outcome })
  }

  /** Resolves when nothing runs any more of what was told to stop so far, by the event that is handled included. */
  async stopped(): Promise<void> {
    await null
    await Promise.all(this.#stops)
  }

  dispose(): void {
    clearTimeout(this.#timer)
  }

  #attempt(event: AttemptEvent): void {
    const run = this.#runs.get(event.job)
    if (run?.launched?.divisions !== undefined) this.#watch(run.launched.divisions, event)
    switch (event.type) {
      case 'divided':
        return this.#heard(run, event.invocation)
      case 'progress':
        this.#heard(run, event.invocation)
        return run?.progress(event.call, event.bytesRead)
      case 'log':
        this.#heard(run, event.invocation)
        return run?.log(event.call, event.text, event.stream)
      case 'consumed':
        this.#heard(run, event.invocation)
        return this.#feeds.consumed(event.invocation, event.consumed)
      case 'alive':
        return this.#heard(run, event.invocation)
      case 'started':
        this.#tell({ type: 'attempt', event })
        return this.#feeds.open(event.invocation, event.job, event.call)
      default:
        return this.#tell({ type: 'attempt', event })
    }
  }

  /** Calls that run may be asked to give a part away. */
  #watch(divisions: JobDivisions, event: AttemptEvent): void {
    // an attempt that was given up says nothing about its call
    if (event.type === 'divided' && !this.#scheduler.runs(event.invocation, event.call)) return
    for (const { invocation, call, at } of divisions.watch(event, this.#scheduler.idleSlots, this.#clock.nowMs())) {
      this.#compute.send(invocation, encodeFeed({ type: 'end-at', call, at }))
    }
  }

  #heard(run: JobRun | undefined, invocation: number): void {
    if (run?.launched?.scheduler.silenceTimeoutMs !== undefined) this.#tell({ type: 'heard', invocation })
  }

  #tell(event: SchedulerEvent): void {
    if (this.#performing) {
      this.#events.push(event)
      return
    }
    this.#performing = true
    try {
      for (let next: SchedulerEvent | undefined = event; next !== undefined; next = this.#events.shift()) {
        for (const command of this.#scheduler.handle(next, this.#clock.nowMs())) this.#perform(command)
      }
    } finally {
      this.#performing = false
    }
  }

  #perform(command: SchedulerCommand): void {
    switch (command.type) {
      case 'invoke':
        return this.#invoke(command)
      case 'stop':
        return this.#stop(command.invocation)
      case 'running':
        return this.#runs.get(command.job)?.running(command.call)
      case 'settle':
        return this.#settle(command)
      case 'divide':
        return this.#runs.get(command.job)?.launched?.divisions?.failed(command.call, command.outcome)
      case 'appended':
        return this.#appended(command)
      case 'extended':
        return this.#runs.get(command.job)?.extended(command.added)
      case 'sealed':
        return this.#sealed(command)
      case 'wake':
        return this.#wake(command.atMs)
    }
  }

  #stop(invocation: number): void {
    const { stopsRunning, feeds } = this.#compute.capabilities
    // what nobody can end from outside is asked to end by itself: its `task.signal` aborts
    if (!stopsRunning && feeds) {
      this.#compute.send(invocation, encodeFeed({ type: 'abort', reason: 'the call was cancelled' }))
    }
    const stop = this.#compute.stop(invocation).catch((error) => this.#tell({ type: 'broken', error }))
    this.#stops.add(stop)
    stop.then(() => this.#stops.delete(stop))
  }

  #invoke({ invocation, job, calls, waits, memoryMiB }: Extract<SchedulerCommand, { type: 'invoke' }>): void {
    const run = this.#runs.get(job) as JobRun
    const launched = run.launched as NonNullable<JobRun['launched']>
    const { shared } = launched
    const specs: CallSpec[] = []
    for (const { call, attempt } of calls) {
      try {
        const input = launched.inputOf(call)
        specs.push({ call, attempt, input, commit: launched.commitOf?.(call), output: launched.outputOf?.(call) })
        run.sent(call, input.type === 'item' ? input.value.byteLength : undefined)
      } catch (error) {
        this.#tell({ type: 'unsendable', job, call, error: unsendable(job, call, error) })
      }
    }
    if (specs.length === 0) return this.#tell({ type: 'ended', invocation })
    this.#monitor.watch(
      invocation,
      job,
      specs.map(({ call }) => call),
    )
    const invoke = () =>
      this.#compute.invoke({
        id: invocation,
        shared,
        payload: encodeCalls(specs),
        memoryMiB: memoryMiB ?? run.memoryMiB,
        waits,
      })
    const ready = launched.divisions?.ready(calls)
    const invoked = ready === undefined ? invoke() : ready.then(invoke)
    invoked.catch((error) => this.#refuse(invocation, error))
  }

  #refuse(invocation: number, cause: unknown): void {
    const error = cause instanceof Error ? cause : new BrokenExecutorError(String(cause))
    this.#tell({ type: 'refused', invocation, error })
  }

  #settle({ job, call, attempts, outcome, tolerated }: Extract<SchedulerCommand, { type: 'settle' }>): void {
    const run = this.#runs.get(job)
    if (run === undefined) return
    const mapJob = run.launched?.scheduler.reduces?.mapJob
    if (tolerated) run.totals.tolerated += 1
    run.settle(call, attempts, outcome, (map) => this.#feeds.inputError(mapJob, map))
    if (outcome.type === 'succeeded') this.#feeds.arrived(job, call)
    else if (tolerated) this.#feeds.absent(job, call)
    run.launched?.items?.settled(call)
    this.#leave(run)
  }

  #sealed({ job, reason }: Extract<SchedulerCommand, { type: 'sealed' }>): void {
    const run = this.#runs.get(job)
    if (run === undefined) return
    run.launched?.items?.stop()
    this.#feeds.sealed(job)
    run.sealed(reason)
    this.#leave(run)
  }

  /** Forgets a run that has ended. */
  #leave({ key, totals }: JobRun): void {
    if (totals.endedAt === undefined) return
    this.#runs.delete(key)
    this.#feeds.ended(key)
  }

  #appended({ job, call, first, added }: Extract<SchedulerCommand, { type: 'appended' }>): void {
    const run = this.#runs.get(job)
    run?.launched?.divisions?.appended(call, first)
    run?.appended(call, first, added)
    for (let child = first + added - 1; child >= first; child--) this.#feeds.insert(job, call, child)
  }

  #wake(atMs: number): void {
    clearTimeout(this.#timer)
    const inMs = Math.min(Math.max(0, atMs - this.#clock.nowMs()), 2 ** 31 - 1)
    // what workers said while this process was kept from listening is heard before: its pause is not their silence
    const late = () => setImmediate(() => this.#tell({ type: 'time' }))
    this.#timer = setTimeout(late, Math.ceil(inMs))
  }
}

function unsendable(job: string, call: number, cause: unknown): Error {
  const reason = messageOf(cause)
  return new SerializationError(`the input of call ${callId(call)} of ${job} cannot travel: ${reason}`, { cause })
}
