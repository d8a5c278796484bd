/**
 * Pages of a listing, read from the server's XML. The client's own reader takes names for numbers where they look like
 * some ("007", "1.50", "0x10"), so it is not used.
 */
import type { ObjectHead } from './backend.ts'
import { decodeListedKey } from './s3-keys.ts'

export interface ListingPage {
  readonly heads: readonly ObjectHead[]
  /** Continues the listing; undefined on its last page. */
  readonly nextToken: string | undefined
}

/** The answer to a ListObjectsV2 request; undefined when it is not one. */
export function parseListing(xml: string): ListingPage | undefined {
  if (!xml.trimEnd().endsWith('</ListBucketResult>')) return undefined
  const decode = /<EncodingType>url<\/EncodingType>/.test(xml) ? decodeListedKey : (key: string) => key
  const heads = [...xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)].map(([, entry = '']) => {
    const lastModified = Date.parse(field('LastModified', entry))
    return {
      key: decode(field('Key', entry)),
      size: Number(field('Size', entry)),
      etag: quoted(field('ETag', entry)),
      ...(Number.isNaN(lastModified) ? {} : { lastModified }),
    }
  })
  const truncated = field('IsTruncated', xml) === 'true'
  return { heads, nextToken: truncated ? field('NextContinuationToken', xml) : undefined }
}

/** An etag as it stands in headers. */
export function quoted(etag: string): string {
  return etag === '' || etag.endsWith('"') ? etag : `"${etag}"`
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function field(name: string, xml: string): string {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1] ?? ''
  return text.replace(/&(?:#(\d+)|#x([\da-f]+)|(\w+));/gi, (whole, decimal, hex, named) => {
    if (named !== undefined) return ENTITIES[named] ?? whole
    return String.fromCodePoint(decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal))
  })
}
