/**
 * Plays a seeded world against the scheduler: workers that take random time, calls that fail, workers that die before,
 * while or between calls, backends that refuse. Time is a number; nothing sleeps.
 */
import { Scheduler } from '../../src/executor/scheduler.ts'
import type {
  SchedulerCommand,
  SchedulerEvent,
  SchedulerJob,
  SchedulerLimits,
} from '../../src/executor/scheduler-protocol.ts'
import type { WorkerStats } from '../../src/monitor/monitor.ts'

export interface World {
  readonly limits: SchedulerLimits
  readonly jobs: readonly SchedulerJob[]
  readonly seed: number
  /** Chances per call or invocation, 0 to 1. */
  readonly fails: number
  readonly dies: number
  readonly diesUnstarted: number
  /** Longest a call takes. */
  readonly maxMs: number
}

export interface Settled {
  readonly job: string
  readonly call: number
  readonly outcome: string
  readonly why?: string
  readonly atMs: number
  readonly attempts: number
}

export interface Played {
  readonly settled: readonly Settled[]
  readonly invoked: readonly {
    readonly job: string
    readonly calls: readonly number[]
    readonly waits: boolean
    readonly endedMaps: number
  }[]
  /** Whether limits held at every moment. */
  readonly withinLimits: boolean
  readonly idle: boolean
}

const STATS: WorkerStats = {
  startedAt: 0,
  endedAt: 0,
  runMs: 0,
  cpuMs: 0,
  bytesRead: 0,
  recordsRead: 0,
  resultBytes: 0,
  rssBytes: 0,
  workerPid: 0,
}

interface Live {
  readonly job: string
  readonly calls: readonly number[]
  readonly waits: boolean
  next: number
  stopped: boolean
}

export function play(world: World): Played {
  const simulation = new Simulation(world)
  simulation.run()
  return simulation
}

class Simulation implements Played {
  readonly settled: Settled[] = []
  readonly invoked: { job: string; calls: number[]; waits: boolean; endedMaps: number }[] = []
  withinLimits = true
  readonly #world: World
  readonly #random: () => number
  readonly #scheduler: Scheduler
  readonly #live = new Map<number, Live>()
  readonly #agenda: { atMs: number; order: number; act: () => void }[] = []
  #nowMs = 0
  #order = 0

  constructor(world: World) {
    this.#world = world
    this.#random = randomFrom(world.seed)
    this.#scheduler = new Scheduler(world.limits, this.#random)
  }

  get idle(): boolean {
    return this.#scheduler.idle && this.#live.size === 0
  }

  run(): void {
    this.#tell({ type: 'submitted', jobs: this.#world.jobs })
    for (let steps = 0; this.#agenda.length > 0 && steps < 100_000; steps++) {
      this.#agenda.sort((a, b) => a.atMs - b.atMs || a.order - b.order)
      const { atMs, act } = this.#agenda.shift() as { atMs: number; act: () => void }
      this.#nowMs = atMs
      act()
    }
  }

  #tell(event: SchedulerEvent): void {
    for (const command of this.#scheduler.handle(event, this.#nowMs)) this.#perform(command)
  }

  #later(ms: number, act: () => void): void {
    this.#agenda.push({ atMs: this.#nowMs + ms, order: this.#order++, act })
  }

  #perform(command: SchedulerCommand): void {
    switch (command.type) {
      case 'invoke':
        return this.#invoke(command)
      case 'stop': {
        const live = this.#live.get(command.invocation)
        if (live !== undefined) live.stopped = true
        return this.#later(1, () => this.#die(command.invocation, 'stopped'))
      }
      case 'settle': {
        const { job, call, outcome, attempts } = command
        const why = outcome.type === 'failed' ? outcome.why.by : undefined
        this.settled.push({
          job,
          call,
          outcome: outcome.type,
          atMs: this.#nowMs,
          attempts,
          ...(why !== undefined && { why }),
        })
        return
      }
      case 'wake':
        return this.#later(Math.max(0, command.atMs - this.#nowMs), () => this.#tell({ type: 'time' }))
      default:
        return
    }
  }

  #invoke({ invocation, job, calls, waits }: Extract<SchedulerCommand, { type: 'invoke' }>): void {
    const endedMaps = this.settled.filter((each) => each.job.startsWith('M')).length
    this.invoked.push({ job, calls: calls.map(({ call }) => call), waits, endedMaps })
    this.#live.set(invocation, { job, calls: calls.map(({ call }) => call), waits, next: 0, stopped: false })
    const used = [...this.#live.values()]
    const { slots, waitingSlots } = this.#world.limits
    if (used.filter((live) => !live.waits).length > slots) this.withinLimits = false
    if (used.filter((live) => live.waits).length > waitingSlots) this.withinLimits = false
    this.#later(1 + this.#random() * 5, () => {
      if (this.#random() < this.#world.diesUnstarted) this.#die(invocation, 'exited')
      else this.#step(invocation)
    })
  }

  /** Starts the next call of an invocation, or ends it; a reduce call ends once its maps have. */
  #step(invocation: number): void {
    const live = this.#live.get(invocation)
    if (live === undefined || live.stopped) return
    const call = live.calls[live.next]
    if (call === undefined) {
      this.#live.delete(invocation)
      return this.#tell({ type: 'ended', invocation })
    }
    this.#tell({ type: 'attempt', event: { type: 'started', job: live.job, call, invocation } })
    this.#later(this.#random() * this.#world.maxMs, () => this.#finish(invocation, call))
  }

  #finish(invocation: number, call: number): void {
    const live = this.#live.get(invocation)
    if (live === undefined || live.stopped) return
    if (!this.#hasInputs(live.job, call)) return this.#later(3, () => this.#finish(invocation, call))
    if (this.#random() < this.#world.dies) return this.#die(invocation, 'exited')
    live.next += 1
    const ref = { job: live.job, call, invocation }
    const failed = this.#random() < this.#world.fails
    this.#tell({
      type: 'attempt',
      event: failed
        ? { ...ref, type: 'failed', error: new Uint8Array(0) }
        : { ...ref, type: 'succeeded', result: new Uint8Array(0), stats: STATS },
    })
    this.#step(invocation)
  }

  #hasInputs(job: string, call: number): boolean {
    const reduces = this.#world.jobs.find(({ id }) => id === job)?.reduces
    if (reduces === undefined) return true
    const maps = new Set(this.settled.filter((each) => each.job === reduces.mapJob).map((each) => each.call))
    return (reduces.groups[call]?.maps ?? []).every((map) => maps.has(map))
  }

  #die(invocation: number, reason: 'exited' | 'stopped'): void {
    const live = this.#live.get(invocation)
    if (live === undefined) return
    this.#live.delete(invocation)
    live.calls.slice(live.next).forEach((call, i) => {
      const started = i === 0 && reason !== 'stopped' ? live.next > 0 || this.#random() < 0.7 : i === 0
      this.#tell({
        type: 'attempt',
        event: { type: 'lost', job: live.job, call, invocation, started, death: { reason } },
      })
    })
    this.#tell({ type: 'ended', invocation })
  }
}

/** mulberry32: small, seeded, good enough to vary schedules. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
