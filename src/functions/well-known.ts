/**
 * Objects that every Node process has under the same name: globals, what hangs on them, and what built-in modules export.
 * Found by identity, so that an alias (`const { max } = Math`) travels as a name.
 */
import { builtinModules } from 'node:module'
import { isWorkerGlobal, workerGlobalNames } from './worker-globals.ts'

export interface BuiltinExport {
  readonly specifier: string
  /** `default` is the module itself. */
  readonly name: string
}

interface KnownGlobals {
  readonly paths: Map<object, string>
  readonly unused: readonly string[]
}

/** Globals that stay accessors when they have been used. */
const ACCESSORS: ReadonlySet<string> = new Set(['crypto', 'navigator', 'performance'])

// caches: these objects are there from the start, or since their module was loaded
let globals: KnownGlobals | undefined
let builtins: { readonly seen: number; readonly exports: ReadonlyMap<object, BuiltinExport> } = {
  seen: 0,
  exports: new Map(),
}

/** `Math.max`, `Array.prototype.slice`, `globalThis`; undefined for what is no global. */
export function globalPath(value: object): string | undefined {
  globals ??= readGlobals()
  const { paths, unused } = globals
  if (!paths.has(value) && unused.some((name) => !isUnused(name))) {
    for (const name of unused) if (!isUnused(name)) addGlobal(paths, name)
    globals = { paths, unused: unused.filter(isUnused) }
  }
  return paths.get(value)
}

/** The value of a path that `globalPath` gave. */
export function valueAtPath(path: string): unknown {
  let at: unknown = globalThis
  for (const name of path.split('/')) {
    at = at === undefined || at === null ? undefined : (at as Record<string, unknown>)[name]
  }
  return at
}

/** The built-in module that is `value` or exports it; only modules that this process has loaded are looked at. */
export function builtinExport(value: object): BuiltinExport | undefined {
  const { moduleLoadList } = process as unknown as { readonly moduleLoadList: readonly string[] }
  if (builtins.seen !== moduleLoadList.length) {
    builtins = { seen: moduleLoadList.length, exports: readBuiltins(new Set(moduleLoadList)) }
  }
  return builtins.exports.get(value)
}

function readBuiltins(loaded: ReadonlySet<string>): Map<object, BuiltinExport> {
  const found = new Map<object, BuiltinExport>()
  for (const module of builtinModules) {
    if (!loaded.has(`NativeModule ${module}`)) continue
    const specifier = `node:${module}`
    const exports = process.getBuiltinModule(specifier) as object | undefined
    if (exports === undefined) continue
    if (!found.has(exports)) found.set(exports, { specifier, name: 'default' })
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(exports))) {
      const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
      if (isObject && !found.has(value)) found.set(value, { specifier, name })
    }
  }
  return found
}

/**
 * Globals that Node loads when they are first used are left out until then: nobody holds one before, and looking would
 * load them all. Once used they are plain properties.
 */
function readGlobals(): KnownGlobals {
  const paths = new Map<object, string>([[globalThis, 'globalThis']])
  const names = [...workerGlobalNames()].filter(isWorkerGlobal)
  for (const name of names) if (!isUnused(name)) addGlobal(paths, name)
  return { paths, unused: names.filter(isUnused) }
}

function isUnused(name: string): boolean {
  return !ACCESSORS.has(name) && Object.getOwnPropertyDescriptor(globalThis, name)?.get !== undefined
}

function addGlobal(paths: Map<object, string>, name: string): void {
  const add = (value: unknown, path: string): boolean => {
    if ((typeof value !== 'object' || value === null) && typeof value !== 'function') return false
    if (paths.has(value)) return false
    paths.set(value, path)
    return true
  }
  const value = (globalThis as Record<string, unknown>)[name]
  if (!add(value, name)) return
  addMembers(value as object, name, add)
  const prototype = typeof value === 'function' ? value.prototype : undefined
  if (add(prototype, `${name}/prototype`)) addMembers(prototype, `${name}/prototype`, add)
}

function addMembers(of: object, path: string, add: (value: unknown, path: string) => boolean): void {
  for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(of))) {
    if (typeof value === 'function') add(value, `${path}/${name}`)
  }
}
