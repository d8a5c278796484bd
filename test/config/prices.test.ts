/** What the configuration says that requests to a store cost, on its way into plans, calls and jobs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_PRICES } from '../../partitioner/prices.ts'
import { givenPrices, loadConfig } from '../../src/config/config.ts'
import { FunctionExecutor, objects } from '../../src/entry/index.ts'
import { type S3InMemory, startS3InMemory } from '../support/s3-in-memory.ts'

const load = (config: Record<string, unknown>) => loadConfig({ config, overrides: {} })

describe('prices in a section', () => {
  it('are those of its store, in numbers from 0 on', () => {
    const { sections } = load({
      aws_s3: { prices: { get: 0.5, put: 0 } },
      minio: { prices: { gib: 0.01 } },
      gcp_storage: { prices: { list: 2 } },
      http: { prices: {} },
    })
    expect(givenPrices(sections)).toEqual({
      aws_s3: { get: 0.5, put: 0 },
      minio: { gib: 0.01 },
      gcp_storage: { list: 2 },
      http: {},
    })
    expect(givenPrices(load({}).sections)).toEqual({})
  })

  it.each([
    [{ get: -1 }],
    [{ get: '1' }],
    [{ get: Number.POSITIVE_INFINITY }],
    [{ get: Number.NaN }],
    [{ delete: 1 }],
    [5],
    [[1]],
  ])('are refused as %j', (prices) => {
    const expected = 'expected an object with some of get, list, put, gib: get a number from 0 on; list'
    expect(() => load({ aws_s3: { prices } })).toThrow(expect.objectContaining({ code: 'CONFIG' }))
    expect(() => load({ aws_s3: { prices } })).toThrow(expected)
    expect(() => load({ aws_s3: { prices } })).toThrow('aws_s3.prices')
  })

  it('of a store without any are an unknown key', () => {
    expect(() => load({ memory: { prices: { get: 1 } } })).toThrow(/memory.*prices/)
  })
})

describe('a job on a store with prices of its own', () => {
  let s3: S3InMemory
  beforeAll(async () => {
    s3 = await startS3InMemory()
    s3.put('data/a', 'x'.repeat(1_000))
    s3.put('data/b', 'y'.repeat(24))
  })
  afterAll(() => s3.close())

  it.each([
    [undefined, DEFAULT_PRICES.get, DEFAULT_PRICES.list, 0],
    [{ get: 3_000, gib: 2 ** 20 }, 3_000, DEFAULT_PRICES.list, 2 ** 20],
  ])('with %j is estimated and counted by them', async (prices, get, list, gib) => {
    const access = { region: 'us-east-1', accessKeyId: 'k', secretAccessKey: 's' }
    const section = { endpoint: `http://127.0.0.1:${s3.port}`, ...access, ...(prices === undefined ? {} : { prices }) }
    const exec = new FunctionExecutor({ backend: 'inline', showProgressbar: false, config: { aws_s3: section } })
    const bytes = (gib * 1_024) / 2 ** 30
    const source = objects('s3://b/data/')
    expect((await exec.plan(source)).cost.amount).toBeCloseTo((2 * get + list) / 1_000 + bytes, 9)
    const job = exec.map(async (part) => (await part.bytes()).length, source, { durable: false })
    expect(await job).toEqual([1_000, 24])
    expect((await job.planned()).cost.amount).toBeCloseTo((2 * get + list) / 1_000 + bytes, 9)
    const [a, b] = (await job.futures()).map(({ stats }) => stats.requestCost)
    expect(a).toBeCloseTo(get / 1_000 + (gib * 1_000) / 2 ** 30, 9)
    expect(b).toBeCloseTo(get / 1_000 + (gib * 24) / 2 ** 30, 9)
    expect(job.stats.requestCost).toBeCloseTo((a as number) + (b as number), 9)
    expect((await exec.jobSummary()).total.requestCost).toBeCloseTo(job.stats.requestCost, 9)
    await exec.shutdown()
  })
})
