/**
 * A job of real workers before a store that takes so many requests a second and answers 503 SlowDown to the others: what
 * the store counts. The rule itself is proved in virtual time (test/worker/rate-shares.test.ts). How many are refused once
 * the workers have learnt, and how much of the rate is used, is a matter of time, and of who else needs the machine: that
 * is looked at where QUERN_TEST_LARGE=1.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FunctionExecutor, type TaskContext } from '../../src/entry/index.ts'
import { type S3InMemory, startS3InMemory } from '../support/s3-in-memory.ts'

const large = process.env.QUERN_TEST_LARGE === '1'
const WORKERS = 3
const PER_SECOND = 80
/** Of each worker, so many at a time. */
const READS = large ? 700 : 60
const AT_A_TIME = 8
/** Until then they learn. */
const SETTLED_AFTER = 400

describe('workers before a store that takes so many requests a second', { timeout: 120_000 }, () => {
  let s3: S3InMemory
  let exec: FunctionExecutor
  const answers: { readonly atMs: number; readonly ok: boolean }[] = []
  beforeAll(async () => {
    s3 = await startS3InMemory()
    for (let i = 0; i < 10; i++) s3.put(`data/${i}`, `text ${i}`)
    const access = { region: 'us-east-1', accessKeyId: 'k', secretAccessKey: 's' }
    exec = new FunctionExecutor({
      maxWorkers: WORKERS,
      showProgressbar: false,
      config: {
        quern: { storage: 'aws_s3' },
        aws_s3: { endpoint: `http://127.0.0.1:${s3.port}`, storageBucket: 'b', ...access },
      },
    })
  })
  afterAll(async () => {
    await exec.shutdown()
    await s3.close()
  })

  it('share what it takes: every read arrives, refused or not', async () => {
    throttle()
    const reads = async (_: number, count: number, atATime: number, task: TaskContext) => {
      let left = count
      let bytes = 0
      const lane = async () => {
        while (left-- > 0) {
          const body = await task.storage.getObject('b', `data/${left % 10}`)
          bytes += body.byteLength
        }
      }
      await Promise.all(Array.from({ length: atATime }, lane))
      return bytes
    }
    const calls = Array.from({ length: WORKERS }, (_, i) => i)
    const job = exec.map(reads, calls, { extraArgs: [READS, AT_A_TIME] as const })
    expect(await job).toEqual(Array(WORKERS).fill(READS * 'text 0'.length))

    const refused = answers.filter(({ ok }) => !ok).length
    // it was too fast, was told so, and every refusal was one more request
    expect(refused).toBeGreaterThan(0)
    expect(answers.length).toBe(WORKERS * READS + refused)
    expect(job.stats.requests).toMatchObject({ throttled: refused, get: answers.length, retries: refused })
    if (!large) return
    const settled = answers.slice(SETTLED_AFTER)
    const refusedLater = settled.filter(({ ok }) => !ok).length
    expect(refusedLater / settled.length).toBeLessThanOrEqual(0.1)
    // the last of them have nobody beside them any more
    const [from, to] = [settled[0]?.atMs ?? 0, settled.at(-50)?.atMs ?? 0]
    const accepted = settled.filter(({ atMs, ok }) => ok && atMs <= to).length
    expect(accepted / ((to - from) / 1_000) / PER_SECOND).toBeGreaterThanOrEqual(0.85)
  })

  /** At once it takes what it takes in a tenth of a second, and one more; by its own clock. */
  function throttle(): void {
    const most = PER_SECOND * 0.1 + 1
    let tokens = most
    let lastMs = performance.now()
    s3.hooks = {
      before() {
        const atMs = performance.now()
        tokens = Math.min(most, tokens + ((atMs - lastMs) * PER_SECOND) / 1_000)
        lastMs = atMs
        const ok = tokens >= 1
        if (ok) tokens -= 1
        answers.push({ atMs, ok })
        return ok ? 'go on' : 'slow down'
      },
    }
  }
})
