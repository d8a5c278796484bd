/**
 * What a worker knows of its own memory: for what its pool cannot see from outside (a thread; a process where there is no
 * /proc), and to leave between two calls before one of them dies of what others left behind.
 * It can look only when its event loop turns.
 */
import { isMainThread } from 'node:worker_threads'
import { isOver, isSpent, toMiB } from './memory-limit.ts'

const CHECK_EVERY_MS = 250
/** Asking the system costs more than a small call: between calls it is asked so often at most. */
const SPENT_EVERY_MS = 100

export interface MemoryProbe {
  /** Bytes in use now. */
  used(): number
  /** The pool sees the same from outside. */
  readonly seen: boolean
}

const ownProbe: MemoryProbe = {
  used() {
    // resident memory is the whole process's; a thread answers for its own heap and Buffers
    if (isMainThread) return process.memoryUsage.rss()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  },
  seen: isMainThread && process.platform === 'linux',
}

export class OwnMemory {
  readonly #limitMiB: number
  readonly #probe: MemoryProbe
  readonly #tell: (heldMiB: number) => void
  readonly #baseBytes: number
  #timer: NodeJS.Timeout | undefined
  #askedAtMs = Number.NEGATIVE_INFINITY

  /** `limitMiB` 0: no limit. `tell` hears what is held, in MiB, when that is more than may be. Made when the worker is ready. */
  constructor(limitMiB: number, tell: (heldMiB: number) => void, probe: MemoryProbe = ownProbe) {
    this.#limitMiB = limitMiB
    this.#tell = tell
    this.#probe = probe
    this.#baseBytes = limitMiB === 0 ? 0 : probe.used()
  }

  /** Something runs. */
  watch(): void {
    if (this.#limitMiB === 0 || this.#probe.seen) return
    this.#timer = setInterval(() => this.#check(), CHECK_EVERY_MS)
    this.#timer.unref()
  }

  unwatch(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** Whether so much is left behind that the worker should be replaced before it runs another call. */
  isSpent(nowMs: number): boolean {
    if (this.#limitMiB === 0 || nowMs - this.#askedAtMs < SPENT_EVERY_MS) return false
    this.#askedAtMs = nowMs
    return isSpent(this.#held(), this.#limitMiB)
  }

  #check(): void {
    const held = this.#held()
    if (isOver(held, this.#limitMiB)) this.#tell(toMiB(held))
  }

  #held(): number {
    return this.#probe.used() - this.#baseBytes
  }
}
