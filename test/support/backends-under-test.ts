/** The stores a whole job runs on, each with an executor of its own and a folder of keys to work in. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { FunctionExecutor } from '../../src/entry/index.ts'
import { startGcsStub } from './gcs-stub.ts'
import type { S3Server } from './servers.ts'

export type StoreName = 'file' | 'localhost' | 'aws_s3' | 'minio' | 'gcp_storage' | 'memory'

const SCHEMES: Partial<Record<StoreName, string>> = { aws_s3: 's3', gcp_storage: 'gs' }

export interface StoreUnderTest {
  readonly exec: FunctionExecutor
  readonly config: Readonly<Record<string, unknown>>
  /** `s3://bucket`, `file:///folder`: put before "/key". */
  readonly base: string
  put(key: string, text: string): Promise<void>
  close(): Promise<void>
}

/** The configuration that leads to `server`, through another endpoint when one is given. */
export function s3Section(server: S3Server, bucket: string, endpoint: string = server.endpoint) {
  const { region, accessKeyId, secretAccessKey } = server
  return { endpoint, region, accessKeyId, secretAccessKey, storageBucket: bucket }
}

/**
 * An executor whose `storage` is the named store (localhost where the files are the user's own). Google Cloud Storage
 * is a stub of its own.
 */
export async function openStore(name: StoreName, server: S3Server): Promise<StoreUnderTest> {
  const folder = mkdtempSync(path.join(tmpdir(), 'quern-store-'))
  const bucket = `quern-${randomBytes(6).toString('hex')}`
  const storage = name === 'file' ? 'localhost' : name
  const stub = name === 'gcp_storage' ? await startGcsStub() : undefined
  const config = {
    quern: { storage },
    localhost: { storageRoot: path.join(folder, 'store'), storageBucket: bucket },
    memory: { storageBucket: bucket },
    ...(server.kind === 'none' ? {} : { aws_s3: s3Section(server, bucket), minio: s3Section(server, bucket) }),
    ...(stub === undefined ? {} : { gcp_storage: { endpoint: stub.endpoint, storageBucket: bucket } }),
  }
  const exec = new FunctionExecutor({
    ...(name === 'memory' ? { backend: 'inline' } : { maxWorkers: 2 }),
    config,
    showProgressbar: false,
    logLevel: 'error',
  })
  await exec.storage.createBucket(bucket)
  const files = path.join(folder, 'files')
  const scheme = SCHEMES[name] ?? name
  return {
    exec,
    config,
    base: name === 'file' ? `file://${files}` : `${scheme}://${bucket}`,
    async put(key, text) {
      if (name !== 'file') return void (await exec.storage.putObject(bucket, key, text))
      const file = path.join(files, key)
      mkdirSync(path.dirname(file), { recursive: true })
      writeFileSync(file, text)
    },
    async close() {
      await exec.shutdown()
      await stub?.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
