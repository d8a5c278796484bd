/** The rule by which the driver gives out places in a rate, and both ends of the line between it and a worker. */
import { describe, expect, it } from 'vitest'
import { RateDesk } from '../../src/compute/rate-desk.ts'
import { type RateAsk, RatePlaces } from '../../src/core/rate-places.ts'
import { RateClient } from '../../src/worker/rate-client.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const refusal: RateAsk = {
  scope: 's',
  places: 0,
  accepted: 0,
  refused: { agoMs: 20, retryAfterMs: 0 },
  perSecond: 50,
}
const wanting = (places: number): RateAsk => ({ scope: 's', places, accepted: 0, perSecond: 0 })

describe('places', () => {
  it('are those of a cut of what all workers were taken to send, one after the other', () => {
    const places = new RatePlaces({ cut: 0.5 })
    expect(places.answer(refusal, 4, 1_000)).toEqual({ answer: { scope: 's', limited: true }, isNew: true })
    const waits = [1, 2, 3].map(() => places.answer(wanting(1), 4, 1_000).answer.waitsMs as readonly number[])
    // 4 x 50, with the slack of a measure (1.1), halved: 110 a second
    expect(waits.flat().map((wait) => wait / (1_000 / 110))).toEqual([1, 2, 3].map((place) => expect.closeTo(place, 1)))
  })

  it('come at once where the one who was refused had asked for next to nothing', () => {
    const places = new RatePlaces()
    places.answer({ ...refusal, perSecond: 1 }, 4, 1_000)
    expect(places.answer(wanting(3), 4, 1_000).answer.waitsMs).toEqual([0, 0, 0])
  })

  it('are given for a tenth of a second, one at least', () => {
    const places = new RatePlaces({ cut: 0.5 })
    places.answer(refusal, 4, 1_000)
    const many = places.answer(wanting(1_000), 4, 1_000).answer.waitsMs as readonly number[]
    expect(many.length).toBeGreaterThan(8)
    expect(many.at(-1)).toBeLessThanOrEqual(100)
    // all of the next tenth are gone
    expect(places.answer(wanting(5), 4, 1_000).answer.waitsMs).toHaveLength(1)
  })

  it('wait as long as the store asks', () => {
    const places = new RatePlaces()
    places.answer({ ...refusal, refused: { agoMs: 0, retryAfterMs: 5_000 } }, 1, 0)
    expect(places.answer(wanting(1), 1, 0).answer.waitsMs).toEqual([5_000])
  })

  it('are one rule for each scope', () => {
    const places = new RatePlaces()
    places.answer(refusal, 1, 0)
    expect(places.limited(0)).toEqual([{ scope: 's', limited: true }])
    expect(places.answer({ ...refusal, scope: 't' }, 1, 0).isNew).toBe(true)
    expect(places.answer(refusal, 1, 0).isNew).toBe(false)
  })

  it('need not be asked for when nothing was refused for a minute', () => {
    const places = new RatePlaces()
    places.answer(refusal, 1, 0)
    expect(places.answer(wanting(1), 1, 59_999).answer.limited).toBe(true)
    expect(places.answer(wanting(1), 1, 60_000)).toEqual({ answer: { scope: 's', limited: false }, isNew: false })
    expect(places.limited(60_000)).toEqual([])
    places.answer(refusal, 1, 100_000)
    places.answer(refusal, 1, 150_000)
    expect(places.answer(wanting(1), 1, 200_000).answer.limited).toBe(true)
  })
})

describe('a worker and its driver', () => {
  function connect(clock: VirtualClock, answering = true) {
    const clients: RateClient[] = []
    const desk = new RateDesk((bytes, worker) => {
      for (const [id, client] of clients.entries()) if (worker === undefined || worker === id) client.take(bytes)
    }, clock)
    const come = () => {
      const id = clients.length
      const client = new RateClient((bytes) => answering && desk.take(id, bytes, clients.length), clock)
      clients.push(client)
      desk.greet(id)
      return client
    }
    return { desk, come }
  }

  it('a refusal of one is news for all, and for who comes later', () => {
    const { come } = connect(new VirtualClock())
    const [first, second] = [come(), come()]
    expect([first.isLimited('s'), second.isLimited('s')]).toEqual([false, false])
    first.tell(refusal)
    expect([first.isLimited('s'), second.isLimited('s'), come().isLimited('s')]).toEqual([true, true, true])
    expect(second.isLimited('t')).toBe(false)
  })

  it('an ask is answered to who asked', async () => {
    const clock = new VirtualClock()
    const { come } = connect(clock)
    const [first, second] = [come(), come()]
    first.tell(refusal)
    const waits = await clock.run(Promise.all([first.ask(wanting(1)), second.ask(wanting(1))]))
    expect(waits[1]?.[0]).toBeGreaterThan(waits[0]?.[0] as number)
  })

  it('a driver that does not answer is waited for no longer than two seconds', async () => {
    const clock = new VirtualClock()
    const { come } = connect(clock, false)
    expect(await clock.run(come().ask(wanting(1)))).toBeUndefined()
    expect(clock.nowMs()).toBe(2_000)
  })
})
