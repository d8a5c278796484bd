import { AsyncResource } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import { inspect } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import { createMinioBackend } from '../../src/storage/minio.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'
import { startCuttingProxy } from '../support/cutting-proxy.ts'
import { type RecordedAnswer, type RecordingServer, startRecordingServer } from '../support/recording-server.ts'

const server = inject('s3')
const { endpoint, region, accessKeyId, secretAccessKey } = server
const config = { endpoint, region, accessKeyId, secretAccessKey }

const NEEDS_CEPH = 'the embedded server is not faithful here'
const except: Readonly<Record<string, string>> =
  server.kind === 'ceph'
    ? {}
    : {
        'lets one of 20 writers with ifAbsent win, and the reader see its content': NEEDS_CEPH,
        'counts exactly when writers increment under ifMatch': NEEDS_CEPH,
        'with ifMatch fails on another version and on a missing key, and takes streams': NEEDS_CEPH,
        'orders keys by their UTF-8 bytes': NEEDS_CEPH,
        'takes its prefix as text, not as a folder': NEEDS_CEPH,
        'are held whatever they are, where anyKey is claimed': NEEDS_CEPH,
      }

async function open() {
  const backend = await createMinioBackend(config)
  const bucket = `quern-${randomBytes(6).toString('hex')}`
  await backend.createBucket(bucket)
  return { backend, bucket, dispose: () => backend.close() }
}

describe.skipIf(server.kind === 'none')(`minio (${server.kind})`, () => {
  testStorageBackend('the minio backend', open, { except })

  it('asks for the region of a bucket where none is given', async () => {
    const { backend, bucket } = await open()
    const { region: _, ...rest } = config
    const asking = await createMinioBackend(rest)
    await asking.put(bucket, 'k', Buffer.from('x'))
    expect(await asking.head(bucket, 'k')).toMatchObject({ size: 1 })
    await asking.close()
    await backend.close()
  })

  it('throws BODY_TRUNCATED when the network cuts a body', async () => {
    const { backend, bucket } = await open()
    await backend.put(bucket, 'big', Buffer.alloc(4_000_000, 'x'))
    const proxy = await startCuttingProxy(Number(new URL(endpoint).port))
    const through = await createMinioBackend({ ...config, endpoint: `http://127.0.0.1:${proxy.port}` })
    proxy.cutAfter(1_000_000)
    const { body } = await through.get(bucket, 'big')
    await expect(collectBytes(body)).rejects.toMatchObject({ code: 'BODY_TRUNCATED', key: 'big' })
    await through.close()
    await backend.close()
    await proxy.close()
  })

  it.skipIf(server.kind !== 'ceph')(
    'says PERMISSION_DENIED for wrong credentials, and shows none of them',
    async () => {
      const { backend, bucket } = await open()
      const stranger = await createMinioBackend({ ...config, secretAccessKey: 'wrong-secret' })
      const error: unknown = await stranger.get(bucket, 'k').catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'PERMISSION_DENIED', status: 403 })
      const shown = inspect([error, stranger], { depth: 12, showHidden: true })
      expect(shown).not.toMatch(/wrong-secret|AWS4-HMAC/)
      await stranger.close()
      await backend.close()
    },
  )
})

