/** Whole jobs over URLs, in worker processes: cut by ETag, one uncut GET, a change under the job, dead URLs. */
import { createHash } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, JobError, type ObjectPartition, objects } from '../../src/entry/index.ts'

const TEXT = Array.from({ length: 2_000 }, (_, i) => `line ${i} ${'x'.repeat((i * 7) % 90)}`).join('\n')
const LINES = TEXT.split('\n').length

let version = TEXT
/** Ranged GETs of /changing that are served before it becomes another version. */
let unchanged = Number.POSITIVE_INFINITY
let exec: FunctionExecutor
let origin = ''
const gets: string[] = []

const server = http.createServer((request, response): unknown => {
  const path = request.url ?? ''
  const { range } = request.headers
  if (path === '/dead.txt') return response.writeHead(404).end()
  if (request.method === 'GET') gets.push(`${path} ${range ?? 'whole'}`)
  if (path.startsWith('/bare')) {
    if (request.method === 'HEAD') return response.end()
    response.write(TEXT.slice(0, 1_000))
    return path === '/bare-broken.txt' && range === undefined
      ? setImmediate(() => response.destroy())
      : response.end(TEXT.slice(1_000))
  }
  const ranged = range !== undefined && request.method === 'GET'
  if (path === '/changing.txt' && ranged && --unchanged < 0) version = TEXT.toUpperCase()
  const body = Buffer.from(path === '/changing.txt' ? version : TEXT)
  const etag = `"${createHash('md5').update(body).digest('hex')}"`
  const { 'if-match': wanted } = request.headers
  if (wanted !== undefined && wanted !== etag) return response.writeHead(412).end()
  response.setHeader('etag', etag)
  response.setHeader('accept-ranges', 'bytes')
  const [, start, end] = /^bytes=(\d+)-(\d+)$/.exec(ranged ? range : '') ?? []
  if (start === undefined) return response.setHeader('content-length', body.length).end(body)
  const part = body.subarray(Number(start), Number(end) + 1)
  const last = Number(start) + part.length - 1
  response.writeHead(206, { 'content-range': `bytes ${start}-${last}/${body.length}`, 'content-length': part.length })
  return response.end(part)
})

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  exec = new FunctionExecutor({ maxWorkers: 2, showProgressbar: false })
})
afterAll(async () => {
  await exec.shutdown()
  server.closeAllConnections()
  server.close()
})

async function readLines(part: ObjectPartition) {
  const lines: string[] = []
  for await (const line of part.lines()) lines.push(line)
  return lines
}

describe('a job over a URL', () => {
  it('with a strong ETag is cut, and every line arrives once', async () => {
    const job = exec.map(readLines, objects(`${origin}/file.txt`), { objChunkSize: '8KiB' })
    const lines = (await job.result()) as string[][]
    expect(lines.length).toBe(Math.ceil(TEXT.length / 8_192))
    expect(lines.flat().join('\n')).toBe(TEXT)
    const certificate = await job.certificate()
    expect(certificate).toMatchObject({ complete: true, objects: [{ pin: 'etag', records: LINES }] })
  })

  it('without length, ranges and validator is one GET, and says so', async () => {
    const selection = objects(`${origin}/bare.txt`)
    const plan = await exec.plan(selection)
    expect(plan).toMatchObject({ unpinned: [`${origin}/bare.txt`], partitions: [{ uncut: 'no length' }] })
    gets.length = 0
    const job = exec.map(readLines, JSON.parse(JSON.stringify(plan)))
    expect(((await job.result()) as string[][]).flat().join('\n')).toBe(TEXT)
    expect(gets).toEqual(['/bare.txt whole'])
    const certificate = await job.certificate()
    expect(certificate).toMatchObject({
      complete: true,
      objects: [{ pin: 'none', sizeBytes: TEXT.length, deliveredBytes: TEXT.length, records: LINES }],
    })
    await expect(exec.plan(selection, { objChunkSize: '1MiB' })).rejects.toThrow(/bare\.txt cannot be cut/)
  })

  it('fails where the only GET breaks, and gives no shortened result', async () => {
    const job = exec.map(readLines, objects(`${origin}/bare-broken.txt`))
    const error = await job.result().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(JobError)
    expect(causesOf(error)).toContain('BODY_TRUNCATED')
  })

  it('that changes under the job fails with ObjectChangedError', async () => {
    unchanged = 3
    const job = exec.map(readLines, objects(`${origin}/changing.txt`), { objChunkNumber: 6 })
    const error = await job.result().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(JobError)
    expect(causesOf(error)).toContain('OBJECT_CHANGED')
    const certificate = await job.certificate()
    expect(certificate?.complete).toBe(false)
  })

  it('that is dead is an error naming it, unless that is allowed', async () => {
    const urls = [`${origin}/file.txt`, `${origin}/dead.txt`]
    await expect(exec.plan(objects(urls))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining(`${origin}/dead.txt`),
    })
    const plan = await exec.plan(objects(urls, { allowMissing: true }))
    expect(plan).toMatchObject({ objects: 1, skipped: [{ url: `${origin}/dead.txt` }] })
  })
})

/** Codes of an error, of those it gathers, and of their causes. */
function causesOf(error: unknown): unknown[] {
  if (typeof error !== 'object' || error === null) return []
  const { code, cause, errors } = error as { code?: unknown; cause?: unknown; errors?: unknown[] }
  return [code, ...causesOf(cause), ...(errors ?? []).flatMap(causesOf)]
}
