import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { escapeGlob, globMatcher, isGlob, literalPrefix } from '../../src/core/glob.ts'

describe('globs on keys', () => {
  it.each([
    { glob: '*.txt', matches: ['a.txt', '.txt', '.a.txt'], not: ['a/b.txt', 'a.txtx'] },
    { glob: 'a/**', matches: ['a/b', 'a/b/c', 'a/.b/c'], not: ['b/a', 'ab/c'] },
    { glob: 'a/**/z', matches: ['a/z', 'a/b/z', 'a/b/c/z'], not: ['a/bz'] },
    { glob: '{a,b}/?.[ch]', matches: ['a/x.c', 'b/y.h'], not: ['a/xx.c', 'c/x.c', 'a/x.d'] },
    { glob: 'report (1)*', matches: ['report (1).csv'], not: ['report 1.csv'] },
    { glob: '!not*', matches: ['!note'], not: ['other'] },
    { glob: '+(a)*', matches: ['+(a)b'], not: ['aab'] },
    { glob: '[!a].txt', matches: ['b.txt'], not: ['a.txt'] },
    { glob: '[^a].txt', matches: ['b.txt', '!.txt'], not: ['a.txt', '^a.txt'] },
    { glob: 'a\\*b*', matches: ['a*bc'], not: ['axbc'] },
    { glob: '"q"*', matches: ['"q"x'], not: ['qx'] },
  ])('$glob', ({ glob, matches, not }) => {
    const match = globMatcher(glob)
    for (const key of matches) expect(`${key} ${match(key)}`).toBe(`${key} true`)
    for (const key of not) expect(`${key} ${match(key)}`).toBe(`${key} false`)
  })

  it.each(['a.txt', 'a?b', 'a[b', '{x}', 'a\\*b', 'a]b[', '(a|b)'])('%s is no glob', (text) => {
    expect(isGlob(text)).toBe(false)
  })

  it('an escaped key matches itself, and begins with its literal prefix', () => {
    const part = fc.constantFrom(...'abé _-.,;:=&%#~\'`<>!@+^$()[]{}|?*"\\'.split(''))
    const key = fc
      .array(part, { minLength: 1 })
      .map((parts) => parts.join(''))
      .filter((text) => !/^\.{1,2}$/.test(text))
    fc.assert(
      fc.property(key, (text) => {
        const glob = `${escapeGlob(text)}*`
        expect(isGlob(glob)).toBe(true)
        expect(literalPrefix(glob)).toBe(text)
        expect(globMatcher(glob)(`${text}tail`)).toBe(true)
        expect(globMatcher(escapeGlob(text))(text)).toBe(true)
        expect(globMatcher(escapeGlob(text))(`${text}x`)).toBe(false)
      }),
      { numRuns: 1_000 },
    )
  })
})
