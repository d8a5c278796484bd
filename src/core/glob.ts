/**
 * Globs on keys, on picomatch: `*` and `?` stay within a folder, `**` crosses, `[a-c]` and `{a,b}` choose, names that
 * begin with a dot are matched like any other, and a backslash takes a character as it is. Text is a glob when it has
 * `*`, a closed `[…]` or a `{…}` with a comma or a range; a lone `?` is an ordinary character of keys.
 */
import { createRequire } from 'node:module'

const GLOB = /\*|\[[^\]]+\]|\{[^}]*(?:,|\.\.)[^}]*\}/

/** Stands for a backslash of a key: picomatch joins and drops backslashes. */
const BACKSLASH = '\uf8ff'

export function isGlob(text: string): boolean {
  return GLOB.test(text.replace(/\\./gs, 'x'))
}

/** Whether a key matches. */
export function globMatcher(glob: string): (key: string) => boolean {
  // what picomatch takes for extended globs, groups, quotes or negation are characters of keys here
  const plain = glob.replace(/\\.|\[[^\]]+\]|[()|+!@"^$]/gs, plainPart)
  const options = { dot: true, nonegate: true, noextglob: true, windows: false, strictSlashes: true }
  // loaded at the first glob: most programs name none before their first worker runs
  const picomatch = createRequire(import.meta.url)('picomatch') as typeof import('picomatch')
  const matches = picomatch(plain, options)
  return (key) => matches(key.includes('\\') ? key.replaceAll('\\', BACKSLASH) : key)
}

/** The text that every matching key begins with. */
export function literalPrefix(glob: string): string {
  const literal = /^(?:\\.|[^*?[{\\])*/s.exec(glob)?.[0] ?? ''
  return literal.replace(/\\(.)/gs, '$1')
}

/** Text as a glob that matches nothing but it. */
export function escapeGlob(text: string): string {
  return text.replace(/[\\*?[\]{}()|+!@"^$]/g, '\\$&')
}

function plainPart(text: string): string {
  if (text.startsWith('[')) return text.replace(/^\[!/, '[^')
  if (!text.startsWith('\\')) return `\\${text}`
  return text === '\\\\' ? BACKSLASH : text
}
