/**
 * A function with what it closes over, taken by value: texts, values as they are now, references to modules. One unit
 * per function, however often and from wherever it is reached, so recursion and sharing come back as they were.
 *
 * Invariant: whatever the text of a unit names is in the unit, in every Node process, or refused here with the way to it.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { types } from 'node:util'
import { encodeCaptured, PROPERTIES, type UnitValues } from './captured-values.ts'
import { registerMarked } from './class-registry.ts'
import { type Captured, type CodeUnit, codeUnit, readAgain } from './code-unit.ts'
import { isEntryModule } from './entry-module.ts'
import { analyseFunctionText, isNativeText } from './function-text.ts'
import { moduleBindings } from './module-bindings.ts'
import { nameOf, Refusal, type Trail } from './refusal.ts'
import { type Inspected, inspectFunction, type ScriptText, scriptText } from './scopes.ts'
import { referenceOf, type ShippedCode, type ShippedFunction, type ShippedUnit } from './shipped.ts'
import { builtinExport, globalPath } from './well-known.ts'

type Units = Record<string, number>

export const ENTRY_FIX = 'move the function to a module of its own and export it'

interface Taken extends CodeUnit {
  /** It was taken as a method of what holds it. */
  readonly receiver: boolean
}

// a cache: texts do not change, and of variables only those that cannot change are kept
const taken = new WeakMap<object, Taken>()

/** How `fn` travels, as a reference or by value. @throws Refusal */
export function captureClosure(fn: object, inspected?: Inspected): ShippedFunction {
  const closure = new Closure()
  closure.add(fn, [], inspected === undefined ? {} : { inspected })
  const { units } = closure
  const [root] = units as [ShippedUnit]
  if (root.kind === 'module') return root
  return { kind: 'closure', name: nameOf(fn), units, ...encodeCaptured(closure) }
}

/** Functions taken in, one unit each. */
export class Closure {
  readonly units: ShippedUnit[] = []
  /** What goes with each unit, still as it is here. */
  readonly values: UnitValues[] = []
  readonly #indices = new Map<object, number>()

  /** The unit of a function. `receiver`: it is called as a method of what holds it. */
  add(fn: object, trail: Trail, known: { inspected?: Inspected; receiver?: boolean } = {}): number {
    const before = this.#indices.get(fn)
    if (before !== undefined) return before
    const index = this.#reserve()
    this.#indices.set(fn, index)
    this.units[index] = this.#unit(fn, trail, this.values[index] as UnitValues, known)
    return index
  }

