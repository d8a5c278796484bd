import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { planPartitions } from '../../partitioner/plan-partitions.ts'
import { openPartition } from '../../partitioner/read.ts'
import { type InventoryOptions, inventory, type SelectingProgress, selectObjects } from '../../partitioner/select.ts'
import type { BackendResolver, StorageBackend } from '../../src/storage/backend.ts'
import { FileBackend } from '../../src/storage/file.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withFaults } from '../../src/storage/with-faults.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { CREATED_AT, csvGz, md5, putInventory, putManifest, REPORT, row } from '../support/inventories.ts'
import { manualClock } from '../support/manual-retry.ts'

let memory: MemoryBackend
let etags: Record<string, string>
const files = new FileBackend()
const folder = mkdtempSync(join(tmpdir(), 'quern-inventory-'))
afterAll(() => rmSync(folder, { recursive: true }))

const KEYS = ['logs/a b.txt', 'logs/a+b%41.txt', 'logs/\u{1f600}.txt', 'logs/\uffee.txt', 'z"q".txt', 'empty']

beforeEach(async () => {
  memory = new MemoryBackend()
  etags = {}
  for (const bucket of ['inv', 'source']) await memory.createBucket(bucket)
  for (const key of KEYS) {
    const { etag } = await memory.put('source', key, Buffer.from(key === 'empty' ? '' : `in ${key}\n`))
    etags[key] = etag
  }
})

function rowsOf(keys: readonly string[]) {
  return keys.map((key) => row(key, key === 'empty' ? 0 : Buffer.byteLength(`in ${key}\n`), etags[key] as string))
}

function select(url: string, options?: InventoryOptions, store: StorageBackend = memory) {
  const resolve: BackendResolver = async (name) => (name === 'file' ? files : store)
  return selectObjects(inventory(url, options), resolve)
}

async function read(key: string): Promise<string> {
  const url = await putInventory(memory, { files: [rowsOf(KEYS)] })
  const plan = planPartitions(await select(url))
  const partition = plan.partitions.find(({ object }) => object.key === key)
  if (partition === undefined) throw new Error(`${key} is not planned`)
  return openPartition(partition, { backend: memory, read: plan.options }).text()
}

describe('an inventory in CSV', () => {
  it('gives current objects, keys decoded, in UTF-8 order over all files, pinned by their etags', async () => {
    const [first, ...rest] = KEYS
    const url = await putInventory(memory, {
      files: [
        [...rowsOf(rest.toReversed()), row('logs/', 0, 'm')],
        [row('logs/a b.txt', 3, 'old', { old: true }), ...rowsOf([first as string])],
        [row('gone', '', '', { marker: true }), row('gone', 7, 'x', { old: true })],
      ],
    })
    const selected = await select(url)
    const expected = KEYS.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(selected.objects.map(({ key }) => key)).toEqual(expected)
    for (const object of selected.objects) {
      expect(object).toEqual({ ...(await headed(object.key)), url: `memory://source/${object.key}` })
    }
    expect(selected.skipped).toEqual([
      { url: 'memory://source/logs/', why: expect.stringContaining('a folder marker') },
    ])
    expect(selected.requests).toEqual([{ backend: 'memory', list: 0, head: 0, get: 5 }])
    expect(selected.selection).toEqual([`inventory ${url}`])
    const plan = planPartitions(selected)
    expect(plan.warnings).toEqual([
      'from an inventory begun 2026-11-20T01:00:00.000Z: objects written since are not in the plan, changed ones will fail; left out: 2 versions that are not current, 1 delete markers',
    ])
    expect(plan.requests.get).toBe(5 + 5)
  })

  async function headed(key: string) {
    const { size, etag } = await memory.head('source', key)
    return { backend: 'memory', bucket: 'source', key, size, etag }
  }

  it('holds objects to the etag it has: what changed since fails when it is read', async () => {
    expect(await read('logs/a b.txt')).toBe('in logs/a b.txt\n')
    await memory.put('source', 'z"q".txt', Buffer.from('other bytes'))
    await expect(read('z"q".txt')).rejects.toMatchObject({ code: 'OBJECT_CHANGED' })
  })

  it('takes what include and exclude say; nothing at all is an error unless allowed', async () => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS)] })
    const some = await select(url, { include: 'logs/**', exclude: '**/*+*' })
    expect(some.objects.map(({ key }) => key)).toEqual(['logs/a b.txt', 'logs/\uffee.txt', 'logs/\u{1f600}.txt'])
    await expect(select(url, { include: 'x/**' })).rejects.toThrow(/nothing in the inventory memory:.* matches/)
    expect((await select(url, { include: 'x/**', allowMissing: true })).skipped).toHaveLength(1)
  })

  it('tells how far it is', async () => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS.slice(0, 2)), rowsOf(KEYS.slice(2))] })
    const told: SelectingProgress[] = []
    await selectObjects(inventory(url), async () => memory, { onProgress: (progress) => told.push(progress) })
    expect(told.map(({ objects }) => objects)).toEqual([expect.any(Number), 6])
    expect(told.at(-1)?.bytes).toBe(KEYS.reduce((sum, k) => sum + (k === 'empty' ? 0 : Buffer.byteLength(k) + 4), 0))
  })

  it('is read whole through failing requests and broken bodies, under retries', async () => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS.slice(0, 3)), rowsOf(KEYS.slice(3))] })
    const expected = await select(url)
    for (let seed = 0; seed < 40; seed++) {
      const faults = { throttle: 0.1, error: 0.1, reset: 0.1, truncate: 0.2, short: 0.1 }
      const store = withRetry(withFaults(memory, { seed, faults }), { clock: manualClock(), random: () => 0.5 })
      expect(await select(url, {}, store)).toEqual(expected)
    }
  })

  it('is found by the folder of its configuration: the newest report', async () => {
    await putInventory(memory, { files: [rowsOf(KEYS.slice(0, 1))] })
    await putInventory(memory, { files: [rowsOf(KEYS)], report: 'reports/source/daily/2026-11-21T01-00Z' })
    await memory.put('inv', 'reports/source/daily/hive/dt=2026-11-22-01-00/symlink.txt', Buffer.from('x'))
    const selected = await select('memory://inv/reports/source/daily/')
    expect(selected.selection).toEqual(['inventory memory://inv/reports/source/daily/2026-11-21T01-00Z/manifest.json'])
    await expect(select('memory://inv/reports/other/')).rejects.toThrow(/no report of an inventory in memory:/)
  })

  it('may be a copy on disk; its objects are in S3, or where it is said', async () => {
    const bytes = csvGz(rowsOf(KEYS))
    for (const name of ['daily/data', 'daily/2026-11-20T01-00Z']) mkdirSync(join(folder, name), { recursive: true })
    writeFileSync(join(folder, 'daily/data/0.csv.gz'), bytes)
    await putInventory(memory, { files: [rowsOf(KEYS)] })
    const { body } = await memory.get('inv', `${REPORT}/manifest.json`)
    for await (const chunk of body) writeFileSync(join(folder, 'daily/2026-11-20T01-00Z/manifest.json'), chunk)
    const path = join(folder, 'daily/2026-11-20T01-00Z/manifest.json')
    expect((await select(path)).objects[0]).toMatchObject({ backend: 'aws_s3', bucket: 'source', key: 'empty' })
    expect((await select(path, { backend: 'minio' })).objects[0]).toMatchObject({ backend: 'minio' })
  })
})

