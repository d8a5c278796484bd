/**
 * Sees when tasks wait behind one that takes longer than was predicted while another worker has nothing to do, and asks
 * for them back. It looks every few milliseconds, and only while tasks travel together. A worker that is blocked (an
 * endless loop, a synchronous wait) hears nothing until its task ends.
 */
import type { Bundle } from './bundle.ts'

const LOOK_EVERY_MS = 10

export class StallWatch {
  readonly #bundles: Iterable<Bundle>
  readonly #someoneIsFree: () => boolean
  readonly #askBack: (bundle: Bundle) => void
  /** How far bundles had come when last looked at. */
  #told = new Map<Bundle, number>()
  #timer: NodeJS.Timeout | undefined

  constructor(bundles: Iterable<Bundle>, someoneIsFree: () => boolean, askBack: (bundle: Bundle) => void) {
    this.#bundles = bundles
    this.#someoneIsFree = someoneIsFree
    this.#askBack = askBack
  }

  /** A bundle has left whose tasks may wait for one another, or for those of another bundle. */
  watch(): void {
    if (this.#timer !== undefined) return
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS)
    this.#timer.unref()
  }

  #look(): void {
    const free = this.#someoneIsFree()
    const before = this.#told
    this.#told = new Map()
    for (const bundle of this.#bundles) {
      if (!bundle.short && bundle.waiting === 0) continue
      if (free && before.get(bundle) === bundle.told) this.#askBack(bundle)
      this.#told.set(bundle, bundle.told)
    }
    if (this.#told.size > 0) return
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
