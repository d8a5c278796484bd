/** Which reduce calls may start, over all reduce jobs of an executor; when one may is the rule of reducers/scheduler. */
import { ReduceScheduler, type ReduceSlots, type ReduceStart } from '../../reducers/scheduler.ts'
import type { JobCalls } from './calls.ts'
import type { ReduceSpec } from './scheduler-protocol.ts'

interface ReduceJob {
  readonly mapJob: string
  readonly scheduler: ReduceScheduler
  /** Calls to be started once more; all their inputs may have ended. */
  readonly again: number[]
}

export class ReduceStarts {
  readonly #jobs = new Map<string, ReduceJob>()

  /** Registers a reduce job; its map job has reported nothing yet. */
  add(reduceJob: string, { mapJob, groups, spawnReducer }: ReduceSpec): void {
    this.#jobs.set(reduceJob, { mapJob, scheduler: new ReduceScheduler(groups, spawnReducer), again: [] })
  }

  /** All its calls have ended. */
  remove(reduceJob: string): void {
    this.#jobs.delete(reduceJob)
  }

  mapEnded(mapJob: string, call: number): void {
    for (const job of this.#of(mapJob)) job[1].scheduler.mapEnded(call, 'succeeded')
  }

  /** The reduce calls that can never have their inputs now. */
  mapFailed(mapJob: string, call: number): { reduceJob: string; group: number }[] {
    return this.#of(mapJob).flatMap(([reduceJob, { scheduler }]) =>
      scheduler.mapFailed(call).map((group) => ({ reduceJob, group })),
    )
  }

  again(reduceJob: string, call: number): void {
    this.#jobs.get(reduceJob)?.again.push(call)
  }

  /** Starts of this job for these slots; each counts once, also where it is a try more. */
  take(reduceJob: string, slots: ReduceSlots, calls: JobCalls): ReduceStart[] {
    const job = this.#jobs.get(reduceJob)
    if (job === undefined) return []
    const starts: ReduceStart[] = []
    let { waitingFree } = slots
    let spare = slots.free - slots.wantedByMaps
    for (let left = job.again.length; left > 0 && (waitingFree > 0 || spare > 0); left--) {
      const group = job.again.shift() as number
      if (!calls.isQueued(group)) continue
      starts.push({ group, waits: waitingFree > 0 })
      if (waitingFree > 0) waitingFree -= 1
      else spare -= 1
    }
    const free = spare + slots.wantedByMaps
    starts.push(...job.scheduler.take({ free, wantedByMaps: slots.wantedByMaps, waitingFree }))
    return starts
  }

  #of(mapJob: string): [string, ReduceJob][] {
    return [...this.#jobs].filter(([, job]) => job.mapJob === mapJob)
  }
}
