/** Order, places and what is held, with sources and a loop's time that the test plays. */
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { heldBytesAfter, type LoopTime } from '../../partitioner/drain.ts'
import { prefetch, ReadAhead } from '../../partitioner/prefetch.ts'
import { settle } from '../support/manual-clock.ts'

const KIB = 1024
const MIB = 1024 * KIB

let time: LoopTime
const loopTime = () => time

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  time = { idle: 0, active: 0 }
})
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

/** Chunks of 64 KiB, whose number is their first byte; counts what was asked for. */
class Source implements AsyncIterableIterator<Uint8Array> {
  readonly #chunks: number
  readonly #failsAt: number
  given = 0
  returned = false

  constructor(chunks: number, failsAt = Number.POSITIVE_INFINITY) {
    this.#chunks = chunks
    this.#failsAt = failsAt
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Uint8Array, undefined>> {
    if (this.given === this.#failsAt) throw new Error(`failed at ${this.given}`)
    if (this.given === this.#chunks) return { done: true, value: undefined }
    return { done: false, value: Buffer.alloc(64 * KIB, this.given++) }
  }

  async return(): Promise<IteratorResult<Uint8Array, undefined>> {
    this.returned = true
    return { done: true, value: undefined }
  }
}

function reading(sources: readonly Source[], ahead = sources.length, readAhead = new ReadAhead(ahead)) {
  return prefetch(sources, { ahead, readAhead, loopTime }, (source) => source)
}

describe('what a source may hold', () => {
  it('is half a MiB at once, what a connection brings in idle time, and little in busy time', () => {
    expect(heldBytesAfter({ idle: 0, active: 0 })).toBe(512 * KIB)
    expect(heldBytesAfter({ idle: 30, active: 0 })).toBe(8 * MIB)
    expect(heldBytesAfter({ idle: 0, active: 30 })).toBeLessThan(MIB)
    expect(heldBytesAfter({ idle: 0, active: 8_000 })).toBeGreaterThan(8 * MIB)
  })

  it('is taken before its reader comes, and no more while the process is busy', async () => {
    const sources = [new Source(128), new Source(128), new Source(128)]
    const reader = reading(sources)
    await settle()
    expect(sources.map(({ given }) => given)).toEqual([8, 8, 8])
    await vi.advanceTimersByTimeAsync(100)
    expect(sources.map(({ given }) => given)).toEqual([8, 8, 8])
    // the first one goes on as it is read
    for (let taken = 0; taken < 100; taken++) await reader.next()
    await settle()
    expect(sources.map(({ given }) => given)).toEqual([108, 8, 8])
    await reader.return?.()
  })

  it('grows in idle time without anybody who reads', async () => {
    const sources = [new Source(128), new Source(128)]
    const reader = reading(sources)
    await settle()
    time = { idle: 2, active: 3 }
    await vi.advanceTimersByTimeAsync(5)
    expect(sources.map(({ given }) => given)).toEqual([17, 17])
    time = { idle: 40, active: 3 }
    await vi.advanceTimersByTimeAsync(5)
    expect(sources.map(({ given }) => given)).toEqual([128, 128])
    await reader.return?.()
  })

  it('counts from when it was opened', async () => {
    const sources = [new Source(1), new Source(128), new Source(128)]
    const reader = reading(sources, 2)
    await settle()
    time = { idle: 1_000, active: 0 }
    await reader.next()
    await reader.next()
    await vi.advanceTimersByTimeAsync(5)
    expect(sources.map(({ given }) => given)).toEqual([1, 128, 8])
    await reader.return?.()
  })

  it('ends however busy the process is, so that nobody waits for its connection for ever', async () => {
    const sources = [new Source(128), new Source(128)]
    const reader = reading(sources)
    await settle()
    time = { idle: 0, active: 8_000 }
    await vi.advanceTimersByTimeAsync(5)
    expect(sources.map(({ given }) => given)).toEqual([128, 128])
    await reader.return?.()
  })

  it('is let go when the reader leaves, with the sources', async () => {
    const sources = [new Source(128), new Source(128)]
    const readAhead = new ReadAhead(1)
    const reader = reading(sources, 2, readAhead)
    await reader.next()
    await settle()
    await reader.return?.()
    await settle()
    expect(sources.every(({ returned }) => returned)).toBe(true)
    expect([readAhead.take(), readAhead.take()]).toEqual([true, false])
  })
})

describe('prefetch', () => {
  it('gives what the sources give, in order, and an error at its turn, whatever the pace', async () => {
    const source = fc.record({ chunks: fc.nat(24), failsAt: fc.option(fc.nat(24), { freq: 9 }) })
    const pace = fc.record({ idle: fc.nat(3), active: fc.nat(500), timers: fc.boolean() })
    await fc.assert(
      fc.asyncProperty(
        fc.array(source, { maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(3),
        fc.array(pace, { minLength: 1, maxLength: 20 }),
        async (described, ahead, places, paces) => {
          time = { idle: 0, active: 0 }
          const readAhead = new ReadAhead(places)
          const sources = described.map(({ chunks, failsAt }) => new Source(chunks, failsAt ?? undefined))
          const reader = reading(sources, ahead, readAhead)
          const given: number[] = []
          let failure: unknown
          try {
            for await (const chunk of reader) {
              const { idle, active, timers } = paces[given.length % paces.length] as (typeof paces)[number]
              given.push(chunk[0] as number)
              time = { idle: time.idle + idle, active: time.active + active }
              if (timers) await vi.advanceTimersByTimeAsync(5)
            }
          } catch (error) {
            failure = error
          }
          const expected: number[] = []
          let fails: number | undefined
          for (const { chunks, failsAt } of described) {
            fails = failsAt !== null && failsAt <= chunks ? failsAt : undefined
            for (let number = 0; number < (fails ?? chunks); number++) expected.push(number)
            if (fails !== undefined) break
          }
          expect(given).toEqual(expected)
          expect(failure).toEqual(fails === undefined ? undefined : new Error(`failed at ${fails}`))
          for (let place = 0; place < places; place++) expect(readAhead.take()).toBe(true)
          expect(readAhead.take()).toBe(false)
        },
      ),
      { numRuns: 100 },
    )
  })
})
