/**
 * Ends a call whose result is an output: runs it, writes what it gave, commits, publishes what was committed. A call
 * that another attempt has committed publishes that attempt's output: who committed it may have died before it could.
 */
import { encodeValue } from '../functions/codec.ts'
import type { CallEnd, CommitPlace } from '../job/commits.ts'
import type { CallSpec } from '../job/messages.ts'
import type { CallOutput, OutputHead, OutputRecord } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { CommittedCall, Ended } from './committed-call.ts'
import { publishOutput } from './output-publish.ts'
import { type WrittenOutput, writeOutput } from './output-write.ts'

export interface OutputCall {
  readonly committed: CommittedCall
  readonly output: CallOutput
  readonly head: OutputHead
  readonly journal: CommitPlace
  readonly resolve: BackendResolver
  readonly signal: AbortSignal
  /** Runs the user's function. */
  run(spec: CallSpec): Promise<unknown>
  /** The end of the call, asked for when its output is written. */
  end(sizeBytes: number): Omit<CallEnd, 'result' | 'output'>
}

/** The call's end, with the published CloudObject as its result. */
export async function finishOutput(call: OutputCall): Promise<Ended> {
  const { committed, output, head, journal, signal } = call
  let written: WrittenOutput | undefined
  const ended = await committed.finish({
    run: async (spec, id) => {
      const value = await call.run(spec)
      written = await writeOutput(value, { head, call: output, journal, id, attempt: spec.attempt, signal })
      const { record, inline } = written
      return { ...call.end(record.sizeBytes), result: inline, output: record }
    },
    discard: async () => written?.discard(),
  })
  const { end, id, won } = ended
  const target = await call.resolve(head.backend)
  const record = end.output as OutputRecord
  const object = await publishOutput({ record, inline: end.result, head, target, journal, id, again: !won, signal })
  return { ...ended, end: { ...end, result: encodeValue(object, 'output') } }
}
