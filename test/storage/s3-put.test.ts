/** The order of a put's requests, with a store that answers when it is told to. */
import { describe, expect, it } from 'vitest'
import { NotFoundError, StorageError } from '../../src/core/errors.ts'
import type { Patiently } from '../../src/storage/backend.ts'
import { PART_BYTES, partsOf } from '../../src/storage/parts.ts'
import { type PutRequests, putS3Object } from '../../src/storage/s3-put.ts'

const context = { backend: 'aws_s3', operation: 'put', bucket: 'b', key: 'k' }
const part = Buffer.alloc(PART_BYTES)

function recorder(overrides: Partial<PutRequests<string>> = {}) {
  const calls: string[] = []
  let inFlight = 0
  const most = { inFlight: 0 }
  const requests: PutRequests<string> = {
    key: 'k',
    context,
    head: async () => ({ key: 'k', size: 0, etag: '"head"' }),
    async putWhole(bytes, { ifMatch }) {
      calls.push(`whole ${bytes.length} ${ifMatch ?? ''}`.trim())
      return '"whole"'
    },
    async begin() {
      calls.push('begin')
      return 'id'
    },
    async putPart(uploadId, number, bytes) {
      inFlight += 1
      most.inFlight = Math.max(most.inFlight, inFlight)
      calls.push(`part ${uploadId} ${number} ${bytes.length}`)
      await new Promise((resolve) => setImmediate(resolve))
      inFlight -= 1
      return `etag ${number}`
    },
    async join(uploadId, parts) {
      calls.push(`join ${uploadId} ${parts.join()}`)
      return '"joined"'
    },
    async abandon(uploadId) {
      calls.push(`abandon ${uploadId}`)
    },
    ...overrides,
  }
  return { requests, calls, most }
}

async function* times(count: number, bytes: Uint8Array, after?: Error) {
  for (let i = 0; i < count; i++) yield bytes
  if (after !== undefined) throw after
}

