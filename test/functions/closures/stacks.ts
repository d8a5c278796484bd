/** A program that ships functions that throw, and prints the stacks that come back. */
import { captureFunction } from '../../../src/functions/capture.ts'
import { decodeError, encodeError } from '../../../src/functions/error-codec.ts'
import { loadFunction } from '../../../src/functions/load-function.ts'
import { FACTOR } from './values.ts'

interface Extra {
  readonly more: string
}
const extra: Extra = { more: 'more' }
const thrower = (message: string): never => {
  const whole: string = `${message} ${extra.more}`
  throw new Error(whole) // a helper
}

const cases: Record<string, () => unknown> = {
  alone: () => {
    const message: string = 'alone'
    throw new Error(message) // alone
  },
  captured: () => {
    const message: string = `captured ${FACTOR}`
    if (FACTOR > 0) throw new TypeError(message) // captured
  },
  helper: () => thrower('helped'),
}

export const stacks: Promise<Record<string, string>> = (async () => {
  const told: Record<string, string> = {}
  for (const [name, fn] of Object.entries(cases)) {
    const loaded = (await loadFunction(JSON.parse(JSON.stringify(captureFunction(fn, 'f'))))) as () => unknown
    try {
      loaded()
    } catch (error) {
      told[name] = String(decodeError(encodeError(error)).stack)
    }
  }
  return told
})()
if (process.env.STACKS !== undefined) stacks.then((told) => process.stdout.write(JSON.stringify(told)))
