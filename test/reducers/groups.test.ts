import { describe, expect, it } from 'vitest'
import { groupsOf } from '../../reducers/groups.ts'

const partition = (url: string) => ({ object: { url } })

describe('groupsOf', () => {
  it.each([[0], [3]])('one group of all %d maps', (n) => {
    expect(groupsOf(undefined, n, false)).toEqual([{ maps: [0, 1, 2].slice(0, n) }])
  })

  it('one per object, in plan order, with the object', () => {
    const partitions = ['s3://b/2', 's3://b/2', 's3://b/10', 's3://b/1', 's3://b/2'].map(partition)
    expect(groupsOf(partitions, 5, true)).toEqual([
      { object: { url: 's3://b/2' }, maps: [0, 1, 4] },
      { object: { url: 's3://b/10' }, maps: [2] },
      { object: { url: 's3://b/1' }, maps: [3] },
    ])
    expect(groupsOf(partitions, 5, false)).toEqual([{ maps: [0, 1, 2, 3, 4] }])
  })

  it('no maps by key: no groups', () => {
    expect(groupsOf([], 0, true)).toEqual([])
  })

  it('refuses plain items by key, and a count that is not the plan’s', () => {
    expect(() => groupsOf(undefined, 2, true)).toThrow(/objReduceByKey/)
    expect(() => groupsOf([partition('a')], 2, true)).toThrow(/1 partitions for 2 maps/)
  })

  it('maps that were divided before stand with their parts in plan order', () => {
    const partitions = ['a', 'a', 'b'].map((url) => ({ object: { url } }))
    const divisions = [
      { parent: 1, child: 3 },
      { parent: 1, child: 4 },
      { parent: 3, child: 5 },
    ]
    expect(groupsOf(undefined, 3, false, divisions)).toEqual([{ maps: [0, 1, 4, 3, 5, 2] }])
    expect(groupsOf(partitions, 3, true, divisions).map(({ maps }) => maps)).toEqual([[0, 1, 4, 3, 5], [2]])
    expect(() => groupsOf(undefined, 1, false, [{ parent: 7, child: 1 }])).toThrow(/7/)
  })
})