describe('a put to S3', () => {
  it.each([
    ['bytes of 8 MiB', part],
    ['a short stream', times(1, part.subarray(1))],
    ['an empty stream', times(0, part)],
  ])('is one request for %s', async (_, body) => {
    const { requests, calls } = recorder()
    await putS3Object(requests, body, {})
    expect(calls).toHaveLength(1)
    expect(calls[0]).toMatch(/^whole/)
  })

  it('is parts of 8 MiB for more, in order, joined once, and nothing is abandoned', async () => {
    const { requests, calls } = recorder()
    const head = await putS3Object(requests, times(5, part.subarray(0, PART_BYTES / 2 + 1)), { contentType: 'a/b' })
    const size = 5 * (PART_BYTES / 2 + 1)
    expect(head).toMatchObject({ key: 'k', size, etag: '"joined"', contentType: 'a/b' })
    const rest = size - 2 * PART_BYTES
    expect(calls).toEqual([
      'begin',
      `part id 1 ${PART_BYTES}`,
      `part id 2 ${PART_BYTES}`,
      `part id 3 ${rest}`,
      'join id etag 1,etag 2,etag 3',
    ])
  })

  it('asks for the etag of a store that does not tell it', async () => {
    const { requests } = recorder({ join: async () => '' })
    expect(await putS3Object(requests, times(2, part), {})).toMatchObject({ etag: '"head"' })
  })

  it('holds three parts at a time, and reads no further ahead', async () => {
    const releases: (() => void)[] = []
    const { requests } = recorder({ putPart: () => new Promise((resolve) => releases.push(() => resolve('e'))) })
    let read = 0
    const source = async function* () {
      for (; read < 12; ) {
        read += 1
        yield part
      }
    }
    const putting = putS3Object(requests, source(), {})
    for (let sent = 0; sent < 12; sent++) {
      while (releases.length === 0) await new Promise((resolve) => setImmediate(resolve))
      for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
      expect(releases.length).toBeLessThanOrEqual(3)
      expect(read).toBeLessThanOrEqual(sent + 3)
      releases.shift()?.()
    }
    await putting
  })

  const failure = new StorageError('UNAVAILABLE', 'broke', context)
  it.each([
    ['a part', { putPart: () => Promise.reject(failure) }, times(3, part)],
    ['the joining', { join: () => Promise.reject(failure) }, times(3, part)],
    ['the source', {}, times(3, part, failure)],
    ['a part, and the abandoning too', { putPart: () => Promise.reject(failure) }, times(3, part)],
  ] as const)('abandons the upload when %s fails, and throws that', async (what, overrides, body) => {
    const { requests, calls } = recorder(overrides)
    if (what.includes('abandoning')) requests.abandon = () => Promise.reject(new Error('this too'))
    await expect(putS3Object(requests, body, {})).rejects.toBe(failure)
    if (!what.includes('abandoning')) expect(calls.at(-1)).toBe('abandon id')
  })

  /** Sends so often at most. */
  const tries = (most: number): { patiently: Patiently; signals: (AbortSignal | undefined)[] } => {
    const signals: (AbortSignal | undefined)[] = []
    const patiently: Patiently = async (send, signal) => {
      signals.push(signal)
      for (let tried = 1; ; tried++) {
        try {
          return await send()
        } catch (error) {
          if (tried === most) throw error
        }
      }
    }
    return { patiently, signals }
  }

  it('sends a part that failed again, by itself', async () => {
    const sent: number[] = []
    const { requests, calls } = recorder({
      async putPart(_, number) {
        sent.push(number)
        if (number === 2 && sent.filter((each) => each === 2).length < 3) throw failure
        return `etag ${number}`
      },
    })
    await putS3Object(requests, times(4, part), tries(3))
    expect(sent.toSorted()).toEqual([1, 2, 2, 2, 3, 4])
    expect(calls).toEqual(['begin', 'join id etag 1,etag 2,etag 3,etag 4'])
  })

  it('gives the other parts up when one failed for good', async () => {
    const untilAborted = (signal: AbortSignal | undefined) =>
      new Promise<string>((_, reject) => {
        if (signal?.aborted) reject(signal.reason)
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      })
    const { requests, calls } = recorder({
      putPart: (_, number, __, signal) => (number === 1 ? Promise.reject(failure) : untilAborted(signal)),
    })
    const { patiently, signals } = tries(2)
    await expect(putS3Object(requests, times(4, part), { patiently })).rejects.toBe(failure)
    expect(signals.at(-1)?.aborted).toBe(true)
    expect(calls.at(-1)).toBe('abandon id')
  })

  const gone = new NotFoundError('NoSuchUpload', context)
  it.each([
    { what: 'is there, of so many parts', size: 3 * PART_BYTES, etag: '"x-3"', made: true },
    { what: 'is another', size: 3 * PART_BYTES, etag: '"x-4"', made: false },
    { what: 'is of another size', size: 3 * PART_BYTES + 1, etag: '"x-3"', made: false },
  ])('takes the object for joined where the answer was lost and it $what: $made', async ({ size, etag, made }) => {
    let joins = 0
    const { requests } = recorder({
      join: () => Promise.reject(joins++ === 0 ? failure : gone),
      head: async () => ({ key: 'k', size, etag }),
    })
    const putting = putS3Object(requests, times(3, part), tries(2))
    if (made) expect(await putting).toMatchObject({ etag })
    else await expect(putting).rejects.toBe(failure)
  })

  it('does not look for an object whose upload was gone before', async () => {
    const { requests } = recorder({ join: () => Promise.reject(gone), head: () => Promise.reject(new Error('asked')) })
    await expect(putS3Object(requests, times(3, part), {})).rejects.toBe(gone)
  })

  it('collects a stream for a condition, up to 64 MiB, into one request', async () => {
    const { requests, calls } = recorder()
    await putS3Object(requests, times(8, part), { ifAbsent: true })
    expect(calls).toEqual([`whole ${64 << 20}`])
    const more = putS3Object(requests, times(9, part), { ifAbsent: true })
    await expect(more).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(calls).toHaveLength(1)
  })

  it('tries the bare etag only where the quoted one fails on the very object', async () => {
    const refusal = new StorageError('PRECONDITION_FAILED', 'no', { ...context, status: 412 })
    const asked: (string | undefined)[] = []
    const picky = (etag: string) =>
      recorder({
        head: async () => ({ key: 'k', size: 1, etag }),
        putWhole: async (_, { ifMatch }) => {
          asked.push(ifMatch)
          if (ifMatch !== 'e') throw refusal
          return '"new"'
        },
      }).requests
    expect(await putS3Object(picky('"e"'), Buffer.from('x'), { ifMatch: '"e"' })).toMatchObject({ etag: '"new"' })
    await expect(putS3Object(picky('"f"'), Buffer.from('x'), { ifMatch: '"e"' })).rejects.toBe(refusal)
    expect(asked).toEqual(['"e"', 'e', '"e"'])
  })
})

describe('partsOf', () => {
  it('lets parts grow after a thousand, so that ten thousand hold 440 GiB', async () => {
    const lengths: number[] = []
    for await (const { length } of partsOf(times(1_003, part))) lengths.push(length)
    expect(lengths.slice(0, 1_000).every((length) => length === PART_BYTES)).toBe(true)
    expect(lengths.slice(1_000)).toEqual([2 * PART_BYTES, PART_BYTES])
  })
})
