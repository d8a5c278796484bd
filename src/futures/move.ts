/** A task's result that is moved to who asked for it instead of copied: threads only. */
import type { Transferable } from 'node:worker_threads'
import { ValidationError } from '../core/errors.ts'

/** Known by name: the task may have another copy of this module than the worker that runs it. */
const MOVED: unique symbol = Symbol.for('quern.moved')

interface Moved {
  readonly [MOVED]: { readonly value: unknown; readonly transfer: readonly Transferable[] }
}

/**
 * `return move(bytes, [bytes.buffer])` in a task: the caller gets `bytes`, and its memory is not copied. Worker threads
 * only; between processes nothing can be moved, so the task fails there.
 *
 * @throws ValidationError when `transfer` is no list
 */
export function move<T>(value: T, transfer: readonly Transferable[]): T {
  if (!Array.isArray(transfer)) throw new ValidationError('move transfer: expected a list of what is moved')
  const moved: Moved = { [MOVED]: { value, transfer } }
  // the caller gets the value itself: this stands for it on the way out of the task
  return moved as T
}

/** What a task wants moved; undefined for an ordinary result. */
export function movableOf(result: unknown): Moved[typeof MOVED] | undefined {
  if (typeof result !== 'object' || result === null) return undefined
  return (result as Partial<Moved>)[MOVED]
}
