/**
 * Looks at busy worker processes from outside, whatever their code does:
 *
 * - one that is over its memory limit is ended;
 * - one that is stopped (SIGSTOP) and has used no processor at FROZEN_LOOKS looks in a row is ended: it would hold its
 *   call for ever. One that computes without a pause is not stopped, and one that a tool stops and continues in turns
 *   (a CPU limiter) uses the processor in between. Looks are counted, not time: a driver that was itself stopped
 *   meanwhile must not take its own pause for the worker's.
 *
 * It looks while something runs and costs nothing else; where the system does not tell, it sees nothing. What it saw of
 * the last seconds says of a worker that tells nothing whether it computes or waits.
 */
import type { WorkerActivity } from '../core/errors.ts'
import { isOver } from './memory-limit.ts'
import type { PoolWorker } from './pool-worker.ts'
import { systemVitals, TICK_MS, type Vitals } from './vitals.ts'

const FROZEN_LOOKS = 10
const LOOK_EVERY_MS = 1_000
/** How often memory is looked at where there is a limit: what is taken at a GiB a second is found 100 MiB too late. */
const MEMORY_EVERY_MS = 100
/** Looks that are remembered. */
const LOOKS_KEPT = 10

export interface WatchOptions {
  readonly vitals?: Vitals | undefined
  /** Between looks at how far workers have come. Default a second. */
  readonly lookEveryMs?: number | undefined
}

export class WorkerWatch {
  readonly #workers: Iterable<PoolWorker>
  readonly #vitals: Vitals
  readonly #lookEveryMs: number
  #timer: NodeJS.Timeout | undefined
  #sinceLookMs = 0
  #kernelKills: number | undefined

  constructor(workers: Iterable<PoolWorker>, { vitals = systemVitals, lookEveryMs = LOOK_EVERY_MS }: WatchOptions) {
    this.#workers = workers
    this.#vitals = vitals
    this.#lookEveryMs = lookEveryMs
  }

  /** Something runs: looks from now on, until nothing does. */
  wake(): void {
    if (this.#timer !== undefined) return
    this.#kernelKills = this.#vitals.kernelKills()
    this.#next(this.#pauseMs())
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** What a worker holds from the start is not counted against its calls. */
  ready(worker: PoolWorker): void {
    if (worker.pid === undefined || worker.profile.memoryMiB === undefined) return
    worker.baseBytes = this.#vitals.residentBytes(worker.pid)
  }

  /** Whether the kernel has killed some process for want of memory since the last look. */
  get kernelKilled(): boolean {
    const kills = this.#kernelKills === undefined ? undefined : this.#vitals.kernelKills()
    return kills !== undefined && kills > (this.#kernelKills as number)
  }

  /** What a worker does, and did in the last `withinMs` as far as it was looked at; undefined where nothing is known. */
  activityOf({ pid, looks }: PoolWorker, withinMs: number): WorkerActivity | undefined {
    const progress = pid === undefined ? undefined : this.#vitals.progress(pid)
    if (progress === undefined) return undefined
    const { state, cpuTicks } = progress
    const nowMs = performance.now()
    const first = looks.find(({ atMs }) => nowMs - atMs <= withinMs)
    if (first === undefined) return { state }
    return { state, cpuMs: (cpuTicks - first.cpuTicks) * TICK_MS, overMs: nowMs - first.atMs }
  }

  #next(pauseMs: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#sinceLookMs += pauseMs
      const busy = [...this.#workers].filter(({ state, ended }) => state === 'busy' && ended === undefined)
      for (const worker of busy) this.#measure(worker)
      if (this.#sinceLookMs >= this.#lookEveryMs) {
        this.#sinceLookMs = 0
        this.#kernelKills = this.#vitals.kernelKills()
        for (const worker of busy) this.#look(worker)
      }
      if (busy.length > 0) this.#next(this.#pauseMs())
    }, pauseMs)
    this.#timer.unref()
  }

  #pauseMs(): number {
    for (const { profile, pid } of this.#workers) {
      if (profile.memoryMiB !== undefined && pid !== undefined) return Math.min(MEMORY_EVERY_MS, this.#lookEveryMs)
    }
    return this.#lookEveryMs
  }

  #measure(worker: PoolWorker): void {
    const { pid, baseBytes, profile } = worker
    if (pid === undefined || baseBytes === undefined || profile.memoryMiB === undefined) return
    const resident = this.#vitals.residentBytes(pid)
    if (resident === undefined) return
    worker.heldBytes = Math.max(0, resident - baseBytes)
    if (isOver(worker.heldBytes, profile.memoryMiB)) worker.kill('outOfMemory')
  }

  #look(worker: PoolWorker): void {
    const progress = worker.pid === undefined ? undefined : this.#vitals.progress(worker.pid)
    if (progress === undefined) return
    const { cpuTicks, state } = progress
    const { looks } = worker
    worker.frozenLooks = state === 'T' && cpuTicks === looks.at(-1)?.cpuTicks ? worker.frozenLooks + 1 : 0
    looks.push({ atMs: performance.now(), cpuTicks })
    if (looks.length > LOOKS_KEPT) looks.shift()
    if (worker.frozenLooks >= FROZEN_LOOKS) worker.kill('frozen')
  }
}
