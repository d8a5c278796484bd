/**
 * What an executor says to its workers, as bytes; what they answer is in worker-messages.ts.
 *
 *   START    the codec's bytes of a TaskStartup
 *   SHARED   JSON of a ShippedFunction
 *   INVOKE   a bundle: tasks of that function, one after the other; each is a form and its arguments, so that one that
 *            cannot be read spoils no other
 *   FEED     (no content) what has not begun is wanted back
 */
import { SerializationError } from '../core/errors.ts'
import { decodeValue, encodeValue } from '../functions/codec.ts'
import type { ShippedFunction } from '../functions/shipped.ts'
import { MAX_PAYLOAD_BYTES } from '../pool/framing.ts'
import type { MessageReader, MessageWriter } from './message-bytes.ts'

const VALUE = 0
/** Travels beside the bytes, by structured clone. */
const DIRECT = 1

/** Leaves room for the tasks before it in its bundle. */
const MAX_ARGUMENT_BYTES = MAX_PAYLOAD_BYTES - 2 ** 20

/** What a worker is told first. */
export interface TaskStartup {
  /** The driver's program: functions of it are never imported. */
  readonly argv1: string | undefined
  readonly initializer?: { readonly fn: ShippedFunction; readonly args: readonly unknown[] }
  readonly title?: string
  readonly maxTasks?: number
  readonly maxMemoryGrowthBytes?: number
}

/** @throws SerializationError when the arguments of the initializer cannot travel */
export function encodeStartup(startup: TaskStartup): Uint8Array {
  return encodeValue(startup, 'worker start-up')
}

export function decodeStartup(bytes: Uint8Array): TaskStartup {
  return decodeValue(bytes) as TaskStartup
}

/** Appends a task. @throws SerializationError and then nothing was appended */
export function writeTask(writer: MessageWriter, args: readonly unknown[]): void {
  const bytes = encodeValue(args, 'arguments')
  if (bytes.byteLength > MAX_ARGUMENT_BYTES) {
    throw new SerializationError(
      `arguments: ${bytes.byteLength} bytes, at most ${MAX_ARGUMENT_BYTES} can be sent to a worker at once`,
    )
  }
  writer.byte(VALUE)
  writer.block(bytes)
}

/** Appends a task whose arguments travel beside the bytes. */
export function writeDirectTask(writer: MessageWriter): void {
  writer.byte(DIRECT)
}

/** The arguments of the next task of a bundle. @throws SerializationError; the reader stands at the next task then */
export function readTask(reader: MessageReader, direct: unknown): readonly unknown[] {
  return (reader.byte() === DIRECT ? direct : decodeValue(reader.block(), { adopt: true })) as unknown[]
}
