/**
 * esbuild's `keepNames` names each function again whenever it is made: a microsecond for every closure of a call, as much
 * as some calls take. Functions inside functions are named by the variable or property they are given to, as in the
 * source; only those outside, which joining may have renamed, keep the call. Texts keep their length, so source maps hold.
 */
import { parse } from 'acorn'

const FUNCTIONS = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'PropertyDefinition',
])
const HELPER = '__name'

/** The text of a joined module without the names given inside functions. @throws SyntaxError */
export function withOuterNames(text) {
  const blanks = []
  walk(
    parse(text, { ecmaVersion: 'latest', sourceType: 'module' }),
    false,
    ({ callee, arguments: [named, name], end }) => {
      // a class says so itself, once
      if (named.type === 'ThisExpression') return
      blanks.push([callee.start, callee.end], [text.lastIndexOf(',', name.start), end - 1])
    },
  )
  const parts = []
  let at = 0
  for (const [from, to] of blanks.sort((a, b) => a[0] - b[0])) {
    parts.push(text.slice(at, from), ' '.repeat(to - from))
    at = to
  }
  return parts.join('') + text.slice(at)
}

/** Finds calls of the helper inside functions. */
function walk(node, inside, found) {
  if (inside && node.type === 'CallExpression' && node.callee.name === HELPER) found(node)
  const within = inside || FUNCTIONS.has(node.type)
  for (const key in node) {
    const value = node[key]
    for (const child of Array.isArray(value) ? value : [value]) {
      if (typeof child?.type === 'string') walk(child, within, found)
    }
  }
}
