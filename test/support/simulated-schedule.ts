/**
 * Plays a seeded world against the scheduler: workers that take random time, calls that fail, stall or are asked to give
 * away a part, workers that die before, while or between calls, stops that come late, backends that refuse, users who
 * cancel. Time is a number; nothing sleeps. What must hold at every moment is looked at after every event.
 */
import { Scheduler } from '../../src/executor/scheduler.ts'
import type {
  CallOutcome,
  SchedulerCommand,
  SchedulerEvent,
  SchedulerJob,
  SchedulerLimits,
} from '../../src/executor/scheduler-protocol.ts'
import { NO_STATS } from './no-stats.ts'
import { seeded } from './seeded.ts'

/** How a try goes. `stalls`: it never ends by itself, and says nothing. */
export interface Course {
  readonly ms: number
  readonly end: 'succeeds' | 'fails' | 'dies' | 'outOfMemory' | 'stalls'
}

export interface World {
  readonly limits: SchedulerLimits
  readonly jobs: readonly SchedulerJob[]
  readonly seed: number
  /** Chances per call or invocation, 0 to 1. */
  readonly fails: number
  readonly dies: number
  readonly diesUnstarted: number
  readonly stalls?: number
  readonly refuses?: number
  /** Of a map call that runs, to be asked for a part of its input. */
  readonly splits?: number
  /** Longest a call takes. */
  readonly maxMs: number
  /** Longest a worker takes to stop; until then its calls go on. */
  readonly stopMs?: number
  /** Of the open job: when more of its calls come, in order, and how its source ends. */
  readonly source?: {
    readonly job: string
    readonly arrivals: readonly { readonly atMs: number; readonly added: number }[]
    readonly endsAtMs: number
    readonly fails: boolean
  }
  readonly cancels?: readonly { atMs: number; job: string; calls?: readonly number[]; running: boolean }[]
  /** Decides instead of chance, where it gives a course. */
  courseOf?(job: string, call: number, attempt: number): Course | undefined
}

export interface Settled {
  readonly job: string
  readonly call: number
  readonly outcome: string
  readonly why?: string
  readonly atMs: number
  readonly attempts: number
  readonly tolerated: boolean
}

export interface Invoked {
  readonly job: string
  readonly calls: readonly number[]
  readonly attempts: readonly number[]
  readonly waits: boolean
  readonly memoryMiB: number | undefined
  readonly atMs: number
  readonly endedMaps: number
}

interface Live {
  readonly job: string
  readonly calls: readonly { readonly call: number; readonly attempt: number }[]
  readonly waits: boolean
  /** Those of them whose end has not been told. */
  readonly held: Set<number>
  next: number
  stopping: boolean
  /** Its worker is dead. */
  gone: boolean
}

/** A worker that has stalled is found dead after this time, whatever else watches it. */
const FOUND_DEAD_MS = 3_000

/** Divisions end here: at some point a part is one record. */
const MOST_CALLS = 60

export function play(world: World): Simulation {
  const simulation = new Simulation(world)
  simulation.run()
  return simulation
}

export class Simulation {
  readonly settled: Settled[] = []
  readonly invoked: Invoked[] = []
  /** What did not hold, in words. */
  readonly broken: string[] = []
  /** `job/call`, and the numbers of its tries that began. */
  readonly began = new Map<string, number[]>()
  /** Calls of each job, those that were added included. */
  readonly sizes = new Map<string, number>()
  lastMs = 0
  readonly #world: World
  readonly #random: () => number
  readonly #scheduler: Scheduler
  readonly #live = new Map<number, Live>()
  readonly #agenda: { atMs: number; order: number; act: () => void }[] = []
  readonly #ended = new Set<string>()
  /** Open jobs whose calls are all known. */
  readonly #sealed = new Set<string>()
  readonly #parked = new Set<string>()
  #nowMs = 0
  #order = 0

