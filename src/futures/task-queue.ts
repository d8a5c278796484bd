/**
 * What an executor has accepted and not yet handed to a worker: higher priority first, first in first out among equals.
 * What comes back from a dead worker goes before its equals, in its old order.
 * Cancelled tasks stay until they are met, or until they are the most of it; they are never counted.
 */
import type { Task } from './executor.ts'
import { PriorityQueue } from './priority-queue.ts'
import type { SharedFunction } from './shared-functions.ts'

/** An accepted task until its future is done. */
export interface Entry {
  readonly task: Task
  readonly shared: SharedFunction
  /** The chunk of a map it belongs to: travels with the others of it. */
  readonly chunk: number | undefined
  /** It was handed to a worker before. */
  begun: boolean
}

export class TaskQueue {
  readonly #entries = new PriorityQueue<Entry>()
  #withdrawn = 0

  /** Tasks in it that were not cancelled. */
  get size(): number {
    return this.#entries.size - this.#withdrawn
  }

  push(entry: Entry): void {
    this.#entries.push(entry, entry.task.priority)
  }

  /** Puts them before their equals, in the order given. */
  unshift(entries: readonly Entry[]): void {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i] as Entry
      this.#entries.unshift(entry, entry.task.priority)
    }
  }

  /** The next one; undefined when there is none. */
  peek(): Entry | undefined {
    for (let next = this.#entries.peek(); next !== undefined; next = this.#entries.peek()) {
      if (!isWithdrawn(next)) return next
      this.#entries.shift()
      this.#withdrawn = Math.max(0, this.#withdrawn - 1)
    }
    return undefined
  }

  shift(): Entry | undefined {
    return this.peek() === undefined ? undefined : this.#entries.shift()
  }

  /** One that is in it was cancelled. */
  withdrawn(): void {
    this.#withdrawn += 1
    if (this.#withdrawn < 1_000 || this.#withdrawn * 2 < this.#entries.size) return
    this.#entries.keep((entry) => !isWithdrawn(entry))
    this.#withdrawn = 0
  }

  /** Empties it. */
  drain(): Entry[] {
    this.#withdrawn = 0
    return this.#entries.drain()
  }
}

/** Handed out before, it runs by its own right, cancelled or not: only what never began is withdrawn. */
function isWithdrawn({ begun, task }: Entry): boolean {
  return !begun && task.future.done()
}
