import * as fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import type { Reducer } from '../../reducers/index.ts'
import * as reducers from '../../reducers/index.ts'

const { sum, count, min, max, mean, mergeCounts, topK, collect, concat, groupBy, histogram } = reducers

async function fold<In, Acc, Out>(reducer: Reducer<In, Acc, Out>, values: readonly In[]): Promise<Acc> {
  let acc = reducer.initial()
  for (const value of values) acc = await reducer.add(acc, value)
  return acc
}
const run = async <In, Acc, Out>(reducer: Reducer<In, Acc, Out>, values: readonly unknown[]) =>
  reducer.finish(await fold(reducer, values as In[]))

const once: Reducer<number, string | undefined, string | undefined> = {
  initial: () => 'new',
  add: (acc) => (acc === 'new' ? undefined : 'went on'),
  merge: (a) => a,
  finish: (acc) => acc,
}

describe('built-in reducers', () => {
  const big = Array.from({ length: 200_000 }, (_, i) => i)
  const cases: [string, Reducer<never, unknown, unknown>, unknown[], unknown][] = [
    ['sum', sum(), [1, 2.5, -3], 0.5],
    ['sum in plan order', sum(), [1e16, 1, -1e16], 0],
    ['sum of bigints', sum<bigint>(), [2n ** 60n, 1n], 2n ** 60n + 1n],
    ['sum of nothing', sum(), [], 0],
    ['sum with NaN', sum(), [1, NaN], NaN],
    ['count', count(), [null, undefined, 'x'], 3],
    ['count of nothing', count(), [], 0],
    ['min', min(), [3, -1, 2], -1],
    ['min of nothing', min(), [], undefined],
    ['min with NaN', min(), [3, NaN, -1], NaN],
    ['min of zeros', min(), [0, -0], -0],
    ['min of strings', min<string>(), ['b', 'B', 'a'], 'B'],
    ['max', max(), [3, -1, 2], 3],
    ['max of nothing', max(), [], undefined],
    ['max with NaN', max(), [NaN, 5], NaN],
    ['max of zeros', max(), [-0, 0], 0],
    ['max of bigints', max<bigint>(), [1n, 5n, 3n], 5n],
    ['mean', mean(), [1, 2, 6], 3],
    ['mean of bigints', mean(), [1n, 2n], 1.5],
    ['mean of nothing', mean(), [], undefined],
    ['mergeCounts', mergeCounts(), [new Map([['b', 1]]), { a: 2, b: 2 }], new Map([['b', 3], ['a', 2]])], // biome-ignore format: a case
    ['mergeCounts of nothing', mergeCounts(), [], new Map()],
    ['mergeCounts of odd keys', mergeCounts(), [JSON.parse('{"__proto__": 2, "constructor": 1}')], new Map([['__proto__', 2], ['constructor', 1]])], // biome-ignore format: a case
    ['topK', topK(2), [new Map([['a', 1], ['b', 2]]), { a: 5 }, [['c', 2]]], [['a', 6], ['b', 2]]], // biome-ignore format: a case
    ['topK ties by key', topK(3), [{ b: 1, a: 1, B: 1, c: 1 }], [['B', 1], ['a', 1], ['b', 1]]], // biome-ignore format: a case
    ['topK of fewer', topK(9), [{ a: 1 }], [['a', 1]]],
    ['collect', collect(), [1, undefined, [2]], [1, undefined, [2]]],
    ['concat', concat(), [[1, 2], [], [3]], [1, 2, 3]],
    ['concat of long lists', concat(), [big, [1]], [...big, 1]],
    ['groupBy', groupBy((n: number) => n % 2 === 0, sum()), [1, 2, 3], new Map([[false, 4], [true, 2]])], // biome-ignore format: a case
    ['groupBy keeps an accumulator of undefined', groupBy(() => 'k', min()), [5], new Map([['k', 5]])],
    ['groupBy does not begin again after an accumulator of undefined', groupBy(() => 'k', once), [1, 2], new Map([['k', 'went on']])], // biome-ignore format: a case
    ['groupBy of nothing', groupBy((n: number) => n, count()), [], new Map()],
    ['histogram: edges belong above', histogram([0, 10]), [-1, 0, 9.99, 10, Infinity, -Infinity], [2, 2, 2]],
    ['histogram of lists', histogram([5]), [[1, 9], 5, []], [1, 2]],
    ['histogram without bounds', histogram([]), [1, 2], [2]],
  ]
  it.each(cases)('%s', async (_name, reducer, values, outcome) => {
    const result = await run(reducer as Reducer<unknown, unknown, unknown>, values)
    expect(result).toStrictEqual(outcome)
    if (outcome instanceof Map) expect([...(result as Map<unknown, unknown>).keys()]).toEqual([...outcome.keys()])
  })

  const refused: [string, () => unknown, string][] = [
    ['sum of a string', () => run(sum(), [1, '2']), 'sum(): expected a number or a bigint from each call, got string'],
    ['sum of both', () => run(sum(), [1, 2n]), 'sum(): expected numbers or bigints'],
    ['mean of null', () => run(mean(), [null]), 'mean()'],
    ['min of an object', () => run(min(), [{}]), 'min()'],
    ['max of both', () => run(max(), [1, 'a']), 'max(): expected all strings or all numbers'],
    ['mergeCounts of a list', () => run(mergeCounts(), [[['a', 1]]]), 'mergeCounts(): expected counts by key'],
    ['mergeCounts of text', () => run(mergeCounts(), [{ a: '1' }]), "expected a number for 'a', got 1"],
    ['mergeCounts of NaN', () => run(mergeCounts(), [{ a: NaN }]), "expected a number for 'a', got NaN"],
    ['mergeCounts of undefined', () => run(mergeCounts(), [undefined]), 'got undefined'],
    ['mergeCounts of a Set', () => run(mergeCounts(), [new Set()]), 'instance of Set'],
    ['topK of numbers', () => run(topK(1), [[1, 2]]), 'topK(): expected counts'],
    ['topK(0)', () => topK(0), 'topK(k): expected a whole number from 1, got 0'],
    ['topK(1.5)', () => topK(1.5), 'got 1.5'],
    ['concat of a number', () => run(concat(), [1]), 'concat(): expected an array'],
    ['groupBy of no function', () => groupBy('k' as never, sum()), 'key: expected a function'],
    ['groupBy of no reducer', () => groupBy((x: number) => x, {} as never), 'reducer: expected a Reducer'],
    ['histogram of bounds that fall', () => histogram([2, 1]), 'numbers that ascend, got [2, 1]'],
    ['histogram of equal bounds', () => histogram([1, 1]), 'ascend'],
    ['histogram of NaN bounds', () => histogram([NaN]), 'finite'],
    ['histogram of NaN', () => run(histogram([1]), [NaN]), 'histogram(): expected numbers'],
  ]
  it.each(refused)('refuses %s', async (_name, act, message) => {
    const failing = Promise.resolve().then(act)
    await expect(failing).rejects.toMatchObject({ code: 'VALIDATION', message: expect.stringContaining(message) })
  })
})

