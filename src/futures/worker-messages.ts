/**
 * What a worker says of its tasks: u8 kind | u8 form | f64 number | body, one message each.
 *
 *   ENDED     the next task of the bundle: how its outcome travels, ms it took, the outcome
 *   RETURNED  form 1 when the next task has begun; body: ids (f64) of the bundles that lie behind this one. What has not
 *             begun, here and there, will not begin here
 *   UNFIT     body: what the initializer threw. Nothing runs in this worker
 *   GREW      number: bytes it holds more than after its first task; it leaves
 */
import { SerializationError } from '../core/errors.ts'
import { decodeValue, encodeValue } from '../functions/codec.ts'
import { decodeError, encodeError } from '../functions/error-codec.ts'
import { MAX_PAYLOAD_BYTES } from '../pool/framing.ts'

export const ENDED = 1
export const RETURNED = 2
export const UNFIT = 3
export const GREW = 4

const VALUE = 0
const ERROR = 1
/** Travels beside the bytes, by structured clone. */
const DIRECT = 2

const HEAD_BYTES = 10
const NUMBER_AT = 2
const NO_BODY = new Uint8Array(0)

export type Outcome = { readonly value: unknown; readonly error?: undefined } | { readonly error: Error }

/** @throws SerializationError when the result cannot travel */
export function resultMessage(ms: number, result: unknown): Uint8Array {
  const body = encodeValue(result, 'result')
  if (body.byteLength > MAX_PAYLOAD_BYTES - HEAD_BYTES) {
    throw new SerializationError(
      `result: ${body.byteLength} bytes, at most ${MAX_PAYLOAD_BYTES - HEAD_BYTES} can be sent by a worker at once`,
    )
  }
  return message(ENDED, VALUE, ms, body)
}

/** Of a result that travels beside it. */
export function directMessage(ms: number): Uint8Array {
  return message(ENDED, DIRECT, ms, NO_BODY)
}

export function errorMessage(ms: number, thrown: unknown): Uint8Array {
  return message(ENDED, ERROR, ms, encodeError(thrown))
}

export function returnedMessage(running: boolean, behind: readonly number[]): Uint8Array {
  return message(RETURNED, running ? 1 : 0, 0, new Uint8Array(Float64Array.from(behind).buffer))
}

export function unfitMessage(thrown: unknown): Uint8Array {
  return message(UNFIT, 0, 0, encodeError(thrown))
}

export function grewMessage(bytes: number): Uint8Array {
  return message(GREW, 0, bytes, NO_BODY)
}

/** ENDED, RETURNED, UNFIT or GREW. */
export function kindOf(message: Uint8Array): number | undefined {
  return message[0]
}

/** The ms of ENDED, the bytes of GREW. */
export function numberOf(message: Uint8Array): number {
  for (let i = 0; i < 8; i++) numberBytes[i] = message[NUMBER_AT + i] as number
  return number[0] as number
}

/** Of ENDED. Never throws: a result that cannot be read is an error. */
export function outcomeOf(message: Uint8Array, direct: unknown): Outcome {
  const form = message[1]
  if (form === ERROR) return { error: decodeError(bodyOf(message)) }
  if (form === DIRECT) return { value: direct }
  try {
    return { value: decodeValue(bodyOf(message), { adopt: true }) }
  } catch (error) {
    return { error: error as Error }
  }
}

/** Of RETURNED. */
export function returnedOf(message: Uint8Array): { readonly running: boolean; readonly behind: readonly number[] } {
  return { running: message[1] === 1, behind: [...new Float64Array(Uint8Array.from(bodyOf(message)).buffer)] }
}

/** Of UNFIT: what the initializer threw. */
export function unfitOf(message: Uint8Array): Error {
  return decodeError(bodyOf(message))
}

// memory to turn a number into bytes in, of use within one call
const number = new Float64Array(1)
const numberBytes = new Uint8Array(number.buffer)

function message(kind: number, form: number, value: number, body: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEAD_BYTES + body.byteLength)
  bytes[0] = kind
  bytes[1] = form
  number[0] = value
  for (let i = 0; i < 8; i++) bytes[NUMBER_AT + i] = numberBytes[i] as number
  bytes.set(body, HEAD_BYTES)
  return bytes
}

function bodyOf(message: Uint8Array): Uint8Array {
  return message.subarray(HEAD_BYTES)
}
