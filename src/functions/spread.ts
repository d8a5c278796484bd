/** Functions of many arguments where one is passed: a call of a job has one. Loaded by its URL in workers. */
import { captureFunction } from './capture.ts'
import { SHIPPED, type ShippedFunction } from './shipped.ts'

type AnyFunction = (...args: never[]) => unknown

/** What a worker makes of a shipped `spreading(fn)`. */
export function spread(fn: (...args: unknown[]) => unknown): (args: readonly unknown[]) => unknown {
  return (args) => fn(...args)
}

/**
 * `fn` as a function of the list of its arguments, in a form that travels.
 * @throws SerializationError when `fn` cannot travel; `what` names it in the message
 */
export function spreading(fn: AnyFunction, what: string): (args: readonly unknown[]) => unknown {
  const shipped = captureFunction(fn, what) as ShippedFunction
  const value = { url: import.meta.url, export: 'spread', args: [{ $fn: shipped }] }
  return Object.defineProperty(spread(fn as (...args: unknown[]) => unknown), SHIPPED, { value })
}
