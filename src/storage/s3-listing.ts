/**
 * Pages of a listing, read out of the server's XML. The SDK's own reader takes several times as long as the server takes
 * to write a page; MinIO's client takes names for numbers where they look like some ("007", "1.50").
 *
 * - A page is taken whole or not at all: what ends early, is no listing, or lacks what a plan needs is an error.
 * - Keys and etags are strings of their own: a piece of the page as text would keep all of it in memory.
 */
import { asBuffer } from '../core/bytes.ts'
import { type StorageContext, StorageError } from '../core/errors.ts'
import type { ObjectHead } from './backend.ts'
import { decodeListedKey } from './s3-keys.ts'
import { XmlFault, XmlTags } from './xml-tags.ts'

export interface ListingPage {
  /** In the order of the page. */
  readonly heads: readonly ObjectHead[]
  /** Continues the listing; undefined on its last page. */
  readonly nextToken: string | undefined
}

/**
 * The answer to a ListObjectsV2 request.
 * @throws StorageError BODY_TRUNCATED for one that ends early, UNSUPPORTED for one that is no such answer
 */
export function readListing(page: Uint8Array, context: StorageContext): ListingPage {
  try {
    return new PageReader(asBuffer(page)).read()
  } catch (error) {
    if (!(error instanceof XmlFault)) throw error
    if (error.isTruncated) throw new StorageError('BODY_TRUNCATED', `the listing has no end: ${error.message}`, context)
    throw new StorageError('UNSUPPORTED', `the server did not answer with a listing: ${error.message}`, context)
  }
}

/**
 * Holds a listing to come to an end: a page that leads to itself would be asked for again and again.
 * @throws StorageError UNSUPPORTED
 */
export function assertProgress(token: string | undefined, page: ListingPage, context: StorageContext): void {
  if (token === undefined || page.nextToken !== token) return
  throw new StorageError('UNSUPPORTED', 'the server continues a page of the listing with the same page', context)
}

/** An etag as it stands in headers. */
export function quoted(etag: string): string {
  return etag === '' || etag.endsWith('"') ? etag : `"${etag}"`
}

const ROOT = Buffer.from('ListBucketResult')
const ENTRY = Buffer.from('Contents')
const KEY = Buffer.from('Key')
const SIZE = Buffer.from('Size')
const ETAG = Buffer.from('ETag')
const MODIFIED = Buffer.from('LastModified')
const ENCODING = Buffer.from('EncodingType')
const TRUNCATED = Buffer.from('IsTruncated')
const TOKEN = Buffer.from('NextContinuationToken')
const QUOTES = [Buffer.from('&quot;'), Buffer.from('&#34;')]
const QUOTE = 0x22
/** Of text taken byte by byte. */
const NOT_ITSELF = /[&<\x80-\xff]/

