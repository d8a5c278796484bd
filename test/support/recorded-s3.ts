/** The S3 backend before a server that records what it is asked; without the machine's own settings. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, vi } from 'vitest'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { createS3Backend } from '../../src/storage/s3.ts'
import type { S3Config } from '../../src/storage/s3-client.ts'
import { type Recorded, type RecordingServer, startRecordingServer } from './recording-server.ts'

export const KEYS = { accessKeyId: 'AKIA1', secretAccessKey: 'hidden' }
/** What is answered until a test says otherwise. */
export const OBJECT = { status: 200, headers: { etag: '"e"' }, body: 'data' }

export interface RecordedS3 {
  readonly server: RecordingServer
  readonly folder: string
  /** Closed with the test. */
  open(config?: S3Config): Promise<StorageBackend>
}

/** For a test file: started before its tests, and ended with them. */
export function recordedS3(): RecordedS3 {
  let server: RecordingServer
  let folder: string
  const opened: StorageBackend[] = []
  beforeAll(async () => {
    server = await startRecordingServer()
    folder = mkdtempSync(join(tmpdir(), 'quern-s3-'))
  })
  beforeEach(() => {
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
  return {
    get server() {
      return server
    },
    get folder() {
      return folder
    },
    async open(config = {}) {
      const backend = await createS3Backend({ endpoint: server.endpoint, ...KEYS, region: 'us-east-1', ...config })
      opened.push(backend)
      return backend
    },
  }
}

/** Key id, date, region, … of a signature. */
export function scopeOf({ headers }: Recorded): string[] {
  return /Credential=([^,]+)/.exec(headers.authorization ?? '')?.[1]?.split('/') ?? []
}
