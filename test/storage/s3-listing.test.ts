import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StorageError } from '../../src/core/errors.ts'
import type { ObjectHead } from '../../src/storage/backend.ts'
import { assertProgress, type ListingPage, readListing } from '../../src/storage/s3-listing.ts'

const CONTEXT = { backend: 'aws_s3', operation: 'list', bucket: 'b' }
const read = (page: string | Uint8Array): ListingPage => readListing(Buffer.from(page), CONTEXT)
const entry = (key: string, etag = 'e', size = '7') =>
  `<Contents><Key>${key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>${etag}</ETag><Size>${size}</Size></Contents>`
const listing = (body: string) =>
  `<?xml version="1.0"?>\n<ListBucketResult xmlns="a>b" other='"'>${body}</ListBucketResult>\n`

/** An object, and a way to write it; what is written is decided by the numbers in `how`. */
interface Written {
  readonly head: ObjectHead
  readonly how: readonly number[]
}

/** One character in one of the ways of XML. */
function inXml(character: string, how: number): string {
  const point = character.codePointAt(0) as number
  const named = { '&': 'amp', '<': 'lt', '>': 'gt', '"': 'quot', "'": 'apos' }[character]
  if (how % 6 === 1) return `&#${point};`
  if (how % 6 === 2) return `&#x${how % 2 === 0 ? point.toString(16) : point.toString(16).toUpperCase()};`
  if (how % 6 === 3 && character !== ']') return `<![CDATA[${character}]]>`
  if (how % 6 === 4) return `<!-- &amp; <Key> -->${named === undefined ? character : `&${named};`}<?pi > ?>`
  return named === undefined ? character : `&${named};`
}

function urlEncoded(key: string): string {
  return encodeURIComponent(key).replaceAll('%20', '+').replaceAll('%2F', '/')
}

function written({ head, how }: Written, isEncoded: boolean): string {
  const way = (i: number) => how[i % how.length] as number
  const plain = (text: string) => [...text].map((character, i) => inXml(character, way(i))).join('')
  const bare = head.etag.slice(1, -1)
  const etags = [`&quot;${bare}&quot;`, `&#34;${bare}&#34;`, `"${bare}"`, bare, plain(head.etag)]
  const fields = [
    `<Key>${isEncoded ? urlEncoded(head.key) : plain(head.key)}</Key>`,
    `<Size >${head.size}</Size\n>`,
    `<ETag>${etags[way(0) % etags.length]}</ETag>`,
    way(1) % 3 === 0 ? '<Owner><ID>x</ID><Key>no</Key><Size/></Owner>' : '<StorageClass a="/>">STANDARD</StorageClass>',
  ]
  if (head.lastModified !== undefined) {
    const time = new Date(head.lastModified).toISOString()
    fields.push(`<LastModified>${way(2) % 4 === 0 ? plain(time) : time}</LastModified>`)
  }
  if (way(3) % 2 === 0) fields.reverse()
  return `<Contents>${fields.join(way(4) % 2 === 0 ? '\n  ' : '')}</Contents>`
}

const character = fc.oneof(
  fc.constantFrom(...`abz09/%+ &<>"'];.-~é鯨\u{1f600}`),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }).filter((c) => !/[\x00-\x1f]/.test(c)),
)
const key = fc.array(character, { minLength: 1, maxLength: 12 }).map((all) => all.join(''))
const object: fc.Arbitrary<Written> = fc.record({
  head: fc
    .record({
      key,
      size: fc.oneof(fc.nat(), fc.constant(Number.MAX_SAFE_INTEGER)),
      etag: fc.stringMatching(/^[0-9a-f-]{0,40}$/).map((hex) => `"${hex}x"`),
      lastModified: fc.option(fc.integer({ min: 0, max: 4e12 }), { nil: undefined }),
    })
    .map(({ lastModified, ...head }) => (lastModified === undefined ? head : { ...head, lastModified })),
  how: fc.array(fc.nat({ max: 99 }), { minLength: 5, maxLength: 9 }),
})
const page = fc.record({
  objects: fc.array(object, { maxLength: 6 }),
  token: fc.option(key, { nil: undefined }),
  isEncoded: fc.boolean(),
  isToldLast: fc.boolean(),
})
type Page = typeof page extends fc.Arbitrary<infer P> ? P : never

