/**
 * The items of a job whose source is read while the job runs. Invariants: an item is one call, in the order of the source;
 * never more than the lead are read and not yet sent to a worker; the source is told to `return` once where it is left
 * before its end, and never after it. An item is encoded when it comes, and kept until its call has ended.
 *
 * Left to others: what the scheduler makes of it (open-jobs).
 */
import { JobError, messageOf, ValidationError } from '../core/errors.ts'
import { shippingFunctions } from '../functions/capture.ts'
import { encodeValue } from '../functions/codec.ts'
import { isThenable } from '../futures/thenable.ts'
import type { CallInput } from '../job/messages.ts'

/** Told how the source goes on: `added` more items, and its end; `error` where it failed. */
export interface ItemSink {
  extend(added: number): void
  seal(error?: Error): void
}

/** How far a source is read ahead of what workers were sent. */
export interface Lead {
  readonly calls: number
  /** Encoded. One item is read however large it is. */
  readonly bytes: number
}

export interface ItemStreamOptions {
  /** Named in errors. */
  readonly jobId: string
  readonly lead: Lead
  /** Of all items, encoded. */
  readonly limitBytes?: number | undefined
}

interface Item {
  /** Or why it cannot travel. */
  readonly value: Uint8Array | Error
  sent: boolean
}

/** Items that are read ahead at least. */
export const LEAD_CALLS = 1_024
const LEAD_CALLS_PER_SLOT = 64
const LEAD_BYTES = 64 * 1_024 * 1_024

/** Longest that items are read without a turn for everything else, ms. */
const SLICE_MS = 10

/** So far that no slot waits for an item, nor an invocation of `chunksize` calls for the rest of them. */
export function leadOf(slots: number, chunksize = 1): Lead {
  return { calls: Math.max(LEAD_CALLS, slots * Math.max(LEAD_CALLS_PER_SLOT, 2 * chunksize)), bytes: LEAD_BYTES }
}

export class ItemStream {
  readonly #iterator: Iterator<unknown> | AsyncIterator<unknown>
  readonly #isAsync: boolean
  readonly #options: ItemStreamOptions
  /** Of calls that have not ended. */
  readonly #items = new Map<number, Item>()
  #read = 0
  #readBytes = 0
  /** The sink knows of so many. */
  #told = 0
  /** Read and not sent. */
  #waiting = 0
  #waitingBytes = 0
  #sink: ItemSink | undefined
  #telling: NodeJS.Immediate | undefined
  #onRoom: (() => void) | undefined
  #ended: { readonly error?: Error } | undefined
  #stopped = false
  /** Within `next`: a generator cannot be left from inside. */
  #asking = false
  /** The iterator ended, threw, or was told to return. */
  #over = false

  constructor(source: Iterable<unknown> | AsyncIterable<unknown>, options: ItemStreamOptions) {
    this.#isAsync = Symbol.asyncIterator in source
    this.#iterator = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]()
    this.#options = options
  }

