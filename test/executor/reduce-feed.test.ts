import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ReduceFeed } from '../../src/executor/reduce-feed.ts'
import { encodeValue } from '../../src/functions/codec.ts'
import { decodeFeed, type Feed } from '../../src/job/messages.ts'
import { collectInputs, ReduceFeed as WorkerFeed } from '../../src/worker/reduce-feed.ts'

class Ends {
  readonly absent = new Set<number>()
  readonly values = new Map<number, Uint8Array>()
  readonly results = {
    has: (map: number) => this.values.has(map),
    get: (map: number) => this.values.get(map) as Uint8Array,
  }

  end(map: number): void {
    this.values.set(map, encodeValue(map, 'value'))
  }
}

function pumped(feed: ReduceFeed): Feed[] {
  const sent: Feed[] = []
  feed.pump((bytes) => sent.push(decodeFeed(bytes)))
  return sent
}

describe('ReduceFeed', () => {
  it('tells of a new input before the result of the map it was divided from', () => {
    const ends = new Ends()
    const feed = new ReduceFeed([0, 1], ends, false, 2)
    ends.end(0)
    expect(pumped(feed)).toMatchObject([{ type: 'result', index: 0 }])
    feed.reads([0, 1, 2])
    ends.end(1)
    expect(pumped(feed)).toMatchObject([
      { type: 'inputs', count: 3 },
      { type: 'result', index: 1 },
    ])
    expect(feed.complete).toBe(false)
    ends.end(2)
    expect(pumped(feed)).toMatchObject([{ type: 'result', index: 2 }])
    expect(feed.complete).toBe(true)
  })

  it('a call that was sent with an older count is told at once', () => {
    expect(pumped(new ReduceFeed([0, 2, 1], new Ends(), false, 2))).toEqual([{ type: 'inputs', count: 3 }])
    expect(pumped(new ReduceFeed([0, 2, 1], new Ends(), false, 3))).toEqual([])
  })

  it('absent maps keep their place, and are told by their call', () => {
    const ends = new Ends()
    ends.absent.add(0)
    ends.end(1)
    expect(pumped(new ReduceFeed([0, 1], ends, false, 2))).toMatchObject([
      { type: 'absent', index: 0, callId: '00000' },
      { type: 'result', index: 1 },
    ])
  })

  it.each([[false], [true]])(
    'any order of ends and divisions: each input once, in plan order (any order: %s)',
    async (anyOrder) => {
      const schedule = fc.record({
        maps: fc.integer({ min: 1, max: 6 }),
        steps: fc.array(fc.record({ map: fc.nat(), what: fc.constantFrom('end', 'absent', 'divide', 'consume') }), {
          maxLength: 40,
        }),
        openAt: fc.nat({ max: 10 }),
      })
      const property = fc.asyncProperty(schedule, async ({ maps, steps, openAt }) => {
        const ends = new Ends()
        let order = Array.from({ length: maps }, (_, i) => i)
        let feed: ReduceFeed | undefined
        const worker = new WorkerFeed(maps, () => undefined)
        const failedInputs: string[] = []
        const collected = collectInputs(worker, failedInputs)
        const pump = () => {
          feed?.pump((bytes) => {
            const message = decodeFeed(bytes)
            if (message.type === 'inputs') worker.expect(message.count)
            else if (message.type === 'result' || message.type === 'absent') worker.push(message)
          })
        }
        const open = () => {
          feed ??= new ReduceFeed(order, ends, anyOrder, maps)
          pump()
        }
        const over = (map: number) => ends.values.has(map) || ends.absent.has(map)
        const end = (map: number, absent: boolean) => {
          if (absent) ends.absent.add(map)
          else ends.end(map)
          feed?.arrived(map)
          pump()
        }
        for (const [i, { map: choice, what }] of steps.entries()) {
          if (i === openAt) open()
          const map = order[choice % order.length] as number
          if (over(map)) continue
          if (what === 'divide') {
            const place = order.indexOf(map)
            order = [...order.slice(0, place + 1), order.length, ...order.slice(place + 1)]
            feed?.reads(order)
            pump()
          } else if (what !== 'consume') end(map, what === 'absent')
        }
        open()
        for (const map of order) if (!over(map)) end(map, false)
        expect(feed?.complete).toBe(true)
        const results = await collected
        const wanted = order.filter((map) => !ends.absent.has(map))
        expect(anyOrder ? results.toSorted() : results).toEqual(anyOrder ? wanted.toSorted() : wanted)
        expect(failedInputs).toHaveLength(ends.absent.size)
      })
      await fc.assert(property, { numRuns: 500 })
    },
  )
})
