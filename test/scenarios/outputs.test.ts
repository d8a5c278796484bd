/** Whole jobs that write outputs, on every store: names, bytes, manifests, replacing, refusing, across stores. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { type CloudObject, type ObjectPartition, objects, type TaskContext } from '../../src/entry/index.ts'
import type { Manifest } from '../../src/job/manifest.ts'
import { openStore, type StoreName, type StoreUnderTest } from '../support/backends-under-test.ts'

const server = inject('s3') ?? { kind: 'none', endpoint: '', region: '', accessKeyId: '', secretAccessKey: '' }
// without conditional writes there is no journal, and without a journal there are no outputs
const overS3 = server.kind === 'ceph' ? (['aws_s3', 'minio'] as const) : []
const STORES: readonly StoreName[] = ['file', 'localhost', 'memory', 'gcp_storage', ...overS3]

const LINES = Array.from({ length: 500 }, (_, i) => `line ${i} of many, naïve\n`)
const TEXT = LINES.join('')
const SHORT = TEXT.slice(0, 1_000)
const LARGE = 'x'.repeat(1 << 20)

async function* upperCase(part: ObjectPartition) {
  for await (const lines of part.lineBatches()) yield `${lines.join('\n').toUpperCase()}\n`
}

function countLines(parts: number[]) {
  return { lines: parts.reduce((all, count) => all + count, 0) }
}

async function lineCount(part: ObjectPartition) {
  let count = 0
  for await (const _ of part.lines()) count += 1
  return count
}

if (overS3.length === 0)
  describe.skip('outputs on S3: Ceph RADOS Gateway is not running', () => it('skipped', () => undefined))

describe.each(STORES)('outputs of jobs over %s', (name) => {
  let store: StoreUnderTest
  let runs = 0

  beforeAll(async () => {
    store = await openStore(name, server)
    await store.put('in/a.txt', TEXT)
    await store.put('in/b.txt', SHORT)
    await store.put('in/c/empty.txt', '')
  })
  afterAll(() => store.close())

  const fresh = () => `${store.base}/out${++runs}/`
  const inputs = () => objects(`${store.base}/in/`)
  const read = async (object: CloudObject) => Buffer.from(await store.exec.storage.getCloudObject(object))
  const list = async (to: string) => {
    const { partitions } = await store.exec.plan(objects(to, { allowMissing: true }), { compression: null })
    return partitions.map(({ object }) => object.url.slice(to.length)).sort()
  }
  const manifestOf = async (to: string): Promise<Manifest> => {
    const { partitions } = await store.exec.plan(objects(`${to}_quern/manifest.json`))
    return JSON.parse((await read((partitions[0] as { object: CloudObject }).object)).toString())
  }

  it('appear one a partition, with a manifest that names them and what they came from', async () => {
    const to = fresh()
    const job = store.exec.map(upperCase, inputs(), {
      objChunkSize: 4_000,
      output: { to, name: '{stem}/{index}{ext}' },
    })
    const results = await job
    const { partitions } = await job.planned()
    expect(await list(to)).toEqual(['_quern/manifest.json', ...results.map(({ url }) => url.slice(to.length))].sort())
    const texts = await Promise.all(results.map(read))
    expect(Buffer.concat(texts).toString()).toBe(`${TEXT}${SHORT}\n`.toUpperCase())
    const { outputs, missing, job: jobName } = await manifestOf(to)
    expect(jobName).toBe(`${store.exec.executorId}-${job.jobId}`)
    expect(missing).toEqual([])
    expect(outputs).toEqual(
      results.map(({ key, size, etag, contentType }, i) => {
        const { object, range } = partitions[i] as (typeof partitions)[number]
        return { key, sizeBytes: size, etag, contentType, inputs: [{ url: object.url, etag: object.etag, range }] }
      }),
    )
  })

  it('of reducers: one of everything, or one an object', async () => {
    const one = fresh()
    const all = store.exec.mapReduce(lineCount, inputs(), countLines, { objChunkSize: 4_000, output: one })
    expect((await read(await all)).toString()).toBe(`{"lines":${500 + SHORT.split('\n').length}}\n`)
    expect(await list(one)).toEqual(['_quern/manifest.json', 'result'])
    const each = fresh()
    const byKey = await store.exec.mapReduce(lineCount, inputs(), countLines, {
      objReduceByKey: true,
      output: { to: each, name: '{name}.json' },
    })
    expect(await list(each)).toEqual(['_quern/manifest.json', 'a.txt.json', 'b.txt.json', 'empty.txt.json'])
    const a = byKey.get(`${store.base}/in/a.txt`) as CloudObject
    expect((await read(a)).toString()).toBe('{"lines":500}\n')
    const entry = (await manifestOf(each)).outputs.find(({ key }) => key === a.key)
    expect(entry?.inputs).toMatchObject([
      { url: `${store.base}/in/a.txt`, range: { start: 0, end: TEXT.length + 500 } },
    ])
  })

  it('that are large or compressed, of items too', async () => {
    const to = fresh()
    const sizes = [0, 10, 300_000, 2 << 20]
    const job = store.exec.map((size: number, text: string, _: TaskContext) => text.repeat(3).slice(0, size), sizes, {
      extraArgs: [LARGE] as const,
      output: { to, compress: 'gzip' },
    })
    const results = await job
    for (const [i, object] of results.entries()) expect(gunzipSync(await read(object)).length).toBe(sizes[i])
    expect(await list(to)).toEqual(['_quern/manifest.json', ...sizes.map((_, i) => `part-0000${i}.gz`)])
    const plain = fresh()
    const [large] = await store.exec.map(() => 'y'.repeat(3 << 20), [0], {
      output: plain,
    })
    expect((await read(large as CloudObject)).equals(Buffer.alloc(3 << 20, 'y'))).toBe(true)
  })

  it('are refused where one is there, before anything runs, and replaced where asked', async () => {
    const to = fresh()
    const name = '{name}'
    await store.exec.map(upperCase, inputs(), { output: { to, name } })
    const began: string[] = []
    const again = store.exec.map(() => began.push('ran'), inputs(), { output: { to, name } })
    await expect(Promise.resolve(again)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect(await store.exec.map(async (p: ObjectPartition) => p.object.size, inputs())).toHaveLength(3)
    const fewer = objects(`${store.base}/in/a.txt`)
    await store.exec.map((p: ObjectPartition) => p.object.key.length, fewer, {
      output: { to, name, ifExists: 'replace' },
    })
    expect(await list(to)).toEqual(['_quern/manifest.json', 'a.txt'])
    expect((await manifestOf(to)).outputs).toHaveLength(1)
  })

  it('of a job that fails have no manifest; of one tolerated they name what is missing', async () => {
    const to = fresh()
    const failing = (part: ObjectPartition) => {
      if (part.object.key.endsWith('b.txt')) throw new RangeError('no b')
      return 'fine'
    }
    await expect(Promise.resolve(store.exec.map(failing, inputs(), { output: to }))).rejects.toMatchObject({
      code: 'JOB',
    })
    expect(await list(to)).not.toContain('_quern/manifest.json')
    const tolerant = fresh()
    await store.exec.map(failing, inputs(), { maxFailures: 1, output: { to: tolerant, name: '{name}' } })
    expect(await list(tolerant)).toEqual(['_quern/manifest.json', 'a.txt', 'empty.txt'])
    expect((await manifestOf(tolerant)).missing).toMatchObject([{ url: `${store.base}/in/b.txt` }])
  })

  it('of failed attempts do not appear, and leave nothing beside the winner', async () => {
    const to = fresh()
    async function* second(_: number, task: TaskContext) {
      yield 'z'.repeat(1 << 20)
      if (task.attempt === 1) throw new RangeError('the first attempt breaks')
    }
    const [object] = await store.exec.map(second, [0], { retries: { retries: 1, backoff: 1 }, output: to })
    expect(object?.size).toBe(1 << 20)
    expect(await list(to)).toEqual(['_quern/manifest.json', 'part-00000'])
    const prefix = `quern.jobs/${(await manifestOf(to)).job}/attempts/`
    for await (const key of store.exec.storage.listKeys(store.exec.storage.bucket, { prefix })) expect(key).toBe('gone')
  })

  it('are never seen in part by who reads while the job runs', async () => {
    const to = fresh()
    let running = true
    const sizes = new Set<number>()
    const reader = async () => {
      while (running) {
        const { partitions } = await store.exec.plan(objects(to, { allowMissing: true }))
        for (const { object } of partitions) if (!object.key.includes('_quern')) sizes.add(object.size)
        await new Promise(setImmediate)
      }
    }
    const reading = reader()
    await store.exec.map((i) => String(i).repeat(1 << 20), [0, 1, 2, 3], { output: to })
    running = false
    await reading
    for (const size of sizes) expect(size).toBe(1 << 20)
  })

  it.runIf(name === 'localhost' || name === 'aws_s3')('go to another store than the inputs are in', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'quern-across-'))
    try {
      await store.exec.map(upperCase, inputs(), { output: { to: `${folder}/x`, name: '{stem}' } })
      expect(readdirSync(`${folder}/x`).sort()).toEqual(['_quern', 'a', 'b', 'empty'])
      const back = await store.exec.map(upperCase, objects(`${folder}/x/a`), {
        output: { to: fresh(), name: '{stem}' },
      })
      expect((await read(back[0] as CloudObject)).toString()).toBe(TEXT.toUpperCase())
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
