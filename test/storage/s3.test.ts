import { randomBytes } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, inject, it } from 'vitest'
import { collectBytes } from '../../src/core/bytes.ts'
import { createS3Backend } from '../../src/storage/s3.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'
import { startCuttingProxy } from '../support/cutting-proxy.ts'

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
  const backend = await createS3Backend(config)
  const bucket = `quern-${randomBytes(6).toString('hex')}`
  await backend.createBucket(bucket)
  return { backend, bucket }
}

describe.skipIf(server.kind === 'none')(`S3 (${server.kind})`, () => {
  testStorageBackend('the S3 backend', open, { except })

  for (const range of [undefined, { start: 100_000, end: 3_000_000 }]) {
    it(`throws BODY_TRUNCATED when the network cuts ${range === undefined ? 'a whole' : 'a ranged'} body`, async () => {
      const { backend, bucket } = await open()
      await backend.put(bucket, 'big', Buffer.alloc(4_000_000, 'x'))
      const proxy = await startCuttingProxy(Number(new URL(endpoint).port))
      const through = await createS3Backend({ ...config, endpoint: `http://127.0.0.1:${proxy.port}` })
      try {
        proxy.cutAfter(1_000_000)
        const { body } = await through.get(bucket, 'big', { range })
        await expect(collectBytes(body)).rejects.toMatchObject({ code: 'BODY_TRUNCATED', key: 'big' })
      } finally {
        await through.close()
        await backend.close()
        await proxy.close()
      }
    })
  }

  it('keeps the content type, also of an object put in parts', async () => {
    const { backend, bucket } = await open()
    const contentType = 'text/csv'
    await backend.put(bucket, 'small', Buffer.from('a'), { contentType })
    await backend.put(bucket, 'large', Buffer.alloc(9 << 20), { contentType })
    for (const key of ['small', 'large']) expect(await backend.head(bucket, key)).toMatchObject({ contentType })
    await backend.close()
  })

  it.skipIf(server.kind !== 'ceph')(
    'says PERMISSION_DENIED for wrong credentials, and shows none of them',
    async () => {
      const { backend, bucket } = await open()
      for (const wrong of [
        { accessKeyId: 'nobody', secretAccessKey: 'wrong-secret' },
        { accessKeyId, secretAccessKey: 'wrong-secret' },
      ]) {
        const stranger = await createS3Backend({ ...config, ...wrong })
        const error: unknown = await stranger.get(bucket, 'k').catch((reason: unknown) => reason)
        expect(error).toMatchObject({ code: 'PERMISSION_DENIED', status: 403 })
        expect(inspected(error)).not.toMatch(/wrong-secret|nobody|testaccess/)
        await stranger.close()
      }
      await backend.close()
    },
  )
})

describe('S3 errors', () => {
  let answering: http.Server | undefined
  afterEach(() => {
    answering?.closeAllConnections()
    answering?.close()
  })

  async function answer(status: number, code: string, more = ''): Promise<string> {
    const server = http.createServer((request, response) => {
      request.resume()
      response.writeHead(status, { 'content-type': 'application/xml' })
      response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>told</Message>${more}</Error>`)
    })
    answering = server
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  const answers: readonly (readonly [number, string, string])[] = [
    [403, 'AccessDenied', 'PERMISSION_DENIED'],
    [404, 'NoSuchKey', 'NOT_FOUND'],
    [404, 'NoSuchBucket', 'NOT_FOUND'],
    [416, 'InvalidRange', 'RANGE_INVALID'],
    [429, 'TooManyRequests', 'THROTTLED'],
    [503, 'SlowDown', 'THROTTLED'],
    [503, 'ServiceUnavailable', 'UNAVAILABLE'],
    [500, 'InternalError', 'UNAVAILABLE'],
    [501, 'NotImplemented', 'UNSUPPORTED'],
    [400, 'InvalidArgument', 'STORAGE'],
  ]
  for (const [status, code, expected] of answers) {
    it(`${status} ${code} is ${expected}, after one request`, async () => {
      const backend = await createS3Backend({ ...config, endpoint: await answer(status, code) })
      const reading = backend.get('bucket', 'key')
      await expect(reading).rejects.toMatchObject({ code: expected, status, bucket: 'bucket', key: 'key' })
      await backend.close()
    })
  }

  const conditions: readonly (readonly [number, string, object, string])[] = [
    [412, 'PreconditionFailed', { ifAbsent: true }, 'ALREADY_EXISTS'],
    [412, 'PreconditionFailed', { ifMatch: 'bare' }, 'PRECONDITION_FAILED'],
    [404, 'NoSuchKey', { ifMatch: '"e"' }, 'PRECONDITION_FAILED'],
    [404, 'NoSuchBucket', { ifMatch: '"e"' }, 'NOT_FOUND'],
    [409, 'ConditionalRequestConflict', { ifAbsent: true }, 'UNAVAILABLE'],
  ]
  for (const [status, code, options, expected] of conditions) {
    it(`${status} ${code} to a put ${JSON.stringify(options)} is ${expected}`, async () => {
      const backend = await createS3Backend({ ...config, endpoint: await answer(status, code) })
      const putting = backend.put('bucket', 'key', Buffer.from('x'), options)
      await expect(putting).rejects.toMatchObject({ code: expected })
      await backend.close()
    })
  }

  it('takes the signed request off the error that is kept', async () => {
    const signed =
      '<AWSAccessKeyId>AKIA1</AWSAccessKeyId><CanonicalRequest>x-amz-security-token:tok1</CanonicalRequest>'
    const backend = await createS3Backend({ ...config, endpoint: await answer(403, 'SignatureDoesNotMatch', signed) })
    const error: unknown = await backend.get('bucket', 'key').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'PERMISSION_DENIED' })
    expect(inspected(error)).not.toMatch(/AKIA1|tok1/)
    await backend.close()
  })

  it('is UNAVAILABLE where nobody listens', async () => {
    const backend = await createS3Backend({ ...config, endpoint: 'http://127.0.0.1:1' })
    await expect(backend.head('bucket', 'key')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await backend.close()
  })

  it('refuses one key without the other', async () => {
    await expect(createS3Backend({ accessKeyId: 'only' })).rejects.toMatchObject({ code: 'CONFIG' })
  })
})

/** Everything an inspector of the error could print, hidden fields too. */
function inspected(error: unknown): string {
  return inspect(error, { depth: 10, showHidden: true })
}
