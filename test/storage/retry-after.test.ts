import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { createGcsBackend } from '../../src/storage/gcs.ts'
import { HttpBackend } from '../../src/storage/http.ts'
import { createMinioBackend } from '../../src/storage/minio.ts'
import { retryAfter } from '../../src/storage/retry-after.ts'
import { createS3Backend } from '../../src/storage/s3.ts'
import { type RecordingServer, startRecordingServer } from '../support/recording-server.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')

describe('Retry-After', () => {
  it.each([
    ['7', { retryAfterMs: 7_000 }],
    ['Thu, 01 Jan 2026 00:01:30 GMT', { retryAfterMs: 90_000 }],
    ['Wed, 31 Dec 2025 23:00:00 GMT', {}],
    ['0', {}],
    ['soon', {}],
    [undefined, {}],
    [['7'], {}],
  ])('%j is %j', (header, expected) => {
    expect(retryAfter(header, NOW)).toEqual(expected)
  })

  let server: RecordingServer
  beforeAll(async () => {
    server = await startRecordingServer()
  })
  afterAll(() => server.close())

  const keys = { accessKeyId: 'a', secretAccessKey: 's', region: 'us-east-1' }
  const backends: readonly (readonly [string, () => Promise<StorageBackend>])[] = [
    ['aws_s3', () => createS3Backend({ endpoint: server.endpoint, ...keys })],
    ['minio', () => createMinioBackend({ endpoint: server.endpoint, ...keys })],
    ['gcp_storage', () => createGcsBackend({ endpoint: server.endpoint })],
    ['http', async () => new HttpBackend()],
  ]
  for (const status of [503, 429]) {
    it.each(backends)(`%s tells it with a ${status}, in reads and in heads`, async (name, create) => {
      server.answer = () => ({ status, headers: { 'retry-after': '7' } })
      const backend = await create()
      const bucket = name === 'http' ? server.endpoint : 'bucket'
      await expect(backend.get(bucket, 'k')).rejects.toMatchObject({ retryAfterMs: 7_000, status })
      await expect(backend.head(bucket, 'k')).rejects.toMatchObject({ retryAfterMs: 7_000, status })
      await backend.close()
    })
  }
})
