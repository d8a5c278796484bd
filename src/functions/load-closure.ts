/**
 * A closure made whole again. Its functions are made first, with empty variables, then values are decoded (they may hold
 * the functions) and the variables are filled: so recursion and cycles need no order. A class is made when it is first
 * needed, for what it extends and its static fields are evaluated then.
 */
import { Script } from 'node:vm'
import { messageOf, SerializationError } from '../core/errors.ts'
import type { UnitReference } from './captured-values.ts'
import { ClassTable, type KnownClass, registeredClasses, registerMarked } from './class-registry.ts'
import { type DecodeOptions, decodeValueWith } from './codec.ts'
import { ensureTypeScript, exportOf, importFor, isTypeScript, metaOf, requireOf } from './load-module.ts'
import type { ShippedClosure, ShippedCode, ShippedImport, ShippedUnit } from './shipped.ts'
import { fromVite } from './vite-paths.ts'
import { valueAtPath } from './well-known.ts'

type Values = Record<string, unknown>
type AnyFunction = (...args: unknown[]) => unknown

/** How the closure's modules are loaded; a blob brings its own. */
export interface ModuleLoader {
  /** What stands for an import of the module `parent`. */
  load(parent: string, wanted: ShippedImport): Promise<unknown>
  /** The export of a module. */
  exportOf(url: string, path: string): Promise<unknown>
}

/** The function a closure stands for. @throws SerializationError when a module or a text cannot be loaded here */
export async function loadClosure(closure: ShippedClosure, modules: ModuleLoader): Promise<unknown> {
  const { units } = closure
  const imports = await Promise.all(units.map((unit) => loadImports(unit, modules)))
  const references = await Promise.all(
    units.map((unit) => (unit.kind === 'module' ? modules.exportOf(unit.url, unit.export) : undefined)),
  )
  return new Assembly(closure, imports, references).root()
}

async function loadImports(unit: ShippedUnit, modules: ModuleLoader): Promise<Values> {
  if (unit.kind !== 'code') return {}
  if (unit.dynamic !== undefined && isTypeScript(unit.module)) await ensureTypeScript()
  const names = Object.entries(unit.imports)
  const values = await Promise.all(names.map(async ([name, wanted]) => [name, await modules.load(unit.module, wanted)]))
  return Object.fromEntries(values)
}

interface Made {
  readonly value: unknown
  fill?(values: Values): void
}

class Assembly {
  readonly #units: readonly ShippedUnit[]
  readonly #imports: readonly Values[]
  readonly #references: readonly unknown[]
  readonly #made: (Made | undefined)[]
  readonly #closure: ShippedClosure
  #early: readonly Values[] = []
  /** Undefined until it is decoded. */
  #late: readonly Values[] | undefined

  constructor(closure: ShippedClosure, imports: readonly Values[], references: readonly unknown[]) {
    this.#closure = closure
    this.#units = closure.units
    this.#imports = imports
    this.#references = references
    this.#made = closure.units.map(() => undefined)
  }

  async root(): Promise<unknown> {
    this.#early = await this.#decode(this.#closure.early)
    // instances may be of classes that come with the closure
    const classes = new ClassesMadeHere(() => this.#makeClasses())
    this.#late = await this.#decode(this.#closure.values, { classes })
    for (let i = 0; i < this.#units.length; i++) this.#make(i)
    for (let i = 0; i < this.#units.length; i++) this.#fill(i)
    return this.#make(0)
  }

  async #decode(bytes: string | undefined, options: DecodeOptions = {}): Promise<readonly Values[]> {
    if (bytes === undefined) return this.#units.map(() => ({}))
    const loadFunction = async (shipped: unknown) => this.#make((shipped as UnitReference).unit)
    return (await decodeValueWith(Buffer.from(bytes, 'base64'), { ...options, loadFunction })) as Values[]
  }

  #makeClasses(): void {
    for (const [i, unit] of this.#units.entries()) if (unit.kind === 'code' && unit.form === 'class') this.#make(i)
  }

  #make(index: number): unknown {
    const known = this.#made[index]
    if (known !== undefined) return known.value
    const unit = this.#units[index] as ShippedUnit
    const made = this.#madeOf(unit, index)
    this.#made[index] = made
    return made.value
  }

  #madeOf(unit: ShippedUnit, index: number): Made {
    if (unit.kind === 'module') return { value: this.#references[index] }
    if (unit.kind === 'global') return { value: valueAtPath(unit.path) }
    if (unit.kind === 'bound') return this.#bound(unit, index)
    // a class is evaluated now: what it extends must be there
    const names =
      unit.form === 'class' ? { ...this.#imports[index], ...this.#early[index], ...this.#functions(unit) } : {}
    const made = makeCode(unit, names)
    if (unit.form === 'class') registerMarked(made.value as object)
    return made
  }

  #bound({ target, count, units }: ShippedUnit & { kind: 'bound' }, index: number): Made {
    const part = (name: string) => {
      const unit = units[name]
      return unit === undefined ? this.#late?.[index]?.[name] : this.#make(unit)
    }
    const fn = this.#make(target) as AnyFunction
    const bind = () => fn.bind(part('this'), ...Array.from({ length: count }, (_, i) => part(String(i)))) as AnyFunction
    // among the values that are decoded now may be what it is bound to, and that may hold it
    return this.#late === undefined ? boundLater(fn, count, bind) : { value: bind() }
  }

  #fill(index: number): void {
    const unit = this.#units[index] as ShippedUnit
    if (unit.kind === 'bound') this.#made[index]?.fill?.({})
    if (unit.kind !== 'code') return
    const { $properties: properties, ...values } = this.#late?.[index] ?? {}
    const made = this.#made[index] as Made
    made.fill?.({ ...this.#imports[index], ...this.#early[index], ...values, ...this.#functions(unit) })
    if (unit.properties === true) defineAll(made.value as object, properties as Values)
  }

  #functions({ units, globals }: ShippedCode): Values {
    const found: Values = {}
    for (const [name, unit] of Object.entries(units)) found[name] = this.#make(unit)
    for (const [name, path] of Object.entries(globals)) found[name] = valueAtPath(path)
    return found
  }
}

/** The registered classes; those of the closure that say how they travel are made when one of them is asked for. */
class ClassesMadeHere extends ClassTable {
  readonly #make: () => void

