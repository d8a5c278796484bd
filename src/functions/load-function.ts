/**
 * Turns a shipped function back into one that can be called, once per process and content.
 *
 * Text is compiled in strict mode; `import()` inside it is resolved from the working directory, as if the function
 * stood in a module of the project there. What a module exports is imported as it is.
 */
import { join } from 'node:path'
import { constants, Script } from 'node:vm'
import { SerializationError } from '../core/errors.ts'
import type { ShippedArgument, ShippedFunction } from './shipped.ts'

// a cache: the same content always loads as the same function, so nothing can be observed but the time saved
const loaded = new Map<string, Promise<unknown>>()
const MAX_LOADED = 1_000
// a loader can be installed once per process, before the first module that needs it
const loaders = new Map<'typescript', Promise<void>>()

/**
 * The function (or reducer) a ShippedFunction stands for.
 *
 * @throws SerializationError when the module cannot be imported, lacks the export, or the text does not compile
 */
export function loadFunction(shipped: ShippedFunction): Promise<unknown> {
  const key = JSON.stringify(shipped)
  const known = loaded.get(key)
  if (known !== undefined) return known
  if (loaded.size >= MAX_LOADED) loaded.clear()
  const loading = load(shipped)
  loaded.set(key, loading)
  loading.catch(() => loaded.delete(key))
  return loading
}

async function load(shipped: ShippedFunction): Promise<unknown> {
  if (shipped.kind === 'text') return compile(shipped.text, shipped.name, shipped.source)
  if (shipped.kind === 'object') {
    const { initial, add, merge, finish } = shipped.methods
    const methods = await Promise.all([initial, add, merge, finish].map(loadFunction))
    return {
      initial: methods[0],
      add: methods[1],
      merge: methods[2],
      finish: methods[3],
      commutative: shipped.commutative,
    }
  }
  const found = follow(await importModule(shipped.url), shipped.url, shipped.export)
  if (shipped.args === undefined) return found
  if (typeof found !== 'function') {
    throw new SerializationError(
      `export '${shipped.export}' of ${shipped.url} is no function that could take arguments`,
    )
  }
  return found(...(await Promise.all(shipped.args.map(loadArgument))))
}

async function loadArgument(argument: unknown): Promise<unknown> {
  const isShipped = typeof argument === 'object' && argument !== null && Object.hasOwn(argument, '$fn')
  return isShipped ? loadFunction((argument as ShippedArgument).$fn) : argument
}

function compile(text: string, name: string, source: string | undefined): unknown {
  const filename = source ?? join(process.cwd(), `${name}.function.js`)
  try {
    // `__name` is what esbuild (tsx) calls to give functions their names
    const script = new Script(`'use strict'; (__name) => (${text}\n)`, {
      filename,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    })
    return script.runInThisContext()((fn: unknown) => fn)
  } catch (cause) {
    throw new SerializationError(`the text of function '${name}' does not compile here: ${messageOf(cause)}`, { cause })
  }
}

async function importModule(url: string): Promise<object> {
  try {
    if (/\.[mc]?tsx?$/.test(new URL(url).pathname)) await ensureTypeScript()
    return await import(url)
  } catch (cause) {
    throw new SerializationError(`cannot import ${url}: ${messageOf(cause)}`, { cause })
  }
}

/**
 * Installs tsx's loader, unless this process has it. What Node 22 and later strip by themselves is less: no enums, no
 * extensionless imports, no `import` in a .ts file of a package without "type": "module".
 */
function ensureTypeScript(): Promise<void> {
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

function hasTsx(): boolean {
  if (import.meta.url.endsWith('.ts')) return true
  return [...process.execArgv, process.env.NODE_OPTIONS ?? ''].some((option) => /\btsx\b/.test(option))
}

function follow(module: object, url: string, path: string): unknown {
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
