/**
 * What the text of a function says about whether it can travel: its form, the names it takes from outside, and the
 * constructs that tie it to its place. Text is parsed as it will be compiled: an expression in strict mode.
 *
 * Leaves to capture.ts what to do about obstacles.
 */
import { createRequire } from 'node:module'
import type * as Acorn from 'acorn'
import type * as EslintScope from 'eslint-scope'
import { isWorkerGlobal } from './worker-globals.ts'

export interface FunctionText {
  /** An expression that gives the function: methods are turned into one. */
  readonly expression: string
  /** What keeps the text from travelling alone, for people: `'stopWords'`, `import.meta`. Empty when nothing does. */
  readonly obstacles: readonly string[]
}

/** Why a callable is no function that could travel at all. */
export interface Unshippable {
  readonly reason: string
}

const DIRECT_EVAL = 'direct eval'

interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
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

function analyse(text: string): FunctionText | Unshippable {
  if (/\{\s*\[native code\]\s*\}$/.test(text)) {
    return { reason: 'it is native or bound; wrap it in a function of your own: (...args) => name(...args)' }
  }
  const require = createRequire(import.meta.url)
  const acorn = require('acorn') as typeof Acorn
  const parsed = parseForm(acorn, text)
  if ('reason' in parsed) return parsed
  const { analyze } = require('eslint-scope') as typeof EslintScope
  const scopes = analyze(parsed.program as never, { ecmaVersion: 2022, sourceType: 'module' })
  const outside = scopes.globalScope?.through.map(({ identifier }) => identifier as unknown as Node) ?? []
  const finder = new ObstacleFinder(parsed.method)
  finder.visit(parsed.fn)
  // direct eval hides which names it takes
  const dynamic = finder.found.has(DIRECT_EVAL)
  const names = outside.filter((n) => !dynamic && !finder.onlyTyped.has(n) && !isProvided(String(n.name)))
  const free = names.map((node) => writtenName(String(finder.importedNames.get(node) ?? node.name)))
  return { expression: parsed.expression, obstacles: [...new Set([...free, ...finder.found])] }
}

/** What stood in the source where vite left a helper of its own. */
function writtenName(name: string): string {
  if (name === '__vite_ssr_import_meta__') return 'import.meta'
  return name === '__vite_ssr_dynamic_import__' ? 'import()' : `'${name}'`
}

/** `__name` is esbuild's: the loader defines it. */
function isProvided(name: string): boolean {
  return name === '__name' || isWorkerGlobal(name)
}

interface Parsed {
  readonly program: Node
  readonly fn: Node
  readonly expression: string
  readonly method: boolean
}

function parseForm(acorn: typeof Acorn, text: string): Parsed | Unshippable {
  const parse = (source: string) =>
    acorn.parse(source, {
      ecmaVersion: 'latest',
      sourceType: 'module',
      allowSuperOutsideMethod: true,
      ranges: true,
    }) as unknown as Node
  let problem: unknown
  try {
    const program = parse(`(${text}\n)`)
    const fn = only(program).expression as Node
    if (fn.type === 'ClassExpression') return { reason: 'it is a class; pass a function that makes the instance' }
    return { program, fn, expression: text, method: false }
  } catch (error) {
    problem = error
  }
  try {
    const object = only(parse(`({${text}\n})`)).expression as { readonly properties?: readonly Node[] } & Node
    const property = object.properties?.[0] as Node
    if (property.kind !== 'init') return { reason: 'it is a getter or setter' }
    const value = property.value as Node
    const head = `${value.async ? 'async ' : ''}${value.generator ? '*' : ''}`
    // the key may be computed: the method travels under a name of its own
    const expression = `({ ${head}method${text.slice(value.start - 2)} }).method`
    const program = parse(`(${expression}\n)`)
    const literal = (only(program).expression as Node).object as { readonly properties: readonly Node[] } & Node
    return { program, fn: (literal.properties[0] as Node).value as Node, expression, method: true }
  } catch {
    const why = problem instanceof Error ? problem.message : String(problem)
    return { reason: `its text cannot be read in strict mode: ${why}` }
  }
}

function only(program: Node): Node {
  return (program.body as readonly Node[])[0] as Node
}

/** Walks a function and notes what ties it to its place, beside free variables. */
class ObstacleFinder {
  readonly found = new Set<string>()
  /** Identifiers that only ask `typeof`, which an unknown name survives. */
  readonly onlyTyped = new Set<Node>()
  /** `__vite_ssr_import_0__` in `__vite_ssr_import_0__.tokenize` → `tokenize`: the name the user wrote. */
  readonly importedNames = new Map<Node, string>()
  readonly #root: 'method' | 'function'

  constructor(method: boolean) {
    this.#root = method ? 'method' : 'function'
  }

  visit(fn: Node): void {
    const arrow = fn.type === 'ArrowFunctionExpression'
    this.#children(fn, { ownThis: !arrow && this.#root === 'function', ownTarget: !arrow, ownSuper: false })
  }

  #visit(node: Node, scope: Scope): void {
    this.#note(node, scope)
    this.#children(node, scopeInside(node, scope))
  }

  #note(node: Node, scope: Scope): void {
    switch (node.type) {
      case 'ThisExpression':
        if (!scope.ownThis) this.found.add('`this` of where it is defined')
        break
      case 'Super':
        if (!scope.ownSuper) this.found.add('`super`')
        break
      case 'MetaProperty':
        if ((node.meta as Node).name === 'import') this.found.add('import.meta')
        else if (!scope.ownTarget) this.found.add('new.target')
        break
      case 'ImportExpression':
        this.#noteImport((node.source as Node).value)
        break
      case 'CallExpression':
        if ((node.callee as Node).type === 'Identifier' && (node.callee as Node).name === 'eval') {
          this.found.add(DIRECT_EVAL)
        }
        break
      case 'UnaryExpression':
        if (node.operator === 'typeof') this.onlyTyped.add(node.argument as Node)
        break
      case 'MemberExpression':
        this.#noteMember(node.object as Node, node.property as Node)
        break
    }
  }

  #noteImport(specifier: unknown): void {
    if (typeof specifier === 'string' && /^\.{0,2}\//.test(specifier)) {
      this.found.add(`import('${specifier}'), a path relative to its module`)
    }
  }

  #noteMember(object: Node, property: Node): void {
    if (/^__vite_ssr_import_\d+__$/.test(String(object.name))) this.importedNames.set(object, String(property.name))
  }

  #children(node: Node, scope: Scope): void {
    for (const field in node) {
      const value = node[field]
      if (Array.isArray(value)) {
        for (const child of value) if (isNode(child)) this.#visit(child, scope)
      } else if (isNode(value)) {
        this.#visit(value, scope)
      }
    }
  }
}

interface Scope {
  readonly ownThis: boolean
  readonly ownTarget: boolean
  readonly ownSuper: boolean
}

function scopeInside(node: Node, scope: Scope): Scope {
  switch (node.type) {
    case 'FunctionExpression':
    case 'FunctionDeclaration':
      return { ...scope, ownThis: true, ownTarget: true }
    case 'PropertyDefinition':
    case 'StaticBlock':
      return { ownThis: true, ownTarget: true, ownSuper: true }
    case 'MethodDefinition':
      return { ...scope, ownSuper: true }
    case 'Property':
      return node.method === true || node.kind !== 'init' ? { ...scope, ownSuper: true } : scope
    default:
      return scope
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string'
}
