/** What the S3 backend sends, where no server here would show it: recorded by a loopback server. */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { createS3Backend } from '../../src/storage/s3.ts'
import { openS3Clients, type S3Config } from '../../src/storage/s3-client.ts'
import {
  type Recorded,
  type RecordedAnswer,
  type RecordingServer,
  startRecordingServer,
} from '../support/recording-server.ts'

const KEYS = { accessKeyId: 'AKIA1', secretAccessKey: 'hidden' }
const OBJECT = { status: 200, headers: { etag: '"e"' }, body: 'data' }
let server: RecordingServer
let folder: string
const opened: StorageBackend[] = []

beforeAll(async () => {
  server = await startRecordingServer()
  folder = mkdtempSync(join(tmpdir(), 'quern-s3-'))
})
beforeEach(() => {
  // the machine's own settings are not to be seen
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined)
  vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'))
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'))
  vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true')
  server.requests.length = 0
  server.answer = () => OBJECT
})
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const each of opened.splice(0)) await each.close()
})
afterAll(async () => {
  await server.close()
  rmSync(folder, { recursive: true })
})

async function open(config: S3Config = {}): Promise<StorageBackend> {
  const backend = await createS3Backend({ endpoint: server.endpoint, ...KEYS, region: 'us-east-1', ...config })
  opened.push(backend)
  return backend
}

const xml = (body: string): string => `<?xml version="1.0"?>${body}`
const scopeOf = ({ headers }: Recorded) => /Credential=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split('/') ?? []

/** Answers as a bucket in `region` does to whoever signs for another. */
function livesIn(region: string, elsewhere: (request: Recorded) => RecordedAnswer) {
  server.answer = (request) => (scopeOf(request)[2] === region ? OBJECT : elsewhere(request))
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
    expect(server.requests.map((request) => scopeOf(request)[2])).toEqual(['us-east-1', ...Array(3).fill('eu-west-3')])
    expect(new Set(server.requests.map((request) => scopeOf(request)[0]))).toEqual(new Set(['AKIA1']))
    expect(server.requests.slice(2).map(({ body }) => body.toString())).toEqual(['x', ''])
  })

  it('is each one for itself', async () => {
    const backend = await open()
    server.answer = ({ url, headers }) => {
      const home = url.startsWith('/far/') ? 'eu-west-3' : 'us-east-1'
      const asked = /Credential=[^/]+\/\d+\/([^/]+)/.exec(headers.authorization ?? '')?.[1]
      return asked === home ? OBJECT : { status: 301, headers: { 'x-amz-bucket-region': home } }
    }
    for (const bucket of ['far', 'near', 'far', 'near']) await backend.head(bucket, 'k')
    expect(server.requests).toHaveLength(5)
  })

  it('that is nowhere ends after one more try, and other refusals are not taken for it', async () => {
    const backend = await open()
    server.answer = (request) => ({ status: 301, headers: { 'x-amz-bucket-region': `not-${scopeOf(request)[2]}` } })
    await expect(backend.head('b', 'k')).rejects.toMatchObject({ status: 301 })
    expect(server.requests).toHaveLength(2)
    // one that tells where it was asked already
    server.answer = () => ({ status: 400, headers: told })
    await expect(backend.head('d', 'k')).rejects.toMatchObject({ status: 400 })
    await expect(backend.head('d', 'k')).rejects.toMatchObject({ status: 400 })
    expect(server.requests).toHaveLength(2 + 2 + 1)
    server.answer = () => ({ status: 403, headers: told })
    await expect(backend.head('c', 'k')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(server.requests).toHaveLength(6)
  })
})

