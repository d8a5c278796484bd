/** Objects that cannot be cut, through the real http backend: no length, no ranges, no validator. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { certify, type PartitionOutcome } from '../../partitioner/coverage.ts'
import type { Plan } from '../../partitioner/plan.ts'
import { planPartitions } from '../../partitioner/plan-partitions.ts'
import { openPartition } from '../../partitioner/read.ts'
import { objects, type SelectionOptions, selectObjects } from '../../partitioner/select.ts'
import { validatePlan } from '../../partitioner/validate-plan.ts'
import { ObjectChangedError, ValidationError } from '../../src/core/errors.ts'
import { HttpBackend } from '../../src/storage/http.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { READERS, readWith } from '../support/read-partitions.ts'

const TEXT = 'one\ntwo\n\nfour and more\nlast'
const backend = withRetry(new HttpBackend(), { policy: { attempts: 3, baseMs: 0, maxMs: 0 } })
let origin = ''
let text = TEXT
/** Bytes of a GET after which the connection breaks, one entry a GET without a range. */
let breaks: number[] = []
let seen: string[] = []

const server = http.createServer((request, response): unknown => {
  const path = new URL(request.url ?? '', 'http://h').pathname
  const { range } = request.headers
  seen.push(`${request.method} ${range ?? 'whole'}`)
  const body = Buffer.from(text)
  if (path !== '/no-length') response.setHeader('content-length', body.length)
  if (path === '/no-ranges') response.setHeader('etag', '"v1"')
  if (path === '/no-validator') {
    response.setHeader('accept-ranges', 'bytes')
    const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []
    if (start !== undefined) {
      const part = body.subarray(Number(start), Number(end) + 1)
      response.writeHead(206, {
        'content-range': `bytes ${start}-${Number(start) + part.length - 1}/${body.length}`,
        'content-length': part.length,
      })
      return response.end(part)
    }
  }
  if (request.method === 'HEAD') return response.end()
  const stop = range === undefined ? breaks.shift() : undefined
  if (stop === undefined) {
    // a body handed to end() alone would be given its length
    response.write(body)
    return response.end()
  }
  response.write(body.subarray(0, stop), () => setImmediate(() => response.destroy()))
  return response.flushHeaders()
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  await backend.close()
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  text = TEXT
  breaks = []
  seen = []
})

const KINDS = [
  { path: '/no-length', why: 'no length', size: 0, warning: /tells no length/ },
  { path: '/no-ranges', why: 'no ranges', size: TEXT.length, warning: /serves no ranges/ },
  { path: '/no-validator', why: 'no validator', size: TEXT.length, warning: /without a validator/ },
] as const

describe.each(KINDS)('an object with $why', ({ path, why, size, warning }) => {
  it('is planned as one partition, marked, and comes back from JSON', async () => {
    const plan = await planOf(path)
    expect(plan.partitions).toEqual([
      { object: expect.objectContaining({ size }), range: { start: 0, end: size }, index: 0, count: 1, uncut: why },
    ])
    expect(plan.unpinned).toEqual([origin + path])
    expect(plan.warnings).toContainEqual(expect.stringMatching(warning))
    expect(validatePlan(JSON.parse(JSON.stringify(plan)))).toEqual(plan)
    expect(plan.requests.get).toBe(2)
  })

  it.each(READERS)('%s reads it by one GET without a range', async (reader) => {
    const plan = await planOf(path)
    seen = []
    const { out, certificate } = await read(plan, (partition) => readWith(partition, reader))
    const lines = ['one', 'two', '', 'four and more', 'last']
    const byRecord = reader !== 'stream' && reader !== 'bytes' && reader !== 'text'
    if (byRecord) expect(out.map(String)).toEqual(lines)
    else expect(out.join('')).toBe(TEXT)
    expect(seen).toEqual(['GET whole'])
    expect(certificate.complete).toBe(true)
    expect(certificate.objects).toEqual([
      {
        url: origin + path,
        etag: why === 'no ranges' ? '"v1"' : '',
        pin: 'none',
        sizeBytes: TEXT.length,
        deliveredBytes: TEXT.length,
        ...(byRecord ? { records: 5 } : {}),
        spans: [{ index: 0, start: 0, end: TEXT.length, state: 'delivered' }],
      },
    ])
  })

  it('is asked for again when nothing of it arrived', async () => {
    const plan = await planOf(path)
    breaks = [0, 0]
    seen = []
    const { out } = await read(plan, (partition) => readWith(partition, 'lines'))
    expect(out).toHaveLength(5)
    expect(seen).toHaveLength(3)
  })

  it('a body that breaks after bytes were delivered is an error, never resumed', async () => {
    const plan = await planOf(path)
    breaks = [9]
    seen = []
    await expect(read(plan, (partition) => readWith(partition, 'lines'))).rejects.toMatchObject({
      code: 'BODY_TRUNCATED',
    })
    expect(seen.filter((request) => request === 'GET whole')).toHaveLength(1)
  })

  it('left early, its rest is unread', async () => {
    const { certificate } = await read(await planOf(path), async (partition) => {
      for await (const line of partition.lines()) return [line]
      return []
    })
    expect(certificate.complete).toBe(false)
    expect(certificate.unread).toHaveLength(1)
    expect(certificate.objects[0]).toMatchObject({ deliveredBytes: 4, sizeBytes: why === 'no length' ? 4 : size })
    expect(certificate.objects[0]?.sizeUnknown).toBe(why === 'no length' ? true : undefined)
    expect(certificate.objects[0]?.records).toBeUndefined()
  })

  it('a call that failed is listed', async () => {
    const certificate = certify(await planOf(path), [{ state: 'failed', error: 'boom' }], () => 'etag')
    expect(certificate.failed).toEqual([{ url: origin + path, index: 0, start: 0, end: size, error: 'boom' }])
    expect(certificate.unread).toEqual([])
  })

  it('two passes that see different lengths are an ObjectChangedError', async () => {
    const twice = read(await planOf(path), async (partition) => {
      await partition.text()
      text = `${TEXT} grown`
      return [await partition.text()]
    })
    await expect(twice).rejects.toThrow(ObjectChangedError)
  })
})

