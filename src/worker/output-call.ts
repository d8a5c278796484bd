/**
 * Ends a call whose result is an output: runs it, writes what it gave, commits, publishes what was committed. A call
 * that another attempt has committed publishes that attempt's output: who committed it may have died before it could.
 */
import { encodeValue } from '../functions/codec.ts'
import type { CallEnd, CommitPlace } from '../job/commits.ts'
import type { CallSpec } from '../job/messages.ts'
import type { CallOutput, OutputHead, OutputRecord } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { commitCall, commitIdOf, committedBefore } from './commit.ts'
import { publishOutput } from './output-publish.ts'
import { writeOutput } from './output-write.ts'

export interface OutputCall {
  readonly spec: CallSpec & { readonly output: CallOutput }
  readonly head: OutputHead
  readonly journal: CommitPlace
  readonly resolve: BackendResolver
  readonly signal: AbortSignal
  /** Runs the user's function. */
  run(): Promise<unknown>
  /** The end of the call, asked for when its output is written. */
  end(sizeBytes: number): Omit<CallEnd, 'result' | 'output'>
}

/** The call's end, with the published CloudObject as its result. */
export async function finishOutput(call: OutputCall): Promise<CallEnd> {
  const before = await committedBefore(call.journal, call.spec)
  const { end, won } = before === undefined ? await commitOutput(call) : { end: before, won: false }
  const { spec, head, journal, signal } = call
  const target = await call.resolve(head.backend)
  const record = end.output as OutputRecord
  const id = commitIdOf(spec)
  const object = await publishOutput({ record, inline: end.result, head, target, journal, id, again: !won, signal })
  return { ...end, result: encodeValue(object, 'output') }
}

async function commitOutput(call: OutputCall): Promise<{ readonly won: boolean; readonly end: CallEnd }> {
  const { spec, head, journal, signal } = call
  const value = await call.run()
  const place = { head, call: spec.output, journal, id: commitIdOf(spec), attempt: spec.attempt, signal }
  const written = await writeOutput(value, place)
  const end = { ...call.end(written.record.sizeBytes), result: written.inline, output: written.record }
  const committed = await commitCall(journal, spec, end)
  if (!committed.won) await written.discard()
  return committed
}
