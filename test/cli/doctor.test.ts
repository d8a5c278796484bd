/** `quern doctor` on stores that are well, and on everything that is commonly wrong with one. */
import net, { type AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { examineNetwork } from '../../src/cli/doctor-network.ts'
import { type Step, Steps } from '../../src/cli/doctor-steps.ts'
import { runCommandLine } from '../../src/cli/program.ts'
import { ConfigError, StorageError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { HttpBackend } from '../../src/storage/http.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { createS3Backend } from '../../src/storage/s3.ts'
import { type RecordingServer, startRecordingServer } from '../support/recording-server.ts'
import { type FakeOptions, fakeContext } from './fake-context.ts'

const SECRETS = { accessKeyId: 'AKIATESTONLY', secretAccessKey: 'verysecretindeed' }
const STEPS = [
  ...['config', 'client', 'dns', 'tcp', 'tls', 'clock', 'credentials', 'region', 'bucket', 'list'],
  ...['put', 'conditional put', 'get range', 'delete', 'compute'],
]

let server: RecordingServer
let s3: MemoryBackend

beforeEach(async () => {
  server = await startRecordingServer()
  s3 = new MemoryBackend()
  await s3.createBucket('b')
  for (const name of Object.keys(process.env)) if (name.startsWith('AWS_')) vi.stubEnv(name, undefined)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

function s3Config(more: Readonly<Record<string, unknown>> = {}) {
  return {
    quern: { storage: 'aws_s3' },
    aws_s3: { endpoint: server.endpoint, region: 'r1', storageBucket: 'b', ...SECRETS, ...more },
  }
}

async function doctor(args: readonly string[], options: FakeOptions = {}, greeting: () => unknown = greet) {
  const given = { stores: { aws_s3: s3 as StorageBackend }, config: s3Config(), ...options }
  const context = fakeContext(greeting, given)
  const code = await runCommandLine(['doctor', ...args, '--json'], '1', context)
  const steps = context.written.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Step)
  const of = (status: string) => steps.filter((step) => step.status === status).map(({ step }) => step)
  for (const secret of Object.values(SECRETS))
    expect(context.written.stdout + context.written.stderr).not.toContain(secret)
  return { code, steps, of, asked: context.asked, step: (name: string) => steps.find(({ step }) => step === name) }
}

const greet = () => ({ message: 'Hello world!', pid: 7, node: 'v20' })

describe('a store that is well', () => {
  it('is told so, step by step; with --write all is tried, and nothing stays', async () => {
    const { code, steps, of, step } = await doctor(['--write'])
    expect(steps.map(({ step }) => step)).toEqual(STEPS)
    expect({ code, failed: of('failed'), skipped: of('skipped') }).toEqual({ code: 0, failed: [], skipped: ['tls'] })
    expect(step('credentials')?.detail).toBe('keys of the configuration')
    expect(step('region')?.detail).toBe('r1')
    expect(step('compute')?.detail).toMatch(/^worker 7 on Node v20 answered in /)
    expect(await left()).toEqual([])
  })

  it('without --write nothing is written', async () => {
    const puts = vi.spyOn(s3, 'put')
    expect((await doctor(['s3://b/p/'])).of('skipped')).toEqual(['tls', ...STEPS.slice(10, 14)])
    expect(puts).not.toHaveBeenCalled()
  })

  it('people read lines, with what to do below what failed', async () => {
    const context = fakeContext(greet, { stores: { aws_s3: s3 }, config: s3Config() })
    expect(await runCommandLine(['doctor', 's3://none', '--no-compute'], '1', context)).toBe(1)
    const { stdout } = context.written
    expect(stdout).toMatch(/^ok {7}config {11}config: compute localhost, storage aws_s3, bucket b\n/)
    expect(stdout).toMatch(/\nfailed {3}bucket {11}.*\n {26}→ check the name none, or create the bucket/)
    expect(stdout).toMatch(/\nskipped {2}compute {10}--no-compute\n1 failed: bucket\n$/)
  })

  it('localhost: no network, no credentials, a bucket that is made at the first write', async () => {
    const options = { stores: { localhost: new MemoryBackend() }, config: {} }
    const { code, of, step } = await doctor(['--write'], options)
    expect({ code, ok: of('ok') }).toEqual({
      code: 0,
      ok: ['config', 'client', 'bucket', 'put', 'conditional put', 'get range', 'delete', 'compute'],
    })
    expect(step('bucket')?.detail).toBe('quern is made at the first write')
  })

  it('a URL of the web', async () => {
    server.answer = () => ({ status: 200, headers: { etag: '"x"', 'accept-ranges': 'bytes' }, body: 'hello' })
    const options = { stores: { http: new HttpBackend() } }
    const { code, step } = await doctor([`${server.endpoint}/a?sig=1`], options)
    expect({ code, object: step('object')?.detail }).toEqual({ code: 0, object: '5 B, can be cut, pinned' })
    server.answer = () => ({ status: 404 })
    expect((await doctor([`${server.endpoint}/a`], options)).of('failed')).toEqual(['object'])
  })
})

describe('what the store says', () => {
  const xml = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`

  it.each([
    [403, 'InvalidAccessKeyId', 'credentials', 'does not know the access key'],
    [403, 'SignatureDoesNotMatch', 'credentials', 'secret key does not belong'],
    [400, 'ExpiredToken', 'credentials', 'have expired'],
    [403, 'RequestTimeTooSkewed', 'credentials', 'clocks differ'],
    [400, 'AuthorizationHeaderMalformed', 'region', 'set region'],
    [301, 'PermanentRedirect', 'region', 'set region'],
    [404, 'NoSuchBucket', 'bucket', 'check the name b'],
    [403, 'AccessDenied', 'list', 's3:ListBucket'],
  ])('%i %s fails the step %s', async (status, name, failing, advice) => {
    server.answer = ({ method }) => ({ status: method === 'HEAD' ? 200 : status, body: xml(name) })
    const store = await createS3Backend({ endpoint: server.endpoint, region: 'r1', ...SECRETS })
    const { code, of, step, steps } = await doctor(['--no-compute'], { stores: { aws_s3: store } })
    await store.close()
    expect({ code, failed: of('failed') }).toEqual({ code: 1, failed: [failing] })
    expect(step(failing)).toMatchObject({
      detail: expect.stringContaining(name),
      advice: expect.stringContaining(advice),
    })
    const at = STEPS.indexOf(failing)
    const before = failing === 'region' ? 'skipped' : 'ok'
    expect(steps.slice(6, at).map(({ status }) => status)).toEqual(STEPS.slice(6, at).map(() => before))
    expect(steps.slice(at + 1).map(({ status }) => status)).toEqual(STEPS.slice(at + 1).map(() => 'skipped'))
  })

  it('nothing is written where there is no bucket', async () => {
    const { of } = await doctor(['s3://none', '--write', '--no-compute'])
    expect(of('failed')).toEqual(['bucket'])
    expect(of('skipped').slice(-5)).toEqual(STEPS.slice(10))
  })

  it('a secret that the store repeats is not passed on', async () => {
    const message = `the key ${SECRETS.accessKeyId} with ${SECRETS.secretAccessKey} is refused`
    const error = new StorageError('PERMISSION_DENIED', message, { backend: 'aws_s3', operation: 'list', status: 403 })
    const store = layered(s3, { list: () => failingListing(error) })
    const { step } = await doctor([], { stores: { aws_s3: store } })
    expect(step('list')?.detail).toContain('the key *** with *** is refused')
  })

  it('a store that does not answer tells nothing of credentials', async () => {
    const error = new StorageError('UNAVAILABLE', 'reset', { backend: 'aws_s3', operation: 'list' })
    const { of } = await doctor(['--no-compute'], {
      stores: { aws_s3: layered(s3, { list: () => failingListing(error) }) },
    })
    expect(of('failed')).toEqual(['list'])
    expect(of('ok')).toEqual(['config', 'client', 'dns', 'tcp', 'clock'])
  })

  it.each([
    ['ignores the condition', async (...put: Parameters<StorageBackend['put']>) => s3.put(put[0], put[1], put[2])],
    [
      'refuses them',
      async (...put: Parameters<StorageBackend['put']>) => {
        if (put[3]?.ifAbsent !== true) return s3.put(...put)
        throw new StorageError('UNSUPPORTED', 'NotImplemented', { backend: 'aws_s3', operation: 'put' })
      },
    ],
  ])('conditional put: the store %s', async (words, put) => {
    const { of, step } = await doctor(['--write'], { stores: { aws_s3: layered(s3, { put }) } })
    expect(of('failed')).toEqual(['conditional put'])
    expect(step('conditional put')).toMatchObject({
      detail: expect.stringContaining(words),
      advice: expect.stringContaining('journalStorage'),
    })
    expect(await left()).toEqual([])
  })

  it('what may not be written, read back wrong or deleted', async () => {
    const denied = new StorageError('PERMISSION_DENIED', 'AccessDenied', { backend: 'aws_s3', operation: 'put' })
    const noPut = await doctor(['--write'], { stores: { aws_s3: layered(s3, { put: () => Promise.reject(denied) }) } })
    expect(noPut.of('failed')).toEqual(['put'])
    expect(noPut.of('skipped')).toEqual(['tls', 'conditional put', 'get range', 'delete'])
    const whole = layered(s3, { get: (bucket, key) => s3.get(bucket, key) })
    expect((await doctor(['--write'], { stores: { aws_s3: whole } })).of('failed')).toEqual(['get range'])
    const noDelete = layered(s3, { delete: () => Promise.reject(denied) })
    const { step } = await doctor(['--write'], { stores: { aws_s3: noDelete } })
    expect(step('delete')?.advice).toMatch(/^left behind: s?3?.*b\/quern-doctor-/)
  })
})

function failingListing(error: Error): AsyncIterable<never> {
  return { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }) }
}

async function left(): Promise<unknown[]> {
  const pages: unknown[] = []
  for await (const page of s3.list('b')) pages.push(...page)
  return pages
}

describe('before the store says anything', () => {
  it('a configuration that cannot be read: nothing else is tried', async () => {
    const { code, of } = await doctor([], { config: { quern: { storage: 'aws_s4' } } })
    expect({ code, failed: of('failed'), skipped: of('skipped') }).toEqual({
      code: 1,
      failed: ['config'],
      skipped: STEPS.slice(1),
    })
  })

  it('a client that is not installed says what to install; workers are looked at all the same', async () => {
    const context = fakeContext(greet, { config: s3Config() })
    const missing = new ConfigError('the aws_s3 backend needs @aws-sdk/client-s3: npm install @aws-sdk/client-s3')
    const openStores = async () => ({
      ...(await context.openStores({})),
      resolve: () => Promise.reject(missing),
    })
    expect(await runCommandLine(['doctor'], '1', { ...context, openStores })).toBe(1)
    expect(context.written.stdout).toMatch(/failed {3}client .*npm install @aws-sdk\/client-s3\n/)
    expect(context.written.stdout).toMatch(/ok {7}compute/)
  })

  it('no bucket', async () => {
    const { code, of, step } = await doctor([], { config: s3Config({ storageBucket: undefined }) })
    expect({ code, failed: of('failed') }).toEqual({ code: 0, failed: [] })
    expect(step('list')?.detail).toContain('no bucket: give a URL')
  })

  it('a worker that does not come up', async () => {
    const dead = () => {
      throw new Error('the worker ended')
    }
    expect((await doctor([], {}, dead)).step('compute')).toMatchObject({ status: 'failed', detail: 'the worker ended' })
  })

  it('Ctrl-C is exit code 130', async () => {
    let listings = 0
    const list = () => {
      listings += 1
      context.interrupt()
      return failingListing(new Error('aborted'))
    }
    const context = fakeContext(greet, { stores: { aws_s3: layered(s3, { list }) }, config: s3Config() })
    expect(await runCommandLine(['doctor'], '1', context)).toBe(130)
    expect(listings).toBe(1)
    expect(context.written.stderr).toBe('interrupted\n')
  })

  it('bad usage is exit code 2', async () => {
    for (const url of ['memory://b', 's4://b']) expect((await doctor([url])).code).toBe(2)
  })
})

describe('the network', () => {
  async function examined(endpoint: string, lookup = async (): Promise<string[]> => ['127.0.0.1'], nowMs = Date.now()) {
    const steps = new Steps(() => undefined, new AbortController().signal, [])
    await examineNetwork(steps, new URL(endpoint), { lookup, nowMs: () => nowMs })
    return Object.fromEntries(steps.done.map(({ step, ...finding }) => [step, finding]))
  }

  it('a name without an address', async () => {
    const lookup = () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))
    const found = await examined('https://nowhere.invalid', lookup)
    expect(found).toMatchObject({ dns: { status: 'failed', advice: expect.stringContaining('check the endpoint') } })
    expect([found.tcp?.status, found.tls?.status, found.clock?.status]).toEqual(['skipped', 'skipped', 'skipped'])
  })

  it('a port nobody listens on', async () => {
    const closed = net.createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => closed.once('listening', resolve))
    const { port } = closed.address() as AddressInfo
    await new Promise((resolve) => closed.close(resolve))
    const found = await examined(`http://127.0.0.1:${port}`)
    expect(found.tcp).toMatchObject({ status: 'failed', advice: expect.stringContaining('nothing listens') })
    expect(found.clock?.status).toBe('skipped')
  })

  it('https where http is spoken, and http where nothing of it is', async () => {
    const found = await examined(server.endpoint.replace('http:', 'https:'))
    expect(found.tls).toMatchObject({ status: 'failed', advice: expect.stringContaining('plain HTTP') })
    const silent = net
      .createServer((socket) => socket.on('error', () => undefined).end('220 smtp\r\n'))
      .listen(0, '127.0.0.1')
    await new Promise((resolve) => silent.once('listening', resolve))
    const mail = await examined(`http://127.0.0.1:${(silent.address() as AddressInfo).port}`)
    silent.close()
    expect(mail.clock).toMatchObject({ status: 'failed', advice: expect.stringContaining('does not speak HTTP') })
  })

  it.each([
    [0, 'ok', 'the clocks agree'],
    [240_000, 'ok', /behind the server/],
    [320_000, 'failed', /^this machine is 5 min .* behind the server/],
    [-320_000, 'failed', /^this machine is 5 min .* ahead of the server/],
  ])('a clock that differs by %i ms: %s', async (offMs, status, words) => {
    const now = 1_800_000_000_000
    server.answer = () => ({ status: 403, headers: { date: new Date(now + offMs).toUTCString() } })
    const { clock } = await examined(server.endpoint, undefined, now + 500)
    expect(clock).toMatchObject({ status, detail: expect.stringMatching(words) })
    expect(clock?.advice?.includes('NTP') ?? false).toBe(status === 'failed')
  })
})
