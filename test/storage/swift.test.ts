/** OpenStack Swift's S3 dialect: a second opinion on what "compatible" means, stricter than Ceph's and poorer. */
import { randomBytes } from 'node:crypto'
import { describe, expect, inject, it } from 'vitest'
import { createMinioBackend } from '../../src/storage/minio.ts'
import { createS3Backend } from '../../src/storage/s3.ts'
import { testStorageBackend } from '../conformance/storage-backend.ts'

const server = inject('swift')
if (server.kind === 'none')
  it.skip("S3 in Swift's dialect: needs OpenStack Swift (swift-proxy, -account, -container, -object)")

const { endpoint, region, accessKeyId, secretAccessKey } = server
const config = { endpoint, region, accessKeyId, secretAccessKey }
const NO_CONDITIONS = 'Swift refuses conditional puts, see below'
const except = {
  // its object server lists a folder and opens what it found there, which the next version may have replaced
  'is atomic: a reader sees the whole of one version': 'Swift may not find an object while a version replaces another',
  'lets one of 20 writers with ifAbsent win, and the reader see its content': NO_CONDITIONS,
  'counts exactly when writers increment under ifMatch': NO_CONDITIONS,
  'with ifMatch fails on another version and on a missing key, and takes streams': NO_CONDITIONS,
  ...(process.env.QUERN_TEST_LARGE === '1'
    ? {}
    : {
        'gives the heads that head gives, over pages':
          'a thousand objects take Swift half a minute: QUERN_TEST_LARGE=1',
      }),
}

describe.skipIf(server.kind === 'none')('S3 (swift)', () => {
  for (const [name, create] of [
    ['S3', createS3Backend],
    ['minio', createMinioBackend],
  ] as const) {
    const open = async () => {
      const backend = await create(config)
      const bucket = `quern-${randomBytes(6).toString('hex')}`
      await backend.createBucket(bucket)
      return { backend, bucket, dispose: () => backend.close() }
    }
    // once: listing a thousand objects takes Swift a third of a minute, and the other client has shown itself on Ceph
    if (name === 'S3') testStorageBackend(`the ${name} backend`, open, { except })

    it(`${name}: a conditional put is refused as UNSUPPORTED, and nothing is written`, async () => {
      const { backend, bucket } = await open()
      const putting = backend.put(bucket, 'k', Buffer.from('x'), { ifAbsent: true })
      await expect(putting).rejects.toMatchObject({ code: 'UNSUPPORTED' })
      await expect(backend.head(bucket, 'k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await backend.close()
    })
  }
})
