import { describe, expect, it } from 'vitest'
import { partitionOptions } from '../../partitioner/options.ts'
import type { PartitionOptions, Plan } from '../../partitioner/plan.ts'
import { planPartitions } from '../../partitioner/plan-partitions.ts'
import { DEFAULT_PRICES } from '../../partitioner/prices.ts'
import type { Selected } from '../../partitioner/select.ts'
import { validatePlan } from '../../partitioner/validate-plan.ts'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { ValidationError } from '../../src/core/errors.ts'

const MIB = 2 ** 20
const object = (key: string, size: number, etag = 'e') =>
  cloudObject({ backend: 'aws_s3', bucket: 'b', key, size, etag })
const selected = (objects: Selected['objects'], more: Partial<Selected> = {}): Selected => ({
  selection: ['s3://b/**'],
  objects,
  skipped: [{ url: 's3://b/f/', why: 'a folder marker' }],
  requests: [{ backend: 'aws_s3', list: 3, head: 2 }],
  encoded: [],
  allowUnpinned: false,
  ...more,
})
const some = selected([object('a', 100 * MIB), object('b', 0), object('c', 5)])

describe('planPartitions', () => {
  it('holds partitions, totals, sizes, requests and their cost', () => {
    const plan = planPartitions(some, { objChunkSize: '64MiB' })
    expect(
      plan.partitions.map(({ object: { key }, range, index, count }) => [key, range.start, range.end, index, count]),
    ).toEqual([
      ['a', 0, 64 * MIB, 0, 2],
      ['a', 64 * MIB, 100 * MIB, 1, 2],
      ['b', 0, 0, 0, 1],
      ['c', 0, 5, 0, 1],
    ])
    expect(plan).toMatchObject({
      version: 1,
      objects: 3,
      bytes: 100 * MIB + 5,
      skipped: some.skipped,
      selection: some.selection,
    })
    expect(plan.sizes).toEqual({ min: 0, median: 5, max: 64 * MIB })
    // 8 and 5 for a, none for b, 1 for c, 2 HEADs
    expect(plan.requests).toEqual({ get: 16, list: 3, put: 0 })
    expect(plan.cost.amount).toBeCloseTo((16 * DEFAULT_PRICES.get + 3 * DEFAULT_PRICES.list) / 1_000, 12)
    expect(plan.cost.assumptions).toMatch(/us-east-1.*Counted.*Not counted/)
    expect(plan.warnings).toEqual([])
  })

  it('takes other prices, and prices nothing that has no price', () => {
    const prices = { currency: 'EUR', get: 1_000, list: 0, put: 0, assumptions: 'ours' }
    expect(planPartitions(some, {}, { prices }).cost).toMatchObject({
      currency: 'EUR',
      amount: planPartitions(some).requests.get,
    })
    const local = selected([cloudObject({ backend: 'file', bucket: '/', key: 'x', size: 9, etag: 'e' })], {
      requests: [],
    })
    expect(planPartitions(local).cost.amount).toBe(0)
  })

  it('takes prices of single stores, also of bytes, and of those that bill nothing else', () => {
    const in8Mib = (backend: string, size: number) => cloudObject({ backend, bucket: 'b', key: 'x', size, etag: 'e' })
    const both = selected([in8Mib('aws_s3', MIB), in8Mib('minio', 512 * MIB), in8Mib('gcp_storage', MIB)], {
      requests: [
        { backend: 'aws_s3', list: 1, head: 0 },
        { backend: 'minio', list: 2, head: 3 },
      ],
    })
    const { cost: usual, requests } = planPartitions(both)
    expect(usual.amount).toBeCloseTo((2 * DEFAULT_PRICES.get + DEFAULT_PRICES.list) / 1_000, 12)
    const { cost } = planPartitions(both, {}, { storePrices: { aws_s3: { list: 7 }, minio: { get: 2, gib: 10 } } })
    // of aws_s3 the rest is as ever, of minio nothing else has a price
    const minio = (2 * (requests.get - 2)) / 1_000 + 5
    expect(cost.amount).toBeCloseTo((2 * DEFAULT_PRICES.get + 7) / 1_000 + minio, 12)
    expect(cost.assumptions).toContain('; for aws_s3, minio the prices of the configuration.')
    expect(usual.assumptions).not.toContain('configuration')
    const uncut = { url: 'minio://b/x', why: 'no ranges' } as const
    const whole = planPartitions(
      selected([in8Mib('minio', 512 * MIB)], { requests: [], uncut: [uncut] }),
      {},
      {
        storePrices: { minio: { gib: 10 } },
      },
    )
    expect(whole.cost.amount).toBe(5)
  })

  it('is stable, and comes back from JSON as it went', () => {
    const plan = planPartitions(some, { objChunkNumber: 3, objNewline: new Uint8Array([0xff, 0x00]) })
    expect(planPartitions(some, { objChunkNumber: 3, objNewline: new Uint8Array([0xff, 0x00]) })).toEqual(plan)
    const back = validatePlan(JSON.parse(JSON.stringify(plan)))
    expect(back).toEqual(plan)
    expect(JSON.stringify(back)).toBe(JSON.stringify(plan))
  })

  it.each([
    {
      what: 'a delimiter that can overlap itself',
      options: { objNewline: '++', objChunkNumber: 2 },
      warning: /"\+\+" can overlap/,
    },
    {
      what: 'compressed bytes',
      objects: [object('x.gz', 9)],
      options: { compression: null },
      warning: /compressed.*: 1/,
    },
    { what: 'no validator', objects: [object('x', 9, '')], options: {}, warning: /without a validator.*: 1/ },
    {
      what: 'very many partitions',
      objects: [object('x', 100_001)],
      options: { objChunkSize: 1 },
      warning: /100001 partitions/,
    },
  ])('warns of $what', ({ objects = [object('x', 9)], options, warning }) => {
    expect(planPartitions(selected(objects), options as PartitionOptions).warnings).toEqual([
      expect.stringMatching(warning),
    ])
  })

  it.each(['x.gz', 'x.BZ2', 'x.tar.zst', 'x.br', 'x.lz4', 'x.xz', 'x.zip', 'x.snappy', 'x.deflate', 'x.Z', 'x.tgz'])(
    'refuses the compressed %s',
    (key) => {
      expect(() => planPartitions(selected([object(key, 9)]))).toThrow(ValidationError)
      expect(() => planPartitions(selected([object(key, 9)]))).toThrow(
        new RegExp(`s3://b/${key} is compressed.*compression: null`),
      )
    },
  )

  it('refuses what a HEAD says is compressed', () => {
    const encoded = selected([object('x', 9)], { encoded: [{ url: 's3://b/x', encoding: 'br' }] })
    expect(() => planPartitions(encoded)).toThrow(/s3:\/\/b\/x is compressed \(br\)/)
  })

  it('cuts an object without validator only where that is allowed, and says so', () => {
    const unpinned = [object('x', 9, '')]
    expect(planPartitions(selected(unpinned)).unpinned).toEqual(['s3://b/x'])
    expect(() => planPartitions(selected(unpinned), { objChunkSize: 3 })).toThrow(
      /s3:\/\/b\/x has no validator.*allowUnpinned: true/,
    )
    expect(planPartitions(selected(unpinned, { allowUnpinned: true }), { objChunkSize: 3 }).partitions).toHaveLength(3)
  })
})

