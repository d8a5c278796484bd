import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { type ReduceGroup, ReduceScheduler } from '../../reducers/scheduler.ts'

/** Whole jobs on a simulated pool, checked at every step against the rules as they are written. */
const job = fc.record({
  sizes: fc.array(fc.nat(6), { maxLength: 6 }),
  percent: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.constantFrom(0, 20, 100)),
  slots: fc.integer({ min: 1, max: 4 }),
  waitingSlots: fc.nat(3),
  failing: fc.array(fc.nat(40), { maxLength: 3 }),
  order: fc.infiniteStream(fc.nat(1_000)),
})

it('every group starts exactly once, after its threshold, and every job ends, even on one worker', () => {
  fc.assert(
    fc.property(job, ({ sizes, percent, slots, waitingSlots, failing, order }) => {
      const run = new Simulation(sizes, percent, slots, waitingSlots, new Set(failing))
      let steps = 0
      while (run.step(order.next().value as number)) expect(++steps).toBeLessThan(1_000)
      run.checkEnd()
    }),
    { numRuns: 1_000 },
  )
})

class Simulation {
  readonly #groups: { maps: number[] }[] = []
  readonly #scheduler: ReduceScheduler
  readonly #percent: number
  readonly #failing: ReadonlySet<number>
  readonly #queued: number[] = []
  readonly #running: number[] = []
  readonly #ended = new Set<number>()
  readonly #failed = new Set<number>()
  /** Started groups: whether in a waiting slot, and whether over. */
  readonly #started = new Map<number, { waits: boolean; over: boolean }>()
  readonly #told = new Set<number>()
  #maps: number
  #free: number
  #waitingFree: number

  constructor(sizes: number[], percent: number, slots: number, waitingSlots: number, failing: ReadonlySet<number>) {
    for (const size of sizes) {
      const first = this.#queued.length
      const maps = Array.from({ length: size }, (_, i) => first + i)
      this.#groups.push({ maps })
      this.#queued.push(...maps)
    }
    this.#maps = this.#queued.length
    this.#scheduler = new ReduceScheduler(
      this.#groups.map(({ maps }): ReduceGroup => ({ maps: [...maps] })),
      percent,
    )
    this.#percent = percent
    this.#failing = failing
    this.#free = slots
    this.#waitingFree = waitingSlots
  }

  /** One event; false when nothing is left to happen. */
  step(choice: number): boolean {
    this.#startReducers()
    while (this.#free > 0 && this.#queued.length > 0) {
      this.#free -= 1
      this.#running.push(this.#queued.shift() as number)
    }
    this.#startReducers()
    if (this.#running.length > 0) {
      if (choice % 5 === 0 && this.#maps < 40) this.#divide(this.#running[choice % this.#running.length] as number)
      this.#startReducers()
      this.#endMap(this.#running.splice(choice % this.#running.length, 1)[0] as number)
      return true
    }
    return this.#endReducer()
  }

  checkEnd(): void {
    expect(this.#queued).toEqual([])
    expect(this.#scheduler.unstarted).toBe(0)
    this.#groups.forEach(({ maps }, group) => {
      const broken = maps.some((map) => this.#failed.has(map))
      expect(this.#told.has(group)).toBe(broken)
      if (!broken) expect(this.#started.has(group)).toBe(true)
    })
  }

  #startReducers(): void {
    const wantedByMaps = this.#queued.length
    let ordinary = this.#free - wantedByMaps
    const starts = this.#scheduler.take({ free: this.#free, wantedByMaps, waitingFree: this.#waitingFree })
    let seenIncomplete = false
    for (const { group, waits } of starts) {
      const { maps } = this.#groups[group] as ReduceGroup
      const over = maps.filter((map) => this.#ended.has(map)).length
      const complete = over === maps.length
      expect(this.#started.has(group) || this.#told.has(group)).toBe(false)
      // over / n ≥ percent / 100, without a division
      expect(over * 100).toBeGreaterThanOrEqual(this.#percent * maps.length)
      expect(complete && (waits || seenIncomplete)).toBe(false)
      seenIncomplete ||= !complete
      this.#started.set(group, { waits, over: false })
      if (waits) this.#waitingFree -= 1
      else {
        this.#free -= 1
        ordinary -= 1
        expect(ordinary).toBeGreaterThanOrEqual(0)
      }
      expect(this.#waitingFree).toBeGreaterThanOrEqual(0)
    }
    this.#nothingForgotten(starts.length)
  }

  /** With a slot left that it could have, no group that may start is passed over. */
  #nothingForgotten(started: number): void {
    const spare = this.#free - this.#queued.length > 0
    this.#groups.forEach(({ maps }, group) => {
      if (this.#started.has(group) || this.#told.has(group)) return
      const over = maps.filter((map) => this.#ended.has(map)).length
      const mayStart = over * 100 >= this.#percent * maps.length
      const hasSlot = over === maps.length ? spare : spare || this.#waitingFree > 0
      expect({ group, started, forgotten: mayStart && hasSlot }).toMatchObject({ forgotten: false })
    })
  }

  /** A map that runs gives a part away: to be run, and read by the same group right after it. */
  #divide(map: number): void {
    const part = this.#maps++
    for (const { maps } of this.#groups) if (maps.includes(map)) maps.splice(maps.indexOf(map) + 1, 0, part)
    this.#scheduler.insert(map, part)
    this.#queued.push(part)
  }

  #endMap(map: number): void {
    this.#free += 1
    if (!this.#failing.has(map)) {
      this.#ended.add(map)
      return this.#scheduler.mapEnded(map, map % 3 === 0 ? 'tolerated' : 'succeeded')
    }
    this.#failed.add(map)
    for (const group of this.#scheduler.mapFailed(map)) {
      expect(this.#told.has(group)).toBe(false)
      this.#told.add(group)
      this.#release(group)
    }
  }

  #endReducer(): boolean {
    for (const [group, state] of this.#started) {
      if (state.over) continue
      expect((this.#groups[group] as ReduceGroup).maps.every((map) => this.#ended.has(map))).toBe(true)
      this.#release(group)
      return true
    }
    return false
  }

  #release(group: number): void {
    const state = this.#started.get(group)
    if (state === undefined || state.over) return
    state.over = true
    if (state.waits) this.#waitingFree += 1
    else this.#free += 1
  }
}
