/** Tells about once a second, while an invocation runs, that the worker's event loop turns. */
const EVERY_MS = 1_000

export class Heartbeat {
  readonly #beat: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(beat: () => void) {
    this.#beat = beat
  }

  start(): void {
    this.#timer = setInterval(this.#beat, EVERY_MS)
    // in a driver's own process (inline compute) it must not keep the program alive
    this.#timer.unref()
  }

  stop(): void {
    clearInterval(this.#timer)
  }
}
