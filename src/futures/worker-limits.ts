/**
 * When a worker leaves of itself to be replaced by a new one: after so many tasks, or when it holds so much more memory
 * than after its first task. Memory is looked at between bundles and once a second at most; where the collector can be
 * asked (`--expose-gc`), it is, before anything is concluded. After loky.
 */
import { isMainThread } from 'node:worker_threads'
import type { TaskStartup } from './task-messages.ts'

const CHECK_EVERY_MS = 1_000

export interface Memory {
  /** Bytes held. */
  used(): number
  collect(): void
  nowMs(): number
}

const ownMemory: Memory = {
  used() {
    // resident memory is the whole process's; a thread answers for its own heap
    if (isMainThread) return process.memoryUsage.rss()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  },
  collect: () => globalThis.gc?.(),
  nowMs: () => performance.now(),
}

export class WorkerLimits {
  readonly #maxTasks: number
  readonly #maxGrowth: number | undefined
  readonly #memory: Memory
  #tasks = 0
  #reference: number | undefined
  #checkedAtMs = 0

  constructor(
    { maxTasks, maxMemoryGrowthBytes }: Pick<TaskStartup, 'maxTasks' | 'maxMemoryGrowthBytes'>,
    memory = ownMemory,
  ) {
    this.#maxTasks = maxTasks ?? Number.POSITIVE_INFINITY
    this.#maxGrowth = maxMemoryGrowthBytes
    this.#memory = memory
  }

  /** A task has ended. */
  count(): void {
    this.#tasks += 1
  }

  /** It has run all it may. */
  get reached(): boolean {
    return this.#tasks >= this.#maxTasks
  }

  /** By how many bytes it has grown, when that is too much. */
  grown(): number | undefined {
    if (this.#maxGrowth === undefined || this.#tasks === 0) return undefined
    const now = this.#memory.nowMs()
    if (this.#reference !== undefined && now - this.#checkedAtMs < CHECK_EVERY_MS) return undefined
    this.#checkedAtMs = now
    if (this.#reference === undefined) {
      this.#memory.collect()
      this.#reference = this.#memory.used()
      return undefined
    }
    if (this.#memory.used() - this.#reference < this.#maxGrowth) return undefined
    this.#memory.collect()
    const growth = this.#memory.used() - this.#reference
    return growth < this.#maxGrowth ? undefined : growth
  }
}
