import { Queue } from './queue.ts'

/** Higher priority first; among equals, first in, first out. Made for few different priorities. */
export class PriorityQueue<T> {
  /** Highest first; an empty line stays for the next of its priority. */
  readonly #lines: { readonly priority: number; readonly queue: Queue<T> }[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  push(item: T, priority: number): void {
    this.#size += 1
    this.#line(priority).push(item)
  }

  /** Puts it before its equals. */
  unshift(item: T, priority: number): void {
    this.#size += 1
    this.#line(priority).unshift(item)
  }

  /** The next; undefined when it is empty. */
  peek(): T | undefined {
    return this.#first()?.peek()
  }

  /** Takes the next; undefined when it is empty. */
  shift(): T | undefined {
    const queue = this.#first()
    if (queue !== undefined) this.#size -= 1
    return queue?.shift()
  }

  /** Drops what `wanted` refuses. */
  keep(wanted: (item: T) => boolean): void {
    this.#size = 0
    for (const { queue } of this.#lines) {
      queue.keep(wanted)
      this.#size += queue.size
    }
  }

  /** Empties it. */
  drain(): T[] {
    this.#size = 0
    return this.#lines.flatMap(({ queue }) => queue.drain())
  }

  #first(): Queue<T> | undefined {
    for (const { queue } of this.#lines) if (queue.size > 0) return queue
    return undefined
  }

  #line(priority: number): Queue<T> {
    const at = this.#lines.findIndex((line) => line.priority <= priority)
    const found = this.#lines[at]
    if (found?.priority === priority) return found.queue
    const line = { priority, queue: new Queue<T>() }
    this.#lines.splice(at === -1 ? this.#lines.length : at, 0, line)
    return line.queue
  }
}
