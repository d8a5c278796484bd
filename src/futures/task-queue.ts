/**
 * What an executor has accepted and not yet handed to a worker: higher priority first, first in first out among equals.
 * What comes back from a dead worker goes before its equals, in its old order.
 * Cancelled tasks stay until they are met, or until they are the most of it; they are never counted.
 */
import type { Task } from './executor.ts'
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
  /** Highest priority first; an empty line stays, for the next of its priority. */
  readonly #lines: Line[] = []
  #length = 0
  #withdrawn = 0

  /** Tasks in it that were not cancelled. */
  get size(): number {
    return this.#length - this.#withdrawn
  }

  push(entry: Entry): void {
    this.#length += 1
    this.#line(entry.task.priority).push(entry)
  }

  /** Puts them before their equals, in the order given. */
  unshift(entries: readonly Entry[]): void {
    for (let i = entries.length - 1; i >= 0; i--) {
      const entry = entries[i] as Entry
      this.#length += 1
      this.#line(entry.task.priority).unshift(entry)
    }
  }

  /** The next one; undefined when there is none. */
  peek(): Entry | undefined {
    for (const line of this.#lines) {
      for (let next = line.peek(); next !== undefined; next = line.peek()) {
        if (!isWithdrawn(next)) return next
        this.#drop(line)
      }
    }
    return undefined
  }

  shift(): Entry | undefined {
    const next = this.peek()
    if (next === undefined) return undefined
    this.#length -= 1
    return this.#lines.find((line) => line.peek() === next)?.shift()
  }

  /** One that is in it was cancelled. */
  withdrawn(): void {
    this.#withdrawn += 1
    if (this.#withdrawn < 1_000 || this.#withdrawn * 2 < this.#length) return
    for (const line of this.#lines) line.keep((entry) => !isWithdrawn(entry))
    this.#length = this.#lines.reduce((sum, line) => sum + line.length, 0)
    this.#withdrawn = 0
  }

  /** Empties it. */
  drain(): Entry[] {
    const entries = this.#lines.flatMap((line) => line.drain())
    this.#length = 0
    this.#withdrawn = 0
    return entries
  }

  #drop(line: Line): void {
    line.shift()
    this.#length -= 1
    this.#withdrawn = Math.max(0, this.#withdrawn - 1)
  }

  #line(priority: number): Line {
    const at = this.#lines.findIndex((line) => line.priority <= priority)
    const found = this.#lines[at]
    if (found?.priority === priority) return found
    const line = new Line(priority)
    this.#lines.splice(at === -1 ? this.#lines.length : at, 0, line)
    return line
  }
}

/** Handed out before, it runs by its own right, cancelled or not: only what never began is withdrawn. */
function isWithdrawn({ begun, task }: Entry): boolean {
  return !begun && task.future.done()
}

/** A queue in an array whose taken front is given back now and then. */
class Line {
  readonly priority: number
  #entries: (Entry | undefined)[] = []
  #head = 0

  constructor(priority: number) {
    this.priority = priority
  }

  get length(): number {
    return this.#entries.length - this.#head
  }

  push(entry: Entry): void {
    this.#entries.push(entry)
  }

  unshift(entry: Entry): void {
    if (this.#head === 0) this.#makeFront()
    this.#entries[--this.#head] = entry
  }

  peek(): Entry | undefined {
    return this.#entries[this.#head]
  }

  shift(): Entry | undefined {
    const entry = this.#entries[this.#head]
    if (entry === undefined) return undefined
    this.#entries[this.#head++] = undefined
    if (this.#head === this.#entries.length) this.drain()
    else if (this.#head > 1_024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return entry
  }

  keep(wanted: (entry: Entry) => boolean): void {
    this.#entries = this.drain().filter(wanted)
  }

  drain(): Entry[] {
    const entries = this.#entries.slice(this.#head) as Entry[]
    this.#entries = []
    this.#head = 0
    return entries
  }

  #makeFront(): void {
    const front = Math.max(16, this.length)
    this.#entries = [...new Array<undefined>(front).fill(undefined), ...this.#entries]
    this.#head = front
  }
}
