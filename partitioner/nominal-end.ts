/**
 * The nominal end of a partition while it is read: it may be moved to an earlier offset, so that somebody else reads
 * the rest. As ownership follows from the first byte of a record, any cut is exact as long as all that was handed out
 * still lies before the boundary of the new end; that is so for every end a delimiter's length or more past it,
 * because the boundary of a cut is never before the cut, and is then found in bytes that are still to come.
 */
import type { ByteRange } from '../src/core/bytes.ts'

export class NominalEnd {
  readonly #margin: number
  #at: number
  /** End of the owned bytes that any pass has handed out. */
  #passed: number

  /** `margin`: length of the delimiter, 0 without one; undefined: the end never moves. */
  constructor({ start, end }: ByteRange, margin: number | undefined) {
    this.#at = end
    this.#passed = margin === undefined ? end : start
    this.#margin = Math.max(1, margin ?? 0)
  }

  /** Where the nominal range ends now. */
  get at(): number {
    return this.#at
  }

  /** Everything before `offset` belongs to this partition for good. */
  pass(offset: number): void {
    if (offset > this.#passed) this.#passed = offset
  }

  /** Moves the end to `at`, or as near behind it as is still exact. Gives the end that is kept. */
  moveTo(at: number): number {
    const earliest = Math.max(at, this.#passed + this.#margin)
    if (earliest < this.#at) this.#at = earliest
    return this.#at
  }

  /** It moves no more. */
  fix(): void {
    this.#passed = this.#at
  }
}