describe("check: 'head'", () => {
  it('gives the size and etag that the inventory has no columns for', async () => {
    const schema = 'Bucket, Key'
    const url = await putInventory(memory, { schema, files: [[['source', 'logs%2Fa+b.txt']]] })
    const { objects, requests } = await select(url, { check: 'head' })
    expect(objects).toMatchObject([{ key: 'logs/a b.txt', size: 16, etag: etags['logs/a b.txt'] }])
    expect(requests).toEqual([{ backend: 'memory', list: 0, head: 1, get: 3 }])
  })

  it('finds what changed or went since', async () => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS)] })
    await memory.delete('source', ['empty'])
    await expect(select(url, { check: 'head' })).rejects.toThrow(
      /names memory:\/\/source\/empty: there is no such object/,
    )
    const { skipped, objects } = await select(url, { check: 'head', allowMissing: true })
    expect(skipped).toEqual([{ url: 'memory://source/empty', why: 'there is no such object' }])
    expect(objects).toHaveLength(KEYS.length - 1)
    await memory.put('source', 'z"q".txt', Buffer.from('other'))
    await expect(select(url, { check: 'head', allowMissing: true })).rejects.toMatchObject({
      code: 'OBJECT_CHANGED',
      message: expect.stringMatching(/has memory:\/\/source\/z"q".txt with etag .* the store has/),
    })
  })
})

