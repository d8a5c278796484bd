/** Keeps the event loop alive while something is waited for: one timer that never matters, referenced or not. */
export class KeepAlive {
  #timer: NodeJS.Timeout | undefined
  #wanted = false
  #held = false

  /** Alive while `wanted`. */
  set(wanted: boolean): void {
    this.#wanted = wanted
    this.#apply()
  }

  /** Alive until `release`, whatever is wanted. */
  hold(): void {
    this.#held = true
    this.#apply()
  }

  release(): void {
    this.#held = false
    this.#wanted = false
    this.#apply()
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #apply(): void {
    const alive = this.#wanted || this.#held
    if (this.#timer === undefined) {
      if (alive) this.#timer = setInterval(() => undefined, 2 ** 31 - 1)
    } else if (alive !== this.#timer.hasRef()) {
      if (alive) this.#timer.ref()
      else this.#timer.unref()
    }
  }
}
