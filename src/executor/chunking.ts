/**
 * How many calls one invocation carries when the user did not say: calls much shorter than a message's way are
 * batched until a batch lasts long enough to hide it (the rule of joblib's auto-batching, with shorter times), and
 * never so many that a worker would sit idle at the end.
 */
const MIN_BATCH_MS = 10
const MAX_BATCH_MS = 50
const MAX_CALLS = 1024

export class Chunking {
  #calls = 1

  /** Learns from an invocation that has run to its end: how many calls it carried and how long they took in all. */
  observe(calls: number, elapsedMs: number): void {
    if (calls < this.#calls) return
    if (elapsedMs < MIN_BATCH_MS) this.#calls = Math.min(MAX_CALLS, this.#calls * 2)
    else if (elapsedMs > MAX_BATCH_MS) this.#calls = Math.max(1, Math.floor((this.#calls * MAX_BATCH_MS) / elapsedMs))
  }

  /** Calls for the next invocation, 1 or more, given how many wait and how many slots share them. */
  next(queued: number, slots: number): number {
    return Math.max(1, Math.min(this.#calls, Math.floor(queued / (2 * slots))))
  }
}