describe('what is wrong with an inventory is said', () => {
  it.each([
    ['nothing of JSON', '{', /is no inventory manifest: .*JSON/],
    ['a list', '[]', /is no inventory manifest: expected a JSON object/],
    ['something else', '{"a":1}', /version: expected text, got undefined/],
    ['another version', '{"version":"2030-01-01"}', /version: expected "2016-11-30", got "2030-01-01"/],
  ])('a manifest that is %s', async (_, text, message) => {
    await expect(select(await putManifest(memory, text))).rejects.toThrow(message)
  })

  it.each([
    [{ fileFormat: 'ORC' }, /an inventory in ORC, which is not read: have it written as CSV or Parquet/],
    [{ fileFormat: 'Avro' }, /fileFormat: expected "CSV" or "Parquet", got "Avro"/],
    [{ creationTimestamp: 'yesterday' }, /creationTimestamp: expected epoch milliseconds, got "yesterday"/],
    [{ sourceBucket: '' }, /sourceBucket: expected text, got ""/],
    [{ files: {} }, /files: expected a list, got {}/],
    [{ files: [{ size: 3 }] }, /files\[0\].key: expected text, got undefined/],
    [{ files: [{ key: 'none.csv.gz' }] }, /none\.csv\.gz.*no such key/],
    [{ fileSchema: 'Bucket, Size, ETag' }, /no column Key; it has Bucket, Size, ETag/],
    [{ fileSchema: 'Bucket, Key, ETag' }, /no column Size: add it .* check: 'head'/],
    [{ fileSchema: 'Bucket, Key, Size' }, /no column ETag to pin objects by: .* allowUnpinned/],
    [{ fileSchema: 'Key, VersionId, Size, ETag' }, /no column IsLatest, so versions cannot be told apart/],
  ])('a manifest with %j', async (manifest, message) => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS)], manifest })
    await expect(select(url)).rejects.toThrow(message)
  })

  it.each([
    [
      'of another bucket',
      ['other', 'k', 'v', true, false, 1, 'e', ''],
      /k is of the bucket other, the manifest is of source/,
    ],
    ['without a key', ['source', '', 'v', true, false, 1, 'e', ''], /a row has no key/],
    ['of a key that is not encoded', ['source', '100%', 'v', true, false, 1, 'e', ''], /"100%" is not URL-encoded/],
    ['without a size', ['source', 'k', 'v', true, false, '', 'e', ''], /the Size of k: expected bytes, got ""/],
  ])('a row %s', async (_, values, message) => {
    await expect(select(await putInventory(memory, { files: [[values]] }))).rejects.toThrow(message)
  })

  it('one key with two current versions; the same twice is one', async () => {
    const twice = await putInventory(memory, { files: [[row('k', 1, 'a')], [row('k', 1, 'a')]] })
    expect((await select(twice)).objects).toHaveLength(1)
    const both = await putInventory(memory, { files: [[row('k', 1, 'a')], [row('k', 1, 'b')]] })
    await expect(select(both)).rejects.toThrow(/has memory:\/\/source\/k twice: as "[ab]" and as "[ab]"/)
  })

  it('another MD5, of the manifest and of a file', async () => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS)] })
    const broken = csvGz(rowsOf(KEYS.slice(1)))
    const file = { key: 'reports/source/daily/data/0.csv.gz' }
    await memory.put('inv', file.key, broken)
    await expect(select(url)).rejects.toThrow(/0\.csv\.gz has \d+ bytes, the manifest says \d+/)
    const sized = await putInventory(memory, {
      files: [],
      manifest: { files: [{ ...file, size: broken.length, MD5checksum: md5('other') }] },
    })
    await expect(select(sized)).rejects.toThrow(
      new RegExp(`its MD5 is ${md5(broken)}, the manifest says ${md5('other')}`),
    )
    await memory.put('inv', `${REPORT}/manifest.checksum`, Buffer.from(md5('other')))
    await expect(select(url)).rejects.toThrow(/manifest\.json: its MD5 is \w+, .*manifest\.checksum says \w+/)
    await memory.delete('inv', [`${REPORT}/manifest.checksum`])
    await expect(select(url)).rejects.toThrow(/0\.csv\.gz: its MD5/)
  })

  it.each([
    ['torn', () => csvGz(rowsOf(KEYS)).subarray(0, 60), /is no whole gzip file: unexpected end of file/],
    ['no gzip', () => Buffer.from('"source","k"\n'), /is no whole gzip file: incorrect header check/],
  ])('a file that is %s', async (_, bytes, message) => {
    await memory.put('inv', 'data.csv.gz', bytes())
    const url = await putInventory(memory, { files: [], manifest: { files: [{ key: 'data.csv.gz' }] } })
    await expect(select(url)).rejects.toThrow(message)
  })

  it('another bucket than the one that was meant, and too great an age', async () => {
    const url = await putInventory(memory, { files: [rowsOf(KEYS)] })
    await expect(select(url, { bucket: 'mine' })).rejects.toThrow(/an inventory of the bucket source, not of mine/)
    expect((await select(url, { bucket: 'source', maxAge: Date.now() - CREATED_AT + 60_000 })).objects).toHaveLength(6)
    const aged = await putInventory(memory, {
      files: [],
      manifest: { creationTimestamp: `${Date.now() - 90_000_000}` },
    })
    await expect(select(aged, { maxAge: '1d' })).rejects.toThrow(/was begun 25 h 00 min ago: more than maxAge, 1d/)
  })

  it.each([
    [() => inventory('-'), /standard input is not read/],
    [() => inventory('s3://b/*/manifest.json'), /expected one path or URL, got the glob/],
    [() => inventory('s4://b/manifest.json'), /did you mean s3:\/\/\?/],
    [() => inventory(7 as never), /inventory: expected a path or a URL, got 7/],
    [() => inventory('s3://b/m.json', { chek: 'head' } as never), /inventory options\.chek: .*did you mean 'check'/],
    [() => inventory('s3://b/m.json', { check: 'get' as never }), /options\.check: expected one of 'head', got "get"/],
    [() => inventory('s3://b/m.json', { maxAge: 'old' }), /options\.maxAge: expected milliseconds above 0/],
  ])('%s', (make, message) => {
    expect(make).toThrow(message)
  })
})
