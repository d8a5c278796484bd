/** First in, first out, and back to the front what comes back; what was taken is not kept. */
export class Queue<T> {
  #items: (T | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#items.length - this.#head
  }

  push(item: T): void {
    this.#items.push(item)
  }

  /** Puts it before all others. */
  unshift(item: T): void {
    if (this.#head === 0) this.#makeFront()
    this.#items[--this.#head] = item
  }

  /** The next; undefined when it is empty. */
  peek(): T | undefined {
    return this.#items[this.#head]
  }

  /** Takes the next; undefined when it is empty. */
  shift(): T | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head >= 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Drops what `wanted` refuses. */
  keep(wanted: (item: T) => boolean): void {
    this.#items = this.drain().filter(wanted)
  }

  /** Empties it. */
  drain(): T[] {
    const items = this.#items.slice(this.#head) as T[]
    this.#items = []
    this.#head = 0
    return items
  }

  #makeFront(): void {
    const front = Math.max(16, this.size)
    this.#items = [...new Array<undefined>(front).fill(undefined), ...this.#items]
    this.#head = front
  }
}
