/** Loads what a table shipped, in a process that knows nothing of it, and prints what each call gives. */
import { readFileSync } from 'node:fs'
import { loadBlob } from '../../../src/functions/blob.ts'
import { loadFunction } from '../../../src/functions/load-function.ts'
import type { ShippedFunction } from '../../../src/functions/shipped.ts'

interface Row {
  readonly as: ShippedFunction
  /** In base64: loaded instead of `as`. */
  readonly blob?: string
  readonly args: readonly unknown[]
}

const { shipped } = JSON.parse(readFileSync(process.argv[2] as string, 'utf8')) as { shipped: Record<string, Row> }
const results: Record<string, unknown> = {}
for (const [name, { as, blob, args }] of Object.entries(shipped)) {
  try {
    const fn = (await (blob === undefined ? loadFunction(as) : loadBlob(Buffer.from(blob, 'base64')))) as (
      ...args: readonly unknown[]
    ) => unknown
    const given = await fn(...args)
    const isIterator = typeof (given as { next?: unknown } | undefined)?.next === 'function'
    results[name] = { result: isIterator ? [...(given as Iterable<unknown>)] : given }
  } catch (error) {
    results[name] = { error: String(error) }
  }
}
process.stdout.write(JSON.stringify(results))
