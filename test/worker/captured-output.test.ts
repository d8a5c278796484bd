import { describe, expect, it } from 'vitest'
import { cutText } from '../../src/worker/captured-output.ts'

describe('a text longer than a report', () => {
  it.each([
    ['', 4, []],
    ['abcd', 4, ['abcd']],
    ['abcde', 4, ['abcd', 'e']],
    ['abc😀d', 4, ['abc', '😀d']],
    ['ab😀cd', 4, ['ab😀', 'cd']],
    ['😀😀😀', 3, ['😀', '😀', '😀']],
  ])('%j is cut to parts of %d at most, never within a character', (text, most, parts) => {
    expect(cutText(text, most)).toEqual(parts)
    expect(cutText(text, most).join('')).toBe(text)
  })
})
