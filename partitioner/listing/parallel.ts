/**
 * Lists a prefix by several requests at a time, and gives the pages as one listing would: keys in UTF-8 byte order, each
 * once. The store is asked for ranges of keys that tile the prefix (cuts.ts says where to cut); a range is one ordinary
 * listing, so what comes and goes meanwhile is seen as there.
 *
 * - It begins as one listing. Only what turns out to be long is cut, from the front on: what is asked for first.
 * - Pages that come before their turn are held, at most `heldPages`; then only the first range goes on.
 * - Cuts are guesses. Ranges that are empty cost a request each; there are at most as many as pages, later fewer.
 */
import { compareUtf8, precedesUtf8 } from '../../src/core/bytes.ts'
import { StorageError } from '../../src/core/errors.ts'
import type { ListOptions, ObjectHead, StorageBackend } from '../../src/storage/backend.ts'
import { type ListedPage, listingCuts } from './cuts.ts'

export interface ParallelListing extends ListOptions {
  /** Requests at a time. Default 8. */
  readonly lanes?: number | undefined
  /** Default 16 a lane. */
  readonly heldPages?: number | undefined
  /** Told of every request that was answered. */
  readonly onRequest?: (() => void) | undefined
}

const LANES = 8
const HELD_PAGES_A_LANE = 16

/**
 * The pages of `store.list(bucket, { prefix, startAfter })`.
 * @throws what `list` throws; StorageError UNSUPPORTED where the store lists out of order
 */
export async function* listInParallel(
  store: StorageBackend,
  bucket: string,
  options: ParallelListing = {},
): AsyncGenerator<readonly ObjectHead[], void, undefined> {
  const listing = new Listing(store, bucket, options)
  try {
    yield* listing.pages()
  } finally {
    await listing.stop()
  }
}

/** `(after, end]`, listed from its beginning on. */
interface Range {
  readonly after: string | undefined
  end: string | undefined
  iterator: AsyncIterator<readonly ObjectHead[]> | undefined
  /** The last key that came. */
  last: string | undefined
  /** What came and was not given yet. */
  readonly held: (readonly ObjectHead[])[]
  /** The last page that came, while there may be another. */
  page: ListedPage | undefined
  isAsked: boolean
  isDone: boolean
}

class Listing {
  readonly #store: StorageBackend
  readonly #bucket: string
  readonly #options: ParallelListing
  readonly #prefix: string
  readonly #lanes: number
  readonly #heldPages: number
  readonly #stop = new AbortController()
  readonly #asked = new Set<Promise<void>>()
  /** In the order of their keys, without those that are given. */
  readonly #ranges: Range[]
  #held = 0
  #pagesSeen = 0
  #longestPage = 0
  #requests = 0
  #keys = 0
  #failure: { readonly error: unknown } | undefined

  constructor(store: StorageBackend, bucket: string, options: ParallelListing) {
    const { prefix = '', startAfter, lanes = LANES, heldPages = lanes * HELD_PAGES_A_LANE } = options
    this.#store = store
    this.#bucket = bucket
    this.#options = options
    this.#prefix = prefix
    this.#lanes = lanes
    this.#heldPages = heldPages
    this.#ranges = [newRange(startAfter, undefined)]
  }

