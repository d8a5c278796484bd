/** A function or reducer in the form in which it travels: plain JSON. */
export type ShippedFunction =
  /**
   * An export of a module the worker can load. `export` may be a path: `default.map`. With `args`, the export is called
   * with them once and gives the function (or reducer); an argument `{ $fn }` stands for a shipped function.
   */
  | { readonly kind: 'module'; readonly url: string; readonly export: string; readonly args?: readonly unknown[] }
  /** The text of a function expression that closes over nothing; `name` and `source`, which tells it from others, are for stacks. */
  | { readonly kind: 'text'; readonly text: string; readonly name: string; readonly source?: string }
  | ShippedClosure
  /** A reducer whose methods travel one by one. */
  | { readonly kind: 'object'; readonly methods: ShippedMethods; readonly commutative: boolean }

/** A ShippedFunction with the modules it refers to: what `loadBlob` takes, in base64. */
export interface ShippedBlob {
  readonly kind: 'blob'
  /** Names it: the same hash is the same function. */
  readonly hash: string
  readonly bytes: string
}

/** A function with everything it closes over: its texts, references to modules, and a copy of the captured values. */
export interface ShippedClosure {
  readonly kind: 'closure'
  readonly name: string
  /** The first is the function itself. They refer to each other by index. */
  readonly units: readonly ShippedUnit[]
  /** A Record per unit (captured name → value), encoded by the codec, in base64. Absent where nothing was captured. */
  readonly values?: string | undefined
  /** The same for what classes need when they are defined. */
  readonly early?: string | undefined
}

export type ShippedUnit =
  | ShippedCode
  /** An export of a module the worker can load. */
  | { readonly kind: 'module'; readonly url: string; readonly export: string }
  /** What every Node process has: `Math.max`. */
  | { readonly kind: 'global'; readonly path: string }
  /** Bound to `this` and `args.length` arguments, which are among the values as `this`, `0`, `1`, … unless functions. */
  | {
      readonly kind: 'bound'
      readonly target: number
      readonly count: number
      readonly units: Readonly<Record<string, number>>
    }

export interface ShippedCode {
  readonly kind: 'code'
  readonly form: 'function' | 'class'
  readonly name: string
  /** An expression. */
  readonly text: string
  /** URL of the module it stood in: what its imports are relative to. */
  readonly module: string
  /** Shown in stacks, and where in it the text begins, from 0. */
  readonly file: string
  readonly line: number
  readonly column: number
  /** Captured names that are values. */
  readonly vars: readonly string[]
  /** Captured names that are functions. */
  readonly units: Readonly<Record<string, number>>
  /** Captured names that are imports; their text reads them through the namespace, so that they stay live. */
  readonly imports: Readonly<Record<string, ShippedImport>>
  /** Captured names that are something every Node process has: `Math.max`. */
  readonly globals: Readonly<Record<string, string>>
  /** Own properties that were put on the function are among the values, under `$properties`. */
  readonly properties?: boolean | undefined
  /** What it imports by `import()`; empty text for what is made up while it runs. */
  readonly dynamic?: readonly string[] | undefined
}

export interface ShippedImport {
  readonly specifier: string
  /** `namespace` of `import * as`, `require` what `require()` gives, `interop` that with a `default`. */
  readonly as: 'namespace' | 'require' | 'interop' | Meta
  /** For `require`: a property of it. */
  readonly member?: string | undefined
  readonly attributes?: Readonly<Record<string, string>> | undefined
}

/** What a module has of its own: `import.meta`, `import()`, `require`, and a coverage counter that counts nothing. */
export type Meta = 'meta' | 'import()' | 'require()' | 'counter'

export interface ShippedMethods {
  readonly initial: ShippedFunction
  readonly add: ShippedFunction
  readonly merge: ShippedFunction
  readonly finish: ShippedFunction
}

/** In the `args` of a shipped module: a function or reducer to be loaded before the call. */
export interface ShippedArgument {
  readonly $fn: ShippedFunction
}

/** Functions and reducers that know where they can be loaded again carry a ShippedReducer under this symbol. */
export const SHIPPED: unique symbol = Symbol.for('quern.shipped')

/** `export` of the module at `url`; with `args`, what calling it with them gives. Args are JSON, functions or reducers. */
export interface ShippedReducer {
  readonly url: string
  readonly export: string
  readonly args?: readonly unknown[]
}

/** The reference a function or reducer carries, if any. */
export function referenceOf(value: object): ShippedReducer | undefined {
  return (value as { readonly [SHIPPED]?: ShippedReducer })[SHIPPED]
}
