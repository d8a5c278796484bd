/**
 * What a module's own text says of its top level: which names are imports and of what, and under which names it exports
 * its bindings. Reads what V8 compiled, so it knows the forms loaders leave: native modules, CommonJS, esbuild's (tsx)
 * and TypeScript's CommonJS, vite's.
 */
import { loadAcorn } from './function-text.ts'
import { isNode, type Node } from './text-ties.ts'

export interface ImportBinding {
  readonly specifier: string
  /** `*` is the namespace; with `require` what `module.exports` is. */
  readonly name: string
  /** `interop`: a require whose value got a `default`, as esbuild and TypeScript do. */
  readonly via: 'import' | 'require' | 'interop'
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

export interface ModuleBindings {
  readonly imports: ReadonlyMap<string, ImportBinding>
  /** Local name → the name it is exported under. */
  readonly exports: ReadonlyMap<string, string>
  /** Whether a variable of that name may be given another value after it got its first, anywhere in the module. */
  mayChange(name: string): boolean
  /** Whether every variable of that name is a class or a constant with a value that is something. */
  neverUndefined(name: string): boolean
}

// a cache: it follows from the source alone
const parsed = new Map<string, ModuleBindings>()
const MAX_PARSED = 200
const INTEROP = new Set(['__toESM', '__importStar', '__importDefault', '_interopRequireWildcard'])
const NONE: ModuleBindings = {
  imports: new Map(),
  exports: new Map(),
  mayChange: () => true,
  neverUndefined: () => false,
}

/** Of a source that cannot be read: no bindings. */
export function moduleBindings(source: string): ModuleBindings {
  const known = parsed.get(source)
  if (known !== undefined) return known
  if (parsed.size >= MAX_PARSED) parsed.clear()
  const bindings = read(source)
  parsed.set(source, bindings)
  return bindings
}

function read(source: string): ModuleBindings {
  const program = parse(source)
  if (program === undefined) return NONE
  const reader = new BindingReader(program, /\beval\b/.test(source))
  reader.statements(program.body as readonly Node[])
  return reader
}

function parse(source: string): Node | undefined {
  const acorn = loadAcorn()
  const common = { ecmaVersion: 'latest', allowHashBang: true, allowReturnOutsideFunction: true } as const
  for (const sourceType of ['module', 'script'] as const) {
    try {
      return acorn.parse(source, { ...common, sourceType }) as unknown as Node
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error
    }
  }
  return undefined
}

class BindingReader implements ModuleBindings {
  readonly imports = new Map<string, ImportBinding>()
  readonly exports = new Map<string, string>()
  readonly #program: Node
  readonly #dynamic: boolean
  #assigned: ReadonlySet<string> | undefined
  #defined: ReadonlySet<string> | undefined

  constructor(program: Node, dynamic: boolean) {
    this.#program = program
    this.#dynamic = dynamic
  }

  mayChange(name: string): boolean {
    this.#assigned ??= assignedNames(this.#program)
    return this.#dynamic || this.#assigned.has(name)
  }

  neverUndefined(name: string): boolean {
    this.#defined ??= definedNames(this.#program)
    return this.#defined.has(name)
  }

  statements(body: readonly Node[]): void {
    for (const statement of body) this.#statement(statement)
  }

  #statement(node: Node): void {
    switch (node.type) {
      case 'ImportDeclaration':
        this.#importDeclaration(node)
        break
      case 'ExportNamedDeclaration':
        this.#exportNamed(node)
        break
      case 'ExportDefaultDeclaration':
        this.#exportDefault(node.declaration as Node)
        break
      case 'VariableDeclaration':
        for (const { id, init } of node.declarations as readonly Node[]) {
          if (init) this.#variable(id as Node, init as Node)
        }
        break
      case 'BlockStatement':
        this.statements(node.body as readonly Node[])
        break
      case 'ExpressionStatement':
        this.#expression(node.expression as Node)
        break
    }
  }

