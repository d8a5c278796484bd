/**
 * Where each name that a function takes from outside comes from: an import of its module, a variable around it, a global
 * of every process, or nowhere. Decides by scope first: a variable hides a global of the same name.
 */
import { isEntryModule } from './entry-module.ts'
import type { FreeName, FunctionText } from './function-text.ts'
import { type ImportBinding, moduleBindings } from './module-bindings.ts'
import type { Scope, ScriptText } from './scopes.ts'
import type { ShippedImport } from './shipped.ts'
import { fromVite, viteRoot } from './vite-paths.ts'
import { builtinExport } from './well-known.ts'
import { isWorkerGlobal } from './worker-globals.ts'

export type Resolved =
  /** Every process has it, or the loader provides it. */
  | { readonly from: 'everywhere' }
  | { readonly from: 'variable'; readonly value: unknown }
  /** `live`: the property of the namespace that is to be read each time. */
  | { readonly from: 'import'; readonly import: ShippedImport; readonly live?: string | undefined }
  | { readonly from: 'nowhere'; readonly why: string; readonly fix: string }

export interface Surroundings {
  readonly scopes: readonly Scope[]
  /** The script the function stands in; asked for only where it matters, for it costs tens of milliseconds once. */
  script(): ScriptText | undefined
}

const VITE_IMPORT = /^__vite_ssr_import_\d+__$/
/** Counters of istanbul and its kin: what they count stays behind. */
const COUNTER = /^(?:cov_[a-z0-9]+|__cov_.*|__coverage__)$/

export function resolveName(free: FreeName, around: Surroundings): Resolved {
  const { name } = free
  // esbuild calls it to give functions their names: the loader has its own
  if (name === '__name') return { from: 'everywhere' }
  if (COUNTER.test(name)) return imported(name, 'counter')
  if (name === '__vite_ssr_import_meta__') return imported('', 'meta')
  if (name === '__vite_ssr_dynamic_import__') return imported(viteRoot(), 'import()')
  if (name === 'arguments')
    return { from: 'nowhere', why: 'the arguments of the function around it', fix: 'use (...args)' }
  const index = around.scopes.findIndex(({ variables }) => name in variables)
  if (index !== -1) return fromScope(name, index, around)
  if (free.onlyTyped || isWorkerGlobal(name)) return { from: 'everywhere' }
  if (free.early)
    return { from: 'nowhere', why: 'used only while the class is defined, and gone since', fix: EARLY_FIX }
  return fromGlobal(name)
}

/** The value of a variable that was found in these scopes before. */
export function variableNow(name: string, scopes: readonly Scope[]): unknown {
  const scope = scopes.find(({ variables }) => name in variables)
  return scope === undefined ? undefined : currentValue(scope, name)
}

/** Whether the module around a function hides a global that its text uses. */
export function hidesGlobal({ names }: FunctionText, scopes: readonly Scope[]): boolean {
  return names.some(({ name }) => name !== '__name' && scopes.some(({ variables }) => name in variables))
}

function fromScope(name: string, index: number, around: Surroundings): Resolved {
  const scope = around.scopes[index] as Scope
  const value = currentValue(scope, name)
  if (value === NOT_YET || (value === undefined && isDefined(name, around))) {
    return { from: 'nowhere', why: 'not initialised yet', fix: 'submit after it has its value' }
  }
  if (name === 'require' && isRequire(value)) return imported('', 'require()')
  if (!isModuleLevel(name, scope, around.scopes.slice(index + 1)) && !VITE_IMPORT.test(name)) {
    return { from: 'variable', value }
  }
  const script = around.script()
  const binding = script === undefined ? undefined : moduleBindings(script.source).imports.get(name)
  if (binding === undefined || script === undefined) return { from: 'variable', value }
  const resolved = asImport(binding)
  const url = resolved.import.specifier.startsWith('.') ? new URL(resolved.import.specifier, script.url).href : ''
  return isEntryModule(url) ? { from: 'variable', value } : resolved
}

/** Node 20 gives undefined for what is not initialised yet. */
function isDefined(name: string, around: Surroundings): boolean {
  const script = around.script()
  return script !== undefined && moduleBindings(script.source).neverUndefined(name)
}

/** The variable is the module's own: of a module, or of the nameless functions that loaders wrap around one. */
function isModuleLevel(name: string, { description }: Scope, outer: readonly Scope[]): boolean {
  if (outer.some(({ variables }) => name in variables)) return false
  return /^(?:Module|Closure|Block|Local|Script)$/.test(description)
}

function asImport({ specifier: written, name, via, attributes }: ImportBinding): Resolved & { from: 'import' } {
  const specifier = fromVite(written, viteRoot())
  if (via !== 'import') {
    const as = via === 'interop' ? 'interop' : 'require'
    return { from: 'import', import: { specifier, as, ...(name === '*' ? {} : { member: name }) } }
  }
  const reference = { specifier, as: 'namespace' as const, ...(attributes === undefined ? {} : { attributes }) }
  return { from: 'import', import: reference, live: name === '*' ? undefined : name }
}

/** What the program put on globalThis is not in a worker; built-in modules are there under `node -e` and in a REPL. */
function fromGlobal(name: string): Resolved {
  const value = (globalThis as Record<string, unknown>)[name]
  if (name === 'require' && isRequire(value)) return imported('', 'require()')
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
  const builtin = isObject ? builtinExport(value) : undefined
  if (builtin?.name === 'default') return { from: 'import', import: { specifier: builtin.specifier, as: 'require' } }
  if (name in globalThis) {
    return { from: 'nowhere', why: 'a global of this program that workers do not have', fix: 'pass it in extraArgs' }
  }
  return { from: 'nowhere', why: 'not defined here', fix: 'define or import it' }
}

const EARLY_FIX = 'move the class to a module of its own and export it'
const NOT_YET = Symbol('not initialised yet')

/** Node 22 throws for what is not initialised yet. */
function currentValue({ variables }: Scope, name: string): unknown {
  try {
    return variables[name]
  } catch {
    return NOT_YET
  }
}

function isRequire(value: unknown): boolean {
  return typeof value === 'function' && typeof (value as { resolve?: unknown }).resolve === 'function'
}

function imported(specifier: string, as: ShippedImport['as']): Resolved {
  return { from: 'import', import: { specifier, as } }
}
