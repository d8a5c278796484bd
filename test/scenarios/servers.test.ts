/** Whole jobs over servers that nobody here wrote: web server, Google's emulator, Swift; each as exact as over files. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, describe, expect, inject, it, vi } from 'vitest'
import { mergeCounts } from '../../reducers/index.ts'
import { FunctionExecutor, type ObjectPartition, objects, type TaskContext } from '../../src/entry/index.ts'
import { s3Section } from '../support/backends-under-test.ts'

const TEXTS = Array.from({ length: 4 }, (_, file) =>
  Array.from({ length: 300 }, (_, line) => `w${(line * 7919 + file) % 97} naïve 鯨 ${'~'.repeat((line * file) % 40)}`),
).map((lines) => lines.join('\n'))
const KEYS = TEXTS.map((_, i) => `in/part ${i}.txt`)

async function countWords(part: ObjectPartition) {
  const counts = new Map<string, number>()
  for await (const line of part.lines()) {
    for (const word of line.split(' ')) counts.set(word, (counts.get(word) ?? 0) + 1)
  }
  return counts
}

async function countBytes(part: ObjectPartition) {
  let bytes = 0
  for await (const chunk of part.stream()) bytes += chunk.length
  return bytes
}

function total(parts: number[], task: TaskContext) {
  return [task.object?.size, parts.reduce((sum, part) => sum + part, 0)]
}

async function copy(part: ObjectPartition, task: TaskContext) {
  const key = `out/${task.index}`
  await task.storage.putObject(task.storage.bucket, key, part.stream())
  return key
}

/** The three jobs over `references`, without what differs by where they lie. */
async function wholeJobs(exec: FunctionExecutor, references: readonly string[]): Promise<string> {
  const source = objects(references)
  const words = exec.mapReduce(countWords, source, mergeCounts(), { objChunkSize: 1_111 })
  const perObject = exec.mapReduce(countBytes, source, total, { objChunkNumber: 3, objReduceByKey: true })
  const copied = await exec.map(copy, source)
  const read = async (key: string) => Buffer.from(await exec.storage.getObject(exec.storage.bucket, key)).toString()
  const { complete, objects: certified } = await words.certificate()
  return JSON.stringify({
    words: [...(await words)],
    perObject: [...(await perObject).values()],
    copies: await Promise.all(copied.map(read)),
    delivered: certified.map(({ deliveredBytes, pin }) => [deliveredBytes, pin === 'none']),
    complete,
  })
}

const folder = mkdtempSync(join(tmpdir(), 'quern-servers-'))
const executors: FunctionExecutor[] = []
afterEach(async () => {
  for (const exec of executors.splice(0)) await exec.shutdown()
  vi.unstubAllEnvs()
})
afterAll(() => rmSync(folder, { recursive: true }))

function executor(config: Readonly<Record<string, unknown>>): FunctionExecutor {
  const exec = new FunctionExecutor({ config, maxWorkers: 2, showProgressbar: false, logLevel: 'error' })
  executors.push(exec)
  return exec
}

const localhost = { storageRoot: join(folder, 'store'), storageBucket: 'copies' }

function write(root: string): void {
  for (const [i, key] of KEYS.entries()) {
    mkdirSync(dirname(join(root, key)), { recursive: true })
    writeFileSync(join(root, key), TEXTS[i] as string)
  }
}

async function expected(): Promise<string> {
  write(join(folder, 'files'))
  return wholeJobs(executor({ localhost }), [`file://${join(folder, 'files')}/in/`])
}

const [swift, gcs, nginx] = [inject('swift'), inject('gcs'), inject('nginx')]

describe('the jobs over files', () => {
  it('are right', async () => {
    const { copies, complete, words } = JSON.parse(await expected())
    expect(copies).toEqual(TEXTS)
    expect(complete).toBe(true)
    expect(new Map(words).get('naïve')).toBe(4 * 300)
  })
})

if (nginx.endpoint === '') it.skip('over http: needs nginx')
it.runIf(nginx.endpoint !== '')('over nginx they give the same, also by way of redirects', async () => {
  write(nginx.root)
  const exec = executor({ localhost })
  const under = (path: string) => KEYS.map((key) => `${nginx.endpoint}${path}/${encodeURI(key)}`)
  expect(await wholeJobs(exec, under(''))).toBe(await expected())
  const moved = await wholeJobs(executor({ localhost }), under('/moved'))
  expect(moved).toBe(await expected())
})

if (gcs.endpoint === '') it.skip('over gs: needs the storage emulator of firebase-tools')
it.runIf(gcs.endpoint !== '')('over the emulator of Google Cloud Storage they give the same', async () => {
  vi.stubEnv('STORAGE_EMULATOR_HOST', gcs.endpoint)
  const bucket = `quern-jobs-${process.pid}`
  const exec = executor({ quern: { storage: 'gcp_storage' }, gcp_storage: { storageBucket: bucket } })
  for (const [i, key] of KEYS.entries()) await exec.storage.putObject(bucket, key, TEXTS[i] as string)
  expect(await wholeJobs(exec, [`gs://${bucket}/in/`])).toBe(await expected())
})

const DIALECTS = [
  ['aws_s3', 's3'],
  ['minio', 'minio'],
] as const
if (swift.kind === 'none') it.skip("over s3 in Swift's dialect: needs OpenStack Swift")
it.runIf(swift.kind !== 'none').each(DIALECTS)('over Swift by %s they give the same', async (storage, scheme) => {
  const bucket = `quern-jobs-${storage.replace('_', '-')}-${process.pid}`
  const exec = executor({ quern: { storage }, [storage]: s3Section(swift, bucket) })
  await exec.storage.createBucket(bucket)
  for (const [i, key] of KEYS.entries()) await exec.storage.putObject(bucket, key, TEXTS[i] as string)
  expect(await wholeJobs(exec, [`${scheme}://${bucket}/in/`])).toBe(await expected())
})