describe('laws of the built-in reducers', () => {
  const ints = fc.integer({ min: -1e6, max: 1e6 })
  const counts = fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), fc.nat(100))
  const asMap = counts.map((record) => new Map(Object.entries(record)))
  const cases: [string, () => Reducer<never, unknown, unknown>, fc.Arbitrary<unknown>][] = [
    ['sum', sum, ints],
    ['sum of bigints', () => sum<bigint>() as never, fc.bigInt()],
    ['count', count, fc.anything()],
    ['min', min, fc.double()],
    ['max', max, fc.double()],
    ['max of strings', () => max<string>() as never, fc.string()],
    ['mean', mean, ints],
    ['mergeCounts', mergeCounts, fc.oneof(counts, asMap)],
    ['topK', () => topK(2), fc.oneof(counts, asMap)],
    ['collect', collect, fc.anything()],
    ['concat', concat, fc.array(fc.nat())],
    ['groupBy', () => groupBy((n: number) => Math.abs(n % 3), mean()) as never, ints],
    ['histogram', () => histogram([-5, 0, 5]), fc.oneof(fc.integer({ min: -9, max: 9 }), fc.array(fc.nat(9)))],
  ]
  it.each(cases)(
    '%s: parts merged in order, however grouped, are the fold; inputs stay',
    async (_name, make, value) => {
      const reducer = make() as Reducer<unknown, unknown, unknown>
      const parts = fc.tuple(fc.array(value), fc.array(value), fc.array(value))
      await fc.assert(
        fc.asyncProperty(parts, async ([a, b, c]) => {
          const before = structuredClone([a, b, c].map((part) => part.map(comparable)))
          const whole = await run(reducer, [...a, ...b, ...c])
          const left = await reducer.merge(
            await reducer.merge(await fold(reducer, a), await fold(reducer, b)),
            await fold(reducer, c),
          )
          const right = await reducer.merge(
            await fold(reducer, a),
            await reducer.merge(await fold(reducer, b), await fold(reducer, c)),
          )
          expect(await reducer.finish(left)).toStrictEqual(whole)
          expect(await reducer.finish(right)).toStrictEqual(whole)
          expect([a, b, c].map((part) => part.map(comparable))).toStrictEqual(before)
          if (reducer.commutative) expect(await run(reducer, [...c, ...b, ...a].reverse())).toStrictEqual(whole)
        }),
        { numRuns: 100 },
      )
    },
  )

  /** What of an input could be changed and cloned. */
  function comparable(value: unknown): unknown {
    if (value instanceof Map) return [...value]
    return Array.isArray(value) ? value.length : typeof value === 'object' ? Object.keys(value ?? {}) : typeof value
  }
})

it('the types infer in the place of a reduce function', () => {
  function mapReduce<R, Out>(_map: () => R, _reduce: ((results: R[]) => Out) | Reducer<NoInfer<R>, unknown, Out>): Out {
    return undefined as Out
  }
  expectTypeOf(mapReduce(() => 1, sum())).toEqualTypeOf<number>()
  expectTypeOf(mapReduce(() => 'x', count())).toEqualTypeOf<number>()
  expectTypeOf(mapReduce(() => 1, min())).toEqualTypeOf<number | undefined>()
  expectTypeOf(mapReduce(() => 1, mean())).toEqualTypeOf<number | undefined>()
  expectTypeOf(mapReduce(() => new Map<string, number>(), mergeCounts())).toEqualTypeOf<Map<string, number>>()
  expectTypeOf(mapReduce(() => ({ a: 1 }), topK(3))).toEqualTypeOf<[string, number][]>()
  expectTypeOf(mapReduce(() => 1, collect<number>())).toEqualTypeOf<number[]>()
  expectTypeOf(mapReduce(() => ['x'], concat<string>())).toEqualTypeOf<string[]>()
  expectTypeOf(mapReduce(() => 1, histogram([1]))).toEqualTypeOf<number[]>()
  expectTypeOf(
    mapReduce(
      () => 1,
      groupBy((n: number) => n > 1, count()),
    ),
  ).toEqualTypeOf<Map<boolean, number>>()
  // @ts-expect-error text cannot be summed
  mapReduce(() => 'x', sum())
})
