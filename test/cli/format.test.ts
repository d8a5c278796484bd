import { describe, expect, it } from 'vitest'
import { formatResult } from '../../src/cli/format-result.ts'
import { delimiter } from '../../src/cli/job-flags.ts'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { toJsonData } from '../../src/core/json-data.ts'

describe('formatResult', () => {
  it.each<[string, unknown, string]>([
    [
      'counts, largest first, then by key',
      new Map([
        ['b', 2],
        ['a', 2],
        ['c', 10],
      ]),
      'c  10\na   2\nb   2',
    ],
    [
      'a Map of text, in its order',
      new Map([
        ['b', 'x'],
        ['a', 'yy'],
      ]),
      'b  x\na  yy',
    ],
    [
      'records',
      [
        { name: 'x', n: 10 },
        { name: 'long', n: 1 },
      ],
      'name   n\nx     10\nlong   1',
    ],
    [
      'rows',
      [
        ['x', 10],
        ['long', 1],
      ],
      'x     10\nlong   1',
    ],
    ['different records', [{ a: 1 }, { b: 2 }], '{ a: 1 }\n{ b: 2 }'],
    ['a Map of tables', new Map([['o', new Map([['k', 1]])]]), 'o\n  k  1'],
    ['a list of values', [1, null, undefined, 'x'], '1\nnull\nundefined\nx'],
    ['nothing', [], '(empty)'],
    ['text', 'two\nlines', 'two\nlines'],
    ['a number', 3.5, '3.5'],
    ['undefined', undefined, 'undefined'],
  ])('%s', (_, value, text) => {
    expect(formatResult(value)).toBe(text)
  })

  it('shows objects of stores by their URL, and records that name one whole', () => {
    const stored = cloudObject({ backend: 'file', bucket: '/', key: 'out/a b', size: 2_048, etag: 'e' })
    expect(formatResult(stored)).toBe('file:///out/a%20b  2 KiB')
    expect(formatResult([stored, { ...stored, contentType: 'text/plain' }])).toBe(
      'file:///out/a%20b  2 KiB\nfile:///out/a%20b  2 KiB',
    )
    expect(formatResult(new Map([['in', stored]]))).toBe('in\n  file:///out/a%20b  2 KiB')
    expect(formatResult([{ backend: 'b', bucket: 'c', key: 'k', words: 7 }])).toContain('words')
  })

  it('shows the first rows of a long table', () => {
    expect(formatResult([5, 6, 7], { limit: 2 })).toBe('5\n6\nand 1 more')
    expect(formatResult([5, 6], { limit: 2 })).toBe('5\n6')
  })
})

describe('toJsonData', () => {
  it.each<[unknown, unknown]>([
    [new Map([['a', new Map([['b', 1]])]]), { a: { b: 1 } }],
    [new Map([[1, 'x']]), [[1, 'x']]],
    [new Map([['__proto__', 1]]), JSON.parse('{"__proto__":1}')],
    [new Set([1, 2n]), [1, '2']],
    [new Uint8Array([1, 2]), 'AQI='],
    [new Float64Array([0.5, Number.NaN]), [0.5, 'NaN']],
    [
      { at: new Date(0), none: undefined },
      { at: '1970-01-01T00:00:00.000Z', none: null },
    ],
    [Number.POSITIVE_INFINITY, 'Infinity'],
  ])('%o', (value, data) => {
    expect(toJsonData(value)).toEqual(data)
  })
})

describe('delimiter', () => {
  it.each([
    ['\\n', '\n'],
    ['\\r\\n', '\r\n'],
    ['|*|', '|*|'],
    ['\\0', '\0'],
    ['\\x1e', '\x1e'],
    ['\\\\n', '\\n'],
    ['none', null],
  ])('%j', (given, meant) => {
    expect(delimiter(given)).toBe(meant)
  })
})
