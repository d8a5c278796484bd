/** A source that is read while its job runs: how far, in which order, and how it is left. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ItemSink, ItemStream, leadOf } from '../../src/executor/item-stream.ts'
import { decodeValue } from '../../src/functions/codec.ts'
import { seeded } from '../support/seeded.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Numbers from 0 on, and how it was treated. */
class Source {
  asked = 0
  returned = 0
  askedAfterReturn = false
  over = false
  readonly #items: number
  readonly #throws: boolean
  readonly #bytes: number

  /** Then it ends, or throws. */
  constructor(items: number, throws: boolean, bytes = 0) {
    this.#items = items
    this.#throws = throws
    this.#bytes = bytes
  }

  get sync(): Iterable<unknown> {
    return { [Symbol.iterator]: () => ({ next: () => this.#next(), return: () => this.#return() }) }
  }

  /** Some of its items take a turn to come. */
  async(random: () => number): AsyncIterable<unknown> {
    const next = async () => {
      const result = this.#next()
      if (random() < 0.2) await turn()
      return result
    }
    return { [Symbol.asyncIterator]: () => ({ next, return: async () => this.#return() }) }
  }

  /** Items that are promises, the last of which rejects. */
  promises(): Iterable<unknown> {
    const next = () => {
      const { value, done } = this.#next(false)
      if (done !== true) return { value: Promise.resolve(value), done }
      this.over = false
      return this.#throws ? { value: Promise.reject(new Error('rotten')), done: false } : { value: undefined, done }
    }
    return { [Symbol.iterator]: () => ({ next, return: () => this.#return() }) }
  }

  #next(throws = this.#throws): IteratorResult<unknown, undefined> {
    this.asked += 1
    if (this.returned > 0) this.askedAfterReturn = true
    if (this.asked <= this.#items) return { done: false, value: [this.asked - 1, Buffer.alloc(this.#bytes)] }
    this.over = true
    if (throws) throw new Error('rotten')
    return { done: true, value: undefined }
  }

  #return(): IteratorResult<unknown, undefined> {
    this.returned += 1
    return { done: true, value: undefined }
  }
}

/** What was told, and the calls that were made of it. */
class Sink implements ItemSink {
  known = 0
  seals: (Error | undefined)[] = []
  late = false

  extend(added: number): void {
    if (this.seals.length > 0) this.late = true
    this.known += added
  }

  seal(error?: Error): void {
    this.seals.push(error)
  }
}

const numberOf = (stream: ItemStream, call: number) => {
  const input = stream.inputOf(call)
  return input.type === 'item' ? (decodeValue(input.value) as [number])[0] : undefined
}

const courses = fc.record({
  kind: fc.constantFrom('sync', 'async', 'promises' as const),
  items: fc.oneof(fc.nat(60), fc.constant(1e9)),
  throws: fc.boolean(),
  lead: fc.integer({ min: 1, max: 20 }),
  leadBytes: fc.constantFrom(1e9, 5_000),
  seed: fc.integer(),
  stopsAfter: fc.option(fc.nat(40), { nil: undefined }),
})

describe('a source that is read while its job runs', () => {
  it('is never further ahead than its lead, in order, and left once', async () => {
    await fc.assert(
      fc.asyncProperty(courses, async ({ kind, items, throws, lead, leadBytes, seed, stopsAfter = 150 }) => {
        const random = seeded(seed)
        const bytes = 1_000
        const source = new Source(items, throws, bytes)
        const from = kind === 'sync' ? source.sync : kind === 'async' ? source.async(random) : source.promises()
        const stream = new ItemStream(from, { jobId: 'M000', lead: { calls: lead, bytes: leadBytes } })
        const most = Math.min(lead, Math.ceil(leadBytes / bytes))
        let sent = 0
        const ahead = () => Math.min(source.asked, items) - sent
        const { count, open } = await stream.begin()
        expect(ahead()).toBeLessThanOrEqual(most)
        const sink = new Sink()
        sink.known = count
        if (open) stream.follow(sink)
        const held = new Set<number>()
        for (let step = 0; step < stopsAfter && sink.seals.length === 0; step++) {
          for (let burst = Math.floor(random() * 6); burst > 0 && sent < sink.known; burst--) {
            // a call may end without ever having been sent
            if (random() < 0.8) expect(numberOf(stream, sent)).toBe(sent)
            else stream.settled(sent)
            held.add(sent++)
          }
          for (const call of held) if (random() < 0.5 && held.delete(call)) stream.settled(call)
          expect(ahead()).toBeLessThanOrEqual(most)
          await turn()
        }
        // what is held can be sent again
        const stopped = open && sink.seals.length === 0
        stream.stop()
        stream.stop()
        for (let i = 0; i < 4; i++) await turn()
        expect(source.askedAfterReturn).toBe(false)
        expect(source.returned).toBe(stopped || (throws && kind === 'promises' && !stopped) ? 1 : 0)
        expect(sink.late).toBe(false)
        if (stopped) expect(sink.seals).toEqual([])
        if (stopped) return
        expect(sink.known).toBe(items)
        expect(sink.seals.length).toBe(open ? 1 : 0)
        if (throws) expect(sink.seals[0]).toMatchObject({ code: 'JOB', cause: { message: 'rotten' }, callCount: items })
        else expect(sink.seals[0]).toBeUndefined()
      }),
      { numRuns: 300 },
    )
  })

  it('keeps an item until its call has ended, as it was when it came', async () => {
    const item = { n: 0 }
    function* changing() {
      for (item.n = 0; item.n < 3; item.n++) yield item
    }
    const stream = new ItemStream(changing(), { jobId: 'M000', lead: leadOf(2) })
    expect(await stream.begin()).toEqual({ count: 3, open: false })
    const read = (call: number) => {
      const input = stream.inputOf(call)
      return input.type === 'item' ? decodeValue(input.value) : undefined
    }
    expect([0, 1, 2, 1].map(read)).toEqual([{ n: 0 }, { n: 1 }, { n: 2 }, { n: 1 }])
    stream.settled(1)
    expect(() => stream.inputOf(1)).toThrow()
  })

  it('refuses the item that cannot travel, and goes on', async () => {
    const stream = new ItemStream(new Map([[1, new WeakMap()]]).values(), { jobId: 'M000', lead: leadOf(2) })
    expect(await stream.begin()).toEqual({ count: 1, open: false })
    expect(() => stream.inputOf(0)).toThrow(/WeakMap/)
  })

  it('may be stopped from inside of its generator', async () => {
    let left = 0
    let stop = (): unknown => undefined
    function* stopping() {
      try {
        yield 1
        stop()
        yield 2
        yield 3
      } finally {
        left += 1
      }
    }
    const stream = new ItemStream(stopping(), { jobId: 'M000', lead: leadOf(1) })
    stop = () => stream.stop()
    expect(await stream.begin()).toMatchObject({ count: 1 })
    expect(left).toBe(1)
  })

  it('has a lead that fills its slots and what is sent at once', () => {
    expect([leadOf(2), leadOf(2, 1_000), leadOf(64)].map(({ calls }) => calls)).toEqual([1_024, 4_000, 4_096])
  })

  it('larger than data_limit fails with that, and is left', async () => {
    const source = new Source(10, false, 400)
    const stream = new ItemStream(source.sync, { jobId: 'M000', lead: leadOf(1), limitBytes: 1_000 })
    expect(await stream.begin()).toEqual({ count: 2, open: true })
    const sink = new Sink()
    stream.follow(sink)
    expect(sink.seals).toMatchObject([{ code: 'VALIDATION' }])
    expect([source.asked, source.returned]).toEqual([3, 1])
  })
})
