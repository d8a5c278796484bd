/** Reads the sources as the architecture test sees them: files, their imports, their lines. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import ts from 'typescript'

export interface SourceFile {
  /** From the root of the repository: `src/core/ids.ts`. */
  readonly path: string
  readonly text: string
}

export interface ImportOf {
  readonly from: string
  /** A path from the root for our own files, otherwise the specifier. */
  readonly to: string
  readonly own: boolean
  /** Only a type: it costs nothing at run time, but couples as much. */
  readonly typeOnly: boolean
  readonly dynamic: boolean
}

export function readSources(root: string, folders: readonly string[]): SourceFile[] {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => posix.join(folder, name.replaceAll('\\', '/')))
      .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') })),
  )
}

/** Static, dynamic and type imports, re-exports, and `import('…').T` in types. */
export function importsOf({ path, text }: SourceFile): ImportOf[] {
  const found: ImportOf[] = []
  const add = (node: ts.Node | undefined, typeOnly: boolean, dynamic: boolean) => {
    if (node === undefined || !ts.isStringLiteralLike(node)) return
    const own = node.text.startsWith('.')
    found.push({ from: path, to: own ? posix.join(dirname(path), node.text) : node.text, own, typeOnly, dynamic })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly === true, false)
    else if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly, false)
    else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true, true)
    else if (ts.isCallExpression(node) && loadsModule(node)) add(node.arguments[0], false, true)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(path, text, ts.ScriptTarget.Latest))
  return found
}

/** `import(x)`, `require(x)` and `createRequire(…)(x)`. */
function loadsModule({ expression }: ts.CallExpression): boolean {
  if (expression.kind === ts.SyntaxKind.ImportKeyword) return true
  if (ts.isIdentifier(expression)) return expression.text === 'require'
  if (!ts.isCallExpression(expression)) return false
  return ts.isIdentifier(expression.expression) && expression.expression.text === 'createRequire'
}

export function lineCount({ text }: SourceFile): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}
