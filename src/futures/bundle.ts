/**
 * Tasks on their way to one worker, run there one after the other. Each is told of before the next begins, so whoever
 * was not told of when the worker died is known: the first of them was running, the others had not begun.
 */
import type { Measured } from './bundling.ts'
import type { Task } from './executor.ts'
import type { Entry } from './task-queue.ts'
import type { Outcome } from './worker-messages.ts'

export class Bundle {
  readonly id: number
  /** Others may lie ahead of it or behind it in its worker. */
  readonly short: boolean
  readonly shared: Entry['shared']
  /** Bundles behind it in its worker, given back together with its own rest. */
  behind: readonly number[] = []
  #entries: (Entry | undefined)[]
  #told = 0
  #nobodyRuns = false
  #totalMs = 0
  #longestMs = 0

  constructor(id: number, entries: readonly Entry[], short: boolean) {
    this.id = id
    this.short = short
    this.shared = (entries[0] as Entry).shared
    this.#entries = [...entries]
  }

  get measured(): Measured {
    return { tasks: this.#told, totalMs: this.#totalMs, longestMs: this.#longestMs }
  }

  /** How far it has come, for who looks whether it goes on. */
  get told(): number {
    return this.#told
  }

  get unfinished(): number {
    return this.#entries.length - this.#told
  }

  /** Tasks that wait for another one of it to end. */
  get waiting(): number {
    return Math.max(0, this.#entries.length - this.#told - 1)
  }

  has(task: Task): boolean {
    return this.#entries.some((entry) => entry?.task === task)
  }

  /** The outcome of the next task, and how long it took. */
  settle(outcome: Outcome, ms: number): void {
    const entry = this.#entries[this.#told]
    if (entry === undefined) return
    this.#entries[this.#told++] = undefined
    this.#totalMs += ms
    if (ms > this.#longestMs) this.#longestMs = ms
    settle(entry.task, outcome)
  }

  /** Takes off it what has not begun and, by its worker's word, will not. `running`: its next task has begun. */
  giveBack(running: boolean): Entry[] {
    this.#nobodyRuns = !running
    return this.#entries.splice(this.#told + (running ? 1 : 0)) as Entry[]
  }

  /** Takes off it what was not told of. */
  takeRest(): Entry[] {
    return this.#entries.splice(this.#told) as Entry[]
  }

  /** As `takeRest`: what was running, if anything was, and what had not begun. */
  split(): { readonly running: Entry | undefined; readonly waiting: readonly Entry[] } {
    const rest = this.takeRest()
    return this.#nobodyRuns ? { running: undefined, waiting: rest } : { running: rest[0], waiting: rest.slice(1) }
  }
}

/** Sets the future of a task, unless it was cancelled meanwhile. */
export function settle({ future }: Task, outcome: Outcome): void {
  if (future.done()) return
  if (outcome.error === undefined) future.setResult(outcome.value)
  else future.setException(outcome.error)
}
