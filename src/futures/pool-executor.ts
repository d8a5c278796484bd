/**
 * What executors with workers have in common: options, a TaskPool, and that an executor nobody holds any more still
 * runs what it accepted, and then lets its workers go.
 */
import { ShutdownExecutorError } from '../core/errors.ts'
import { captureFunction } from '../functions/capture.ts'
import type { PoolCounts } from '../pool/pool.ts'
import type { WorkerInfo } from '../pool/pool-worker.ts'
import type { StartWorker } from '../pool/worker-link.ts'
import { BaseExecutor } from './base-executor.ts'
import type { StopOptions, Task } from './executor.ts'
import type { OutputTarget, PoolSettings } from './pool-options.ts'
import { encodeStartup, type TaskStartup } from './task-messages.ts'
import { TaskPool } from './task-pool.ts'

const DEFAULT_GROWTH_BYTES = 300 * 2 ** 20

// what is in it cannot be observed: it only ends what nobody can reach
const forgotten = new FinalizationRegistry<TaskPool>((pool) => {
  void pool.stop({ cancelFutures: false, killWorkers: false })
})

export interface WorkerKind {
  /** The executor's name, for messages. */
  readonly name: string
  readonly maxWorkers: number
  readonly startWorker: StartWorker
  /** Whether the name of a worker is told it at start. */
  readonly title: string | undefined
}

export abstract class PoolExecutor extends BaseExecutor {
  /** For subclasses that resize it. */
  protected readonly pool: TaskPool

  /** Tasks at once. */
  get maxWorkers(): number {
    return this.pool.slots
  }

  protected constructor(kind: WorkerKind, settings: PoolSettings) {
    super({ checkAndReject: settings.checkAndReject })
    this.pool = new TaskPool({
      maxWorkers: kind.maxWorkers,
      startWorker: kind.startWorker,
      startup: encodeStartup(startupOf(kind, settings)),
      idleTimeoutMs: settings.idleTimeoutMs,
      memoryMiB: settings.memoryMiB,
      onCrash: settings.onCrash ?? 'replace',
      onOutput: outputTo(settings.stdout ?? 'inherit', settings.stderr ?? 'inherit'),
      onGrowth: warnOnce(kind.name),
    })
    forgotten.register(this, this.pool)
  }

  /** It accepts nothing any more: its workers cannot be started, its initializer failed, or a worker died where that breaks it. */
  get broken(): boolean {
    return this.pool.isBroken
  }

  /** Workers that are there, starting ones among them. */
  get numWorkers(): number {
    return this.counts.workers
  }

  /** Workers that have nothing to do. */
  get idleWorkers(): number {
    return this.counts.idle
  }

  /** Every worker that is not gone, oldest first. */
  get workers(): readonly WorkerInfo[] {
    return this.pool.workers
  }

  protected get counts(): PoolCounts {
    return this.pool.counts
  }

  protected override accept(task: Task): void {
    requireRunningProgram()
    this.pool.accept(task)
  }

  protected override acceptChunk(tasks: readonly Task[]): void {
    requireRunningProgram()
    this.pool.acceptChunk(tasks)
  }

  protected override withdrawn(): void {
    this.pool.withdrawn()
  }

  protected override interrupt(task: Task): void {
    this.pool.interrupt(task)
  }

  protected override get backlog(): number {
    return this.pool.backlog
  }

  protected override stop(options: StopOptions): Promise<void> {
    return this.pool.stop(options)
  }

  protected override get stopped(): boolean {
    return this.pool.isStopped
  }
}

function startupOf(kind: WorkerKind, settings: PoolSettings): TaskStartup {
  const { initializer, initargs = [], maxTasksPerWorker, maxMemoryGrowthBytes = DEFAULT_GROWTH_BYTES } = settings
  const argv1 = process.argv[1]
  return {
    argv1,
    ...(initializer === undefined
      ? {}
      : {
          initializer: {
            fn: captureFunction(initializer, `${kind.name} initializer`),
            args: initargs,
          },
        }),
    ...(kind.title === undefined ? {} : { title: kind.title }),
    ...(maxTasksPerWorker === undefined ? {} : { maxTasks: maxTasksPerWorker }),
    ...(Number.isFinite(maxMemoryGrowthBytes) ? { maxMemoryGrowthBytes } : {}),
  }
}

/** In an exit handler nothing could ever run. */
function requireRunningProgram(): void {
  if ((process as { readonly _exiting?: boolean })._exiting !== true) return
  throw new ShutdownExecutorError('cannot schedule new futures after the program began to exit')
}

function outputTo(stdout: OutputTarget, stderr: OutputTarget): (text: string, stream: 'stdout' | 'stderr') => void {
  return (text, stream) => {
    const target = stream === 'stdout' ? stdout : stderr
    if (typeof target === 'function') target(text)
    else if (target === 'inherit') process[stream].write(text)
  }
}

function warnOnce(name: string): (bytes: number) => void {
  let warned = false
  return (bytes) => {
    if (warned) return
    warned = true
    process.emitWarning(
      `${name}: a worker was replaced because its memory grew by ${Math.round(bytes / 2 ** 20)} MiB since its first task; ` +
        'no task was interrupted. A leak in the tasks is likely; maxMemoryGrowth sets the limit.',
      { code: 'QUERN_MEMORY_GROWTH' },
    )
  }
}
