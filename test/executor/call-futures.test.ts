/** The calls of a job as their reader sees them. */
import { describe, expect, it } from 'vitest'
import { CancelledError } from '../../src/core/errors.ts'
import { CallFutures, type CallsOwner } from '../../src/executor/call-futures.ts'
import { encodeValue } from '../../src/functions/codec.ts'

function callsOf(count: number, keepsResults = false) {
  const reads: boolean[] = []
  const owner: CallsOwner = {
    executorId: 'e-0',
    id: 'M000',
    submittedAt: 1,
    plannedAt: 2,
    functionBytes: 3,
    keepsResults,
    spec: {},
    cancelCalls: () => undefined,
    onRead: (first) => reads.push(first),
  }
  const calls = new CallFutures(owner)
  calls.table.append(count)
  const succeed = (call: number, value: unknown) => {
    calls.results.put(call, encodeValue(value))
    calls.end(call, 'succeeded')
  }
  return { calls, reads, succeed }
}

describe('a future of a call', () => {
  it('is one, whenever it is asked for, and stands where its call does', async () => {
    const { calls, succeed } = callsOf(5)
    const early = calls.future<string>(0)
    calls.started(0)
    calls.started(1)
    expect([early.running(), calls.future(1).running(), calls.future(2).state]).toEqual([true, true, 'PENDING'])
    succeed(0, 'zero')
    succeed(1, 'one')
    calls.end(3, 'failed', new Error('three'))
    calls.end(4, 'cancelled')
    expect([await early, await calls.future(1)]).toEqual(['zero', 'one'])
    expect(calls.future(0)).toBe(early)
    expect(calls.future(3).snapshot().exception?.message).toBe('three')
    expect(calls.future(4).cancelled()).toBe(true)
  })

  it('that has ended is the one that somebody holds', async () => {
    const { calls, succeed } = callsOf(2)
    const early = calls.future<string>(0)
    succeed(0, 'zero')
    succeed(1, 'one')
    expect(calls.ended(0)).toBe(early)
    expect([await calls.ended(0), await calls.ended(1), calls.ended(1).done()]).toEqual(['zero', 'one', true])
  })

  it('that nobody asked for ends with all others', () => {
    const { calls } = callsOf(3)
    const asked = calls.future(1)
    calls.end(0, 'failed', new Error('its own'))
    calls.endAll(new Error('the job'))
    expect([asked, calls.future(2), calls.future(0)].map((each) => each.snapshot().exception?.message)).toEqual([
      ...['the job', 'the job', 'its own'],
    ])
    const cancelled = callsOf(1).calls
    cancelled.endAll(new CancelledError('stopped'))
    expect(cancelled.future(0).cancelled()).toBe(true)
  })
})

describe('a result', () => {
  it('is decoded once for who holds it; a large one is let go of in its encoded form', () => {
    const { calls, reads, succeed } = callsOf(3)
    succeed(0, { a: 1 })
    succeed(1, undefined)
    succeed(2, Buffer.alloc(100_000, 1))
    const value = calls.read(0)
    expect([calls.read(0) === value, calls.results.has(0)]).toEqual([true, true])
    const large = calls.read(2)
    expect([calls.read(2) === large, calls.results.has(2)]).toEqual([true, false])
    reads.splice(2)
    expect([calls.read(1), calls.read(1)]).toEqual([undefined, undefined])
    expect(reads).toEqual([true, false, true, false])
    expect(calls.facts(0).readAt).toBeGreaterThan(0)
  })

  it('stays in its encoded form where it is read again as it came', () => {
    const { calls, succeed } = callsOf(1, true)
    succeed(0, { a: 1 })
    expect(calls.read(0)).toBe(calls.read(0))
    expect(calls.results.has(0)).toBe(true)
  })

  it('on the disk stays there; the last that was read is the same at the next reading', () => {
    const { calls, succeed } = callsOf(3)
    succeed(0, Buffer.alloc(200 * 2 ** 20))
    // what was read takes as much memory as before
    expect((calls.read(0) as Buffer).length).toBe(200 * 2 ** 20)
    calls.results.put(1, encodeValue(Buffer.alloc(100 * 2 ** 20, 1)))
    calls.end(1, 'succeeded')
    succeed(2, 'small')
    expect([0, 1, 2].map((call) => calls.results.isSpilled(call))).toEqual([false, true, false])
    expect([0, 2].map((call) => calls.results.has(call))).toEqual([false, true])
    const large = calls.read(1) as Buffer
    expect([large.length, large[0], calls.read(1) === large]).toEqual([100 * 2 ** 20, 1, true])
    expect(calls.results.has(1)).toBe(true)
  })

  it('of a call whose failure is tolerated is undefined, and nobody has read it', () => {
    const { calls, reads } = callsOf(1)
    calls.end(0, 'failed', new Error('no'))
    expect([calls.read(0), reads]).toEqual([undefined, []])
  })
})

describe('the order of results', () => {
  it('is that of the calls; parts stand after what was divided, later divisions before earlier parts', () => {
    const { calls } = callsOf(3)
    expect([...calls.order()]).toEqual([0, 1, 2])
    calls.appended(1, 3, 2)
    expect([...calls.order()]).toEqual([0, 1, 3, 4, 2])
    calls.appended(1, 5, 1)
    calls.appended(3, 6, 1)
    expect([...calls.order()]).toEqual([0, 1, 5, 3, 6, 4, 2])
    expect(calls.table.count).toBe(7)
  })
})

describe('who waits for the next end', () => {
  it('is woken by it, or when there is none to come', async () => {
    const { calls, succeed } = callsOf(1)
    const both = Promise.all([calls.nextEnd(), calls.nextEnd()])
    succeed(0, 1)
    await both
    const last = calls.nextEnd()
    calls.wake()
    await last
    expect(calls.table.ending(0)).toBe(0)
  })
})
