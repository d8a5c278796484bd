/** Lets the event loop turn now and then in long synchronous work, so that feeds and aborts are read. */
const TURN_EVERY_MS = 5

export class Turns {
  #last = performance.now()

  due(nowMs: number): boolean {
    return nowMs - this.#last >= TURN_EVERY_MS
  }

  async turn(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#last = performance.now()
  }
}
