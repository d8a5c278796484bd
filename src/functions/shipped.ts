/** A function or reducer in the form in which it travels: plain JSON. */
export type ShippedFunction =
  /**
   * An export of a module the worker can load. `export` may be a path: `default.map`. With `args`, the export is called
   * with them once and gives the function (or reducer); an argument `{ $fn }` stands for a shipped function.
   */
  | { readonly kind: 'module'; readonly url: string; readonly export: string; readonly args?: readonly unknown[] }
  /** The text of a function expression that closes over nothing; `name` and `source` are for messages and stacks. */
  | { readonly kind: 'text'; readonly text: string; readonly name: string; readonly source?: string }
  /** A reducer whose methods travel one by one. */
  | { readonly kind: 'object'; readonly methods: ShippedMethods; readonly commutative: boolean }

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
