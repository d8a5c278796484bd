import { describe, expect, it } from 'vitest'
import { nearestName } from '../../src/core/nearest.ts'

describe('the nearest known name', () => {
  it.each([
    ['retires', 'retries'],
    ['RETRIES', 'retries'],
    ['objchunksize', 'objChunkSize'],
    ['obj_chunk_number', 'objChunkNumber'],
    ['timeot', 'timeout'],
    ['x', undefined],
    ['somethingElse', undefined],
    ['tmt', undefined],
  ])('to %j is %j', (given, expected) => {
    expect(nearestName(given, ['retries', 'objChunkSize', 'objChunkNumber', 'timeout'])).toBe(expected)
  })

  it('is the first of two that are as near, and none where none is known', () => {
    expect(nearestName('cat', ['bat', 'car'])).toBe('bat')
    expect(nearestName('cat', [])).toBeUndefined()
  })
})
