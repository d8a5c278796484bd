/**
 * The functions of an executor, each in the form in which its workers get it: once, however many tasks run it.
 * Functions of the same content are one, so what is known of its pace is known of all.
 */
import { captureFunction } from '../functions/capture.ts'
import type { ShippedFunction } from '../functions/shipped.ts'
import { type Pace, UNKNOWN_PACE } from './bundling.ts'

/** Functions remembered by content; beyond, the oldest is forgotten, and sent again when it comes back. */
const MAX_REMEMBERED = 1_000

export interface SharedFunction {
  readonly id: string
  readonly shipped: ShippedFunction
  readonly bytes: Uint8Array
  /** For messages. */
  readonly name: string
  pace: Pace
}

export class SharedFunctions {
  readonly #byShipped = new WeakMap<ShippedFunction, SharedFunction>()
  readonly #byContent = new Map<string, SharedFunction>()
  #lastId = 0

  /** @throws ValidationError, SerializationError as `captureFunction` does */
  of(fn: (...args: never[]) => unknown): SharedFunction {
    const shipped = captureFunction(fn, 'submit function')
    return this.#byShipped.get(shipped) ?? this.#remember(shipped, fn.name)
  }

  #remember(shipped: ShippedFunction, name: string): SharedFunction {
    const content = contentOf(shipped)
    const shared = this.#byContent.get(content) ?? {
      id: String(++this.#lastId),
      shipped,
      bytes: Buffer.from(JSON.stringify(shipped)),
      name: name === '' ? '(anonymous)' : name,
      pace: UNKNOWN_PACE,
    }
    this.#byContent.delete(content)
    this.#byContent.set(content, shared)
    if (this.#byContent.size > MAX_REMEMBERED) {
      this.#byContent.delete(this.#byContent.keys().next().value as string)
    }
    this.#byShipped.set(shipped, shared)
    return shared
  }
}

/** Closed functions of one text do the same; a loop that writes one inline makes a new one each time round. */
function contentOf(shipped: ShippedFunction): string {
  return shipped.kind === 'text' ? `${shipped.name} ${shipped.text}` : JSON.stringify(shipped)
}
