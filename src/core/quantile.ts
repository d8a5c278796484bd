/** A quantile of what was seen last: a window of fixed length, sorted anew once a sixteenth of it is fresh. */
export class QuantileWindow {
  readonly #values: Float64Array
  #count = 0
  #fresh = 0
  #sorted: Float64Array | undefined

  constructor(length = 256) {
    this.#values = new Float64Array(length)
  }

  get count(): number {
    return Math.min(this.#count, this.#values.length)
  }

  add(value: number): void {
    this.#values[this.#count % this.#values.length] = value
    this.#count += 1
    this.#fresh += 1
  }

  /** The value at `q` in [0, 1], by nearest rank; undefined where nothing was seen. */
  quantile(q: number): number | undefined {
    if (this.#count === 0) return undefined
    if (this.#sorted === undefined || this.#fresh * 16 >= this.count) {
      this.#sorted = this.#values.slice(0, this.count).sort()
      this.#fresh = 0
    }
    return this.#sorted[Math.max(0, Math.ceil(q * this.#sorted.length) - 1)]
  }
}
