/**
 * Where what remains of a listing can be cut, so that its parts are listed at the same time. Pure: keys in, keys out.
 *
 * Invariant: every cut lies after the last key that was listed and before the end of its range. Whoever lists `(after,
 * cut]` and `(cut, end]` has each key exactly once, wherever the cut is; a bad cut costs a request and nothing else.
 *
 * A cut is the last listed key up to one of its letters or digits, with a later one in its place:
 * `logs/2026/host-1/…` gives `logs/2026/host-2` to `host-9`, `logs/2026/i`, `logs/2027`, …, `logs/3`. How many keys lie
 * before one is guessed from how far the last page went. What is guessed to be near is no cut: it would cost more
 * requests than it saves time. Where nothing follows the first cut of a place, nothing follows the others of it either:
 * so one for each place comes first, and names that begin alike are passed in few steps. Letters that stayed the same
 * are mostly words, so they are tried where there are no digits.
 */
import { compareUtf8 } from '../../src/core/bytes.ts'

/** Object stores hold no longer keys, and some refuse to be asked for one. */
const MAX_KEY_BYTES = 1_024
/** A range of that many pages wastes about one request in so many. */
const LEAST_PAGES = 8
const DIGITS = { from: 0x30, to: 0x39 }
const CLASSES = [DIGITS, { from: 0x41, to: 0x5a }, { from: 0x61, to: 0x7a }]
const OTHER_SCRIPTS = { from: 0x80, to: 0x10ffff }
/** Of those scripts few characters are used in one place. */
const ALPHABET = 256

export interface ListedPage {
  /** First and last key of the page. */
  readonly first: string
  readonly last: string
}

/**
 * Up to `count` keys between the end of a page and the end of its range, in UTF-8 byte order: near ones, far ones, and
 * some between.
 * @param end where the range ends; undefined: with the keys that start with `prefix`
 */
export function listingCuts(page: ListedPage, end: string | undefined, prefix: string, count: number): string[] {
  const numbers: Candidates = { firsts: [], others: [] }
  const letters: Candidates = { firsts: [], others: [] }
  const { first, last } = page
  const finest = commonLength(first, last)
  const coarsest = Math.max(prefix.length, end === undefined ? 0 : commonLength(last, end))
  let pagesPerStep = 1 / Math.max(1, (last.codePointAt(finest) ?? 0) - (first.codePointAt(finest) ?? 0))
  for (let at = finest; at >= coarsest; at--) {
    const point = isLowSurrogate(last, at) ? undefined : last.codePointAt(at)
    const within = point === undefined ? undefined : classOf(point)
    if (point === undefined || within === undefined) continue
    const cuts = cutsAt(last, at, end, later(point, within.to, Math.ceil(LEAST_PAGES / pagesPerStep)))
    const { firsts, others } = within === DIGITS ? numbers : letters
    firsts.push(...cuts.slice(0, 1))
    others.push(...cuts.slice(1))
    pagesPerStep *= Math.min(within.to - within.from + 1, ALPHABET)
  }
  const { firsts, others } = numbers.firsts.length > 0 ? numbers : letters
  const chosen = spread(firsts, count)
  return [...chosen, ...others.slice(0, count - chosen.length)].sort(compareUtf8)
}

interface Candidates {
  /** The nearest of each place, from the finest on. */
  readonly firsts: string[]
  readonly others: string[]
}

/** The key up to `at`, and one of the characters there. */
function cutsAt(key: string, at: number, end: string | undefined, points: Iterable<number>): string[] {
  const cuts: string[] = []
  for (const point of points) {
    const cut = key.slice(0, at) + String.fromCodePoint(point)
    if ((end !== undefined && compareUtf8(cut, end) >= 0) || Buffer.byteLength(cut) > MAX_KEY_BYTES) break
    cuts.push(cut)
  }
  return cuts
}

function classOf(point: number): { readonly from: number; readonly to: number } | undefined {
  return point >= OTHER_SCRIPTS.from ? OTHER_SCRIPTS : CLASSES.find(({ from, to }) => from <= point && point <= to)
}

/** Characters of the class that are `least` or more steps away; in large classes ever farther ones. */
function* later(point: number, to: number, least: number): Generator<number> {
  for (let step = least; point + step <= to; step += point < OTHER_SCRIPTS.from ? 1 : step) {
    // no text has a surrogate by itself
    if (point + step < 0xd800 || point + step > 0xdfff) yield point + step
  }
}

/** Length of what both begin with; never ends within a surrogate pair. */
function commonLength(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length)
  let at = 0
  while (at < shorter && a.charCodeAt(at) === b.charCodeAt(at)) at += 1
  return isLowSurrogate(a, at) || isLowSurrogate(b, at) ? at - 1 : at
}

function isLowSurrogate(text: string, at: number): boolean {
  const unit = text.charCodeAt(at)
  return at > 0 && unit >= 0xdc00 && unit <= 0xdfff
}

/** `count` of the items, the first and the last among them. */
function spread<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items]
  if (count <= 1) return items.slice(0, count)
  return Array.from({ length: count }, (_, i) => items[Math.round((i * (items.length - 1)) / (count - 1))] as T)
}
