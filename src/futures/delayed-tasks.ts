/**
 * Tasks that wait for their time: one timer, for the earliest. Equal times start in the order they came. A cancelled one
 * never starts and keeps nothing waiting; one that waits keeps the program alive, as every pending future does.
 */
import type { Clock } from '../core/clock.ts'
import { Alarm } from './alarm.ts'
import type { Task } from './executor.ts'
import { MinHeap } from './min-heap.ts'

interface Delayed {
  readonly dueMs: number
  readonly number: number
  readonly task: Task
}

export class DelayedTasks {
  readonly #clock: Clock
  readonly #start: (task: Task) => void
  readonly #waiting = new MinHeap<Delayed>((a, b) => a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.number < b.number))
  readonly #alarm: Alarm
  readonly #whenEmpty: (() => void)[] = []
  #added = 0
  #withdrawn = 0

  /** `start` must not throw. */
  constructor(clock: Clock, start: (task: Task) => void) {
    this.#clock = clock
    this.#start = start
    this.#alarm = new Alarm(clock, () => this.#startDue())
  }

  /** Tasks that wait and were not cancelled. */
  get size(): number {
    return this.#waiting.size - this.#withdrawn
  }

  add(task: Task, delayMs: number): void {
    this.#waiting.push({ dueMs: this.#clock.nowMs() + delayMs, number: this.#added++, task })
    this.#arm()
  }

  /** One that waits here was cancelled. */
  withdrawn(): void {
    this.#withdrawn += 1
    if (this.#withdrawn * 2 < this.#waiting.size) return
    this.#waiting.keep(({ task }) => !task.future.done())
    this.#withdrawn = 0
    this.#arm()
  }

  /** Takes all out, first to last. */
  endAll(end: (task: Task) => void): void {
    for (const { task } of this.#waiting.drain()) if (!task.future.done()) end(task)
    this.#withdrawn = 0
    this.#arm()
  }

  /** Resolves when all were started or ended. */
  whenEmpty(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty.push(resolve)
      this.#arm()
    })
  }

  #arm(): void {
    const first = this.#waiting.peek()
    this.#alarm.set(first?.dueMs)
    if (first === undefined) for (const resolve of this.#whenEmpty.splice(0)) resolve()
  }

  #startDue(): void {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      const dead = next.task.future.done()
      if (!dead && next.dueMs > this.#clock.nowMs()) break
      this.#waiting.pop()
      if (dead) this.#withdrawn -= 1
      else this.#start(next.task)
    }
    this.#arm()
  }
}
