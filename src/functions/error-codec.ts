/** What a call threw, as bytes and back. Never throws: whatever cannot travel is told as text. */
import { inspect } from 'node:util'
import { decodeValue, encodeValue } from './codec.ts'
import { isError } from './error-record.ts'
import { restoreStack } from './function-origin.ts'

export { registerErrorClass } from './error-record.ts'

/**
 * Bytes of what was thrown: name, message, code, stack, causes (16 deep), an aggregate's errors and own enumerable data;
 * data that cannot travel as its text.
 */
export function encodeError(thrown: unknown): Uint8Array {
  try {
    return encodeValue(thrown)
  } catch (problem) {
    return encodeValue(stripped(thrown, problem))
  }
}

/**
 * The error of bytes that `encodeError` made: an instance of its class where this process knows it (built-in classes,
 * quern's, registered ones), otherwise of the nearest known one, under its own name. What was thrown without being an
 * error is the `cause` of one.
 */
export function decodeError(bytes: Uint8Array): Error {
  try {
    const thrown = decodeValue(bytes)
    if (isError(thrown)) return withSourceStacks(thrown)
    return new Error(`a value was thrown that is no error: ${inspect(thrown, { depth: 1 })}`, { cause: thrown })
  } catch (problem) {
    return new Error('what was thrown cannot be decoded here', { cause: problem })
  }
}

function stripped(thrown: unknown, problem: unknown): unknown {
  try {
    if (!isError(thrown)) return inspect(thrown, { depth: 1 })
    const error = new Error(String(thrown.message))
    error.name = String(thrown.name)
    error.stack = String(thrown.stack)
    return error
  } catch {
    return new Error(`something was thrown that cannot even be looked at: ${String(problem)}`)
  }
}

/** Frames in functions that this process shipped say where those stand in the user's source; causes included. */
function withSourceStacks(error: Error): Error {
  const seen = new Set<unknown>()
  for (let at: unknown = error; isError(at) && !seen.has(at); at = at.cause) {
    seen.add(at)
    if (typeof at.stack === 'string') define(at, restoreStack(at.stack))
  }
  return error
}

function define(error: Error, stack: string): void {
  if (stack !== error.stack) Object.defineProperty(error, 'stack', { value: stack, writable: true, configurable: true })
}
