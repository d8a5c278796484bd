/**
 * Performs what the scheduler decides: one loop, no decisions of its own. Events go in one at a time; what happens
 * while commands are performed waits its turn.
 */
import type { ComputeBackend, InvocationDeath } from '../compute/backend.ts'
import type { Clock } from '../core/clock.ts'
import { BrokenExecutorError, SerializationError } from '../core/errors.ts'
import { callId } from '../core/ids.ts'
import { type CallSpec, encodeCalls } from '../job/messages.ts'
import type { AttemptEvent, Monitor } from '../monitor/monitor.ts'
import type { JobRun } from './job-run.ts'
import { ReduceFeeds } from './reduce-feeds.ts'
import { Scheduler } from './scheduler.ts'
import type { SchedulerCommand, SchedulerEvent } from './scheduler-protocol.ts'

export class RunLoop {
  readonly #compute: ComputeBackend
  readonly #monitor: Monitor
  readonly #clock: Clock
  readonly #scheduler: Scheduler
  readonly #runs = new Map<string, JobRun>()
  readonly #feeds: ReduceFeeds
  readonly #events: SchedulerEvent[] = []
  #performing = false
  #timer: NodeJS.Timeout | undefined

  constructor(compute: ComputeBackend, monitor: Monitor, clock: Clock) {
    this.#compute = compute
    this.#monitor = monitor
    this.#clock = clock
    this.#scheduler = new Scheduler(compute.capabilities)
    this.#feeds = new ReduceFeeds(
      (invocation, bytes) => compute.send(invocation, bytes),
      (job, call) => this.#tell({ type: 'fed', job, call }),
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
    const maps = new Map(runs.map((run) => [run.id, run]))
    for (const run of runs) {
      if (run.totals.calls > 0) this.#runs.set(run.id, run)
      const reduces = run.launched?.scheduler.reduces
      if (reduces !== undefined) this.#feeds.add(run, maps.get(reduces.mapJob) as JobRun, reduces)
    }
    this.#tell({ type: 'submitted', jobs })
  }

  cancel(job: string, calls: readonly number[] | undefined, running: boolean, reason: Error): void {
    this.#tell({ type: 'cancel', job, calls, running, reason })
  }

  dispose(): void {
    clearTimeout(this.#timer)
  }

  #attempt(event: AttemptEvent): void {
    const run = this.#runs.get(event.job)
    switch (event.type) {
      case 'progress':
        return run?.progress(event.call, event.bytesRead)
      case 'log':
        return run?.log(event.call, event.text, event.stream)
      case 'consumed':
        return this.#feeds.consumed(event.invocation, event.consumed)
      case 'started':
        this.#tell({ type: 'attempt', event })
        return this.#feeds.open(event.invocation, event.job, event.call)
      default:
        return this.#tell({ type: 'attempt', event })
    }
  }

  #tell(event: SchedulerEvent): void {
    this.#events.push(event)
    if (this.#performing) return
    this.#performing = true
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
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
        this.#compute.stop(command.invocation).catch((error) => this.#tell({ type: 'broken', error }))
        return
      case 'running':
        return this.#runs.get(command.job)?.running(command.call)
      case 'settle':
        return this.#settle(command)
      case 'wake':
        return this.#wake(command.atMs)
    }
  }

  #invoke({ invocation, job, calls, waits }: Extract<SchedulerCommand, { type: 'invoke' }>): void {
    const run = this.#runs.get(job) as JobRun
    const { shared } = run.launched as NonNullable<JobRun['launched']>
    const specs: CallSpec[] = []
    for (const { call, attempt } of calls) {
      try {
        specs.push({ call, attempt, input: (run.launched as NonNullable<JobRun['launched']>).inputOf(call) })
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
    const { memoryMiB } = run.spec
    this.#compute
      .invoke({ id: invocation, shared, payload: encodeCalls(specs), memoryMiB, waits })
      .catch((error) => this.#refuse(invocation, error))
  }

  #refuse(invocation: number, cause: unknown): void {
    const error = cause instanceof Error ? cause : new BrokenExecutorError(String(cause))
    this.#tell({ type: 'refused', invocation, error })
  }

  #settle({ job, call, attempts, outcome }: Extract<SchedulerCommand, { type: 'settle' }>): void {
    const run = this.#runs.get(job)
    if (run === undefined) return
    const mapJob = run.launched?.scheduler.reduces?.mapJob
    run.settle(call, attempts, outcome, (map) => this.#feeds.inputError(mapJob, map))
    if (outcome.type === 'succeeded') this.#feeds.arrived(job, call)
    if (run.totals.endedAt === undefined) return
    this.#runs.delete(job)
    this.#feeds.ended(job)
  }

  #wake(atMs: number): void {
    clearTimeout(this.#timer)
    const inMs = Math.min(Math.max(0, atMs - this.#clock.nowMs()), 2 ** 31 - 1)
    this.#timer = setTimeout(() => this.#tell({ type: 'time' }), Math.ceil(inMs))
  }
}

function unsendable(job: string, call: number, cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new SerializationError(`the input of call ${callId(call)} of ${job} cannot travel: ${reason}`, { cause })
}
