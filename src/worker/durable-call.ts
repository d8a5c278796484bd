/** Ends a call of a job with a journal: as a result in its commit, or as an output that is published after it. */
import { callId } from '../core/ids.ts'
import { sumOfCounts } from '../core/tally.ts'
import type { CallEnd } from '../job/commits.ts'
import type { CallSpec, JournalHead, Report } from '../job/messages.ts'
import type { OutputHead } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import { withTally } from '../storage/with-tally.ts'
import { CommittedCall, commitPlace, type Ended } from './committed-call.ts'
import type { CallMeasure } from './measure.ts'
import type { OutputCall } from './output-call.ts'

export interface DurableHead {
  readonly journal: JournalHead
  readonly output: OutputHead | undefined
}

/** A call, and how it is run on what it is by now. */
export interface DurableCall {
  readonly spec: CallSpec
  readonly measure: CallMeasure
  readonly resolve: BackendResolver
  report(report: Report): void
  signal(): AbortSignal
  /** Told how the partition of the call is to be ended early, before anything runs. */
  onCommitted(committed: CommittedCall): void
  /** Gives what the function gives. */
  perform(spec: CallSpec): unknown
  finish(spec: CallSpec): Promise<CallEnd>
  /** Of what was performed last: its ReadReport. */
  takeReadReport(): unknown
}

/** The end that was committed first, by whichever attempt, with all that it was asked of stores. */
export async function finishDurable(call: DurableCall, { journal, output }: DurableHead): Promise<CallEnd> {
  const { spec, measure } = call
  const resolve: BackendResolver = async (name) => withTally(await call.resolve(name), measure.tally)
  const place = await commitPlace(journal, resolve)
  const committed = new CommittedCall(place, spec, (report) => call.report(report))
  call.onCommitted(committed)
  const ended =
    output === undefined
      ? await committed.finish({ run: (shorter) => call.finish(shorter) })
      : await finishWithOutput(call, output, { committed, journal: place, resolve })
  return withRequests(ended, measure)
}

/** What the call gives becomes an object of its own; its result is that object. */
async function finishWithOutput(
  call: DurableCall,
  head: OutputHead,
  durable: Pick<OutputCall, 'committed' | 'journal' | 'resolve'>,
): Promise<Ended> {
  const { spec, measure } = call
  if (spec.output === undefined) throw new Error(`call ${callId(spec.call)} of a job with outputs has none`)
  const { finishOutput } = await import('./output-call.ts')
  return finishOutput({
    ...durable,
    output: spec.output,
    head,
    signal: call.signal(),
    run: async (shorter) => call.perform(shorter),
    end: (sizeBytes) => {
      // a stream is made while it is written
      measure.endRun()
      const read = call.takeReadReport()
      return { attempt: spec.attempt, stats: measure.finish(sizeBytes), read }
    },
  })
}

/** The commit itself and what came after it were not asked for yet when it was written. */
function withRequests({ end, won }: Ended, measure: CallMeasure): CallEnd {
  const requests = measure.tally.counts()
  if (won || requests === undefined) return { ...end, stats: { ...end.stats, ...(requests && { requests }) } }
  return { ...end, stats: { ...end.stats, requests: sumOfCounts(end.stats.requests ?? {}, requests) } }
}
