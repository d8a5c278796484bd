/** Functions of many arguments where one is passed: a call of a job has one. Loaded by its URL in workers. */
import { SHIPPED, type ShippedFunction } from './shipped.ts'

/** What a worker makes of a shipped `spreading(fn)`. */
export function spread(fn: (...args: unknown[]) => unknown): (args: readonly unknown[]) => unknown {
  return (args) => fn(...args)
}

/** `fn`, captured as `shipped`, as a function of the list of its arguments, in a form that travels. */
export function spreading(
  fn: (...args: never[]) => unknown,
  shipped: ShippedFunction,
): (args: readonly unknown[]) => unknown {
  const value = { url: import.meta.url, export: 'spread', args: [{ $fn: shipped }] }
  return Object.defineProperty(spread(fn as (...args: unknown[]) => unknown), SHIPPED, { value })
}
