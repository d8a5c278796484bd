import type { Clock } from '../core/clock.ts'

/** The longest a timer can be set for. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1

/**
 * Rings once, at a time that can be moved; now and then before it, so who hears it looks at the clock. Set, it keeps the
 * program alive.
 */
export class Alarm {
  readonly #clock: Clock
  readonly #ring: () => void
  #set: { readonly atMs: number; readonly controller: AbortController } | undefined

  constructor(clock: Clock, ring: () => void) {
    this.#clock = clock
    this.#ring = ring
  }

  /** Rings for `atMs` of the clock and for no other time; undefined: not at all. */
  set(atMs: number | undefined): void {
    if (this.#set?.atMs === atMs) return
    this.#set?.controller.abort()
    this.#set = undefined
    if (atMs !== undefined) void this.#sleepUntil(atMs)
  }

  async #sleepUntil(atMs: number): Promise<void> {
    const set = { atMs, controller: new AbortController() }
    const { signal } = set.controller
    this.#set = set
    const ms = Math.min(Math.max(0, atMs - this.#clock.nowMs()), LONGEST_SLEEP_MS)
    // it is aborted by nothing but `set`
    await this.#clock.sleep(ms, signal).catch(() => undefined)
    if (this.#set !== set) return
    this.#set = undefined
    this.#ring()
  }
}
