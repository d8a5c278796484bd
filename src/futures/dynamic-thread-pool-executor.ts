/** Worker threads whose number follows the load, between a least and a most. */
import { ValidationError } from '../core/errors.ts'
import { field, wholeNumber } from '../core/fields.ts'
import { cpuCount } from '../pool/cpu-count.ts'
import { threadStarter } from '../pool/thread-link.ts'
import type { Task } from './executor.ts'
import { PoolExecutor } from './pool-executor.ts'
import { POOL_FIELDS, type PoolExecutorOptions, type PoolSettings, parsePoolOptions } from './pool-options.ts'
import { taskWorkerEntry } from './task-worker-entry.ts'
import { type GrowthRule, growthStep, settledSize, type ThreadLoad } from './thread-growth.ts'

const NAME = 'DynamicThreadPoolExecutor'

export interface DynamicThreadPoolOptions extends PoolExecutorOptions {
  /** Default 1. Where both are given, below `maxWorkers`. */
  readonly minWorkers?: number | undefined
  /** Load (what runs and waits, for each thread) from which one more thread comes. Above 0, at most 1; default 0.8. */
  readonly growThreshold?: number | undefined
  /** Load up to which an idle thread goes. From 0, below `growThreshold`; default 0.4. */
  readonly shrinkThreshold?: number | undefined
}

const FIELDS = {
  ...POOL_FIELDS,
  minWorkers: wholeNumber(1),
  growThreshold: field('a number above 0, at most 1', (v): v is number => typeof v === 'number' && v > 0 && v <= 1),
  shrinkThreshold: field('a number from 0, below 1', (v): v is number => typeof v === 'number' && v >= 0 && v < 1),
}

export class DynamicThreadPoolExecutor extends PoolExecutor {
  readonly #rule: GrowthRule
  #size: number

  /** Starts nothing yet. @throws ValidationError for options that do not fit, one by one or together; RecursionError in a worker nested too deep */
  constructor(options: DynamicThreadPoolOptions = {}) {
    const settings = parsePoolOptions(NAME, options, FIELDS)
    const rule = growthRuleOf(settings)
    const { env, workerName: name = NAME } = settings
    const startWorker = threadStarter({ entry: taskWorkerEntry(), env, workers: rule.maxWorkers, name })
    super({ name: NAME, maxWorkers: rule.minWorkers, startWorker, title: undefined }, settings)
    this.#rule = rule
    this.#size = rule.minWorkers
  }

  override get maxWorkers(): number {
    return this.#rule.maxWorkers
  }

  get minWorkers(): number {
    return this.#rule.minWorkers
  }

  /** Adds and lets go of threads until the load is between the thresholds, or their number at a limit. */
  maintain(): void {
    this.#resize(settledSize(this.#load(), this.#rule))
    this.pool.warm(this.#rule.minWorkers)
  }

  protected override accept(task: Task): void {
    const step = growthStep(this.#load(), this.#rule)
    // while a thread starts, the idle one is what tasks run on
    if (step > 0 || this.counts.starting === 0) this.#resize(this.#size + step)
    super.accept(task)
  }

  #load(): ThreadLoad {
    const { running, queued } = this.pool.load
    return { workers: this.#size, idle: this.#size - running, queued }
  }

  #resize(size: number): void {
    if (size === this.#size) return
    this.#size = size
    this.pool.resize(size)
  }
}

function growthRuleOf(settings: PoolSettings & Record<string, unknown>): GrowthRule {
  const { minWorkers = 1, growThreshold = 0.8, shrinkThreshold = 0.4 } = settings as Partial<GrowthRule>
  const { maxWorkers } = settings
  if (maxWorkers !== undefined && settings.minWorkers !== undefined && minWorkers >= maxWorkers) {
    throw new ValidationError(
      `${NAME} options.minWorkers: expected fewer than maxWorkers ${maxWorkers}, got ${minWorkers}`,
    )
  }
  if (shrinkThreshold >= growThreshold) {
    throw new ValidationError(
      `${NAME} options.shrinkThreshold: expected less than growThreshold ${growThreshold}, got ${shrinkThreshold}`,
    )
  }
  return { minWorkers, maxWorkers: maxWorkers ?? Math.max(cpuCount(), minWorkers), growThreshold, shrinkThreshold }
}
