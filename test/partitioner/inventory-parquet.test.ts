/**
 * The fixtures were written by parquet-rs from these rows of (bucket, key, version_id, is_latest, is_delete_marker, size,
 * e_tag), two to a row group; the second fixture has bucket, key and size of the first and third:
 *
 *     source  logs/a b+c%41.txt   v1  true   false  11          e1
 *     source  logs/a b+c%41.txt   v0  false  false  9           e0
 *     source  logs/😀/é.txt        v2  true   false  5000000000  e2-3
 *     source  logs/gone.txt       v3  true   true   null        null
 *     source  logs/               v4  true   false  0           e4
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { type InventoryOptions, inventory, selectObjects } from '../../partitioner/select.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withFaults } from '../../src/storage/with-faults.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { md5, putInventory } from '../support/inventories.ts'
import { manualClock } from '../support/manual-retry.ts'

const VERSIONS = readFileSync(new URL('../../fixtures/inventory/versions.parquet', import.meta.url))
const WITHOUT_ETAG = readFileSync(new URL('../../fixtures/inventory/without-etag.parquet', import.meta.url))
const SCHEMA =
  'message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); optional binary version_id (UTF8); optional boolean is_latest; optional boolean is_delete_marker; optional int64 size; optional binary e_tag (UTF8); }'
const installed = isInstalled('hyparquet')
const title = installed ? 'an inventory in Parquet' : 'an inventory in Parquet (skipped: hyparquet is not installed)'

let memory: MemoryBackend
beforeEach(async () => {
  memory = new MemoryBackend()
  for (const bucket of ['inv', 'source']) await memory.createBucket(bucket)
})

function isInstalled(name: string): boolean {
  try {
    return createRequire(import.meta.url).resolve(name) !== ''
  } catch {
    return false
  }
}

async function stored(bytes: Uint8Array, manifest: object = {}, file: object = {}): Promise<string> {
  await memory.put('inv', 'data/1.parquet', bytes)
  const files = [{ key: 'data/1.parquet', size: bytes.length, MD5checksum: md5(bytes), ...file }]
  return putInventory(memory, {
    files: [],
    manifest: { fileFormat: 'Parquet', fileSchema: SCHEMA, files, ...manifest },
  })
}

function select(url: string, options?: InventoryOptions, store = memory) {
  return selectObjects(inventory(url, options), async () => store)
}

describe.skipIf(!installed)(title, () => {
  it('gives current objects, keys as they are, sizes past 4 GiB, over row groups', async () => {
    const { objects, skipped, notes } = await select(await stored(VERSIONS))
    expect(objects).toMatchObject([
      { bucket: 'source', key: 'logs/a b+c%41.txt', size: 11, etag: '"e1"' },
      { bucket: 'source', key: 'logs/\u{1f600}/é.txt', size: 5_000_000_000, etag: '"e2-3"' },
    ])
    expect(objects).toHaveLength(2)
    expect(skipped).toMatchObject([{ url: 'memory://source/logs/' }])
    expect(notes?.[0]).toContain('left out: 1 versions that are not current, 1 delete markers')
  })

  it('is read by its columns only, under one version, through failing requests', async () => {
    const url = await stored(VERSIONS)
    const expected = await select(url)
    for (let seed = 0; seed < 20; seed++) {
      const faults = { throttle: 0.1, reset: 0.1, truncate: 0.2, short: 0.1 }
      const failing = withFaults(memory, { seed, faults })
      const store = withRetry(failing, { clock: manualClock(), random: () => 0.5 })
      expect((await select(url, {}, store as never)).objects).toEqual(expected.objects)
    }
  })

  it('says which column is missing: in the manifest, and in a file', async () => {
    const schema =
      'message s3.inventory { required binary bucket (UTF8); required binary key (UTF8); optional int64 size; }'
    const url = await stored(WITHOUT_ETAG, { fileSchema: schema })
    await expect(select(url)).rejects.toThrow(/no column ETag to pin objects by: .*; it has bucket, key, size/)
    expect((await select(url, { allowUnpinned: true })).objects[0]).toMatchObject({ size: 11, etag: '' })
    await expect(select(await stored(WITHOUT_ETAG))).rejects.toThrow(
      /1\.parquet lacks the column version_id of its man/,
    )
  })

  it('says what is no Parquet, and what has another MD5', async () => {
    await expect(select(await stored(Buffer.alloc(200)))).rejects.toThrow(/is not readable as Parquet: .*/)
    await expect(select(await stored(VERSIONS.subarray(0, 900)))).rejects.toThrow(/is not readable as Parquet: .*/)
    await expect(select(await stored(VERSIONS, {}, { MD5checksum: md5('x') }))).rejects.toThrow(
      /its MD5 is \w+, the man/,
    )
    await expect(select(await stored(VERSIONS, {}, { size: 7 }))).rejects.toThrow(/has 4555 bytes, the manifest says 7/)
  })
})

describe('without hyparquet', () => {
  it('an inventory in Parquet says what to install', async () => {
    vi.doMock('hyparquet', () => {
      throw new Error('Cannot find package')
    })
    try {
      await expect(select(await stored(VERSIONS))).rejects.toMatchObject({
        code: 'CONFIG',
        message: expect.stringContaining('npm install hyparquet'),
      })
    } finally {
      vi.doUnmock('hyparquet')
    }
  })
})
