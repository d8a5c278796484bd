/**
 * The workers of a pool: who is there, who may be started, when starting is given up.
 * Workers that die before they are ready, three in a row, break the pool: nothing is started any more; healthy workers
 * go on.
 */
import { deathFacts, describeExit, type PoolDeath } from './death.ts'
import { type Guardian, startGuardian } from './guardian.ts'
import { PoolWorker, type WorkerEvents } from './pool-worker.ts'
import type { SpawnProfile, StartWorker, WorkerExit } from './worker-link.ts'
import type { WatchOptions } from './worker-watch.ts'

const STARTS_TRIED = 3
const START_TIMEOUT_MS = 120_000

export interface StartOptions extends WatchOptions {
  /** The first frame of every worker. */
  readonly startup: Uint8Array
  readonly startWorker: StartWorker
  /** A worker that is not ready by then counts as dead. Default two minutes. */
  readonly startTimeoutMs?: number | undefined
}

export interface Broken {
  readonly message: string
  readonly death: PoolDeath
}

export class WorkerSet implements Iterable<PoolWorker> {
  readonly #options: StartOptions
  readonly #events: WorkerEvents
  readonly #workers = new Set<PoolWorker>()
  #lastId = 0
  #failedStarts = 0
  #guardian: Guardian | undefined

  constructor(options: StartOptions, events: WorkerEvents) {
    this.#options = options
    this.#events = events
  }

  [Symbol.iterator](): IterableIterator<PoolWorker> {
    return this.#workers.values()
  }

  /** How many there are, without those that leave. */
  get present(): number {
    let count = 0
    for (const worker of this.#workers) if (worker.state !== 'leaving') count += 1
    return count
  }

  count(state: PoolWorker['state']): number {
    let count = 0
    for (const worker of this.#workers) if (worker.state === state) count += 1
    return count
  }

  idle(memoryMiB: number | undefined): PoolWorker | undefined {
    for (const worker of this.#workers) {
      if (worker.state === 'idle' && worker.profile.memoryMiB === memoryMiB) return worker
    }
    return undefined
  }

  /** The busy worker with the least ahead of it, fewer than `prefetch`; none that runs something alone or waits. */
  roomAhead(memoryMiB: number | undefined, prefetch: number): PoolWorker | undefined {
    let best: PoolWorker | undefined
    for (const worker of this.#workers) {
      if (worker.state !== 'busy' || worker.ended !== undefined || worker.profile.memoryMiB !== memoryMiB) continue
      if (worker.running?.alone === true || worker.running?.waits === true) continue
      if (worker.ahead < (best?.ahead ?? prefetch)) best = worker
    }
    return best
  }

  start(profile: SpawnProfile): void {
    const { startWorker, startup, startTimeoutMs = START_TIMEOUT_MS } = this.#options
    const worker = new PoolWorker(++this.#lastId, startWorker, profile, startup, this.#events)
    this.#workers.add(worker)
    worker.after(startTimeoutMs, () => worker.kill(undefined))
    if (worker.pid === undefined) return
    this.#guardian ??= startGuardian(() => this.#busyPids())
    this.#guardian.watch(worker.pid)
  }

  /** Starts are good again. */
  started(): void {
    this.#failedStarts = 0
  }

  /** Takes it off; what is broken by that, if it never was ready and is the third. */
  remove(worker: PoolWorker, exit: WorkerExit): Broken | undefined {
    this.#workers.delete(worker)
    if (worker.pid !== undefined) this.#guardian?.forget(worker.pid)
    // one that was told to leave before it was ready did not fail
    if (worker.ready || worker.retired || worker.ended !== undefined) return undefined
    this.#failedStarts += 1
    if (this.#failedStarts < STARTS_TRIED) return undefined
    const said = exit.stderrTail.trim()
    const message = `workers cannot start (${STARTS_TRIED} tries in a row, the last ended with ${describeExit(exit)})`
    return {
      message: said === '' ? message : `${message}:\n${said}`,
      death: { reason: 'neverStarted', ...deathFacts(exit) },
    }
  }

  /** Resolves when every worker that is there now is gone, and who watched over them. */
  async gone(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.gone))
    await this.#guardian?.close()
  }

  #busyPids(): number[] {
    const pids: number[] = []
    for (const { state, pid } of this.#workers) if (state === 'busy' && pid !== undefined) pids.push(pid)
    return pids
  }
}