class PageReader {
  readonly #bytes: Buffer
  readonly #tags: XmlTags
  #heads: ObjectHead[] = []
  #isEncoded = false
  #isTruncated = false
  #token: string | undefined
  #key: string | undefined
  #size = Number.NaN
  #etag = ''
  #lastModified = Number.NaN
  /** Where the day was read that was read last, and when it began. */
  #dayAt = 0
  #dayMs = Number.NaN

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#tags = new XmlTags(bytes)
  }

  read(): ListingPage {
    const tags = this.#tags
    let isEntry = false
    while (tags.next()) {
      if (tags.depth === 1) {
        if (!tags.is(ROOT)) throw new XmlFault(`its root is <${tags.name}>`)
      } else if (tags.depth === 2) {
        isEntry = tags.is(ENTRY)
        if (!tags.isEnd) continue
        if (isEntry) this.#takeEntry()
        else this.#readOfPage()
      } else if (tags.depth === 3 && isEntry && tags.isEnd) this.#readOfEntry()
    }
    if (!this.#isTruncated) return { heads: this.#heads, nextToken: undefined }
    if (!this.#token) throw new XmlFault('it says that it goes on, and not where')
    return { heads: this.#heads, nextToken: this.#token }
  }

  #readOfPage(): void {
    const tags = this.#tags
    if (tags.is(TRUNCATED)) this.#isTruncated = this.#text() === 'true'
    else if (tags.is(TOKEN)) this.#token = this.#text()
    else if (tags.is(ENCODING) && this.#text() === 'url') {
      // it may be told behind the keys
      this.#heads = this.#heads.map((head) => ({ ...head, key: decodedKey(head.key) }))
      this.#isEncoded = true
    }
  }

  #readOfEntry(): void {
    const tags = this.#tags
    if (tags.is(KEY)) this.#key = this.#text()
    else if (tags.is(SIZE)) this.#size = this.#digits(tags.textStart, tags.textEnd)
    else if (tags.is(ETAG)) this.#etag = this.#quotedText() ?? quoted(this.#text())
    else if (tags.is(MODIFIED)) this.#lastModified = this.#time()
  }

  #takeEntry(): void {
    const key = this.#key
    const size = this.#size
    const etag = this.#etag
    const lastModified = this.#lastModified
    if (key === undefined || key === '') throw new XmlFault('an entry of it has no key')
    if (Number.isNaN(size)) throw new XmlFault(`it tells no size of ${JSON.stringify(key)}`)
    const decoded = this.#isEncoded ? decodedKey(key) : key
    const isTold = !Number.isNaN(lastModified)
    this.#heads.push(isTold ? { key: decoded, size, etag, lastModified } : { key: decoded, size, etag })
    this.#key = undefined
    this.#size = this.#lastModified = Number.NaN
    this.#etag = ''
  }

  #text(): string {
    if (!this.#tags.isLeaf) throw new XmlFault(`tags within <${this.#tags.name}>`)
    return this.#tags.text()
  }

  /** What stands between two quotes that are written as entities, with them; undefined for any other text. */
  #quotedText(): string | undefined {
    const { textStart, textEnd } = this.#tags
    for (const entity of QUOTES) {
      const first = textStart + entity.length - 1
      const last = textEnd - entity.length
      if (first < last && this.#isAt(textStart, entity) && this.#isAt(last, entity))
        return this.#withQuotes(first, last)
    }
    return undefined
  }

  /** For the time of the cut there are quotes at both ends: so it is one string, with nothing joined to it. */
  #withQuotes(first: number, last: number): string | undefined {
    const bytes = this.#bytes
    const [before, after] = [bytes[first] as number, bytes[last] as number]
    bytes[first] = bytes[last] = QUOTE
    const text = bytes.toString('latin1', first, last + 1)
    bytes[first] = before
    bytes[last] = after
    return NOT_ITSELF.test(text) ? undefined : text
  }

  #isAt(start: number, text: Uint8Array): boolean {
    for (let i = 0; i < text.length; i++) if (this.#bytes[start + i] !== text[i]) return false
    return true
  }

  /** Epoch milliseconds of `2026-11-21T10:00:00.000Z`, and what Date makes of other texts; NaN where it is no time. */
  #time(): number {
    const { textStart: at, textEnd } = this.#tags
    const bytes = this.#bytes
    if (textEnd - at !== 24 || bytes[at + 10] !== 0x54 || bytes[at + 19] !== 0x2e || bytes[at + 23] !== 0x5a) {
      return Date.parse(this.#text())
    }
    const hour = this.#digits(at + 11, at + 13)
    const minute = this.#digits(at + 14, at + 16)
    const second = this.#digits(at + 17, at + 19)
    return this.#day(at) + ((hour * 60 + minute) * 60 + second) * 1_000 + this.#digits(at + 20, at + 23)
  }

  /** Neighbours in a listing are often of one day. */
  #day(at: number): number {
    const bytes = this.#bytes
    let same = this.#dayAt === 0 ? 0 : 10
    for (let i = 0; i < same; i++) if (bytes[at + i] !== bytes[this.#dayAt + i]) same = 0
    if (same === 0) {
      const month = this.#digits(at + 5, at + 7) - 1
      this.#dayMs = Date.UTC(this.#digits(at, at + 4), month, this.#digits(at + 8, at + 10))
      this.#dayAt = at
    }
    return this.#dayMs
  }

  /** NaN where there are none, or something else is among them. */
  #digits(start: number, end: number): number {
    let value = start < end ? 0 : Number.NaN
    for (let at = start; at < end; at++) {
      const digit = (this.#bytes[at] as number) - 0x30
      if (digit < 0 || digit > 9) return Number.NaN
      value = value * 10 + digit
    }
    return value
  }
}

function decodedKey(key: string): string {
  try {
    return decodeListedKey(key)
  } catch {
    throw new XmlFault(`the key ${JSON.stringify(key)} is not encoded as it says`)
  }
}
