/** What the S3 backend sends, where no server here would show it: recorded by a loopback server. */
import { createHash } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import type { GetOptions, StorageBackend } from '../../src/storage/backend.ts'
import { openS3Clients, type S3Config } from '../../src/storage/s3-client.ts'
import { KEYS, OBJECT, recordedS3, scopeOf } from '../support/recorded-s3.ts'
import type { Recorded, RecordedAnswer } from '../support/recording-server.ts'

const s3 = recordedS3()
const { open } = s3

const xml = (body: string): string => `<?xml version="1.0"?>${body}`

/** Answers as a bucket in `region` does to whoever signs for another. */
function livesIn(region: string, elsewhere: (request: Recorded) => RecordedAnswer) {
  s3.server.answer = (request) => (scopeOf(request)[2] === region ? OBJECT : elsewhere(request))
}

describe('a bucket of another region', () => {
  const told = { 'x-amz-bucket-region': 'eu-west-3' }
  const error = (code: string, more = '') => xml(`<Error><Code>${code}</Code><Message>m</Message>${more}</Error>`)
  const ways: readonly (readonly [string, RecordedAnswer])[] = [
    ['a redirect', { status: 301, headers: told, body: error('PermanentRedirect') }],
    [
      'a refusal of the signature',
      { status: 400, body: error('AuthorizationHeaderMalformed', '<Region>eu-west-3</Region>') },
    ],
    ['a bare 400', { status: 400, headers: told }],
    ['a redirect for now', { status: 307, headers: told, body: error('TemporaryRedirect') }],
  ]

  it.each(ways)('is found by %s, and asked there from then on', async (_, answer) => {
    livesIn('eu-west-3', () => answer)
    const backend = await open()
    expect((await backend.get('b', 'k')).head).toMatchObject({ etag: '"e"' })
    await backend.put('b', 'k', Buffer.from('x'))
    await backend.head('b', 'k')
    expect(s3.server.requests.map((request) => scopeOf(request)[2])).toEqual([
      'us-east-1',
      ...Array(3).fill('eu-west-3'),
    ])
    expect(new Set(s3.server.requests.map((request) => scopeOf(request)[0]))).toEqual(new Set(['AKIA1']))
    expect(s3.server.requests.slice(2).map(({ body }) => body.toString())).toEqual(['x', ''])
  })

  it('is each one for itself', async () => {
    const backend = await open()
    s3.server.answer = ({ url, headers }) => {
      const home = url.startsWith('/far/') ? 'eu-west-3' : 'us-east-1'
      const asked = /Credential=[^/]+\/\d+\/([^/]+)/.exec(headers.authorization ?? '')?.[1]
      return asked === home ? OBJECT : { status: 301, headers: { 'x-amz-bucket-region': home } }
    }
    for (const bucket of ['far', 'near', 'far', 'near']) await backend.head(bucket, 'k')
    expect(s3.server.requests).toHaveLength(5)
  })

  it('that is nowhere ends after one more try, and other refusals are not taken for it', async () => {
    const backend = await open()
    s3.server.answer = (request) => ({ status: 301, headers: { 'x-amz-bucket-region': `not-${scopeOf(request)[2]}` } })
    await expect(backend.head('b', 'k')).rejects.toMatchObject({ status: 301 })
    expect(s3.server.requests).toHaveLength(2)
    // one that tells where it was asked already
    s3.server.answer = () => ({ status: 400, headers: told })
    await expect(backend.head('d', 'k')).rejects.toMatchObject({ status: 400 })
    await expect(backend.head('d', 'k')).rejects.toMatchObject({ status: 400 })
    expect(s3.server.requests).toHaveLength(2 + 2 + 1)
    s3.server.answer = () => ({ status: 403, headers: told })
    await expect(backend.head('c', 'k')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(s3.server.requests).toHaveLength(6)
  })
})

/** Every request that the contract makes of an object. */
async function everyRequest(backend: StorageBackend): Promise<void> {
  s3.server.answer = ({ method, url }) => {
    if (url.includes('uploads')) return { status: 200, body: xml('<R><UploadId>u1</UploadId></R>') }
    if (method === 'POST' && url.includes('delete')) return { status: 200, body: xml('<DeleteResult/>') }
    if (method === 'POST') return { status: 200, body: xml('<R><ETag>"joined"</ETag></R>') }
    return url.includes('list-type') ? { status: 200, body: xml('<ListBucketResult/>') } : OBJECT
  }
  await backend.head('b', 'k')
  await (await backend.get('b', 'k')).body[Symbol.asyncIterator]().return?.()
  await backend.put('b', 'k', Buffer.from('x'))
  await backend.put('b', 'k', Buffer.alloc(9 << 20))
  for await (const page of backend.list('b')) expect(page).toEqual([])
  await backend.delete('b', ['k'])
  await backend.delete('b', ['k', 'l'])
}

const nameOf = ({ method, url }: Recorded) =>
  `${method} ${url
    .replace(/x-id=\w+&?/, '')
    .replace(/=[^&]*/g, '')
    .replace(/[?&]$/, '')}`

describe('reads', () => {
  const read = async (backend: StorageBackend, key: string, options: GetOptions = {}) => {
    const { head, body } = await backend.get('b', key, options)
    for await (const _ of body);
    return head
  }
  const byUs = ({ headers }: Recorded) => headers['user-agent'] === 'quern'

  it.each([
    { sessionToken: 'short' },
    { requesterPays: true },
    { sseCustomerKey: Buffer.alloc(32, 'k').toString('base64') },
  ])('after the first go over our own sockets, with %j and all else as the SDK sends it', async (config) => {
    const backend = await open(config)
    s3.server.answer = ({ headers }) => ({
      ...OBJECT,
      ...(headers.range === undefined ? {} : { status: 206, headers: { etag: '"e"', 'content-range': 'bytes 0-3/9' } }),
    })
    const range = { start: 0, end: 4 }
    const heads = []
    for (let i = 0; i < 2; i++) heads.push(await read(backend, "a b/+'(é)//../~", { range, ifMatch: '"e"' }))
    expect(heads[1]).toEqual(heads[0])
    const [first, second] = s3.server.requests as [Recorded, Recorded]
    expect([byUs(first), byUs(second)]).toEqual([false, true])
    expect(second.url).toBe(first.url)
    const own = ({ headers }: Recorded) =>
      Object.fromEntries(
        Object.entries(headers).filter(([name]) => /^(host|range|if-match|x-amz-(?!date|user-agent).*)$/.test(name)),
      )
    expect(own(second)).toEqual(own(first))
    expect(scopeOf(second)).toEqual(scopeOf(first))
  })

  it('are asked of the SDK again where an answer may be about the address or the keys', async () => {
    const backend = await open()
    await read(backend, 'k')
    for (const status of [301, 307, 400, 403]) {
      s3.server.requests.length = 0
      s3.server.answer = (request) => (byUs(request) ? { status } : OBJECT)
      await read(backend, 'k')
      expect(s3.server.requests.map(byUs)).toEqual([true, false])
    }
    s3.server.answer = () => OBJECT
    s3.server.requests.length = 0
    await read(backend, 'k')
    expect(s3.server.requests.map(byUs)).toEqual([true])
    // until the SDK gets an answer again, nothing is known of where the bucket is
    s3.server.answer = () => ({ status: 403 })
    s3.server.requests.length = 0
    for (let i = 0; i < 2; i++) await expect(read(backend, 'k')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(s3.server.requests.map(byUs)).toEqual([true, false, false])
  })

  it.each([
    [404, 'NoSuchKey', 'NOT_FOUND'],
    [412, 'PreconditionFailed', 'OBJECT_CHANGED'],
    [416, 'InvalidRange', 'RANGE_INVALID'],
    [503, 'SlowDown', 'THROTTLED'],
    [500, 'InternalError', 'UNAVAILABLE'],
  ])('that are answered %i %s fail alike by both', async (status, name, code) => {
    const backend = await open()
    const refused = async () => backend.get('b', 'k', { ifMatch: '"e"' }).catch((error: unknown) => error)
    s3.server.answer = () => ({
      status,
      headers: { 'retry-after': '7' },
      body: xml(`<Error><Code>${name}</Code><Message>m</Message></Error>`),
    })
    const bySdk = await refused()
    s3.server.answer = () => OBJECT
    await read(backend, 'k')
    s3.server.answer = () => ({
      status,
      headers: { 'retry-after': '7' },
      body: xml(`<Error><Code>${name}</Code><Message>m</Message></Error>`),
    })
    s3.server.requests.length = 0
    const direct = await refused()
    expect(s3.server.requests.map(byUs)).toEqual([true])
    for (const error of [bySdk, direct]) expect(error).toMatchObject({ code, status, retryAfterMs: 7_000 })
    expect((direct as Error).message).toBe((bySdk as Error).message)
  })
})

describe('a bucket that is there already', () => {
  it('is made when it is ours, and only then', async () => {
    const backend = await open()
    const refuse = (code: string) => () => ({ status: 409, body: xml(`<Error><Code>${code}</Code></Error>`) })
    s3.server.answer = refuse('BucketAlreadyOwnedByYou')
    await backend.createBucket('bucket')
    s3.server.answer = refuse('BucketAlreadyExists')
    await expect(backend.createBucket('bucket')).rejects.toMatchObject({ code: 'STORAGE', status: 409 })
  })
})

describe('requester pays', () => {
  it('is said in every request', async () => {
    await everyRequest(await open({ requesterPays: true }))
    expect(s3.server.requests.length).toBeGreaterThan(8)
    for (const request of s3.server.requests) {
      expect(request.headers['x-amz-request-payer'], nameOf(request)).toBe('requester')
    }
  })

  it('is said in none otherwise', async () => {
    await everyRequest(await open())
    expect(s3.server.requests.filter(({ headers }) => 'x-amz-request-payer' in headers)).toEqual([])
  })
})

describe('encryption by the server', () => {
  const withHeader = (name: string) => s3.server.requests.filter(({ headers }) => name in headers).map(nameOf)

  it('goes with what makes an object, and its key with it', async () => {
    await everyRequest(await open({ sse: 'aws:kms', sseKmsKeyId: 'key-1' }))
    const makers = ['PUT /b/k', 'POST /b/k?uploads']
    expect(withHeader('x-amz-server-side-encryption')).toEqual(makers)
    expect(withHeader('x-amz-server-side-encryption-aws-kms-key-id')).toEqual(makers)
  })

  it("sends a customer's key with every request for bytes, and shows it nowhere", async () => {
    const sseCustomerKey = Buffer.alloc(32, 'secret').toString('base64')
    const backend = await open({ sseCustomerKey })
    await everyRequest(backend)
    const bytes = [
      'HEAD /b/k',
      'GET /b/k',
      'PUT /b/k',
      'POST /b/k?uploads',
      'PUT /b/k?partNumber&uploadId',
      'POST /b/k?uploadId',
    ]
    expect(new Set(withHeader('x-amz-server-side-encryption-customer-key'))).toEqual(new Set(bytes))
    const [first] = s3.server.requests
    expect(first?.headers).toMatchObject({
      'x-amz-server-side-encryption-customer-algorithm': 'AES256',
      'x-amz-server-side-encryption-customer-key': sseCustomerKey,
      'x-amz-server-side-encryption-customer-key-md5': createHash('md5')
        .update(Buffer.from(sseCustomerKey, 'base64'))
        .digest('base64'),
    })
    s3.server.answer = () => ({ status: 400, body: xml('<Error><Code>InvalidRequest</Code></Error>') })
    const error = await backend.head('b', 'k').catch((reason: unknown) => reason)
    expect(inspect([error, backend], { depth: 20, showHidden: true })).not.toContain(sseCustomerKey)
  })

  it.each([
    [{ sseKmsKeyId: 'k' }, 'sseKmsKeyId needs'],
    [{ sse: 'AES256', sseKmsKeyId: 'k' }, 'sseKmsKeyId needs'],
    [{ sseCustomerKey: 'c2hvcnQ=' }, '32 bytes'],
    [{ sse: 'AES256', sseCustomerKey: Buffer.alloc(32).toString('base64') }, 'exclude'],
    [{ profile: 'p' }, 'profile and accessKeyId'],
    [{ accessKeyId: undefined }, 'go together'],
    [{ accessKeyId: undefined, secretAccessKey: undefined, sessionToken: 't' }, 'sessionToken belongs'],
  ] as const)('contradictions are refused: %j', async (config, why) => {
    const refusal = { code: 'CONFIG', message: expect.stringContaining(why) }
    await expect(open(config as S3Config)).rejects.toMatchObject(refusal)
  })
})

describe('compatible stores', () => {
  it('get a Content-MD5 where keys are deleted, and no checksum that S3 does not demand', async () => {
    await everyRequest(await open())
    const deletion = s3.server.requests.find(({ url }) => url.includes('delete')) as Recorded
    expect(deletion.headers['content-md5']).toBe(createHash('md5').update(deletion.body).digest('base64'))
    const puts = s3.server.requests.filter(({ method }) => method === 'PUT')
    expect(puts.length).toBeGreaterThan(1)
    for (const { headers } of puts) {
      const extra = Object.keys(headers).filter((name) => /checksum|trailer|content-encoding/.test(name))
      expect(extra).toEqual([])
    }
  })

  it('have their bucket in the path, also where the environment names them', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', s3.server.endpoint.replace('127.0.0.1', 'localhost'))
    for (const config of [{}, { endpoint: undefined }]) {
      // a name that could stand in the host
      await (await open(config)).head('bucket', 'k')
      expect(s3.server.requests.at(-1)?.url).toMatch(/^\/bucket\/k/)
    }
    vi.stubEnv('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', 'true')
    expect((await openS3Clients(KEYS)).isCompatible).toBe(false)
    const elsewhere = await open({ endpoint: 'http://quern.invalid', forcePathStyle: false })
    const message = expect.stringContaining('bucket.quern.invalid')
    await expect(elsewhere.head('bucket', 'k')).rejects.toMatchObject({ code: 'UNAVAILABLE', message })
  })

  it("are not what AWS is: there the checksums are the SDK's defaults, in parts too", async () => {
    const aws = await openS3Clients(KEYS)
    expect(aws.isCompatible).toBe(false)
    expect(aws.partChecksums).toEqual({ ChecksumAlgorithm: 'CRC32' })
    const asked = await aws.send('b', async ({ config }) => [
      await config.requestChecksumCalculation(),
      config.forcePathStyle,
      await config.region(),
    ])
    expect(asked).toEqual(['WHEN_SUPPORTED', false, 'us-east-1'])
    aws.close()
  })
})