  #reserve(): number {
    this.values.push({ late: {}, early: {}, trails: {} })
    return this.units.push({ kind: 'global', path: 'undefined' }) - 1
  }

  #unit(
    fn: object,
    trail: Trail,
    values: UnitValues,
    known: { inspected?: Inspected; receiver?: boolean },
  ): ShippedUnit {
    if (types.isProxy(fn)) throw new Refusal(trail, 'it is a Proxy', 'pass the function behind it')
    const reference = referenceOf(fn)
    if (reference !== undefined) return moduleUnit(reference.url, reference.export, trail)
    const path = globalPath(fn)
    if (path !== undefined) return { kind: 'global', path }
    const before = taken.get(fn)
    if (before !== undefined && (known.receiver === true || !before.receiver))
      return this.#again(fn, before, trail, values)
    const inspected = known.inspected ?? inspectFunction(fn)
    if (inspected.bound !== undefined) return this.#bound(inspected.bound, trail, values)
    const text = Function.prototype.toString.call(fn)
    const script = scriptOf(inspected)
    const native = isNativeText(text)
    const builtin = native || script()?.url.startsWith('node:') ? builtinExport(fn) : undefined
    if (builtin !== undefined) return { kind: 'module', url: builtin.specifier, export: builtin.name }
    if (!native) {
      const exported = exportOf(fn, inspected, script())
      if (exported !== undefined) return exported
    }
    const analysis = analyseFunctionText(text)
    if ('reason' in analysis) throw new Refusal(trail, analysis.reason, '')
    const receiver = known.receiver === true
    const { unit, captured } = codeUnit({ fn, text, analysis, inspected, trail, receiver, script })
    taken.set(fn, { unit, captured, receiver })
    return this.#fill(fn, unit, captured, trail, values)
  }

  /** What is fixed was read before; variables that may have changed are read now. */
  #again(fn: object, { unit, captured }: Taken, trail: Trail, values: UnitValues): ShippedUnit {
    const fixed = captured.every(({ constant }) => constant)
    const now = fixed ? captured : readAgain(captured, inspectFunction(fn).scopes)
    return this.#fill(fn, unit, now, trail, values)
  }

  #fill(fn: object, unit: ShippedCode, captured: readonly Captured[], trail: Trail, values: UnitValues): ShippedCode {
    const vars: string[] = []
    const units: Units = {}
    const globals: Record<string, string> = {}
    for (const { name, value, early, step } of captured) {
      const path = isObject(value) ? globalPath(value) : undefined
      if (path !== undefined) globals[name] = path
      else if (this.#put(name, value, { to: values, early, units, trail: [...trail, step] })) vars.push(name)
    }
    // where instances are sent back to here, their class is known here too
    if (unit.form === 'class') registerMarked(fn)
    const filled = { ...unit, vars, units, globals }
    const own = Object.keys(fn)
    if (own.length === 0) return filled
    // what was put on a function, and the static fields of a class, are values like captured ones
    const properties: Record<string, unknown> = {}
    for (const name of own) define(properties, name, (fn as Record<string, unknown>)[name])
    define(values.late, PROPERTIES, properties)
    values.trails[PROPERTIES] = [...trail, () => `the properties of '${nameOf(fn)}'`]
    return { ...filled, properties: true }
  }

  #bound({ target, receiver, args }: NonNullable<Inspected['bound']>, trail: Trail, to: UnitValues): ShippedUnit {
    const units: Units = {}
    this.#put('this', receiver, { to, units, trail: [...trail, () => 'what it is bound to'] })
    for (const [i, argument] of args.entries()) {
      this.#put(String(i), argument, { to, units, trail: [...trail, () => `bound argument ${i + 1}`] })
    }
    return { kind: 'bound', target: this.add(target as object, trail, { receiver: true }), count: args.length, units }
  }

  /** True when it is a value, false when it became a unit. */
  #put(name: string, value: unknown, { to, units, trail, early = false }: Placing): boolean {
    if (typeof value === 'function') {
      units[name] = this.add(value, trail)
      return false
    }
    const builtin = isObject(value) ? builtinExport(value) : undefined
    if (builtin === undefined) {
      define(early ? to.early : to.late, name, value)
      to.trails[name] = trail
      return true
    }
    units[name] = this.#reserve()
    this.units[units[name]] = { kind: 'module', url: builtin.specifier, export: builtin.name }
    return false
  }
}

interface Placing {
  readonly to: UnitValues
  readonly units: Units
  readonly trail: Trail
  readonly early?: boolean
}

/** A reference as it travels. @throws Refusal when it is to the entry module */
function moduleUnit(url: string, name: string, trail: Trail): ShippedUnit {
  if (!isEntryModule(url)) return { kind: 'module', url, export: name }
  throw new Refusal(trail, `refers to the program's entry module ${url}, which a worker would run again`, ENTRY_FIX)
}

/** The export that is this very function, of a module that a worker may load. */
function exportOf(fn: object, { scopes }: Inspected, script: ScriptText | undefined): ShippedUnit | undefined {
  if (script === undefined || !/^(?:file|data):/.test(script.url) || isEntryModule(script.url)) return undefined
  const url = script.url
  const held = commonJsExport(fn, url)
  if (held !== undefined) return { kind: 'module', url, export: held }
  const { exports } = moduleBindings(script.source)
  if (exports.size === 0) return undefined
  const isFn = (local: string) => scopes.some(({ variables }) => local in variables && read(variables, local) === fn)
  for (const [local, name] of exports) if (isFn(local)) return { kind: 'module', url, export: name }
  return undefined
}

function commonJsExport(fn: object, url: string): string | undefined {
  if (!url.startsWith('file:')) return undefined
  const exports: unknown = createRequire(import.meta.url).cache[fileURLToPath(url)]?.exports
  if (exports === fn) return 'default'
  if (!isObject(exports)) return undefined
  const name = Object.keys(exports).find((key) => !key.includes('.') && read(exports, key) === fn)
  return name === undefined ? undefined : `default.${name}`
}

/** Undefined where reading it throws: a variable that is not initialised yet. */
function read(of: object, name: string): unknown {
  try {
    return (of as Record<string, unknown>)[name]
  } catch {
    return undefined
  }
}

function scriptOf({ location }: Inspected): () => ScriptText | undefined {
  return () => (location === undefined ? undefined : scriptText(location.scriptId))
}

function isObject(value: unknown): value is object {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true })
}
