import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cloudObject } from '../../src/core/cloud-object.ts'
import { type NamingRules, type OutputPlace, outputNames, partName } from '../../src/executor/output-names.ts'

const RULES: NamingRules = { kind: 'map', anyKey: true }

function place(key: string, index = 0, count = 1, bucket = 'b'): OutputPlace {
  const object = cloudObject({ backend: 'aws_s3', bucket, key, size: 10, etag: 'e' })
  return { call: 0, object, index, count, range: { start: 0, end: 10 } }
}

function numbered(places: readonly OutputPlace[]): OutputPlace[] {
  return places.map((each, call) => ({ ...each, call }))
}

describe('names of outputs', () => {
  it.each<[string, readonly OutputPlace[], Partial<NamingRules>, readonly string[]]>([
    ['the key of an object in one piece', [place('logs/a.txt')], {}, ['logs/a.txt']],
    [
      'a folder of parts for an object in several',
      [place('logs/a.txt', 0, 3), place('logs/a.txt', 1, 3), place('logs/a.txt', 2, 3)],
      {},
      ['logs/a.txt/part-00000', 'logs/a.txt/part-00001', 'logs/a.txt/part-00002'],
    ],
    [
      'the call for items',
      [
        { call: 0, index: 0, count: 2 },
        { call: 1, index: 1, count: 2 },
      ],
      {},
      ['part-00000', 'part-00001'],
    ],
    ['one result of a reduce', [{ call: 0, index: 0, count: 1 }], { kind: 'reduce' }, ['result']],
    ['the key for a reduce per object', [place('a', 0, 1), place('b', 0, 1)], { kind: 'reduce' }, ['a', 'b']],
    ['.gz behind all', [place('a.txt'), place('b.gz')], { compress: 'gzip' }, ['a.txt.gz', 'b.gz']],
    [
      'a template',
      [place('logs/2026/a.tar.gz', 7, 9)],
      { name: '{bucket}/{dir}{stem}-{index}of{count}{ext}.{call}' },
      ['b/logs/2026/a.tar-00007of9.gz.00000'],
    ],
    ['a template of a name without extension', [place('x/.env')], { name: '{name}|{stem}|{ext}' }, ['.env|.env|']],
    ['a function', [place('a', 1, 2)], { name: ({ object, index }) => `${object?.key}~${index}` }, ['a~1']],
  ])('%s', (_, places, rules, names) => {
    expect(outputNames(numbered(places), { ...RULES, ...rules })).toEqual(names)
  })

  it.each<[string, Partial<NamingRules>, string, RegExp]>([
    ['nothing', { name: () => '' }, 'a', /expected text that is not empty, got ""; give output.name/],
    ['no text', { name: () => 5 as never }, 'a', /expected text, got 5/],
    ['a way up', { name: '../{key}' }, 'a', /expected no "\." and "\.\."/],
    ['a way up from within', {}, 'x/../../a', /expected no "\." and "\.\."/],
    ['the folder itself', { name: './a' }, 'a', /expected no "\." and "\.\."/],
    ['an absolute path', { name: '/etc/{key}' }, 'a', /relative to output\.to/],
    ["quern's own folder", { name: '_quern/{key}' }, 'a', /kept for the manifest/],
    ['a long key', { name: 'x'.repeat(1025) }, 'a', /at most 1024 bytes/],
    ['a long key in UTF-8', { name: 'ä'.repeat(513) }, 'a', /at most 1024 bytes/],
    ['an empty segment in a file system', { anyKey: false }, 'a//b', /a file system can hold/],
    ['a long segment in a file system', { anyKey: false }, 'x'.repeat(256), /a file system can hold/],
  ])('refuses %s, naming the call', (_, rules, key, message) => {
    const naming = () => outputNames([place(key)], { ...RULES, ...rules })
    expect(naming).toThrow(message)
    expect(naming).toThrow(/^output name of call 00000 \(s3:\/\/b\//)
  })

  it('refuses a field of an object where there is none', () => {
    const naming = () => outputNames([{ call: 3, index: 3, count: 4 }], { ...RULES, name: '{stem}' })
    expect(naming).toThrow('output.name: {stem} needs an object, and call 00003 has none')
  })

  it('refuses two calls of one name, naming both and a way out', () => {
    const two = numbered([place('x', 0, 1, 'one'), place('y'), place('x', 0, 1, 'two')])
    expect(() => outputNames(two, RULES)).toThrow(
      "output name 'x': call 00000 (s3://one/x) and call 00002 (s3://two/x) would both write it; " +
        "give an output.name that tells them apart, such as '{bucket}/{key}/{index}'",
    )
    expect(outputNames(two, { ...RULES, name: '{bucket}/{key}' })).toEqual(['one/x', 'b/y', 'two/x'])
  })

  it('refuses a file that would be the folder of another, where the store is a file system', () => {
    const places = numbered([place('a/b/c'), place('a/b')])
    expect(outputNames(places, RULES)).toEqual(['a/b/c', 'a/b'])
    expect(() => outputNames(places, { ...RULES, anyKey: false })).toThrow(/'a\/b' would be a file and a folder/)
  })

  it('names never collide and never lead out of the prefix, or are refused', () => {
    const segment = fc.constantFrom('a', 'b', '..', '.', '', '_quern', 'a.txt', 'part-00000')
    const key = fc.array(segment, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'))
    const object = fc.record({ key, count: fc.integer({ min: 1, max: 3 }), bucket: fc.constantFrom('one', 'two') })
    const name = fc.constantFrom(undefined, '{key}', '{bucket}/{key}/{index}', '{name}-{index}', '{dir}{stem}{ext}')
    fc.assert(
      fc.property(fc.array(object, { maxLength: 4 }), name, fc.boolean(), (objects, template, anyKey) => {
        const places = numbered(
          objects.flatMap(({ key: at, count, bucket }) =>
            Array.from({ length: count }, (_, index) => place(at, index, count, bucket)),
          ),
        )
        let names: string[]
        try {
          names = outputNames(places, { kind: 'map', anyKey, name: template })
        } catch (error) {
          expect(error).toMatchObject({ code: 'VALIDATION' })
          return
        }
        expect(new Set(names).size).toBe(places.length)
        for (const each of names) {
          expect(new URL(each.replaceAll('//', '/-/'), 'file:///out/').pathname.startsWith('/out/')).toBe(true)
          expect(each.startsWith('_quern/')).toBe(false)
          if (anyKey) continue
          for (const other of names) expect(other.startsWith(`${each}/`)).toBe(false)
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('names of the parts of a divided call', () => {
  it.each([
    ['logs/a.txt', 500, 'logs/a.from-500.txt'],
    ['logs/a.txt.gz', 500, 'logs/a.from-500.txt.gz'],
    ['logs.d/part-00001', 7, 'logs.d/part-00001.from-7'],
    ['result', 0, 'result.from-0'],
  ])('%s from byte %i: %s', (name, start, part) => {
    expect(partName(name, start, () => false)).toBe(part)
  })

  it('are unlike every planned name and each other, however calls are divided and named', () => {
    const planned = fc.uniqueArray(
      fc.constantFrom('a', 'a.x', 'a.from-1', 'a.from-1_', 'a.from-1.x', 'a.from-1.from-2'),
      {
        minLength: 1,
      },
    )
    const starts = fc.uniqueArray(fc.integer({ min: 1, max: 4 }), { minLength: 1 })
    fc.assert(
      fc.property(planned, starts, (names, cuts) => {
        const taken = new Set<string>(names)
        const parts = names.flatMap((name) => cuts.map((cut) => partName(name, cut, (each) => taken.has(each))))
        expect(new Set([...names, ...parts]).size).toBe(names.length + parts.length)
        expect(parts).toEqual(
          names.flatMap((name) => cuts.map((cut) => partName(name, cut, (each) => taken.has(each)))),
        )
      }),
    )
  })
})
