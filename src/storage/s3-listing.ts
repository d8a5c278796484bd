/**
 * Pages of a listing, read from the server's XML by finding its fields. The SDK's own reader takes several times as long as
 * the server takes to write a page; MinIO's client takes names for numbers where they look like some ("007", "1.50").
 *
 * Fields are cut out of the bytes, not of the page as text: a piece of a text keeps all of it in memory, and the keys of
 * a listing are kept.
 */
import { asBuffer } from '../core/bytes.ts'
import type { ObjectHead } from './backend.ts'
import { decodeListedKey } from './s3-keys.ts'

export interface ListingPage {
  readonly heads: readonly ObjectHead[]
  /** Continues the listing; undefined on its last page. */
  readonly nextToken: string | undefined
}

/** The answer to a ListObjectsV2 request; undefined when it is not one, or has no end. */
export function parseListing(page: Uint8Array | string): ListingPage | undefined {
  const bytes = typeof page === 'string' ? Buffer.from(page) : asBuffer(page)
  // a character a byte, so that places in the one are places in the other
  const xml = bytes.toString('latin1')
  if (!/<\/ListBucketResult>\s*$|<ListBucketResult[^<>]*\/>\s*$/.test(xml.slice(-300))) return undefined
  const isEncoded = xml.includes('<EncodingType>url</EncodingType>')
  const heads: ObjectHead[] = []
  const first = xml.indexOf('<Contents>')
  let end = 0
  for (let start = first; start !== -1; start = xml.indexOf('<Contents>', end)) {
    end = xml.indexOf('</Contents>', start)
    if (end === -1) return undefined
    const text = (tag: string) => textIn(tag, xml, bytes, start, end)
    const key = text('<Key>')
    const decoded = isEncoded ? decodeListedKey(key) : key
    const size = Number(text('<Size>'))
    const etag = quoted(text('<ETag>'))
    const lastModified = Date.parse(text('<LastModified>'))
    heads.push(Number.isNaN(lastModified) ? { key: decoded, size, etag } : { key: decoded, size, etag, lastModified })
  }
  // what is said of the whole page stands before the entries or after them
  const before = first === -1 ? 0 : first
  const text = (tag: string) => textIn(tag, xml, bytes, 0, before) || textIn(tag, xml, bytes, end, xml.length)
  return { heads, nextToken: text('<IsTruncated>') === 'true' ? text('<NextContinuationToken>') : undefined }
}

/** An etag as it stands in headers. */
export function quoted(etag: string): string {
  return etag === '' || etag.endsWith('"') ? etag : `"${etag}"`
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** What follows the first such tag between two places; empty where there is none. */
function textIn(tag: string, xml: string, bytes: Buffer, from: number, to: number): string {
  const open = xml.indexOf(tag, from)
  if (open === -1 || open >= to) return ''
  const start = open + tag.length
  const text = bytes.toString('utf8', start, xml.indexOf('<', start))
  if (!text.includes('&')) return text
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, named) => {
    if (named !== undefined) return ENTITIES[named] ?? whole
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal))
  })
}
