/**
 * Turns a shipped function back into one that can be called, once per process and content.
 *
 * Text is compiled in strict mode; `import()` inside it is resolved from the working directory, as if the function
 * stood in a module of the project there. What a module exports is imported as it is.
 */
import { join } from 'node:path'
import { constants, Script } from 'node:vm'
import { messageOf, SerializationError } from '../core/errors.ts'
import { loadClosure, type ModuleLoader, ownModules } from './load-closure.ts'
import { allowImports } from './load-module.ts'
import type { ShippedArgument, ShippedFunction } from './shipped.ts'

// a cache: the same content always loads as the same function, so nothing can be observed but the time saved
const loaded = new Map<string, Promise<unknown>>()
const MAX_LOADED = 1_000

/**
 * The function (or reducer) a ShippedFunction stands for.
 *
 * @throws SerializationError when the module cannot be imported, lacks the export, or the text does not compile
 */
export function loadFunction(shipped: ShippedFunction): Promise<unknown> {
  // what one job leaves in the variables it captured is not the next one's
  if (shipped.kind === 'closure' && shipped.values !== undefined) return load(shipped, ownModules)
  const key = JSON.stringify(shipped)
  const known = loaded.get(key)
  if (known !== undefined) return known
  if (loaded.size >= MAX_LOADED) loaded.clear()
  const loading = load(shipped, ownModules)
  loaded.set(key, loading)
  loading.catch(() => loaded.delete(key))
  return loading
}

/** How functions inside values are loaded, for `decodeValueWith`. */
export const loadingFunctions = {
  loadFunction: (shipped: unknown): Promise<unknown> => loadFunction(shipped as ShippedFunction),
}

/** The same with modules that come from elsewhere, not kept. @throws SerializationError */
export async function load(shipped: ShippedFunction, modules: ModuleLoader): Promise<unknown> {
  if (shipped.kind === 'text') return compile(shipped.text, shipped.name, shipped.source)
  if (shipped.kind === 'closure') return loadClosure(shipped, modules)
  if (shipped.kind === 'object') {
    const { initial, add, merge, finish } = shipped.methods
    const methods = await Promise.all([initial, add, merge, finish].map((method) => load(method, modules)))
    return {
      initial: methods[0],
      add: methods[1],
      merge: methods[2],
      finish: methods[3],
      commutative: shipped.commutative,
    }
  }
  const found = await modules.exportOf(shipped.url, shipped.export)
  if (shipped.args === undefined) return found
  if (typeof found !== 'function') {
    throw new SerializationError(
      `export '${shipped.export}' of ${shipped.url} is no function that could take arguments`,
    )
  }
  return found(...(await Promise.all(shipped.args.map((argument) => loadArgument(argument, modules)))))
}

async function loadArgument(argument: unknown, modules: ModuleLoader): Promise<unknown> {
  const isShipped = typeof argument === 'object' && argument !== null && Object.hasOwn(argument, '$fn')
  return isShipped ? load((argument as ShippedArgument).$fn, modules) : argument
}

function compile(text: string, name: string, source: string | undefined): unknown {
  const filename = join(process.cwd(), `${name}.function.js${source === undefined ? '' : `#${source}`}`)
  // `__name` is what esbuild (tsx) calls to give functions their names
  if (text.includes('import')) allowImports()
  const head = "'use strict'; (__name) => ("
  try {
    const script = new Script(`${head}${text}\n)`, {
      filename,
      columnOffset: -head.length,
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    })
    return script.runInThisContext()((fn: unknown) => fn)
  } catch (cause) {
    throw new SerializationError(`the text of function '${name}' does not compile here: ${messageOf(cause)}`, { cause })
  }
}
