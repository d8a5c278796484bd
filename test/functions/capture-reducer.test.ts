import { describe, expect, it } from 'vitest'
import { groupBy, histogram, mergeCounts, type Reducer, sum, topK } from '../../reducers/index.ts'
import { captureReducer } from '../../src/functions/capture-reducer.ts'
import { loadFunction } from '../../src/functions/load-function.ts'
import { moduleReducer } from '../../src/functions/module-function.ts'
import type { ShippedFunction } from '../../src/functions/shipped.ts'
import { shared, spread } from './modules/reducers.ts'

type AnyReducer = Reducer<unknown, unknown, unknown>
const MODULES = new URL('./modules/reducers.ts', import.meta.url).href
const outside = 2
declare const nowhere: number

async function travel(reducer: object): Promise<AnyReducer> {
  const shipped = await captureReducer(reducer, 'reduce')
  return (await loadFunction(JSON.parse(JSON.stringify(shipped)) as ShippedFunction)) as AnyReducer
}

async function fold(reducer: AnyReducer, values: readonly unknown[]): Promise<unknown> {
  let acc = reducer.initial()
  for (const value of values) acc = await reducer.add(acc, value)
  return reducer.finish(acc)
}

describe('captureReducer', () => {
  const cases: [string, object, unknown[], unknown][] = [
    ['sum', sum(), [1, 2, 3], 6],
    ['mergeCounts', mergeCounts(), [new Map([['a', 1]]), { a: 2 }], new Map([['a', 3]])],
    ['topK with its argument', topK(1), [{ a: 1, b: 2 }], [['b', 2]]],
    ['histogram with its bounds', histogram([1, 2]), [0, 1, 5], [1, 1, 1]],
    ['groupBy with a function and a reducer', groupBy((n: number) => n % 2, sum()), [1, 2, 3], new Map([[1, 4], [0, 2]])], // biome-ignore format: a case
    ['groupBy of groupBy', groupBy((n: number) => n % 2, groupBy((n: number) => n > 2, sum())), [1, 3], new Map([[1, new Map([[false, 1], [true, 3]])]])], // biome-ignore format: a case
    ['an export of a module', shared, [1, 2], 103],
    ['methods of an object that close over nothing', {
      initial: () => 1,
      add(acc: number, value: number) { return acc * value },
      merge: (a: number, b: number) => a * b,
      finish: (acc: number) => acc,
      commutative: true,
    }, [2, 3], 6], // biome-ignore format: a case
  ]
  it.each(cases)('%s', async (_name, reducer, values, outcome) => {
    const loaded = await travel(reducer)
    expect(await fold(loaded, values)).toEqual(outcome)
    expect(loaded.commutative === true).toBe((reducer as AnyReducer).commutative === true)
  })

  it('methods travel with what they close over', async () => {
    const reducer = { ...spread, add: (acc: number, value: number) => acc + value * outside }
    expect(await fold(await travel(reducer), [1, 2])).toBe(6)
  })

  it('a method that cannot travel is refused by name', () => {
    expect(() => captureReducer({ ...spread, add: () => nowhere }, 'reduce')).toThrow(
      expect.objectContaining({
        code: 'SERIALIZATION',
        message: expect.stringMatching(/reduce: method add\(\).*'nowhere'/),
      }),
    )
  })

  it('a key function of groupBy may close over something, or is refused by name', async () => {
    const loaded = await travel(groupBy((n: number) => n % outside, sum()))
    expect(await fold(loaded, [1, 2, 3])).toEqual(new Map([[1, 4], [0, 2]])) // biome-ignore format: one line
    const lost = groupBy((n: number) => n % nowhere, sum())
    expect(() => captureReducer(lost, 'reduce')).toThrow(/argument 1 of groupBy\(\).*'nowhere'/)
  })

  it('what lacks a method is refused', () => {
    expect(() => captureReducer({ ...spread, merge: 5 }, 'reduce')).toThrow(
      expect.objectContaining({ code: 'VALIDATION', message: expect.stringContaining("'merge' is 5") }),
    )
  })

  it('a reducer of the file that was started is refused', () => {
    expect(() => captureReducer(moduleReducer(import.meta.url, 'x', spread), 'reduce')).toThrow(/entry module/)
  })

  it('marking leaves the reducer given as it was', () => {
    expect(captureReducer(moduleReducer(MODULES, 'other', spread), 'r')).toMatchObject({
      kind: 'module',
      export: 'other',
    })
    expect(captureReducer(spread, 'r')).toMatchObject({ kind: 'object' })
  })
})