  #importDeclaration(node: Node): void {
    const specifier = String((node.source as Node).value)
    const given = (node.attributes ?? []) as readonly Node[]
    const pairs = given.map(({ key, value }) => [text(key as Node), text(value as Node)] as const)
    const attributes = pairs.length === 0 ? undefined : Object.fromEntries(pairs)
    for (const each of node.specifiers as readonly Node[]) {
      const kind = each.type === 'ImportDefaultSpecifier' ? 'default' : '*'
      const name = each.type === 'ImportSpecifier' ? text(each.imported as Node) : kind
      this.imports.set(text(each.local as Node), { specifier, name, via: 'import', attributes })
    }
  }

  #exportNamed(node: Node): void {
    const declaration = node.declaration as Node | null
    if (node.source) return
    if (declaration === null) {
      for (const each of node.specifiers as readonly Node[]) {
        this.exports.set(text(each.local as Node), text(each.exported as Node))
      }
      return
    }
    this.#statement(declaration)
    const declared =
      declaration.type === 'VariableDeclaration' ? (declaration.declarations as readonly Node[]) : [declaration]
    for (const { id } of declared)
      if ((id as Node)?.type === 'Identifier') this.exports.set(text(id as Node), text(id as Node))
  }

  #exportDefault(declaration: Node): void {
    if (declaration.type === 'Identifier') this.exports.set(text(declaration), 'default')
    else if (declaration.id) this.exports.set(text(declaration.id as Node), 'default')
    else this.exports.set('*default*', 'default')
  }

  #variable(id: Node, init: Node): void {
    const binding = importedValue(init)
    if (binding === undefined) return
    if (id.type === 'Identifier') this.imports.set(text(id), binding)
    if (id.type !== 'ObjectPattern' || binding.name !== '*') return
    for (const property of id.properties as readonly Node[]) {
      const value = property.value as Node | undefined
      if (property.computed === true || value?.type !== 'Identifier') continue
      this.imports.set(text(value), { ...binding, name: text(property.key as Node) })
    }
  }

  /** A loader's wrapper around the module, and what vite says of its exports. */
  #expression(node: Node): void {
    if (node.type === 'CallExpression') {
      const callee = node.callee as Node
      if (callee.name === '__vite_ssr_exportName__') return this.#viteExport(node.arguments as readonly Node[])
      if (isFunction(callee)) this.#expression(callee)
    } else if (node.type === 'SequenceExpression') {
      for (const each of node.expressions as readonly Node[]) this.#expression(each)
    } else if (isFunction(node) && (node.body as Node).type === 'BlockStatement') {
      this.#statement(node.body as Node)
    }
  }

  /** `__vite_ssr_exportName__("name", () => { try { return local } catch {} })` */
  #viteExport([name, getter]: readonly Node[]): void {
    const local = returnedName(getter)
    if (local !== undefined && typeof name?.value === 'string') this.exports.set(local, name.value)
  }
}

const VALUES = /^(?:ArrowFunction|Function|Class|Object|Array|New|Binary)Expression$|^TemplateLiteral$|^Literal$/

/** Names that stand only for classes and for constants whose first value cannot be undefined. */
function definedNames(program: Node): Set<string> {
  const defined = new Set<string>()
  const other = new Set<string>()
  const declare = (id: unknown, sure: boolean) => {
    if (isNode(id) && id.type === 'Identifier') (sure ? defined : other).add(text(id))
    else if (isNode(id)) everyNode(id, (node) => node.type === 'Identifier' && other.add(text(node)))
  }
  everyNode(program, (node) => {
    if (node.type === 'ClassDeclaration') declare(node.id, true)
    else if (node.type === 'FunctionDeclaration') declare(node.id, false)
    else if (node.type === 'VariableDeclaration') {
      const init = (each: Node) => node.kind === 'const' && isNode(each.init) && VALUES.test(each.init.type)
      for (const each of node.declarations as readonly Node[]) declare(each.id, init(each))
    }
    for (const parameter of (isFunction(node) || node.type === 'FunctionDeclaration' ? node.params : []) as unknown[]) {
      declare(parameter, false)
    }
  })
  for (const name of other) defined.delete(name)
  return defined
}

