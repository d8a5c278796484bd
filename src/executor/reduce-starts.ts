/** Which reduce calls may start, over all reduce jobs of an executor; when one may is the rule of reducers/scheduler. */
import { ReduceScheduler, type ReduceSlots, type ReduceStart } from '../../reducers/scheduler.ts'
import { Queue } from '../futures/queue.ts'
import type { JobCalls } from './calls.ts'
import type { ReduceSpec } from './scheduler-protocol.ts'

interface ReduceJob {
  readonly calls: JobCalls
  /** Undefined until its maps are known. */
  scheduler: ReduceScheduler | undefined
  /** Maps that ended before that. */
  readonly early: number[]
  /** Calls to be started once more; all their inputs may have ended. */
  readonly again: Queue<number>
}

export class ReduceStarts {
  readonly #jobs = new Map<string, ReduceJob>()
  readonly #byMapJob = new Map<string, ReduceJob[]>()
  /** Those that may have something to start. */
  readonly #eager = new Set<ReduceJob>()

  /** Registers a reduce job; its map job has reported nothing yet. */
  add(calls: JobCalls, { mapJob, groups, spawnReducer, open }: ReduceSpec): void {
    const scheduler = open === true ? undefined : new ReduceScheduler(groups, spawnReducer)
    const job: ReduceJob = { calls, scheduler, early: [], again: new Queue<number>() }
    this.#jobs.set(calls.job.id, job)
    this.#byMapJob.set(mapJob, [...this.#of(mapJob), job])
    this.#eager.add(job)
  }

  /** All its calls have ended. */
  remove(reduceJob: string, { mapJob }: ReduceSpec): void {
    const job = this.#jobs.get(reduceJob)
    if (job === undefined) return
    this.#jobs.delete(reduceJob)
    this.#eager.delete(job)
    const others = this.#of(mapJob).filter((each) => each !== job)
    if (others.length === 0) this.#byMapJob.delete(mapJob)
    else this.#byMapJob.set(mapJob, others)
  }

  /** A map has ended for good: with a value, or with a failure that is tolerated. */
  mapEnded(mapJob: string, call: number, outcome: 'succeeded' | 'tolerated'): void {
    for (const job of this.#of(mapJob)) {
      if (job.scheduler === undefined) job.early.push(call)
      else job.scheduler.mapEnded(call, outcome)
      this.#eager.add(job)
    }
  }

  /** All `count` maps of an open job are known: who reduces it. */
  sealed(mapJob: string, count: number): JobCalls[] {
    const open = this.#of(mapJob).filter(({ scheduler }) => scheduler === undefined)
    for (const job of open) {
      const maps = Array.from({ length: count }, (_, map) => map)
      job.scheduler = new ReduceScheduler([{ maps }], (job.calls.job.reduces as ReduceSpec).spawnReducer)
      for (const map of job.early.splice(0)) job.scheduler.mapEnded(map, 'succeeded')
      this.#eager.add(job)
    }
    return open.map(({ calls }) => calls)
  }

  /** The reduce calls that can never have their inputs now. */
  mapFailed(mapJob: string, call: number): { calls: JobCalls; group: number }[] {
    return this.#of(mapJob).flatMap(({ calls, scheduler }) => {
      // of an open job all maps feed the one group there is
      const groups = scheduler === undefined ? [0] : scheduler.mapFailed(call)
      return groups.map((group) => ({ calls, group }))
    })
  }

  /** `child` is read by whoever reads `parent`, right after it. */
  insert(mapJob: string, parent: number, child: number): void {
    for (const { scheduler } of this.#of(mapJob)) scheduler?.insert(parent, child)
  }

  again(reduceJob: string, call: number): void {
    const job = this.#jobs.get(reduceJob)
    if (job === undefined) return
    job.again.push(call)
    this.#eager.add(job)
  }

  /** Whether there may be something to start. */
  get eager(): boolean {
    return this.#eager.size > 0
  }

  /** Starts for these slots; each counts once, also where it is a try more. */
  *take(slots: () => ReduceSlots): Iterable<{ calls: JobCalls; starts: readonly ReduceStart[] }> {
    for (const job of this.#eager) {
      const free = slots()
      if (free.free <= free.wantedByMaps && free.waitingFree <= 0) return
      const starts = startsOf(job, free)
      const ordinary = starts.filter(({ waits }) => !waits).length
      // with room left it has nothing to start until a map ends or a call comes back
      if (free.free - free.wantedByMaps > ordinary) this.#eager.delete(job)
      if (starts.length > 0) yield { calls: job.calls, starts }
    }
  }

  #of(mapJob: string): readonly ReduceJob[] {
    return this.#byMapJob.get(mapJob) ?? []
  }
}

function startsOf({ again, calls, scheduler }: ReduceJob, slots: ReduceSlots): ReduceStart[] {
  const starts: ReduceStart[] = []
  let { waitingFree } = slots
  let spare = slots.free - slots.wantedByMaps
  const add = (start: ReduceStart) => {
    // it has ended before it could start
    if (!calls.isQueued(start.group)) return
    starts.push(start)
    if (start.waits) waitingFree -= 1
    else spare -= 1
  }
  while (again.size > 0 && (waitingFree > 0 || spare > 0)) {
    add({ group: again.shift() as number, waits: waitingFree > 0 })
  }
  for (;;) {
    const next = scheduler?.take({ free: spare, wantedByMaps: 0, waitingFree }) ?? []
    if (next.length === 0) return starts
    next.forEach(add)
  }
}
