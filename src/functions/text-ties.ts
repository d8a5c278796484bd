/**
 * Walks a parsed function and notes what ties it to its place (`this` of where it is defined, `super`, direct eval), where
 * it asks for its module (`import.meta`, `import()`), and how each identifier is used.
 */
export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [field: string]: unknown
}

export interface Tie {
  readonly what: string
  readonly offset: number
  /** It is the `this` of a method: fine where the method travels within its object. */
  readonly receiver?: boolean
}

export interface Ties {
  readonly ties: readonly Tie[]
  readonly metas: readonly number[]
  readonly imports: readonly { readonly offset: number; readonly specifier?: string | undefined }[]
  /** Identifiers that only ask `typeof`. */
  readonly onlyTyped: ReadonlySet<Node>
  /** `__vite_ssr_import_0__` in `__vite_ssr_import_0__.tokenize` → `tokenize`: the name the user wrote. */
  readonly importedNames: ReadonlyMap<Node, string>
  readonly forms: ReadonlyMap<Node, 'call' | 'statement' | 'shorthand'>
  /** Parts of a class that run when it is defined, as [start, end). */
  readonly early: readonly (readonly [number, number])[]
  /** What a class extends, as [start, end). */
  readonly heritage?: readonly [number, number] | undefined
}

/** `method`: the function is the value of an object's method. */
export function findTies(fn: Node, method: boolean): Ties {
  const walk = new TieWalk()
  walk.begin(fn, method)
  return walk
}

interface Around {
  readonly ownThis: boolean
  readonly ownTarget: boolean
  readonly ownSuper: boolean
  /** The root is a method: `this` is its object. */
  readonly method: boolean
}

class TieWalk implements Ties {
  readonly ties: Tie[] = []
  readonly metas: number[] = []
  readonly imports: { offset: number; specifier?: string | undefined }[] = []
  readonly onlyTyped = new Set<Node>()
  readonly importedNames = new Map<Node, string>()
  readonly forms = new Map<Node, 'call' | 'statement' | 'shorthand'>()
  readonly early: [number, number][] = []
  heritage: [number, number] | undefined

  begin(fn: Node, method: boolean): void {
    const arrow = fn.type === 'ArrowFunctionExpression'
    const around = { ownThis: !arrow && !method, ownTarget: !arrow, ownSuper: false, method }
    if (fn.type === 'ClassExpression') this.#visit(fn, { ...around, ownThis: false, ownTarget: false })
    else this.#children(fn, around)
    if (fn.type === 'ClassExpression') this.#noteEarly(fn)
  }

  #visit(node: Node, around: Around): void {
    this.#note(node, around)
    this.#children(node, aroundInside(node, around))
  }

  #note(node: Node, around: Around): void {
    switch (node.type) {
      case 'ThisExpression':
        if (!around.ownThis) this.#tie(node, '`this` of where it is defined', around.method)
        break
      case 'Super':
        if (!around.ownSuper) this.#tie(node, '`super`')
        break
      case 'MetaProperty':
        if ((node.meta as Node).name === 'import') this.metas.push(node.start)
        else if (!around.ownTarget) this.#tie(node, 'new.target')
        break
      case 'ImportExpression':
        this.imports.push({ offset: node.start, specifier: literal(node.source as Node) })
        break
      case 'CallExpression':
        this.#noteCall(node.callee as Node, node.arguments as readonly Node[])
        break
      case 'TaggedTemplateExpression':
        this.#noteForm(node.tag as Node, 'call')
        break
      case 'UnaryExpression':
        if (node.operator === 'typeof') this.onlyTyped.add(node.argument as Node)
        break
      case 'MemberExpression':
        this.#noteMember(node.object as Node, node.property as Node)
        break
      case 'Property':
        if (node.shorthand === true) this.#noteForm(node.value as Node, 'shorthand')
        break
      case 'BlockStatement':
      case 'StaticBlock':
        this.#noteStatements(node.body as readonly Node[])
        break
      case 'SwitchCase':
        this.#noteStatements(node.consequent as readonly Node[])
        break
    }
  }

  #tie(node: Node, what: string, receiver = false): void {
    this.ties.push({ what, offset: node.start, ...(receiver ? { receiver } : {}) })
  }

  #noteCall(callee: Node, [argument]: readonly Node[]): void {
    if (callee.type !== 'Identifier') return
    if (callee.name === 'eval') this.#tie(callee, 'direct eval')
    if (callee.name === '__vite_ssr_dynamic_import__') {
      this.imports.push({ offset: callee.start, specifier: argument === undefined ? undefined : literal(argument) })
    }
    this.#noteForm(callee, 'call')
  }

  /** A statement noted before its call keeps that form. */
  #noteForm(node: Node, form: 'call' | 'statement' | 'shorthand'): void {
    if (node.type === 'Identifier' && !this.forms.has(node)) this.forms.set(node, form)
  }

  #noteStatements(body: readonly Node[]): void {
    for (const statement of body) {
      if (statement.type !== 'ExpressionStatement') continue
      const first = firstCallee(statement.expression as Node, statement.start)
      if (first !== undefined) this.#noteForm(first, 'statement')
    }
  }

  #noteMember(object: Node, property: Node): void {
    if (/^(?:__vite_ssr_import_\d+__|import_\w+)$/.test(String(object.name))) {
      this.importedNames.set(object, String(property.name ?? property.value))
    }
  }

  #noteEarly(cls: Node): void {
    const base = cls.superClass as Node | null
    if (base && base.raw !== 'null') this.heritage = range(base)
    for (const member of (cls.body as Node).body as readonly Node[]) {
      if (member.computed === true) this.early.push(range(member.key as Node))
      if (member.type === 'StaticBlock') this.early.push(range(member))
      else if (member.static === true && member.type === 'PropertyDefinition') this.early.push(range(member))
    }
  }

  #children(node: Node, around: Around): void {
    for (const field in node) {
      const value = node[field]
      if (Array.isArray(value)) {
        for (const child of value) if (isNode(child)) this.#visit(child, around)
      } else if (isNode(value)) {
        this.#visit(value, around)
      }
    }
  }
}

function aroundInside(node: Node, around: Around): Around {
  switch (node.type) {
    case 'FunctionExpression':
    case 'FunctionDeclaration':
      return { ...around, ownThis: true, ownTarget: true }
    case 'PropertyDefinition':
    case 'StaticBlock':
      return { ...around, ownThis: true, ownTarget: true, ownSuper: true }
    case 'MethodDefinition':
      return { ...around, ownSuper: true }
    case 'Property':
      return node.method === true || node.kind !== 'init' ? { ...around, ownSuper: true } : around
    default:
      return around
  }
}

/** The identifier a statement begins with, where it is what a call calls. */
function firstCallee(expression: Node, start: number): Node | undefined {
  let at: Node | undefined = expression
  while (at !== undefined && at.start === start) {
    if (at.type === 'CallExpression' && (at.callee as Node).type === 'Identifier') return at.callee as Node
    if (at.type === 'TaggedTemplateExpression' && (at.tag as Node).type === 'Identifier') return at.tag as Node
    const fields: unknown[] = [
      at.callee,
      at.tag,
      at.object,
      at.left,
      at.test,
      at.expression,
      (at.expressions as unknown[])?.[0],
    ]
    at = fields.find(isNode)
  }
  return undefined
}

function literal(node: Node): string | undefined {
  return node.type === 'Literal' && typeof node.value === 'string' ? node.value : undefined
}

function range(node: Node): [number, number] {
  return [node.start, node.end]
}

export function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Node>).type === 'string'
}