/** Every request that the contract makes of an object. */
async function everyRequest(backend: StorageBackend): Promise<void> {
  server.answer = ({ method, url }) => {
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

describe('a bucket that is there already', () => {
  it('is made when it is ours, and only then', async () => {
    const backend = await open()
    const refuse = (code: string) => () => ({ status: 409, body: xml(`<Error><Code>${code}</Code></Error>`) })
    server.answer = refuse('BucketAlreadyOwnedByYou')
    await backend.createBucket('bucket')
    server.answer = refuse('BucketAlreadyExists')
    await expect(backend.createBucket('bucket')).rejects.toMatchObject({ code: 'STORAGE', status: 409 })
  })
})

describe('requester pays', () => {
  it('is said in every request', async () => {
    await everyRequest(await open({ requesterPays: true }))
    expect(server.requests.length).toBeGreaterThan(8)
    for (const request of server.requests) {
      expect(request.headers['x-amz-request-payer'], nameOf(request)).toBe('requester')
    }
  })

  it('is said in none otherwise', async () => {
    await everyRequest(await open())
    expect(server.requests.filter(({ headers }) => 'x-amz-request-payer' in headers)).toEqual([])
  })
})

describe('encryption by the server', () => {
  const withHeader = (name: string) => server.requests.filter(({ headers }) => name in headers).map(nameOf)

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
    const [first] = server.requests
    expect(first?.headers).toMatchObject({
      'x-amz-server-side-encryption-customer-algorithm': 'AES256',
      'x-amz-server-side-encryption-customer-key': sseCustomerKey,
      'x-amz-server-side-encryption-customer-key-md5': createHash('md5')
        .update(Buffer.from(sseCustomerKey, 'base64'))
        .digest('base64'),
    })
    server.answer = () => ({ status: 400, body: xml('<Error><Code>InvalidRequest</Code></Error>') })
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
    const deletion = server.requests.find(({ url }) => url.includes('delete')) as Recorded
    expect(deletion.headers['content-md5']).toBe(createHash('md5').update(deletion.body).digest('base64'))
    const puts = server.requests.filter(({ method }) => method === 'PUT')
    expect(puts.length).toBeGreaterThan(1)
    for (const { headers } of puts) {
      const extra = Object.keys(headers).filter((name) => /checksum|trailer|content-encoding/.test(name))
      expect(extra).toEqual([])
    }
  })

  it('have their bucket in the path, also where the environment names them', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', server.endpoint.replace('127.0.0.1', 'localhost'))
    for (const config of [{}, { endpoint: undefined }]) {
      // a name that could stand in the host
      await (await open(config)).head('bucket', 'k')
      expect(server.requests.at(-1)?.url).toMatch(/^\/bucket\/k/)
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

describe('credentials that are not given', () => {
  const chain = { accessKeyId: undefined, secretAccessKey: undefined, region: undefined }
  const signer = async (config: S3Config = chain) => {
    await (await open({ ...chain, ...config })).head('b', 'k')
    const request = server.requests.at(-1) as Recorded
    return { key: scopeOf(request)[0], region: scopeOf(request)[2], token: request.headers['x-amz-security-token'] }
  }

  it('are those of the environment, with their region', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAENV')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 's')
    vi.stubEnv('AWS_SESSION_TOKEN', 'token')
    expect(await signer()).toEqual({ key: 'AKIAENV', region: 'us-east-1', token: 'token' })
    vi.stubEnv('AWS_REGION', 'eu-central-1')
    expect(await signer()).toMatchObject({ region: 'eu-central-1' })
    expect(await signer({ region: 'sa-east-1' })).toMatchObject({ region: 'sa-east-1' })
  })

  it('are those of a profile', async () => {
    // files are read once in a process, by their names
    vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'profiles'))
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'keys'))
    writeFileSync(join(folder, 'profiles'), '[profile work]\nregion = eu-north-1\n')
    writeFileSync(join(folder, 'keys'), '[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = s\n')
    expect(await signer({ profile: 'work' })).toMatchObject({ key: 'AKIAWORK', region: 'eu-north-1' })
    vi.stubEnv('AWS_PROFILE', 'work')
    expect(await signer()).toMatchObject({ key: 'AKIAWORK', region: 'eu-north-1' })
  })

  it("are a container's", async () => {
    const metadata = await startRecordingServer()
    const Expiration = new Date(Date.now() + 3_600_000).toISOString()
    const body = JSON.stringify({ AccessKeyId: 'AKIABOX', SecretAccessKey: 's', Token: 'boxed', Expiration })
    metadata.answer = () => ({ status: 200, headers: { 'content-type': 'application/json' }, body })
    vi.stubEnv('AWS_CONTAINER_CREDENTIALS_FULL_URI', `${metadata.endpoint}/credentials`)
    expect(await signer()).toMatchObject({ key: 'AKIABOX', token: 'boxed' })
    await metadata.close()
  })

  it("are a role's, by web identity", async () => {
    const sts = await startRecordingServer()
    const expiration = new Date(Date.now() + 3_600_000).toISOString()
    const role = `<AccessKeyId>AKIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>role</SessionToken>`
    const credentials = `<Credentials>${role}<Expiration>${expiration}</Expiration></Credentials>`
    const result = `<AssumeRoleWithWebIdentityResult>${credentials}</AssumeRoleWithWebIdentityResult>`
    const body = `<AssumeRoleWithWebIdentityResponse xmlns="x">${result}</AssumeRoleWithWebIdentityResponse>`
    sts.answer = () => ({ status: 200, headers: { 'content-type': 'text/xml' }, body })
    writeFileSync(join(folder, 'token'), 'the token')
    vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(folder, 'token'))
    vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::1:role/r')
    vi.stubEnv('AWS_ENDPOINT_URL_STS', sts.endpoint)
    vi.stubEnv('AWS_REGION', 'eu-central-1')
    expect(await signer()).toMatchObject({ key: 'AKIAROLE', token: 'role' })
    expect(sts.requests.map(({ body: sent }) => new URLSearchParams(sent.toString()).get('WebIdentityToken'))).toEqual([
      'the token',
    ])
    await sts.close()
  })

  it('are missed by name', async () => {
    const backend = await open({ ...chain, region: 'us-east-1' })
    await expect(backend.head('b', 'k')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(server.requests).toEqual([])
  })

  it('a given session token goes with its keys', async () => {
    expect(await signer({ ...KEYS, sessionToken: 'short' })).toMatchObject({ key: 'AKIA1', token: 'short' })
  })
})
