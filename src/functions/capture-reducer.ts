/** How a Reducer travels: by reference, or method by method, each with what it closes over. */
import { ValidationError } from '../core/errors.ts'
import { captureFunction, describe, shippedModule } from './capture.ts'
import { referenceOf, type ShippedArgument, type ShippedFunction } from './shipped.ts'

const METHODS = ['initial', 'add', 'merge', 'finish'] as const

/**
 * The form in which `reducer` travels: a reference (built-ins, `moduleReducer`) with its arguments, or its four methods.
 *
 * @throws ValidationError when it lacks a method
 * @throws SerializationError when a method can travel neither way
 */
export function captureReducer(reducer: object, what: string): ShippedFunction {
  const reference = referenceOf(reducer)
  if (reference === undefined) return captureMethods(reducer, what)
  const shipped = shippedModule({ url: reference.url, export: reference.export }, what)
  if (shipped.kind !== 'module' || reference.args === undefined) return shipped
  const args = reference.args.map((argument, i) =>
    captureArgument(argument, `${what}: argument ${i + 1} of ${reference.export}()`),
  )
  return { ...shipped, args }
}

function captureMethods(reducer: object, what: string): ShippedFunction {
  const methods = reducer as Record<string, unknown>
  for (const name of METHODS) {
    if (typeof methods[name] === 'function') continue
    throw new ValidationError(
      `${what}: expected a reducer with initial, add, merge and finish; '${name}' is ${describe(methods[name])}`,
    )
  }
  const [initial, add, merge, finish] = METHODS.map((name) =>
    captureFunction(methods[name], `${what}: method ${name}()`),
  ) as [ShippedFunction, ShippedFunction, ShippedFunction, ShippedFunction]
  return { kind: 'object', methods: { initial, add, merge, finish }, commutative: methods.commutative === true }
}

/** Functions and reducers among the arguments of a built-in travel too; the rest is JSON. */
function captureArgument(argument: unknown, what: string): unknown {
  if (typeof argument === 'function') return wrapped(captureFunction(argument, what))
  const isReducer = typeof argument === 'object' && argument !== null && METHODS.every((name) => name in argument)
  return isReducer ? wrapped(captureReducer(argument, what)) : argument
}

function wrapped($fn: ShippedFunction): ShippedArgument {
  return { $fn }
}
