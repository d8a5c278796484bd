import { describe, expect, it } from 'vitest'
import { assertKeyOrder, decodeListedKey, deletionError, NOT_IN_XML } from '../../src/storage/s3-keys.ts'

const context = { backend: 'aws_s3', operation: 'list', bucket: 'b' }
const page = (...keys: string[]) => keys.map((key) => ({ key }))

describe('the order of a listing', () => {
  it('is that of UTF-8 bytes, within a page and from page to page', () => {
    expect(assertKeyOrder(undefined, page('a', 'b', '\uffee', '\u{1f600}'), context)).toBe('\u{1f600}')
    expect(assertKeyOrder('a', page(), context)).toBe('a')
  })

  it.each([
    [undefined, page('b', 'a')],
    [undefined, page('a', 'a')],
    ['b', page('a')],
    ['b', page('b')],
    [undefined, page('\u{1f600}', '\uffee')],
  ])('after %j, %j is refused', (last, keys) => {
    expect(() => assertKeyOrder(last, keys, context)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED' }))
  })
})

describe('keys', () => {
  it('are decoded as a form encodes them', () => {
    expect(['a+b', 'a%2Bb', '%E9%AF%A8', 'a%0Ab', '~%2A'].map(decodeListedKey)).toEqual([
      'a b',
      'a+b',
      '鯨',
      'a\nb',
      '~*',
    ])
  })

  it('that XML cannot hold are told apart', () => {
    expect(['a', 'é\u{1f600}', '<&>', ' '].filter((key) => NOT_IN_XML.test(key))).toEqual([])
    expect(['\0', 'a\nb', '\r', '\ufffe'].filter((key) => !NOT_IN_XML.test(key))).toEqual([])
  })

  it('that were not deleted are an error, unless they were not there', () => {
    const missing = { Code: 'NoSuchKey', Key: 'a' }
    expect(deletionError([], 3, context)).toBeUndefined()
    expect(deletionError([missing], 3, context)).toBeUndefined()
    const denied = deletionError([missing, { Code: 'AccessDenied', Message: 'no', Key: 'k' }], 3, context)
    expect(denied).toMatchObject({ code: 'PERMISSION_DENIED', key: 'k', message: expect.stringContaining('2 of 3') })
    expect(deletionError([{ Code: 'SlowDown' }], 1, context)).toMatchObject({ code: 'THROTTLED' })
    expect(deletionError([{ Code: 'InternalError' }], 1, context)).toMatchObject({ code: 'STORAGE' })
  })
})