describe('partitionOptions', () => {
  it.each([
    {
      options: { objChunkSize: 'x' },
      says: 'map options.objChunkSize: expected a size such as "64MiB" or a whole number of bytes >= 1, got "x"',
    },
    {
      options: { objChunkSize: 0 },
      says: 'map options.objChunkSize: expected a size such as "64MiB" or a whole number of bytes >= 1, got 0',
    },
    { options: { objChunkSize: 1.5 }, says: 'got 1.5' },
    { options: { objChunkSize: '0.1' }, says: 'got "0.1"' },
    { options: { objChunkNumber: 0 }, says: 'map options.objChunkNumber: expected a whole number >= 1, got 0' },
    { options: { objNewline: '' }, says: 'map options.objNewline: expected a non-empty string or Uint8Array' },
    { options: { objNewline: '\ud800' }, says: 'map options.objNewline' },
    { options: { objNewline: 10 }, says: 'got 10' },
    { options: { compression: 'gzip' }, says: 'map options.compression: expected null' },
  ])('$options: $says', ({ options, says }) => {
    expect(() => partitionOptions(options as PartitionOptions, 'map options')).toThrow(says)
    expect(() => partitionOptions(options as PartitionOptions, 'map options')).toThrow(ValidationError)
  })

  it.each([
    { options: undefined, plan: { objNewline: '\n' } },
    {
      options: { objChunkSize: '64MiB', objChunkNumber: 3 },
      plan: { objChunkSize: 64 * MIB, objChunkNumber: 3, objNewline: '\n' },
    },
    { options: { objNewline: null, compression: null }, plan: { objNewline: null, compression: null } },
    { options: { objNewline: Buffer.from('→') }, plan: { objNewline: '→' } },
    { options: { objNewline: new Uint8Array([255]) }, plan: { objNewline: { base64: '/w==' } } },
  ])('$options', ({ options, plan }) => {
    expect(partitionOptions(options as PartitionOptions)).toEqual(plan)
  })
})

