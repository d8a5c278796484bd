import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, vi } from 'vitest'
import { createGcsBackend } from '../../src/storage/gcs.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'
import { type GcsStub, startGcsStub } from '../support/gcs-stub.ts'

const bucketName = () => `quern-${randomBytes(6).toString('hex')}`
let stub: GcsStub
beforeAll(async () => {
  stub = await startGcsStub()
})
afterAll(() => stub.close())

async function open() {
  const backend = await createGcsBackend({ endpoint: stub.endpoint })
  const bucket = bucketName()
  await backend.createBucket(bucket)
  return { backend, bucket, dispose: () => backend.close() }
}

describe('Google Cloud Storage, its rules in a stub', () => {
  testStorageBackend('the GCS backend', open)
})

const { endpoint } = inject('gcs')
if (endpoint === '') it.skip('Google Cloud Storage, emulated: needs the storage emulator of firebase-tools')

describe.skipIf(endpoint === '')('Google Cloud Storage, emulated by firebase-tools', () => {
  const IGNORED = 'the emulator ignores preconditions'
  const IN_PIECES = 'the emulator takes the first piece of an upload for the whole'
  const ANY_BUCKET = 'in the emulator every bucket is there'
  const except = {
    'lets one of 20 writers with ifAbsent win, and the reader see its content': IGNORED,
    'counts exactly when writers increment under ifMatch': IGNORED,
    'with ifMatch fails on another version and on a missing key, and takes streams': IGNORED,
    'writes a stream of many MiB': IN_PIECES,
    'of a stream that fails leaves the old object, and throws the error of the stream': IN_PIECES,
    'into a missing bench.bucket makes nothing and is NOT_FOUND': ANY_BUCKET,
    'of a missing bench.bucket is NOT_FOUND': ANY_BUCKET,
    'that the store refuses by its own rules are refused as UNSUPPORTED': ANY_BUCKET,
    'buckets are made twice, found, and deleted only when empty': 'the emulator makes no buckets',
    'orders keys by their UTF-8 bytes': 'the emulator lists in UTF-16 order',
  }
  beforeEach(() => void vi.stubEnv('STORAGE_EMULATOR_HOST', endpoint))
  afterEach(() => void vi.unstubAllEnvs())
  testStorageBackend('the GCS backend', async () => ({ backend: await createGcsBackend({}), bucket: bucketName() }), {
    except,
  })

  it('fails a stream that the emulator cuts off, instead of keeping its beginning', async () => {
    const backend = await createGcsBackend({})
    const putting = backend.put(bucketName(), 'k', Buffer.alloc(9 << 20))
    await expect(putting).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await backend.close()
  })
})
