/**
 * The inputs of a reduce call, as they are fed. Invariant: each of the `count` inputs is taken exactly once; where
 * order matters they must come in plan order, and anything else is an error rather than a wrong result.
 */
import { decodeValue } from '../functions/codec.ts'
import type { Feed } from '../job/messages.ts'

export type ReduceInput = Extract<Feed, { type: 'result' | 'absent' }>

export class ReduceFeed {
  #count: number
  readonly #onConsumed: (consumed: number) => void
  #taken: Uint8Array
  #queue: ReduceInput[] = []
  #consumed = 0
  #last = -1
  #waiter: { resolve: () => void; reject: (reason: unknown) => void } | undefined
  #ended: { readonly reason: unknown } | undefined
  /** ms spent waiting for inputs. */
  waitedMs = 0

  /** `onConsumed` hears how many inputs were taken whenever more are needed. */
  constructor(count: number, onConsumed: (consumed: number) => void) {
    this.#count = count
    this.#onConsumed = onConsumed
    this.#taken = new Uint8Array(count)
  }

  /** There are so many inputs now. */
  expect(count: number): void {
    const taken = new Uint8Array(Math.max(count, this.#count))
    taken.set(this.#taken)
    this.#taken = taken
    this.#count = count
  }

  push(input: ReduceInput): void {
    this.#queue.push(input)
    this.#waiter?.resolve()
  }

  /** Whoever waits, now or later, gets `reason` thrown. */
  end(reason: unknown): void {
    this.#ended ??= { reason }
    this.#waiter?.reject(reason)
  }

  /** What has come since the last batch, at least one input; undefined after the last. @throws Error when inputs repeat or come out of order */
  async nextBatch(ordered: boolean): Promise<readonly ReduceInput[] | undefined> {
    if (this.#consumed === this.#count) return undefined
    while (this.#queue.length === 0) await this.#wait()
    if (this.#ended !== undefined) throw this.#ended.reason
    const batch = this.#queue
    this.#queue = []
    for (const { index } of batch) this.#check(index, ordered)
    this.#consumed += batch.length
    return batch
  }

  async #wait(): Promise<void> {
    if (this.#ended !== undefined) throw this.#ended.reason
    if (this.#consumed > 0) this.#onConsumed(this.#consumed)
    const since = performance.now()
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiter = { resolve, reject }
      })
    } finally {
      this.#waiter = undefined
      this.waitedMs += performance.now() - since
    }
  }

  #check(index: number, ordered: boolean): void {
    if (!(index >= 0 && index < this.#count)) throw new Error(`input ${index} was fed to a reducer of ${this.#count}`)
    if (this.#taken[index] === 1) throw new Error(`input ${index} was fed to the reducer twice`)
    if (ordered && index <= this.#last) throw new Error(`input ${index} was fed to the reducer after ${this.#last}`)
    this.#taken[index] = 1
    this.#last = index
  }
}

/** All results in plan order; absent ones are left out, and their calls added to `failedInputs`. */
export async function collectInputs(feed: ReduceFeed, failedInputs: string[]): Promise<unknown[]> {
  const taken: ReduceInput[] = []
  for (let batch = await feed.nextBatch(false); batch !== undefined; batch = await feed.nextBatch(false)) {
    for (const input of batch) taken.push(input)
  }
  taken.sort((a, b) => a.index - b.index)
  const results: unknown[] = []
  for (const input of taken) {
    if (input.type === 'absent') failedInputs.push(input.callId)
    else results.push(decodeValue(input.value, { adopt: true }))
  }
  return results
}
