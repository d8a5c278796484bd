/** Listings of the S3 backend over its own sockets: what is sent, recorded by a loopback server. */
import { describe, expect, it } from 'vitest'
import type { ListOptions, StorageBackend } from '../../src/storage/backend.ts'
import type { S3Config } from '../../src/storage/s3-client.ts'
import { recordedS3 } from '../support/recorded-s3.ts'
import type { Recorded, RecordedAnswer } from '../support/recording-server.ts'

const s3 = recordedS3()
const { open } = s3

const byUs = ({ headers }: Recorded) => headers['user-agent'] === 'quern'
const queryOf = ({ url }: Recorded) => Object.fromEntries(new URL(url, 'http://s3').searchParams)

/** A page of one key; leads on to the next one until `last`. */
function page(key: string, next: string | undefined): RecordedAnswer {
  const more = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`
  const told = `<IsTruncated>${next !== undefined}</IsTruncated>${more}`
  const entry = `<Contents><Key>${key}</Key><Size>1</Size><ETag>"e"</ETag></Contents>`
  return { status: 200, body: `<ListBucketResult>${told}${entry}</ListBucketResult>` }
}

/** Three pages of the keys a, b, c. */
function threePages(request: Recorded): RecordedAnswer {
  const token = queryOf(request)['continuation-token']
  if (token === undefined) return page('a', 'to b')
  return token === 'to b' ? page('b', 'to+c/=') : page('c', undefined)
}

async function keysOf(backend: StorageBackend, options?: ListOptions): Promise<string[]> {
  const keys: string[] = []
  for await (const heads of backend.list('b', options)) keys.push(...heads.map(({ key }) => key))
  return keys
}

describe('listings', () => {
  it.each<S3Config>([{ sessionToken: 'short' }, { requesterPays: true }])(
    'go over our own sockets after the first page, with %j and all else as the SDK sends it',
    async (config) => {
      const options = { prefix: "a b/+'(é)*!~", startAfter: 'x y' }
      const [sdk, own] = [[] as Recorded[], [] as Recorded[]]
      s3.server.answer = threePages
      const backend = await open(config)
      for (const asked of [sdk, own]) {
        s3.server.requests.length = 0
        expect(await keysOf(backend, options)).toEqual(['a', 'b', 'c'])
        asked.push(...s3.server.requests)
      }
      expect(sdk.map(byUs)).toEqual([false, true, true])
      expect(own.map(byUs)).toEqual([true, true, true])
      expect(own.map(queryOf)).toEqual(sdk.map(queryOf))
      // as it is signed
      for (const request of own) expect(Object.keys(queryOf(request))).toEqual(Object.keys(queryOf(request)).sort())
      const { 'start-after': _, ...rest } = queryOf(sdk[0] as Recorded)
      expect(sdk.slice(1).map(queryOf)).toEqual([
        { ...rest, 'continuation-token': 'to b' },
        { ...rest, 'continuation-token': 'to+c/=' },
      ])
      const carried = ({ headers }: Recorded) =>
        Object.fromEntries(
          Object.entries(headers).filter(([name]) => /^(host|x-amz-(?!date|user-agent).*)$/.test(name)),
        )
      expect(carried(own[0] as Recorded)).toEqual(carried(sdk[0] as Recorded))
      expect(new URL((own[0] as Recorded).url, 'http://s3').pathname).toBe(
        new URL((sdk[0] as Recorded).url, 'http://s3').pathname,
      )
    },
  )

  it('are asked of the SDK again where an answer may be about the address or the keys', async () => {
    const backend = await open()
    s3.server.answer = threePages
    await keysOf(backend)
    for (const status of [301, 307, 400, 403]) {
      s3.server.requests.length = 0
      let refused = false
      s3.server.answer = (request) => {
        if (byUs(request) && queryOf(request)['continuation-token'] === 'to b' && !refused) {
          refused = true
          return { status }
        }
        return threePages(request)
      }
      expect(await keysOf(backend)).toEqual(['a', 'b', 'c'])
      expect(s3.server.requests.map(byUs)).toEqual([true, true, false, true])
    }
  })

  const refusals: readonly (readonly [RecordedAnswer, object])[] = [
    [
      { status: 503, headers: { 'retry-after': '7' }, body: '<Error><Code>SlowDown</Code></Error>' },
      { code: 'THROTTLED', retryAfterMs: 7_000 },
    ],
    [{ status: 404, body: '<Error><Code>NoSuchBucket</Code></Error>' }, { code: 'NOT_FOUND' }],
    [{ status: 500 }, { code: 'UNAVAILABLE' }],
    [{ status: 200, body: '<ListBucketResult><Contents>' }, { code: 'BODY_TRUNCATED' }],
    [{ status: 200, body: '' }, { code: 'UNSUPPORTED' }],
    [page('a', 'to b'), { code: 'UNSUPPORTED', message: expect.stringContaining('after "a"') }],
    [
      {
        status: 200,
        body: '<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>to b</NextContinuationToken></ListBucketResult>',
      },
      { code: 'UNSUPPORTED', message: expect.stringContaining('with the same page') },
    ],
  ]
  it.each(refusals)('fail with %j as through the SDK', async (answer, expected) => {
    const backend = await open()
    for (const own of [false, true]) {
      s3.server.requests.length = 0
      s3.server.answer = (request) =>
        queryOf(request)['continuation-token'] === undefined ? threePages(request) : answer
      await expect(keysOf(backend)).rejects.toMatchObject({
        backend: 'aws_s3',
        operation: 'list',
        bucket: 'b',
        ...expected,
      })
      expect(byUs(s3.server.requests[0] as Recorded)).toBe(own)
      expect(byUs(s3.server.requests[1] as Recorded)).toBe(true)
    }
  })

  it('end with the reason of their signal, between pages and while one is asked for', async () => {
    const backend = await open()
    s3.server.answer = threePages
    await keysOf(backend)
    for (const abortAt of [1, 2]) {
      const controller = new AbortController()
      const reason = new Error('enough')
      s3.server.answer = (request) => {
        if (s3.server.requests.length === abortAt) controller.abort(reason)
        return threePages(request)
      }
      s3.server.requests.length = 0
      await expect(keysOf(backend, { signal: controller.signal })).rejects.toBe(reason)
      expect(s3.server.requests).toHaveLength(abortAt)
    }
    s3.server.answer = threePages
    s3.server.requests.length = 0
    const between = new AbortController()
    const listing = backend.list('b', { signal: between.signal })[Symbol.asyncIterator]()
    await listing.next()
    between.abort(new Error('between'))
    await expect(listing.next()).rejects.toThrow('between')
    expect(s3.server.requests).toHaveLength(1)
    await expect(keysOf(backend, { signal: AbortSignal.abort(new Error('before')) })).rejects.toThrow('before')
  })

  it('fetch a page when it is asked for, and no earlier', async () => {
    const backend = await open()
    s3.server.answer = threePages
    for (const first of ['the SDK', 'us']) {
      s3.server.requests.length = 0
      for await (const heads of backend.list('b')) {
        expect(heads[0]?.key).toBe('a')
        break
      }
      expect([first, s3.server.requests.length]).toEqual([first, 1])
    }
  })
})
