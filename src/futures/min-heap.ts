/** A binary heap: what comes first by `before` comes out first. Not stable: let `before` decide between equals. */
export class MinHeap<T> {
  readonly #before: (a: T, b: T) => boolean
  #items: T[] = []

  constructor(before: (a: T, b: T) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  /** The first; undefined when it is empty. */
  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    this.#items.push(item)
    this.#up(this.#items.length - 1)
  }

  /** Takes the first; undefined when it is empty. */
  pop(): T | undefined {
    const first = this.#items[0]
    const last = this.#items.pop()
    if (this.#items.length > 0) {
      this.#items[0] = last as T
      this.#down(0)
    }
    return first
  }

  /** Any that fits. */
  find(fits: (item: T) => boolean): T | undefined {
    return this.#items.find(fits)
  }

  /** Drops what `wanted` refuses. */
  keep(wanted: (item: T) => boolean): void {
    this.#items = this.#items.filter(wanted)
    for (let at = (this.#items.length >> 1) - 1; at >= 0; at--) this.#down(at)
  }

  /** Empties it; what was in it, first to last. */
  drain(): T[] {
    const items = this.#items.sort((a, b) => (this.#before(a, b) ? -1 : 1))
    this.#items = []
    return items
  }

  #up(from: number): void {
    let at = from
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#before(this.#items[at] as T, this.#items[parent] as T)) return
      this.#swap(at, parent)
      at = parent
    }
  }

  #down(from: number): void {
    let at = from
    for (;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2]
      let first = at
      if (left < this.#items.length && this.#before(this.#items[left] as T, this.#items[first] as T)) first = left
      if (right < this.#items.length && this.#before(this.#items[right] as T, this.#items[first] as T)) first = right
      if (first === at) return
      this.#swap(at, first)
      at = first
    }
  }

  #swap(a: number, b: number): void {
    const item = this.#items[a] as T
    this.#items[a] = this.#items[b] as T
    this.#items[b] = item
  }
}
