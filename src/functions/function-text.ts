/**
 * What the text of a function or class says about whether and how it can travel: its form, the names it takes from
 * outside, and the constructs that tie it to its place. Text is parsed as it will be compiled: an expression in strict
 * mode. All offsets are of the text as `Function.prototype.toString` gave it.
 *
 * Leaves to capture.ts what to do about names and ties.
 */

import { createRequire } from 'node:module'
import type * as Acorn from 'acorn'
import type * as EslintScope from 'eslint-scope'
import { messageOf } from '../core/errors.ts'
import type { TextEdit } from './text-edits.ts'
import { findTies, type Node, type Tie } from './text-ties.ts'

export interface FunctionText {
  readonly kind: 'function' | 'class'
  /** Makes an expression of it: methods are turned into one. */
  readonly edits: readonly TextEdit[]
  /** Where a class says what it extends; the names in it are not among `names`. */
  readonly heritage?: { readonly start: number; readonly end: number } | undefined
  /** In order of first use. */
  readonly names: readonly FreeName[]
  /** What keeps the text from travelling at all. */
  readonly ties: readonly Tie[]
  /** Places of `import.meta`. */
  readonly metas: readonly number[]
  /** Dynamic imports: the place of `import`, and what is imported where that is a literal. */
  readonly imports: readonly { readonly offset: number; readonly specifier?: string | undefined }[]
}

/** A name that the text takes from outside. */
export interface FreeName {
  readonly name: string
  /** What the user wrote for it, where vite put a helper of its own. */
  readonly written: string
  readonly uses: readonly NameUse[]
  /** Only asked for its type, which a name that is nowhere survives. */
  readonly onlyTyped: boolean
  /** Where the text first assigns to it. */
  readonly write?: number | undefined
  /** A class needs it when it is defined, not only when its methods run. */
  readonly early: boolean
}

export interface NameUse {
  readonly start: number
  readonly end: number
  /** How it would be replaced: `statement` is a call that begins a statement of a block. */
  readonly form: 'read' | 'call' | 'statement' | 'shorthand'
}

/** Why a callable is no function that could travel at all. */
export interface Unshippable {
  readonly reason: string
}

// a cache: what it holds follows from the text alone
const analysed = new Map<string, FunctionText | Unshippable>()
const MAX_ANALYSED = 1_000

/** Reads the text `Function.prototype.toString` gave. */
export function analyseFunctionText(text: string): FunctionText | Unshippable {
  const known = analysed.get(text)
  if (known !== undefined) return known
  if (analysed.size >= MAX_ANALYSED) analysed.clear()
  const result = analyse(text)
  analysed.set(text, result)
  return result
}

export function isNativeText(text: string): boolean {
  return /\{\s*\[native code\]\s*\}$/.test(text)
}

/** acorn, loaded at its first use. */
export function loadAcorn(): typeof Acorn {
  return createRequire(import.meta.url)('acorn') as typeof Acorn
}

function analyse(text: string): FunctionText | Unshippable {
  if (isNativeText(text)) {
    return { reason: 'it is native or bound; wrap it in a function of your own: (...args) => name(...args)' }
  }
  const form = parseForm(text)
  if ('reason' in form) return form
  const { fn, shift, edits, method } = form
  const found = findTies(fn, method)
  const [from, to] = found.heritage ?? [0, 0]
  const inText = ({ start }: Node) => start >= fn.start && start < fn.end && !(start >= from && start < to)
  const { analyze } = createRequire(import.meta.url)('eslint-scope') as typeof EslintScope
  const scopes = analyze(form.program as never, { ecmaVersion: 2022, sourceType: 'module' })
  const through = (scopes.globalScope?.through ?? []).filter(({ identifier }) => inText(identifier as unknown as Node))
  const names = new Map<string, FreeName>()
  for (const reference of through) {
    const node = reference.identifier as unknown as Node
    const name = String(node.name)
    const before = names.get(name)
    const typed = found.onlyTyped.has(node)
    const use: NameUse = { start: node.start - shift, end: node.end - shift, form: found.forms.get(node) ?? 'read' }
    names.set(name, {
      name,
      written: before?.written ?? String(found.importedNames.get(node) ?? name),
      uses: [...(before?.uses ?? []), use],
      onlyTyped: typed && (before?.onlyTyped ?? true),
      write: before?.write ?? (reference.isWrite() ? use.start : undefined),
      early: before?.early === true || found.early.some((part) => node.start >= part[0] && node.end <= part[1]),
    })
  }
  return {
    kind: fn.type === 'ClassExpression' ? 'class' : 'function',
    edits,
    heritage: found.heritage === undefined ? undefined : { start: from - shift, end: to - shift },
    names: [...names.values()],
    ties: found.ties.map((tie) => ({ ...tie, offset: tie.offset - shift })),
    metas: found.metas.map((offset) => offset - shift),
    imports: found.imports.map((each) => ({ ...each, offset: each.offset - shift })),
  }
}

interface Form {
  readonly program: Node
  readonly fn: Node
  /** What was put before the text to parse it. */
  readonly shift: number
  readonly edits: readonly TextEdit[]
  readonly method: boolean
}

function parseForm(text: string): Form | Unshippable {
  const acorn = loadAcorn()
  const parse = (source: string) => {
    const options = {
      ecmaVersion: 'latest',
      sourceType: 'module',
      allowSuperOutsideMethod: true,
      ranges: true,
    } as const
    return acorn.parse(source, options) as unknown as Node
  }
  let problem: unknown
  try {
    const program = parse(`(${text}\n)`)
    return { program, fn: only(program).expression as Node, shift: 1, edits: [], method: false }
  } catch (error) {
    problem = error
  }
  try {
    const program = parse(`({${text}\n})`)
    const object = only(program).expression as { readonly properties?: readonly Node[] } & Node
    const property = object.properties?.[0] as Node
    if (property.kind !== 'init') return { reason: 'it is a getter or setter' }
    const fn = property.value as Node
    const head = `({ ${fn.async ? 'async ' : ''}${fn.generator ? '*' : ''}method`
    // the key may be computed: the method travels under a name of its own
    const edits = [
      { start: 0, end: fn.start - 2, text: head },
      { start: text.length, end: text.length, text: ' }).method' },
    ]
    return { program, fn, shift: 2, edits, method: true }
  } catch (error) {
    return { reason: unreadable(/Private field/.test(String(error)) ? error : problem) }
  }
}

function unreadable(problem: unknown): string {
  const why = messageOf(problem)
  const secret = /Private field '(#\w+)'/.exec(why)?.[1]
  if (secret !== undefined) return `it uses ${secret}, which is private to the class it is defined in`
  if (/'with' in strict mode/.test(why)) return "its text cannot be read in strict mode: it uses 'with'"
  return `its text cannot be read in strict mode: ${why}`
}

function only(program: Node): Node {
  return (program.body as readonly Node[])[0] as Node
}