  constructor(world: World) {
    this.#world = world
    this.#random = seeded(world.seed)
    this.#scheduler = new Scheduler(world.limits, this.#random)
    for (const { id, calls } of world.jobs) this.sizes.set(id, calls)
  }

  get idle(): boolean {
    return this.#scheduler.idle && this.#live.size === 0
  }

  run(): void {
    this.#tell({ type: 'submitted', jobs: this.#world.jobs })
    for (const { atMs, ...cancel } of this.#world.cancels ?? []) {
      this.#later(atMs, () => this.#tell({ type: 'cancel', ...cancel, reason: new Error('enough') }))
    }
    this.#open()
    for (let steps = 0; this.#agenda.length > 0 && steps < 50_000; steps++) {
      const { atMs, act } = this.#takeFirst()
      this.#nowMs = atMs
      act()
    }
  }

  #open(): void {
    const { job, arrivals, endsAtMs, fails } = this.#world.source ?? {
      job: '',
      arrivals: [],
      endsAtMs: -1,
      fails: false,
    }
    for (const { atMs, added } of arrivals) this.#later(atMs, () => this.#tell({ type: 'extended', job, added }))
    const error = fails ? new Error('the source failed') : undefined
    if (endsAtMs >= 0) this.#later(endsAtMs, () => this.#tell({ type: 'sealed', job, error }))
  }

  /** Names of all calls there ever were. */
  get names(): string[] {
    return [...this.sizes].flatMap(([job, calls]) => Array.from({ length: calls }, (_, call) => `${job}/${call}`))
  }

  #takeFirst(): { atMs: number; act: () => void } {
    let first = 0
    this.#agenda.forEach((each, i) => {
      const best = this.#agenda[first] as { atMs: number; order: number }
      if (each.atMs < best.atMs || (each.atMs === best.atMs && each.order < best.order)) first = i
    })
    return this.#agenda.splice(first, 1)[0] as { atMs: number; act: () => void }
  }

  #tell(event: SchedulerEvent): void {
    const commands = this.#scheduler.handle(event, this.#nowMs)
    for (const command of commands) this.#perform(command)
    this.#look(commands)
  }

  #look(commands: readonly SchedulerCommand[]): void {
    const used = [...this.#live.values()]
    const ordinary = used.filter(({ waits }) => !waits).length
    const { slots, waitingSlots } = this.#world.limits
    if (ordinary > slots || used.length - ordinary > waitingSlots) this.broken.push('more invocations than slots')
    const beside = commands.some((each) => each.type === 'invoke' && !each.waits && this.#isBesideMaps(each))
    if (beside && this.#wantingMaps() > slots - ordinary) this.broken.push('a slot that a map could use was taken')
  }

  /** A reduce call or a backup. */
  #isBesideMaps({ job, calls, invocation }: Extract<SchedulerCommand, { type: 'invoke' }>): boolean {
    const others = [...this.#live].filter(([id, live]) => id !== invocation && live.job === job)
    return (
      job.startsWith('R') ||
      others.some(([, { calls: of, next, stopping, gone }]) => !stopping && !gone && of[next]?.call === calls[0]?.call)
    )
  }

  #wantingMaps(): number {
    const held = new Set(
      [...this.#live.values()].flatMap((live) => [...live.held].map((call) => `${live.job}/${call}`)),
    )
    const maps = this.names.filter((name) => name.startsWith('M'))
    return maps.filter((name) => !this.#ended.has(name) && !held.has(name) && !this.#parked.has(name)).length
  }

  #later(ms: number, act: () => void): void {
    this.#agenda.push({ atMs: this.#nowMs + ms, order: this.#order++, act })
  }

  #perform(command: SchedulerCommand): void {
    switch (command.type) {
      case 'invoke':
        return this.#invoke(command)
      case 'stop':
        return this.#stop(command.invocation)
      case 'settle':
        return this.#settle(command)
      case 'divide':
        this.#parked.add(`${command.job}/${command.call}`)
        return this.#later(this.#random() * 5, () => this.#answer(command.job, command.call, command.outcome))
      case 'appended':
        if (command.first !== this.sizes.get(command.job)) this.broken.push('calls were not added at the end')
        this.sizes.set(command.job, command.first + command.added)
        return
      case 'extended':
        if (this.#sealed.has(command.job)) this.broken.push('calls came to a job that was sealed')
        this.sizes.set(command.job, (this.sizes.get(command.job) ?? 0) + command.added)
        return
      case 'sealed':
        if (this.#sealed.has(command.job)) this.broken.push('sealed twice')
        this.#sealed.add(command.job)
        return
      case 'wake':
        if (command.atMs < this.#nowMs) this.broken.push('asked to be woken in the past')
        return this.#later(command.atMs - this.#nowMs, () => this.#tell({ type: 'time' }))
      default:
        return
    }
  }

  #stop(invocation: number): void {
    const live = this.#live.get(invocation)
    if (live?.stopping === true) this.broken.push('told to stop twice')
    if (live !== undefined) live.stopping = true
    this.#later(1 + this.#random() * (this.#world.stopMs ?? 0), () => this.#die(invocation, 'stopped'))
  }

  #settle({ job, call, outcome, attempts, tolerated }: Extract<SchedulerCommand, { type: 'settle' }>): void {
    const why = outcome.type === 'failed' ? { why: outcome.why.by } : {}
    this.settled.push({ job, call, outcome: outcome.type, atMs: this.#nowMs, attempts, tolerated, ...why })
    this.lastMs = this.#nowMs
    const name = `${job}/${call}`
    if (this.#ended.has(name)) this.broken.push(`${name} was settled twice`)
    this.#ended.add(name)
    const began = this.began.get(name) ?? []
    if (new Set(began).size !== began.length) this.broken.push(`${name} had two tries of one number: ${began}`)
  }

  /** What a call that failed for good is divided into, if at all. */
  #answer(job: string, call: number, outcome: CallOutcome): void {
    this.#parked.delete(`${job}/${call}`)
    if (this.#mayGrow(job) && this.#random() < 0.5)
      return this.#tell({ type: 'divided', job, call, added: this.#random() < 0.7 ? 1 : 2 })
    const failed =
      outcome.type === 'failed' && this.#random() < 0.7 ? { ...outcome, quarantined: true as const } : outcome
    this.#tell({ type: 'resolve', job, call, outcome: failed })
  }

  #invoke({ invocation, job, calls, waits, memoryMiB }: Extract<SchedulerCommand, { type: 'invoke' }>): void {
    const endedMaps = this.settled.filter((each) => each.job.startsWith('M')).length
    const [numbers, attempts] = [calls.map(({ call }) => call), calls.map(({ attempt }) => attempt)]
    this.invoked.push({ job, calls: numbers, attempts, waits, memoryMiB, atMs: this.#nowMs, endedMaps })
    const ended = numbers.find((call) => this.#ended.has(`${job}/${call}`))
    if (ended !== undefined) this.broken.push(`call ${ended} of ${job} was sent after it had ended`)
    const reduces = this.#reduces(job)
    if (reduces?.open === true && !this.#sealed.has(reduces.mapJob))
      this.broken.push(`${job} began before its maps were known`)
    this.#live.set(invocation, { job, calls, waits, held: new Set(numbers), next: 0, stopping: false, gone: false })
    this.#later(1 + this.#random() * 5, () => {
      if (this.#random() < (this.#world.refuses ?? 0)) this.#refuse(invocation)
      else if (this.#random() < this.#world.diesUnstarted) this.#die(invocation, 'exited')
      else this.#step(invocation)
    })
  }

  #refuse(invocation: number): void {
    if (!this.#live.delete(invocation)) return
    this.#tell({ type: 'refused', invocation, error: new Error('no') })
  }

  /** Starts the next call of an invocation, or ends it; a reduce call ends once its maps have. */
  #step(invocation: number): void {
    const live = this.#live.get(invocation)
    if (live === undefined || live.gone) return
    const next = live.calls[live.next]
    if (next === undefined) {
      this.#live.delete(invocation)
      return this.#tell({ type: 'ended', invocation })
    }
    const { call, attempt } = next
    const name = `${live.job}/${call}`
    if (!this.#ended.has(name)) this.began.set(name, [...(this.began.get(name) ?? []), attempt])
    this.#tell({ type: 'attempt', event: { type: 'started', job: live.job, call, invocation } })
    const { ms, end } = this.#world.courseOf?.(live.job, call, attempt) ?? this.#chance()
    if (end === 'stalls') return this.#later(FOUND_DEAD_MS, () => this.#die(invocation, 'frozen'))
    for (let at = 10; at < ms; at += 10) this.#later(at, () => this.#tell({ type: 'heard', invocation }))
    if (this.#random() < (this.#world.splits ?? 0)) this.#later(ms / 2, () => this.#split(invocation, call))
    this.#later(ms, () => this.#finish(invocation, call, end))
  }

  #chance(): Course {
    const { fails, dies, stalls = 0, maxMs } = this.#world
    const draw = this.#random()
    const end =
      draw < stalls ? 'stalls' : draw < stalls + dies ? 'dies' : draw < stalls + dies + fails ? 'fails' : 'succeeds'
    return { ms: this.#random() * maxMs, end }
  }

  #split(invocation: number, call: number): void {
    const live = this.#live.get(invocation)
    if (live?.job.startsWith('M') !== true || live.calls[live.next]?.call !== call || !this.#mayGrow(live.job)) return
    this.#tell({ type: 'divided', job: live.job, call, added: 1, keeps: invocation })
  }

  #mayGrow(job: string): boolean {
    return (this.sizes.get(job) ?? 0) < MOST_CALLS
  }

  #finish(invocation: number, call: number, end: Course['end']): void {
    const live = this.#live.get(invocation)
    if (live === undefined || live.gone) return
    if (!this.#hasInputs(live.job, call)) return this.#later(3, () => this.#finish(invocation, call, end))
    if (this.#reduces(live.job) !== undefined) this.#tell({ type: 'fed', invocation, call })
    if (live.gone) return
    if (end === 'dies') return this.#die(invocation, 'exited')
    if (end === 'outOfMemory') return this.#die(invocation, 'outOfMemory')
    live.next += 1
    live.held.delete(call)
    const ref = { job: live.job, call, invocation }
    this.#tell({
      type: 'attempt',
      event:
        end === 'fails'
          ? { ...ref, type: 'failed', error: new Uint8Array(0) }
          : { ...ref, type: 'succeeded', result: new Uint8Array(0), stats: NO_STATS },
    })
    this.#step(invocation)
  }

  #reduces(job: string): SchedulerJob['reduces'] {
    return this.#world.jobs.find(({ id }) => id === job)?.reduces
  }

  #hasInputs(job: string, call: number): boolean {
    const reduces = this.#reduces(job)
    if (reduces === undefined) return true
    const size = this.sizes.get(reduces.mapJob) ?? 0
    const maps = reduces.open ? Array.from({ length: size }, (_, map) => map) : (reduces.groups[call]?.maps ?? [])
    return maps.every((map) => this.#ended.has(`${reduces.mapJob}/${map}`))
  }

  #die(invocation: number, reason: 'exited' | 'stopped' | 'frozen' | 'outOfMemory'): void {
    const live = this.#live.get(invocation)
    if (live === undefined || live.gone) return
    live.gone = true
    const { job, calls, next } = live
    const running = this.began.get(`${job}/${calls[next]?.call}`)?.includes(calls[next]?.attempt ?? 0) === true
    calls.slice(next).forEach(({ call }, i) => {
      const death = { reason, memoryLimitMiB: 100 }
      live.held.delete(call)
      this.#tell({
        type: 'attempt',
        event: { type: 'lost', job, call, invocation, started: running && i === 0, death },
      })
    })
    this.#live.delete(invocation)
    this.#tell({ type: 'ended', invocation })
  }
}
