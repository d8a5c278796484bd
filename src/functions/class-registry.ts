/**
 * Classes whose instances travel. An instance goes as its own enumerable fields and comes back as an object of its class,
 * without its constructor being run; with `encode` and `decode` it goes as what encode gives and comes back as what
 * decode gives. It is found by name where it arrives, so the class has to be known on both sides.
 *
 * Private (#) state is no field: a class that has some needs encode and decode.
 */
import { ValidationError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'

export type AnyClass<T = unknown> = abstract new (...args: never[]) => T

/** How a class travels. `encode` and `decode` come together or not at all. */
export interface ClassForm<T = never, D = never> {
  /** Names the class on both sides; its own name if not given. */
  readonly name?: string
  /** Anything that can travel, instances of other registered classes included. */
  encode?(instance: T): D
  decode?(data: D): unknown
}

/** A class may say by itself how it travels: `static [SERIALIZE] = true`, or a ClassForm. */
export const SERIALIZE: unique symbol = Symbol.for('quern.serialize')

export interface KnownClass {
  readonly cls: AnyClass
  readonly name: string
  readonly encode?: (instance: unknown) => unknown
  readonly decode?: (data: unknown) => unknown
}

/** Classes by prototype and by name. One of a name replaces the earlier: modules may be loaded again. */
export class ClassTable {
  readonly #byPrototype = new WeakMap<object, KnownClass>()
  readonly #byName = new Map<string, KnownClass>()

  /** @throws ValidationError naming the class */
  constructor(classes: Iterable<readonly [AnyClass, ClassForm]> = []) {
    for (const [cls, form] of classes) this.add(cls, form)
  }

  /** @throws ValidationError naming the class */
  add(cls: AnyClass, form: ClassForm = {}): void {
    const known = knownClass(cls, form)
    this.#byPrototype.set(cls.prototype as object, known)
    this.#byName.set(known.name, known)
  }

  ofPrototype(prototype: object | null): KnownClass | undefined {
    return prototype === null ? undefined : this.#byPrototype.get(prototype)
  }

  named(name: string): KnownClass | undefined {
    return this.#byName.get(name)
  }
}

/** The classes this process knows for every value; grows only by registering. */
export const registeredClasses = new ClassTable()

/**
 * Makes instances of `cls` travel. Call it on both sides, at best in the module that defines the class, or in its own
 * `static {}` block. Subclasses are classes of their own.
 *
 * @throws ValidationError when it is no class, has private state but no encode and decode, or the form is not one
 */
export function registerClass<T, D = unknown>(cls: AnyClass<T>, form?: ClassForm<T, D>): void {
  const chosen = (form ?? ownForm(cls) ?? {}) as ClassForm
  if (typeof cls === 'function' && chosen.encode === undefined && hasPrivateState(cls)) {
    throw new ValidationError(
      `registerClass: ${cls.name} has private state, which does not travel by itself: give { encode, decode }`,
    )
  }
  registeredClasses.add(cls, chosen)
}

/** How instances with this prototype travel, if their class is known here or says so itself. */
export function classOf(prototype: object | null, table: ClassTable | undefined): KnownClass | undefined {
  const known = table?.ofPrototype(prototype) ?? registeredClasses.ofPrototype(prototype)
  if (known !== undefined || prototype === null) return known
  const cls: unknown = Object.hasOwn(prototype, 'constructor') ? prototype.constructor : undefined
  if (typeof cls !== 'function' || cls.prototype !== prototype || ownForm(cls) === undefined) return undefined
  registerClass(cls as unknown as AnyClass)
  return registeredClasses.ofPrototype(prototype)
}

/** Registers a class that says itself how it travels, unless it is known. @throws ValidationError as registerClass does */
export function registerMarked(cls: object): void {
  const { prototype } = cls as { readonly prototype?: object }
  if (typeof prototype === 'object') classOf(prototype, undefined)
}

/** Whether the text of a class, or of one it extends, has # members in use; true where the text is not to be had. */
export function hasPrivateState(cls: object): boolean {
  for (let at: unknown = cls; typeof at === 'function' && at !== Function.prototype; at = Object.getPrototypeOf(at)) {
    if (at === Object || at === Error) return false
    const text = Function.prototype.toString.call(at)
    if (/\{\s*\[native code\]\s*\}\s*$/.test(text)) return true
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"/g, ' ')
    if (/\.\s*#[\p{ID_Start}$_]|#[\p{ID_Start}$_][\p{ID_Continue}$]*\s+in\b/u.test(code)) return true
  }
  return false
}

function ownForm(cls: object): ClassForm | undefined {
  if (!Object.hasOwn(cls, SERIALIZE)) return undefined
  const form = (cls as { [SERIALIZE]?: ClassForm | boolean })[SERIALIZE]
  return form === true ? {} : form || undefined
}

function knownClass(cls: AnyClass, form: ClassForm): KnownClass {
  if (typeof cls !== 'function' || typeof cls.prototype !== 'object') {
    throw new ValidationError(`registerClass: expected a class, got ${typeof cls}`)
  }
  const name = form.name ?? cls.name
  const who = `registerClass ${name}`
  const unknown = Object.keys(form).find((key) => !['name', 'encode', 'decode'].includes(key))
  if (unknown !== undefined) {
    const near = nearestName(unknown, ['name', 'encode', 'decode'])
    throw new ValidationError(
      `${who}: unknown option '${unknown}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
    )
  }
  if (typeof name !== 'string' || name === '')
    throw new ValidationError('registerClass: a class without a name needs one')
  const { encode, decode } = form as { encode?: unknown; decode?: unknown }
  if (typeof encode !== typeof decode || !['undefined', 'function'].includes(typeof encode)) {
    throw new ValidationError(`${who}: encode and decode come together, as functions`)
  }
  if (encode === undefined) return { cls, name }
  return {
    cls,
    name,
    encode: (instance) => (form as AnyForm).encode(instance),
    decode: (data) => (form as AnyForm).decode(data),
  }
}

interface AnyForm {
  encode(instance: unknown): unknown
  decode(data: unknown): unknown
}