  async *pages(): AsyncGenerator<readonly ObjectHead[], void, undefined> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error
      const first = this.#ranges[0]
      if (first === undefined) return
      this.#ask()
      const page = first.held.shift()
      if (page !== undefined) {
        this.#held -= 1
        yield page
      } else if (first.isDone) this.#ranges.shift()
      else await Promise.race(this.#asked)
    }
  }

  /** Settles when no request is under way. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#asked)
    await Promise.all(this.#ranges.map(({ iterator }) => iterator?.return?.()))
  }

  #ask(): void {
    this.#askRanges()
    const idle = this.#lanes - this.#asked.size
    if (idle === 0) return
    this.#cut(Math.min(idle, this.#cutsAllowed(), this.#heldPages - this.#held - this.#asked.size))
    this.#askRanges()
  }

  /** So many that what the guesses cost stays a small part of the requests, and nothing where there are few. */
  #cutsAllowed(): number {
    const spent = this.#requests + this.#asked.size - this.#keys / Math.max(1, this.#longestPage)
    return Math.floor(Math.min(this.#pagesSeen - 1, 2 * this.#lanes + this.#requests / 8 - spent))
  }

  #askRanges(): void {
    for (const range of this.#ranges) {
      if (this.#asked.size >= this.#lanes) return
      if (range.isDone || range.isAsked || range.held.length >= this.#heldPages / this.#lanes) continue
      const isAwaited = range === this.#ranges[0] && range.held.length === 0
      if (!isAwaited && this.#held + this.#asked.size >= this.#heldPages) continue
      const asked = this.#next(range).then(() => {
        this.#asked.delete(asked)
      })
      this.#asked.add(asked)
    }
  }

  /** Makes up to `count` ranges out of what others have before them. */
  #cut(count: number): void {
    let left = count
    for (let i = 0; i < this.#ranges.length && left > 0; i++) {
      const range = this.#ranges[i] as Range
      if (range.page === undefined || !range.isAsked) continue
      const cuts = listingCuts(range.page, range.end, this.#prefix, left)
      if (cuts.length === 0) continue
      const ends = [...cuts.slice(1), range.end]
      this.#ranges.splice(i + 1, 0, ...cuts.map((cut, n) => newRange(cut, ends[n])))
      range.end = cuts[0]
      left -= cuts.length
      i += cuts.length
    }
  }

  async #next(range: Range): Promise<void> {
    range.isAsked = true
    range.iterator ??= this.#open(range)
    try {
      const answer = await range.iterator.next()
      // the end comes with the last page, unless there was none
      if (answer.done !== true || range.last === undefined) this.#answered()
      if (answer.done === true) range.isDone = true
      else {
        this.#take(range, answer.value)
        if (range.isDone) await range.iterator.return?.()
      }
    } catch (error) {
      range.isDone = true
      this.#failure ??= { error }
    }
    range.isAsked = false
  }

  #answered(): void {
    this.#requests += 1
    this.#options.onRequest?.()
  }

  #open({ after }: Range): AsyncIterator<readonly ObjectHead[]> {
    const { tally, signal } = this.#options
    const both = signal === undefined ? this.#stop.signal : AbortSignal.any([signal, this.#stop.signal])
    const options = { prefix: this.#prefix, startAfter: after, signal: both, tally }
    return this.#store.list(this.#bucket, options)[Symbol.asyncIterator]()
  }

  #take(range: Range, page: readonly ObjectHead[]): void {
    const last = page.at(-1)?.key
    if (last === undefined) return
    this.#assertOrder(range, page)
    this.#pagesSeen += 1
    this.#longestPage = Math.max(this.#longestPage, page.length)
    const own = range.end === undefined ? page : upTo(page, range.end)
    if (own.length < page.length || last === range.end) range.isDone = true
    // a page that others are longer than is likely the last of its range
    const isFull = page.length === this.#longestPage
    range.page = range.isDone || !isFull ? undefined : { first: page[0]?.key as string, last }
    range.last = last
    if (own.length === 0) return
    range.held.push(own)
    this.#keys += own.length
    this.#held += 1
  }

  #assertOrder(range: Range, page: readonly ObjectHead[]): void {
    let before = range.last ?? range.after
    for (const { key } of page) {
      if (before !== undefined && !precedesUtf8(before, key)) {
        const what = `${JSON.stringify(key)} is listed after ${JSON.stringify(before)}, not in UTF-8 byte order`
        throw new StorageError('UNSUPPORTED', what, {
          backend: this.#store.name,
          operation: 'list',
          bucket: this.#bucket,
        })
      }
      before = key
    }
  }
}

function newRange(after: string | undefined, end: string | undefined): Range {
  return { after, end, iterator: undefined, last: undefined, held: [], page: undefined, isAsked: false, isDone: false }
}

/** The part of a page that does not lie after `end`. */
function upTo(page: readonly ObjectHead[], end: string): readonly ObjectHead[] {
  let low = 0
  let high = page.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareUtf8((page[middle] as ObjectHead).key, end) <= 0) low = middle + 1
    else high = middle
  }
  return low === page.length ? page : page.slice(0, low)
}