  /** Reads what comes without waiting, as far as the lead goes: how many items, and whether there may be more. */
  async begin(): Promise<{ readonly count: number; readonly open: boolean }> {
    void this.#pump()
    await nextTurn()
    this.#told = this.#read
    return { count: this.#told, open: this.#ended === undefined || this.#ended.error !== undefined }
  }

  /** Tells of what follows upon `begin`. */
  follow(sink: ItemSink): void {
    this.#sink = sink
    this.#tell()
    if (this.#ended !== undefined) sink.seal(this.#ended.error)
  }

  /** What a call is sent. @throws SerializationError */
  inputOf(call: number): CallInput {
    const item = this.#items.get(call) as Item
    this.#leave(item)
    if (item.value instanceof Error) throw item.value
    return { type: 'item', value: item.value }
  }

  /** The call has ended: its item is wanted no more. */
  settled(call: number): void {
    const item = this.#items.get(call)
    if (item === undefined) return
    this.#items.delete(call)
    this.#leave(item)
  }

  /** Nothing more is read. */
  stop(): void {
    if (this.#stopped || this.#ended !== undefined) return
    this.#stopped = true
    clearImmediate(this.#telling)
    this.#onRoom?.()
    if (!this.#asking) this.#returnSource()
  }

  get #isFull(): boolean {
    const { calls, bytes } = this.#options.lead
    return this.#waiting >= calls || this.#waitingBytes >= bytes
  }

  async #pump(): Promise<void> {
    try {
      await this.#readOn()
    } catch (thrown) {
      if (this.#stopped) return
      this.#returnSource()
      this.#end({ error: this.#failure(thrown) })
    }
  }

  async #readOn(): Promise<void> {
    let sliceEndsAt = performance.now() + SLICE_MS
    while (!this.#stopped) {
      if (this.#isFull) {
        this.#tell()
        await this.#room()
        continue
      }
      // room may be made within the same turn, again and again
      if (performance.now() >= sliceEndsAt) {
        this.#tell()
        await nextTurn()
        sliceEndsAt = performance.now() + SLICE_MS
        continue
      }
      const asked = this.#ask()
      const next = isThenable(asked) ? await this.#answer(asked) : asked
      if (next.done === true) {
        this.#over = true
        if (!this.#stopped) this.#end({})
        return
      }
      // stopped from inside of the generator
      if (this.#stopped) return this.#returnSource()
      this.#take(!this.#isAsync && isThenable(next.value) ? await next.value : next.value)
    }
  }

  #ask(): IteratorResult<unknown> | Promise<IteratorResult<unknown>> {
    this.#asking = true
    try {
      return this.#iterator.next()
    } catch (error) {
      this.#over = true
      throw error
    } finally {
      this.#asking = false
    }
  }

  async #answer(asked: PromiseLike<IteratorResult<unknown>>): Promise<IteratorResult<unknown>> {
    try {
      return await asked
    } catch (error) {
      this.#over = true
      throw error
    }
  }

  #take(value: unknown): void {
    if (this.#stopped) return
    const item: Item = { value: encoded(value), sent: false }
    const bytes = sizeOf(item)
    const { limitBytes = Number.POSITIVE_INFINITY } = this.#options
    this.#readBytes += bytes
    if (this.#readBytes > limitBytes) throw tooLarge(limitBytes)
    this.#items.set(this.#read, item)
    this.#read += 1
    this.#waiting += 1
    this.#waitingBytes += bytes
    if (this.#sink !== undefined) this.#telling ??= setImmediate(() => this.#tell())
  }

  #leave(item: Item): void {
    if (item.sent) return
    item.sent = true
    this.#waiting -= 1
    this.#waitingBytes -= sizeOf(item)
    const { calls, bytes } = this.#options.lead
    // in gulps: to be woken for every item would cost as much as the item
    if (2 * this.#waiting <= calls && 2 * this.#waitingBytes <= bytes) this.#onRoom?.()
  }

  #room(): Promise<void> {
    return new Promise((resolve) => {
      this.#onRoom = () => {
        this.#onRoom = undefined
        resolve()
      }
    })
  }

  #tell(): void {
    clearImmediate(this.#telling)
    this.#telling = undefined
    const added = this.#read - this.#told
    if (added === 0 || this.#sink === undefined) return
    this.#told = this.#read
    this.#sink.extend(added)
  }

  #end(how: { readonly error?: Error }): void {
    this.#ended = how
    this.#tell()
    this.#sink?.seal(how.error)
  }

  #failure(thrown: unknown): Error {
    if (thrown instanceof ValidationError) return thrown
    const { jobId } = this.#options
    const errors = [thrown instanceof Error ? thrown : new Error(messageOf(thrown), { cause: thrown })]
    const message = `the source of ${jobId} failed after ${this.#read} items: ${messageOf(thrown)}`
    return new JobError(message, { jobId, errors, failedCalls: [], callCount: this.#read })
  }

  #returnSource(): void {
    if (this.#over) return
    this.#over = true
    // the job ends for a reason of its own: what leaving its source throws is no news of it
    new Promise((resolve) => resolve(this.#iterator.return?.())).catch(() => undefined)
  }
}

/** What is said where the items of a job are more than `data_limit` allows. */
export function tooLarge(limitBytes: number): ValidationError {
  return new ValidationError(`the items are larger than data_limit: expected at most ${limitBytes} bytes in all`)
}

function encoded(value: unknown): Uint8Array | Error {
  try {
    return encodeValue(value, 'item', shippingFunctions)
  } catch (error) {
    return error as Error
  }
}

function sizeOf({ value }: Item): number {
  return value instanceof Error ? 0 : value.byteLength
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
