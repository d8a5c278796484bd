/**
 * `executor.replay`: one call of a journal once more, in this very process and on the same pinned bytes, so that a
 * debugger can stop in it. Nothing is committed, published or changed; what the call prints goes to this terminal.
 */
import type { Composition } from '../backends.ts'
import { parseUpkeep } from '../config/upkeep-options.ts'
import { QuernError, ValidationError } from '../core/errors.ts'
import { show } from '../core/fields.ts'
import { callId } from '../core/ids.ts'
import { decodeValue } from '../functions/codec.ts'
import { decodeError } from '../functions/error-codec.ts'
import { encodeCalls, encodeFeed, encodeJob, type JobHead } from '../job/messages.ts'
import { decodeReports } from '../job/report-bytes.ts'
import { jobNamed } from './resume.ts'
import type { StoredCall } from './stored-call.ts'

/**
 * What the call gives this time. `name` of a map-reduce: calls of its reduce; its map's by the map's name.
 *
 * @throws ValidationError, NotFoundError, InvalidStateError for what is no call of a journal
 * @throws ObjectChangedError when its object is not what was planned
 * @throws whatever the function throws
 */
export async function replayCall(
  composition: Composition,
  name: string,
  call: string | number,
  options?: unknown,
): Promise<unknown> {
  const { saveFixture, journalStorage } = parseUpkeep('replay', options)
  const { jobId } = jobNamed(name)
  const { journalPlace } = await import('./durable.ts')
  const { readStoredCall } = await import('./stored-call.ts')
  const { config, resolve } = composition
  const warn = (text: string) => void process.stderr.write(`quern: ${text}\n`)
  const place = await journalPlace('must', journalStorage, { config, resolve, reach: 'process', warn })
  if (place === undefined) throw new TypeError('a journal that must be there has no place')
  const at = { name, jobId, call: callIndex(call) }
  const stored = await readStoredCall(place, at, resolve)
  if (saveFixture === undefined) return runHere(stored, composition)
  const { writeFixture } = await import('./fixture.ts')
  // before it runs: it may not come back
  const fixture = await writeFixture({ folder: saveFixture, name }, stored, resolve)
  const result = await runHere(stored, composition)
  await fixture.expects(result)
  return result
}

async function runHere({ head, extraArgs, call, input, results }: StoredCall, { resolve }: Composition) {
  const { inlineRunner } = await import('../worker/inline-runner.ts')
  // unlike a job's own workers it commits nothing
  const { journal: _, output: __, ...plain } = head
  const shared = { id: `replay ${Math.random()}`, bytes: encodeJob(plain as JobHead, extraArgs) }
  const ended: { value?: unknown; error?: Error }[] = []
  await inlineRunner(resolve)(shared, encodeCalls([{ call, attempt: 1, input }]), {
    report(bytes) {
      for (const report of decodeReports(bytes)) {
        if (report.type === 'log') process[report.stream].write(report.text)
        else if (report.type === 'succeeded') ended.push({ value: decodeValue(report.result) })
        else if (report.type === 'failed') ended.push({ error: decodeError(report.error) })
      }
    },
    onFeed(handler) {
      results.forEach((value, index) => {
        const absent = typeof value === 'number'
        handler(
          encodeFeed(absent ? { type: 'absent', index, callId: callId(value) } : { type: 'result', index, value }),
        )
      })
    },
  })
  const [end] = ended
  if (end === undefined) throw new QuernError('CALL', `call ${callId(call)} ended without a word about it`)
  if (end.error !== undefined) throw end.error
  return end.value
}

function callIndex(call: string | number): number {
  const index = typeof call === 'string' && /^\d+$/.test(call) ? Number(call) : call
  if (typeof index === 'number' && Number.isSafeInteger(index) && index >= 0) return index
  throw new ValidationError(`call: expected a call id such as '00005', got ${show(call)}`)
}
