/** The bundles that have left for workers and not ended. */
import type { Bundle } from './bundle.ts'
import type { Task } from './executor.ts'

export class BundleSet implements Iterable<Bundle> {
  readonly #bundles = new Map<number, Bundle>()
  #short = 0

  get size(): number {
    return this.#bundles.size
  }

  [Symbol.iterator](): IterableIterator<Bundle> {
    return this.#bundles.values()
  }

  /** Those that may lie ahead of and behind others. */
  get short(): number {
    return this.#short
  }

  add(bundle: Bundle): void {
    this.#bundles.set(bundle.id, bundle)
    if (bundle.short) this.#short += 1
  }

  get(id: number): Bundle | undefined {
    return this.#bundles.get(id)
  }

  /** The one with this id, which is in it no more. */
  take(id: number): Bundle | undefined {
    const bundle = this.#bundles.get(id)
    if (bundle === undefined) return undefined
    this.#bundles.delete(id)
    if (bundle.short) this.#short -= 1
    return bundle
  }

  with(task: Task): Bundle | undefined {
    for (const bundle of this) if (bundle.has(task)) return bundle
    return undefined
  }

  /** Bundles whose tasks have all ended: their workers are about to be free. */
  get ending(): number {
    let ending = 0
    for (const bundle of this) if (bundle.unfinished === 0) ending += 1
    return ending
  }

  /** Bundles of which a task is not done, and their tasks that wait for another to end. */
  get load(): { readonly taken: number; readonly waiting: number } {
    let [taken, waiting] = [0, 0]
    for (const bundle of this) {
      if (bundle.unfinished > 0) taken += 1
      waiting += bundle.waiting
    }
    return { taken, waiting }
  }
}