function pageText({ objects, token, isEncoded, isToldLast }: Page): string {
  const next = token === undefined ? '' : [...token].map((each, i) => inXml(each, i)).join('')
  const told = `<Name>b</Name><Prefix/><KeyCount>9</KeyCount><IsTruncated>${token !== undefined}</IsTruncated>
    ${token === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`}
    ${isEncoded ? '<EncodingType>url</EncodingType>' : ''}<!-- <Contents> -->
    <CommonPrefixes><Prefix>p/</Prefix><Key>no</Key></CommonPrefixes>`
  const entries = objects.map((each) => written(each, isEncoded)).join('')
  return listing(isToldLast ? `${entries}${told}` : `${told}${entries}`)
}

const parts = (given: Page): ListingPage => ({ heads: given.objects.map(({ head }) => head), nextToken: given.token })

describe('a page of a listing', () => {
  it('is what was written, however it was', () => {
    fc.assert(
      fc.property(page, (given) => {
        expect(read(pageText(given))).toEqual(parts(given))
      }),
      { numRuns: 500 },
    )
  })

  it('that is cut anywhere has no end, and one that is none says so', () => {
    fc.assert(
      fc.property(page, fc.double({ min: 0, max: 1, noNaN: true }), (given, part) => {
        const bytes = Buffer.from(pageText(given).trimEnd())
        const cut = bytes.subarray(0, Math.max(1, Math.floor(part * (bytes.length - 1))))
        expect(() => read(cut)).toThrow(expect.objectContaining({ code: 'BODY_TRUNCATED', bucket: 'b' }))
      }),
      { numRuns: 300 },
    )
    expect(() => read('')).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  })

  it('with another byte somewhere is a page or a StorageError', () => {
    const where = fc.nat({ max: 1_000_000 })
    const byte = fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...Buffer.from('<>/!?&;"%')))
    fc.assert(
      fc.property(page, where, byte, (given, at, other) => {
        const bytes = Buffer.from(pageText(given))
        bytes[at % bytes.length] = other
        try {
          expect(read(bytes).heads.length).toBeLessThanOrEqual(given.objects.length)
        } catch (error) {
          if (!(error instanceof StorageError)) throw error
          expect(error.code).toMatch(/^(UNSUPPORTED|BODY_TRUNCATED)$/)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('keeps the bytes it is read from, and names that look like numbers', () => {
    const bytes = Buffer.from(
      listing(['007', '1.50', '0x10', '1e3', 'true'].map((k) => entry(k, '&quot;e&quot;')).join('')),
    )
    const before = Buffer.from(bytes)
    expect(read(bytes).heads.map((head) => head.key)).toEqual(['007', '1.50', '0x10', '1e3', 'true'])
    expect(readListing(bytes, CONTEXT).heads[0]).toEqual({
      key: '007',
      size: 7,
      etag: '"e"',
      lastModified: Date.parse('2026-01-01'),
    })
    expect(bytes.equals(before)).toBe(true)
    expect(readListing(bytes, CONTEXT)).toEqual(read(before))
  })

  it('may begin with a byte order mark, have no etags, and be empty', () => {
    expect(read(`\ufeff${listing(entry('k', ''))}`).heads[0]).toMatchObject({ key: 'k', etag: '' })
    const without = '<Contents><Key>l</Key><Size>1</Size></Contents>'
    expect(read(listing(`${entry('k')}${without}`)).heads[1]).toEqual({ key: 'l', size: 1, etag: '' })
    expect(read('<ListBucketResult/>')).toEqual({ heads: [], nextToken: undefined })
    expect(read('<ListBucketResult></ListBucketResult><!-- end --> \n').heads).toEqual([])
  })

  it.each([
    ['&quot;a&amp;b&quot;', '"a&b"'],
    ['&quot;aé&quot;', '"aé"'],
    ['&quot;', '"'],
    ['&quot;&quot;', '""'],
    ['&quot;a', '""a"'],
    ['&quot;<![CDATA[a]]>&quot;', '"a"'],
    ['&#34;a&quot;', '"a"'],
    ['&nothing;&#x110000;', '"&nothing;&#x110000;"'],
  ])('has the etag %s as %s', (etag, expected) => {
    expect(read(listing(entry('k', etag))).heads[0]?.etag).toBe(expected)
  })

  it.each([
    ['2026-02-03T04:05:06.789Z', Date.UTC(2026, 1, 3, 4, 5, 6, 789)],
    ['2026-02-03T04:05:06Z', Date.UTC(2026, 1, 3, 4, 5, 6)],
    ['2026-02-03T04:05:06.789+0200', Date.UTC(2026, 1, 3, 2, 5, 6, 789)],
    ['2026-02-0xT04:05:06.789Z', undefined],
    ['', undefined],
  ])('has the time %s as %s', (time, expected) => {
    const one = (text: string, k: string) => entry(k).replace(/(<LastModified>)[^<]*/, `$1${text}`)
    // after a time of the same day, and of another
    const texts = ['2026-02-03T00:00:00.000Z', time, '2025-12-31T00:00:00.001Z', time]
    const heads = read(listing(texts.map((text, i) => one(text, `${i}`)).join(''))).heads
    expect([heads[1]?.lastModified, heads[3]?.lastModified]).toEqual([expected, expected])
    expect(heads[2]?.lastModified).toBe(Date.UTC(2025, 11, 31, 0, 0, 0, 1))
  })

  const faults: readonly (readonly [string, string, string])[] = [
    ['a page of the web', '<html></html>', 'its root is <html>'],
    ['an error', '<Error><Code>X</Code></Error>', 'its root is <Error>'],
    ['no XML', 'Service is down', 'text outside of all tags'],
    ['two roots', `${listing('')}${listing('')}`, 'a second root'],
    ['words after it', `${listing('')}x`, 'text outside of all tags'],
    ['another end', listing('<A></B>'), 'another end than that of <A>'],
    ['a longer end', listing('<A></AB>'), 'another end than that of <A>'],
    ['an end of nothing', '</A>', 'an end of nothing'],
    ['a tag within a tag', listing('<A <B></B></A>'), 'a tag within a tag'],
    ['a tag without a name', listing('< >'), 'a tag without a name'],
    ['a type of documents', `<!DOCTYPE x>${listing('')}`, '<!DOCTYPE'],
    ['no key', listing('<Contents><Size>1</Size></Contents>'), 'no key'],
    ['an empty key', listing(entry('')), 'no key'],
    ['the key of another entry', listing(`${entry('a')}<Contents><Size>1</Size></Contents>`), 'no key'],
    ['no size', listing('<Contents><Key>k</Key></Contents>'), 'no size of "k"'],
    ['the size of another entry', listing(`${entry('a')}<Contents><Key>k</Key></Contents>`), 'no size of "k"'],
    ['a size that is none', listing(entry('k', 'e', '1e3')), 'no size of "k"'],
    ['an empty size', listing(entry('k', 'e', '')), 'no size of "k"'],
    ['tags in a key', listing(entry('a<b/>c')), 'tags within <Key>'],
    ['a key that is not encoded', listing(`<EncodingType>url</EncodingType>${entry('%zz')}`), '"%zz" is not encoded'],
    ['no place to go on', listing('<IsTruncated>true</IsTruncated>'), 'goes on, and not where'],
  ]
  it.each(faults)('is refused with %s', (_, text, why) => {
    const refusal = { code: 'UNSUPPORTED', backend: 'aws_s3', message: expect.stringContaining(why) }
    expect(() => read(text)).toThrow(expect.objectContaining(refusal))
  })

  it('says nothing of a place to go on where it does not go on', () => {
    const token = '<NextContinuationToken>t</NextContinuationToken>'
    expect(read(listing(`<IsTruncated>false</IsTruncated>${token}`)).nextToken).toBeUndefined()
    expect(read(listing(token)).nextToken).toBeUndefined()
  })

  it('that leads to itself is refused', () => {
    const looping = { heads: [], nextToken: 't' }
    expect(() => assertProgress('t', looping, CONTEXT)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
    assertProgress('s', looping, CONTEXT)
    assertProgress(undefined, { heads: [], nextToken: undefined }, CONTEXT)
  })
})
