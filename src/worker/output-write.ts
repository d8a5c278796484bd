/**
 * Writes what a call returned where no reader looks: small outputs travel in the commit itself, larger ones become an
 * object of the attempt's own. Memory is bounded however long an output is; one that fails leaves nothing.
 */
import { createHash, randomBytes } from 'node:crypto'
import { type CommitPlace, INLINE_RESULT_BYTES } from '../job/commits.ts'
import { attemptKey } from '../job/keys.ts'
import type { CallOutput, OutputHead, OutputRecord } from '../job/output.ts'
import { outputBytes } from './output-bytes.ts'

/** Where an attempt of a call writes. */
export interface AttemptPlace {
  readonly head: OutputHead
  readonly call: CallOutput
  readonly journal: CommitPlace
  /** Under which the call is committed. */
  readonly id: string
  readonly attempt: number
  readonly signal: AbortSignal
}

export interface WrittenOutput {
  readonly record: OutputRecord
  /** The bytes of a small output; else none. */
  readonly inline: Uint8Array
  /** Removes what was written: another attempt was committed. */
  discard(): Promise<void>
}

/** @throws SerializationError for what is no output, StorageError, what the stream itself throws, and the signal's reason */
export async function writeOutput(value: unknown, place: AttemptPlace): Promise<WrittenOutput> {
  const { head, call, journal, signal } = place
  const { contentType, pieces } = await outputBytes(value, head, INLINE_RESULT_BYTES)
  const hash = createHash('sha256')
  let sizeBytes = 0
  const counted = stoppable(pieces, signal, (piece) => {
    hash.update(piece)
    sizeBytes += piece.length
  })
  const first = await counted.next()
  const second = first.done === true ? first : await counted.next()
  const record = () => ({ ...call, sizeBytes, digest: hash.digest('hex'), contentType })
  if (second.done === true) {
    const inline = first.done === true ? new Uint8Array(0) : first.value
    return { record: record(), inline, discard: () => Promise.resolve() }
  }
  const nonce = randomBytes(6).toString('hex')
  const key = attemptKey(journal.name, journal.series, place.id, place.attempt, nonce)
  const body = joined([first.value as Uint8Array, second.value], counted)
  await journal.backend.put(journal.bucket, key, body, { contentType, signal })
  return {
    record: { ...record(), attemptKey: key },
    inline: new Uint8Array(0),
    discard: () => journal.backend.delete(journal.bucket, [key]),
  }
}

async function* stoppable(
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  seen: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces) {
    signal.throwIfAborted()
    seen(piece)
    yield piece
  }
}

async function* joined(begun: readonly Uint8Array[], rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* begun
  yield* rest
}