describe('the minio client', () => {
  let stub: RecordingServer
  beforeAll(async () => {
    stub = await startRecordingServer()
  })
  afterAll(() => stub.close())
  beforeEach(() => {
    stub.requests.length = 0
    stub.answer = () => ({ status: 200, headers: { etag: '"e"' } })
  })
  const openStub = (more = {}) =>
    createMinioBackend({ endpoint: stub.endpoint, region: 'r', accessKeyId: 'a', secretAccessKey: 's', ...more })
  const refusal = (status: number, code: string, more = ''): RecordedAnswer => ({
    status,
    body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>told</Message>${more}</Error>`,
  })

  const answers: readonly (readonly [number, string, string])[] = [
    [403, 'AccessDenied', 'PERMISSION_DENIED'],
    [404, 'NoSuchKey', 'NOT_FOUND'],
    [416, 'InvalidRange', 'RANGE_INVALID'],
    [429, 'TooManyRequests', 'THROTTLED'],
    [503, 'SlowDown', 'THROTTLED'],
    [503, 'ServiceUnavailable', 'UNAVAILABLE'],
    [500, 'InternalError', 'UNAVAILABLE'],
    [501, 'NotImplemented', 'UNSUPPORTED'],
    [400, 'InvalidArgument', 'STORAGE'],
    [301, 'PermanentRedirect', 'STORAGE'],
  ]
  it.each(answers)('%d %s is %s, after one request, with its reason', async (status, code, expected) => {
    const warned = vi.spyOn(console, 'warn')
    stub.answer = () => refusal(status, code)
    const backend = await openStub()
    const message = expect.stringContaining('told')
    await expect(backend.get('bucket', 'key')).rejects.toMatchObject({ code: expected, status, message, key: 'key' })
    expect(stub.requests).toHaveLength(1)
    expect(warned).not.toHaveBeenCalled()
    await backend.close()
    warned.mockRestore()
  })

  const conditions: readonly (readonly [number, string, object, string])[] = [
    [412, 'PreconditionFailed', { ifAbsent: true }, 'ALREADY_EXISTS'],
    [412, 'PreconditionFailed', { ifMatch: 'bare' }, 'PRECONDITION_FAILED'],
    [404, 'NoSuchKey', { ifMatch: '"e"' }, 'PRECONDITION_FAILED'],
    [404, 'NoSuchBucket', { ifMatch: '"e"' }, 'NOT_FOUND'],
    [409, 'ConditionalRequestConflict', { ifAbsent: true }, 'UNAVAILABLE'],
  ]
  it.each(conditions)('%d %s to a put %j is %s', async (status, code, options, expected) => {
    stub.answer = () => refusal(status, code)
    const backend = await openStub()
    const putting = backend.put('bucket', 'key', Buffer.from('x'), options)
    await expect(putting).rejects.toMatchObject({ code: expected })
    await backend.close()
  })

  it('takes the signed request off the error that is kept', async () => {
    const signed = '<AWSAccessKeyId>AKIA1</AWSAccessKeyId><StringToSign>tok1</StringToSign>'
    stub.answer = () => refusal(403, 'SignatureDoesNotMatch', signed)
    const backend = await openStub()
    const error: unknown = await backend.get('bucket', 'key').catch((reason: unknown) => reason)
    expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/AKIA1|tok1/)
    await backend.close()
  })

  it('takes a bucket that is its own already for made, and no other', async () => {
    const backend = await openStub()
    stub.answer = () => refusal(409, 'BucketAlreadyOwnedByYou')
    await backend.createBucket('bucket')
    stub.answer = () => refusal(409, 'BucketAlreadyExists')
    await expect(backend.createBucket('bucket')).rejects.toMatchObject({ code: 'STORAGE', status: 409 })
    await backend.close()
  })

  it('fails, to be tried again, when joining parts fails after all', async () => {
    stub.answer = ({ url }) => {
      const begun = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
      if (url.endsWith('?uploads')) return { status: 200, body: begun }
      return url.includes('partNumber') ? { status: 200, headers: { etag: '"p"' } } : refusal(200, 'InternalError')
    }
    const backend = await openStub()
    await expect(backend.put('bucket', 'key', Buffer.alloc(9 << 20))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(stub.requests.at(-1)).toMatchObject({ method: 'DELETE', url: '/bucket/key?uploadId=u' })
    await backend.close()
  })

  it('ends a request that is not answered with the reason of its signal, and its connection with it', async () => {
    const silent = net.createServer()
    const connected: net.Socket[] = []
    silent.on('connection', (socket) => connected.push(socket))
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const backend = await openStub({ endpoint: `http://127.0.0.1:${(silent.address() as net.AddressInfo).port}` })
    const reason = new Error('enough')
    const asks = [
      (signal: AbortSignal) => backend.get('bucket', 'key', { signal }),
      (signal: AbortSignal) => backend.put('bucket', 'key', Buffer.from('x'), { signal }),
      (signal: AbortSignal) => backend.put('bucket', 'key', Buffer.alloc(9 << 20), { signal }),
    ]
    for (const [i, ask] of asks.entries()) {
      const controller = new AbortController()
      const asking = ask(controller.signal)
      await vi.waitUntil(() => connected.length > i)
      const closed = new Promise((resolve) => connected[i]?.resume().once('close', resolve))
      controller.abort(reason)
      await expect(asking).rejects.toBe(reason)
      await closed
    }
    await backend.close()
    silent.close()
  })

  it('is UNAVAILABLE where nobody listens', async () => {
    const backend = await createMinioBackend({ endpoint: 'http://127.0.0.1:1', region: 'r' })
    await expect(backend.head('bucket', 'key')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await backend.close()
  })

  it('sends a session token, keeps to the region it was given, and signs nothing without keys', async () => {
    const backend = await openStub({ sessionToken: 'token' })
    await backend.head('bucket', 'key')
    const anonymous = await openStub({ accessKeyId: undefined, secretAccessKey: undefined })
    await anonymous.head('bucket', 'key')
    const [signed, unsigned] = stub.requests
    expect(signed?.headers['x-amz-security-token']).toBe('token')
    expect(signed?.headers.authorization).toContain('/r/s3/aws4_request')
    expect(unsigned?.headers.authorization).toBeUndefined()
    await backend.close()
    await anonymous.close()
  })

  it('asks once for the region of a bucket, also after errors', async () => {
    stub.answer = ({ url }) =>
      url.endsWith('?location')
        ? { status: 200, body: '<LocationConstraint>eu-west-3</LocationConstraint>' }
        : refusal(404, 'NoSuchKey')
    const backend = await openStub({ region: undefined })
    for (let i = 0; i < 3; i++) await expect(backend.get('bucket', 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(stub.requests.filter(({ url }) => url.endsWith('?location'))).toHaveLength(1)
    expect(stub.requests.at(-1)?.headers.authorization).toContain('/eu-west-3/')
    await backend.close()
  })

  it('leaves nothing behind with what the process creates later, however many were used', async () => {
    // what is kept by async context is written to every new resource
    const written = () => Object.getOwnPropertySymbols(new AsyncResource('probe')).length
    const marks: number[] = []
    for (let i = 0; i < 3; i++) {
      const backend = await openStub()
      await backend.put('bucket', 'key', Buffer.from('x'))
      await backend.close()
      marks.push(written())
    }
    expect(marks).toEqual(marks.map(() => marks[0]))
  })

  it.each([
    [{ endpoint: undefined }, 'endpoint is missing'],
    [{ endpoint: 'http://127.0.0.1:9000/path' }, 'has a path'],
    [{ accessKeyId: undefined }, 'go together'],
  ])('refuses %j', async (more, why) => {
    await expect(openStub(more)).rejects.toMatchObject({ code: 'CONFIG', message: expect.stringContaining(why) })
  })
})