function everyNode(node: Node, visit: (node: Node) => unknown): void {
  visit(node)
  for (const field in node) {
    const value = node[field]
    if (isNode(value)) everyNode(value, visit)
    else if (Array.isArray(value)) for (const child of value) if (isNode(child)) everyNode(child, visit)
  }
}

/** Names that are assigned to, of whatever scope; a `var` is there before it has its value. */
function assignedNames(program: Node): Set<string> {
  const names = new Set<string>()
  const target = (node: unknown): void => {
    if (!isNode(node)) return
    if (node.type === 'Identifier') names.add(text(node))
    else if (node.type === 'Property') target(node.value)
    else if (node.type === 'ArrayPattern') for (const each of node.elements as unknown[]) target(each)
    else if (node.type === 'ObjectPattern') for (const each of node.properties as unknown[]) target(each)
    else if (node.type === 'AssignmentPattern') target(node.left)
    else if (node.type === 'RestElement') target(node.argument)
    else if (node.type === 'VariableDeclaration') for (const { id } of node.declarations as readonly Node[]) target(id)
  }
  everyNode(program, (node) => {
    if (node.type === 'UpdateExpression') target(node.argument)
    else if (/^(?:AssignmentExpression|ForInStatement|ForOfStatement)$/.test(node.type)) target(node.left)
    else if (node.type === 'VariableDeclaration' && node.kind === 'var') target(node)
  })
  return names
}

/** What `require('x')`, `await import('x')` and their wrapped forms give. */
function importedValue(init: Node): ImportBinding | undefined {
  if (init.type === 'AwaitExpression') return awaited(init.argument as Node)
  if (init.type === 'MemberExpression' && init.computed !== true) {
    const whole = importedValue(init.object as Node)
    return whole?.name === '*' ? { ...whole, name: text(init.property as Node) } : undefined
  }
  if (init.type !== 'CallExpression') return undefined
  const callee = init.callee as Node
  const [argument] = init.arguments as readonly Node[]
  if (argument === undefined) return undefined
  if (callee.type === 'Identifier' && INTEROP.has(text(callee))) {
    const inner = importedValue(argument)
    return inner?.via === 'require' && inner.name === '*' ? { ...inner, via: 'interop' } : undefined
  }
  const required = callee.type === 'Identifier' && callee.name === 'require' && typeof argument.value === 'string'
  return required ? { specifier: String(argument.value), name: '*', via: 'require' } : undefined
}

function awaited(call: Node): ImportBinding | undefined {
  const named = call.type === 'CallExpression' && (call.callee as Node).name
  const vite = named === '__vite_ssr_import__' || named === '__vite_ssr_dynamic_import__'
  const source = call.type === 'ImportExpression' ? (call.source as Node) : undefined
  const given = vite ? (call.arguments as readonly Node[])[0] : source
  if (typeof given?.value !== 'string') return undefined
  return { specifier: given.value, name: '*', via: 'import' }
}

/** `local` of `() => { try { return local } catch {} }`. */
function returnedName(getter: Node | undefined): string | undefined {
  if (getter === undefined) return undefined
  const block = ((getter.body as Node).body as readonly Node[] | undefined)?.[0]
  const returned = ((block?.block as Node | undefined)?.body as readonly Node[] | undefined)?.[0]
  const argument = returned?.argument as Node | undefined
  return argument?.type === 'Identifier' ? text(argument) : undefined
}

function isFunction(node: Node): boolean {
  return node.type === 'ArrowFunctionExpression' || node.type === 'FunctionExpression'
}

function text(node: Node): string {
  return String(node.name ?? node.value)
}