describe('validatePlan says where a plan is wrong', () => {
  const plan = JSON.stringify(planPartitions(some, { objChunkSize: '64MiB' }))
  it.each([
    { change: (p: Draft) => (p.version = 2), says: 'plan.version: expected 1, got 2' },
    { change: (p: Draft) => (p.partitions[1].range.start += 1), says: 'plan.partitions[1].range' },
    { change: (p: Draft) => (p.partitions[1].range.end -= 1), says: 'plan.partitions[1].range' },
    {
      change: (p: Draft) => p.partitions.splice(1, 1),
      says: 'plan.partitions[1].object: expected partition 1 of s3://b/a',
    },
    { change: (p: Draft) => p.partitions.splice(0, 1), says: 'plan.partitions[0].index: expected 0, got 1' },
    {
      change: (p: Draft) => p.partitions.push(p.partitions[3]),
      says: 'plan.partitions[4].object: expected every object once',
    },
    { change: (p: Draft) => (p.partitions[0].count = 3), says: 'plan.partitions[1].count' },
    { change: (p: Draft) => (p.partitions[1].object.etag = 'other'), says: 'plan.partitions[1].object' },
    { change: (p: Draft) => (p.partitions[3].object.size = -1), says: 'plan.partitions[3].object.size' },
    { change: (p: Draft) => (p.options.objChunkSize = 'x'), says: 'plan.options.objChunkSize' },
    { change: (p: Draft) => (p.partitions = {}), says: 'plan.partitions: expected an array' },
    { change: (p: Draft) => (p.cost.amount = '1'), says: 'plan.cost.amount' },
    { change: (p: Draft) => (p.skipped = [1]), says: 'plan.skipped[0]: expected an object' },
  ])('$says', ({ change, says }) => {
    const draft = JSON.parse(plan) as Draft
    change(draft)
    expect(() => validatePlan(draft)).toThrow(says)
    expect(() => validatePlan(draft)).toThrow(ValidationError)
  })

  it('lets whole objects be taken out, and counts anew', () => {
    const draft = JSON.parse(plan) as { partitions: Plan['partitions'][number][] }
    draft.partitions = draft.partitions.slice(2)
    expect(validatePlan(draft)).toMatchObject({ objects: 2, bytes: 5, sizes: { min: 0, median: 0, max: 5 } })
  })
})

// biome-ignore lint/suspicious/noExplicitAny: a plan to be damaged at will
type Draft = any