  constructor(make: () => void) {
    super()
    this.#make = make
  }

  override named(name: string): KnownClass | undefined {
    this.#make()
    return registeredClasses.named(name)
  }
}

/** The function of a text, and how its variables are filled. `names`: what they hold while the text is evaluated. */
function makeCode(unit: ShippedCode, names: Values): Made {
  const variables = [
    ...unit.vars,
    ...Object.keys(unit.units),
    ...Object.keys(unit.imports),
    ...Object.keys(unit.globals),
  ]
  const declared = variables.length === 0 ? '' : `let ${variables.join(', ')};`
  const assigned = variables.map((name) => `${name} = $env.${name};`).join(' ')
  // the text begins on the line and column at which it stood
  const head = `'use strict'; (__name, $first) => { ${declared} const $fill = ($env) => { ${assigned} }; $fill($first); return [$fill, (`
  try {
    const script = new Script(`${head}${unit.text}\n)] }`, {
      filename: unit.file,
      lineOffset: unit.line,
      columnOffset: unit.column - head.length,
    })
    const [fill, value] = script.runInThisContext()((fn: unknown) => fn, names) as [(values: Values) => void, object]
    nameFunction(value, unit.name)
    return { value, fill }
  } catch (cause) {
    throw new SerializationError(`the text of function '${unit.name}' does not load here: ${messageOf(cause)}`, {
      cause,
    })
  }
}

/** Looks like the bound function, which it becomes when it is filled. */
function boundLater(fn: AnyFunction, count: number, bind: () => AnyFunction): Made {
  let bound: AnyFunction | undefined
  function later(...args: unknown[]): unknown {
    if (bound === undefined) throw new SerializationError(`'${fn.name}' is called before what it is bound to is there`)
    return new.target === undefined ? bound(...args) : Reflect.construct(bound, args)
  }
  later.prototype = undefined
  Object.defineProperty(later, 'name', { value: `bound ${fn.name}`, configurable: true })
  Object.defineProperty(later, 'length', { value: Math.max(0, fn.length - count), configurable: true })
  const fill = () => {
    bound = bind()
  }
  return { value: later, fill }
}

/** A text that stood in a variable was named after it. */
function nameFunction(fn: object, name: string): void {
  const { name: own } = fn as { readonly name: string }
  if (name !== 'anonymous' && (own === '' || own === 'method'))
    Object.defineProperty(fn, 'name', { value: name, configurable: true })
}

function defineAll(target: object, values: Values): void {
  for (const [name, value] of Object.entries(values)) {
    Object.defineProperty(target, name, { value, enumerable: true, writable: true, configurable: true })
  }
}

/** Imports as the module the text stood in would get them. */
export const ownModules: ModuleLoader = {
  async load(parent, { specifier, as, member, attributes }) {
    if (as === 'meta') return metaOf(parent)
    if (as === 'counter') return counter()
    if (as === 'require()') return requireOf(parent)
    if (as === 'import()') return dynamicImport((name, given) => importFor(parent, viteOr(name, specifier), given))
    if (as === 'namespace') return importFor(parent, specifier, attributes)
    if (isTypeScript(parent)) await ensureTypeScript()
    const required: unknown = requireOf(parent)(specifier)
    const whole = as === 'interop' ? withDefault(required) : required
    return member === undefined ? whole : (whole as Values)[member]
  },
  exportOf,
}

/** `import()` of a text: what it is given may be anything that can be a string. */
export function dynamicImport(load: (specifier: string, attributes?: object) => Promise<unknown>) {
  return async (specifier: unknown, options?: { readonly with?: object }) => load(String(specifier), options?.with)
}

function viteOr(specifier: string, root: string): string {
  return root === '' ? specifier : fromVite(specifier, root)
}

/** What esbuild's `__toESM` makes of a CommonJS module. */
export function withDefault(module: unknown): unknown {
  const object = Object(module) as Values
  if (object.__esModule === true) return object
  const copy: Values = Object.create(Object.getPrototypeOf(object))
  for (const name of Object.keys(object))
    Object.defineProperty(copy, name, { get: () => object[name], enumerable: true })
  return Object.defineProperty(copy, 'default', { value: module, enumerable: true })
}

/** Takes whatever a coverage tool does with its counters and counts nothing. */
export function counter(): unknown {
  const target = () => undefined
  const inert: unknown = new Proxy(target, {
    get: (_, key) => (key === Symbol.toPrimitive ? () => 0 : key === 'then' ? undefined : inert),
    set: () => true,
    apply: () => inert,
  })
  return inert
}
