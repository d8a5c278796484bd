/** Modules as a worker loads them: by URL, or as another module names them; TypeScript through tsx. */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { constants, Script } from 'node:vm'
import { messageOf, SerializationError } from '../core/errors.ts'

type Importer = (specifier: string, options?: object) => Promise<object>

// a loader can be installed once per process, before the first module that needs it
const loaders = new Map<'typescript', Promise<void>>()
// once per process
const importsAllowed = { done: false }
// a cache: an importer holds nothing but the module it imports for
const importers = new Map<string, Importer>()

/** The module at an absolute URL. @throws SerializationError when it cannot be imported */
async function importModule(url: string): Promise<object> {
  return importFor(url, url)
}

/** What the module at an absolute URL exports under a path: `default.map`. @throws SerializationError */
export async function exportOf(url: string, path: string): Promise<unknown> {
  return follow(await importModule(url), url, path)
}

/** What stands at a path of a module. @throws SerializationError naming what the module exports */
export function follow(module: object, url: string, path: string): unknown {
  let at: unknown = module
  for (const name of path.split('.')) {
    const holder = Object(at) as Record<string, unknown>
    if (!(name in holder)) {
      const names = Object.keys(module).join(', ') || 'nothing'
      throw new SerializationError(`module ${url} has no export '${path}'; it exports ${names}`)
    }
    at = holder[name]
  }
  return at
}

/** What `import(specifier)` gives in the module `parent`. @throws SerializationError when it cannot be imported */
export async function importFor(parent: string, specifier: string, attributes?: object): Promise<object> {
  try {
    // vitest has a loader of its own, whose modules are those of the test
    if ('__vitest_worker__' in globalThis) return await import(absolute(parent, specifier))
    if (isTypeScript(parent) || isTypeScript(specifier)) await ensureTypeScript()
    const options = attributes === undefined ? undefined : { with: attributes }
    return await importer(parent)(specifier, options)
  } catch (cause) {
    throw new SerializationError(`cannot import ${specifier}: ${messageOf(cause)}`, { cause })
  }
}

/** The `import()` of the module `parent`, without checks. */
function importer(parent: string): Importer {
  const known = importers.get(parent)
  if (known !== undefined) return known
  allowImports()
  const made = makeImporter(parent)
  importers.set(parent, made)
  return made
}

function makeImporter(filename: string): Importer {
  const text = '(specifier, options) => (options === undefined ? import(specifier) : import(specifier, options))'
  const options = { filename, importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER }
  return new Script(text, options).runInThisContext() as Importer
}

/**
 * Lets texts import. Node warns, once a process, that this is an experiment; the warning would be told as output of the
 * user's.
 */
export function allowImports(): void {
  if (importsAllowed.done) return
  importsAllowed.done = true
  const { emitWarning } = process
  process.emitWarning = () => undefined
  makeImporter(import.meta.url)('node:process').catch(() => undefined)
  process.emitWarning = emitWarning
}

/** The `require` of the module `parent`. */
export function requireOf(parent: string): NodeJS.Require {
  return createRequire(parent)
}

/** The `import.meta` of the module `parent`. */
export function metaOf(parent: string): object {
  const resolve = (specifier: string) => resolveFor(parent, specifier)
  if (!parent.startsWith('file:')) return { url: parent, resolve }
  const filename = fileURLToPath(parent)
  return { url: parent, filename, dirname: dirname(filename), resolve }
}

/**
 * Installs tsx's loader, unless this process has it. What Node 22 and later strip by themselves is less: no enums, no
 * extensionless imports, no `import` in a .ts file of a package without "type": "module".
 */
export function ensureTypeScript(): Promise<void> {
  const known = loaders.get('typescript')
  if (known !== undefined) return known
  const ready = hasTsx()
    ? Promise.resolve()
    : Promise.all([import('tsx/esm/api'), import('tsx/cjs/api')]).then(([esm, cjs]) => {
        esm.register()
        // a .ts file in a package that does not say "type": "module" is CommonJS
        cjs.register()
      })
  loaders.set('typescript', ready)
  return ready
}

export function isTypeScript(url: string): boolean {
  return /\.[mc]?tsx?$/.test(url.replace(/[?#].*$/, ''))
}

function absolute(parent: string, specifier: string): string {
  return /^\.{1,2}\//.test(specifier) ? new URL(specifier, parent).href : specifier
}

/** Packages by the rules of `require`: Node gives no other way to ask for another module's. */
function resolveFor(parent: string, specifier: string): string {
  if (/^\.{0,2}\//.test(specifier)) return new URL(specifier, parent).href
  if (URL.canParse(specifier)) return specifier
  const found = createRequire(parent).resolve(specifier)
  return found.startsWith('/') || /^[A-Za-z]:\\/.test(found) ? pathToFileURL(found).href : `node:${found}`
}

function hasTsx(): boolean {
  return [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((option) => /\btsx\b/.test(option))
}
