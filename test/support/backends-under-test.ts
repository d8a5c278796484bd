/** The stores a whole job runs on, each with an executor of its own and a folder of keys to work in. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { FunctionExecutor } from '../../src/entry/index.ts'
import type { S3Server } from './servers.ts'

export type StoreName = 'file' | 'localhost' | 'aws_s3' | 'memory'

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

/** An executor whose `storage` is the named store (localhost where the files are the user's own). */
export async function openStore(name: StoreName, server: S3Server): Promise<StoreUnderTest> {
  const folder = mkdtempSync(path.join(tmpdir(), 'quern-store-'))
  const bucket = `quern-${randomBytes(6).toString('hex')}`
  const storage = name === 'file' ? 'localhost' : name
  const config = {
    quern: { storage },
    localhost: { storageRoot: path.join(folder, 'store'), storageBucket: bucket },
    memory: { storageBucket: bucket },
    ...(server.kind === 'none' ? {} : { aws_s3: s3Section(server, bucket) }),
  }
  const exec = new FunctionExecutor({
    ...(name === 'memory' ? { backend: 'inline' } : { maxWorkers: 2 }),
    config,
    showProgressbar: false,
    logLevel: 'error',
  })
  await exec.storage.createBucket(bucket)
  const files = path.join(folder, 'files')
  const scheme = name === 'aws_s3' ? 's3' : name
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
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
