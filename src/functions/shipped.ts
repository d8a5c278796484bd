/** A function in the form in which it travels: plain JSON. */
export type ShippedFunction =
  /** An export of a module the worker can load. `export` may be a path: `default.map`. With `args`, the export is called with them once and gives the function (or reducer). */
  | { readonly kind: 'module'; readonly url: string; readonly export: string; readonly args?: readonly unknown[] }
  /** The text of a function that closes over nothing; `name` and `source` are for messages and stacks. */
  | { readonly kind: 'text'; readonly text: string; readonly name: string; readonly source?: string }