describe('cutting', () => {
  it.each([
    { path: '/no-length', options: { objChunkSize: '1GiB' }, says: /no-length cannot be cut.*no length.*objChunkSize/ },
    { path: '/no-length', options: { objChunkNumber: 2 }, says: /no-length cannot be cut/ },
    { path: '/no-ranges', options: { objChunkSize: 5 }, says: /no-ranges cannot be cut.*no ranges.*objChunkSize/ },
    { path: '/no-validator', options: { objChunkSize: 5 }, says: /no-validator has no validator.*allowUnpinned/ },
  ])('$path refuses $options', async ({ path, options, says }) => {
    await expect(planOf(path, options)).rejects.toThrow(says)
    await expect(planOf(path, options)).rejects.toThrow(ValidationError)
  })

  it.each([
    { path: '/no-length', options: { objChunkNumber: 1 } },
    { path: '/no-ranges', options: { objChunkSize: '1GiB' } },
    { path: '/no-validator', options: { objChunkSize: '1GiB' } },
  ])('$path stays whole under $options', async ({ path, options }) => {
    expect((await planOf(path, options)).partitions).toHaveLength(1)
  })

  it('without a validator it is cut where that is allowed, still unpinned', async () => {
    const plan = await planOf('/no-validator', { objChunkSize: 5 }, { allowUnpinned: true })
    expect(plan.partitions).toHaveLength(Math.ceil(TEXT.length / 5))
    expect(plan.partitions[0]).not.toHaveProperty('uncut')
    expect(plan.unpinned).toEqual([`${origin}/no-validator`])
    const { out, certificate } = await read(plan, (partition) => readWith(partition, 'lines'))
    expect(out).toEqual(['one', 'two', '', 'four and more', 'last'])
    expect(certificate.objects[0]?.pin).toBe('none')
  })

  it.each([
    { change: { uncut: 'no idea' }, says: 'plan.partitions[0].uncut: expected "no length"' },
    { change: { count: 2 }, says: 'plan.partitions[0].count: expected 1' },
  ])('a plan edited to $change is refused', async ({ change, says }) => {
    const plan = JSON.parse(JSON.stringify(await planOf('/no-length')))
    Object.assign(plan.partitions[0], change)
    expect(() => validatePlan(plan)).toThrow(says)
  })
})

async function planOf(path: string, options = {}, selection: SelectionOptions = {}): Promise<Plan> {
  return planPartitions(await selectObjects(objects(origin + path, selection), async () => backend), options)
}

async function read<T>(plan: Plan, fn: (partition: ReturnType<typeof openPartition>) => Promise<T[]>) {
  const out: T[] = []
  const outcomes: PartitionOutcome[] = []
  for (const partition of plan.partitions) {
    const reader = openPartition(partition, { backend, read: plan.options })
    out.push(...(await fn(reader)))
    outcomes.push({ state: 'committed', report: JSON.parse(JSON.stringify(reader.report())) })
  }
  return { out, certificate: certify(plan, outcomes, ({ etag }) => (etag === '' ? 'none' : 'etag')) }
}
