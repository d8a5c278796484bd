/** When a store is given up: by what is wrong with it, and by what its section says. */
import { describe, expect, it } from 'vitest'
import { createBackends } from '../../src/backends.ts'
import { loadConfig } from '../../src/config/config.ts'
import { DEFAULT_RETRY, type RetryPolicy } from '../../src/core/backoff.ts'
import { NotFoundError, StorageError } from '../../src/core/errors.ts'
import type { StorageBackend } from '../../src/storage/backend.ts'
import { layered } from '../../src/storage/layer.ts'
import { MemoryBackend } from '../../src/storage/memory.ts'
import { withRetry } from '../../src/storage/with-retry.ts'
import { manualClock } from '../support/manual-retry.ts'
import { startRecordingServer } from '../support/recording-server.ts'

const context = { backend: 'memory', operation: 'head' }
const noAnswer = (code: string) =>
  new StorageError('UNAVAILABLE', code, { ...context, cause: Object.assign(new Error(code), { code }) })

/** What a head of an object costs that fails for ever, `eachMs` a time, after a first that was answered. */
async function givenUp(error: Error, { policy = DEFAULT_RETRY, reached = true, elsewhere = false, eachMs = 0 } = {}) {
  const clock = manualClock()
  let tries = 0
  let fails = false
  const head: StorageBackend['head'] = async (_, key) => {
    if (!fails) return { key, size: 0, etag: '' }
    tries += 1
    if (eachMs > 0) await clock.sleep(eachMs)
    throw error
  }
  const store = withRetry(layered(new MemoryBackend(), { head }), {
    policy,
    clock,
    random: () => 0,
    reached: elsewhere,
  })
  if (reached) await store.head('b', 'k')
  fails = true
  await expect(store.head('b', 'k')).rejects.toBe(error)
  return { tries, ms: clock.nowMs() }
}

describe('a store that fails for ever is given up', () => {
  it.each([
    ['a certificate that does not hold', noAnswer('DEPTH_ZERO_SELF_SIGNED_CERT')],
    ['a certificate of another name', noAnswer('ERR_TLS_CERT_ALTNAME_INVALID')],
    ['a name that nobody knows', noAnswer('ENOTFOUND')],
  ])('soon: %s', async (_, error) => {
    const { tries, ms } = await givenUp(error)
    expect(tries).toBe(4)
    expect(ms).toBeLessThan(2_000)
  })

  it('soon, where no answer ever came', async () => {
    expect((await givenUp(noAnswer('ECONNREFUSED'), { reached: false })).tries).toBe(4)
  })

  it('late, where one came to whom this process works for; not for a name that nobody knows', async () => {
    const elsewhere = { reached: false, elsewhere: true }
    expect((await givenUp(noAnswer('ECONNREFUSED'), elsewhere)).ms).toBeGreaterThanOrEqual(30_000)
    expect((await givenUp(noAnswer('ENOTFOUND'), elsewhere)).tries).toBe(4)
  })

  it.each([
    ['not there', new NotFoundError('gone', { ...context, status: 404 })],
    ['not ours', new StorageError('PERMISSION_DENIED', 'no', { ...context, status: 403 })],
  ])('at once: what is %s', async (_, error) => {
    expect((await givenUp(error)).tries).toBe(1)
  })

  const slow: RetryPolicy = { attempts: 3, baseMs: 1_000, maxMs: 1_000, leastMs: 45_000, mostMs: 180_000 }
  it.each([
    ['connections are refused: half a minute', noAnswer('ECONNREFUSED'), 0, 30_000],
    [
      'it is busy: the time it takes to start again',
      new StorageError('UNAVAILABLE', '500', { ...context, status: 500 }),
      0,
      45_000,
    ],
    ['requests time out: three minutes, however few they were', noAnswer('ETIMEDOUT'), 60_000, 181_000],
  ])('later where %s', async (_, error, eachMs, ms) => {
    const attempts = eachMs > 0 ? 10 : 3
    const taken = await givenUp(error, { policy: { ...slow, attempts }, eachMs })
    expect(taken.ms).toBeGreaterThanOrEqual(ms - 1_000)
    expect(taken.ms).toBeLessThanOrEqual(ms + 62_000)
    if (eachMs === 0) expect(taken.ms).toBeLessThanOrEqual(ms + 1_000)
    else expect(taken.tries).toBeLessThan(attempts)
  })
})

it('a part that was tried to the end is no reason to put the whole again', async () => {
  const error = new StorageError('UNAVAILABLE', '500', { ...context, status: 500 })
  let parts = 0
  let puts = 0
  const put: StorageBackend['put'] = async (_, key, __, options) => {
    puts += 1
    await options?.patiently?.(() => {
      parts += 1
      return Promise.reject(error)
    })
    return { key, size: 0, etag: '' }
  }
  const policy = { attempts: 3, baseMs: 1, maxMs: 1 }
  const store = withRetry(layered(new MemoryBackend(), { put }), { policy, clock: manualClock() })
  await expect(store.put('b', 'k', Buffer.from('x'))).rejects.toBe(error)
  expect([puts, parts]).toEqual([1, 3])
})

describe('the key `retry` of a section', () => {
  const section = (retry: unknown) => loadConfig({ config: { aws_s3: { retry } } }).sections.aws_s3.retry

  it('is read, in either spelling', () => {
    expect(section({ attempts: 3, at_least: '10s', atMost: '1min' })).toEqual({
      attempts: 3,
      leastMs: 10_000,
      mostMs: 60_000,
    })
    expect(section({})).toEqual({})
  })

  it.each([[{ attempts: 0 }], [{ atLeast: 'soon' }], [{ atLeast: '2min', atMost: '1min' }], [{ tries: 3 }], [3]])(
    'is refused where it is %j',
    (retry) => {
      expect(() => section(retry)).toThrow(/aws_s3.retry: expected an object with some of attempts, atLeast, atMost/)
    },
  )

  it('says how often a store is asked', async () => {
    const server = await startRecordingServer()
    server.answer = () => ({ status: 500 })
    const { sections } = loadConfig({ config: {} })
    const { resolve, close } = createBackends({ ...sections, http: { retry: { attempts: 2 } } } as never)
    const store = await resolve('http')
    await expect(store.get(server.endpoint, 'k')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(server.requests).toHaveLength(2)
    await close()
    await server.close()
  })
})
