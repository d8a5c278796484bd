/**
 * Which tasks end when which signal aborts, with one listener for each signal, however many tasks it is for. No signal
 * holds a task that is over.
 */
export class AbortWatch<T> {
  readonly #onAbort: (task: T, reason: unknown) => void
  readonly #watched = new Map<AbortSignal, { readonly tasks: Set<T>; readonly listener: () => void }>()

  /** `onAbort` is called once for each task that is watched when its signal aborts, in the order they came. */
  constructor(onAbort: (task: T, reason: unknown) => void) {
    this.#onAbort = onAbort
  }

  watch(signal: AbortSignal, task: T): void {
    const known = this.#watched.get(signal)
    if (known !== undefined) {
      known.tasks.add(task)
      return
    }
    const tasks = new Set([task])
    const listener = () => {
      for (const each of tasks) this.#onAbort(each, signal.reason)
    }
    this.#watched.set(signal, { tasks, listener })
    signal.addEventListener('abort', listener, { once: true })
  }

  forget(signal: AbortSignal, task: T): void {
    const known = this.#watched.get(signal)
    if (known === undefined || !known.tasks.delete(task) || known.tasks.size > 0) return
    this.#watched.delete(signal)
    signal.removeEventListener('abort', known.listener)
  }
}
