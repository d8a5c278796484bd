import fc from 'fast-check'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Division } from '../../partitioner/divided-plan.ts'
import { FencedError } from '../../src/core/errors.ts'
import { DivisionLog, readDivisions, takeDivisions } from '../../src/job/division-log.ts'
import { divisionKey } from '../../src/job/keys.ts'
import type { JournalPlace } from '../../src/job/place.ts'
import { layered } from '../../src/storage/layer.ts'
import type { MemoryBackend } from '../../src/storage/memory.ts'
import { emptyPlace } from '../support/journal-in-memory.ts'

const NAME = 'abc-0-M000'
const divisionOf = (child: number): Division => ({ parent: 0, at: 1_000 - child, child })

let memory: MemoryBackend
let place: JournalPlace
beforeEach(async () => {
  ;({ memory, place } = await emptyPlace())
})

const driver = (epoch: number) => ({ name: NAME, epoch })

describe('the log of divisions', () => {
  it('has them in the order in which they were made, however they arrive', async () => {
    let first = true
    const slow = layered(memory, {
      async put(...given) {
        const late = first
        first = false
        if (late) for (let i = 0; i < 50; i++) await Promise.resolve()
        return memory.put(...given)
      },
    })
    const log = new DivisionLog({ backend: slow, bucket: 'b' }, driver(1))
    await Promise.all([1, 2, 3].map((child) => log.record(divisionOf(child))))
    expect(await readDivisions(place, NAME)).toEqual([1, 2, 3].map(divisionOf))
  })

  it('one that cannot be put keeps those behind it from being put: there is no gap', async () => {
    let puts = 0
    const full = layered(memory, {
      put: (...given) => (++puts === 2 ? Promise.reject(new Error('full')) : memory.put(...given)),
    })
    const log = new DivisionLog({ backend: full, bucket: 'b' }, driver(1))
    const recorded = await Promise.allSettled([1, 2, 3].map((child) => log.record(divisionOf(child))))
    expect(recorded.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
    expect(await readDivisions(place, NAME)).toEqual([divisionOf(1)])
  })

  it('who takes it over ends it for the driver before, whose late entry is void', async () => {
    const old = new DivisionLog(place, driver(1))
    await old.record(divisionOf(1))
    const { log, divisions } = await takeDivisions(place, driver(2))
    expect(divisions).toEqual([divisionOf(1)])
    await expect(old.record(divisionOf(2))).rejects.toThrow(FencedError)
    // a request of the driver before that was under way for long
    await memory.put('b', divisionKey(NAME, 2), Buffer.from(JSON.stringify({ ...divisionOf(9), epoch: 1 })))
    await log.record({ parent: 1, at: 5, child: 2 })
    expect(await readDivisions(place, NAME)).toEqual([divisionOf(1), { parent: 1, at: 5, child: 2 }])
  })

  it('whoever divides when: each driver sees what counts, and what it was told is recorded counts for the next', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat({ max: 3 }), { maxLength: 25 }), async (steps) => {
        const { place: at } = await emptyPlace()
        let epoch = 1
        // all drivers there ever were: each goes on until it is fenced
        const drivers = [{ log: new DivisionLog(at, driver(1)), sees: [] as Division[] }]
        for (const step of steps) {
          if (step === 0) {
            const { log, divisions } = await takeDivisions(at, driver(++epoch))
            expect(divisions).toEqual(drivers.at(-1)?.sees)
            drivers.push({ log, sees: divisions })
            continue
          }
          const one = drivers[Math.max(0, drivers.length - step)] as (typeof drivers)[number]
          const division = divisionOf(one.sees.length + 1)
          const fenced = await one.log.record(division).then(
            () => false,
            (error) => error instanceof FencedError,
          )
          expect(fenced).toBe(one !== drivers.at(-1))
          if (!fenced) one.sees.push(division)
        }
        expect(await readDivisions(at, NAME)).toEqual(drivers.at(-1)?.sees)
      }),
      { numRuns: 60 },
    )
  })
})
