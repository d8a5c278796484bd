/**
 * Runs one call: makes its input, calls the user's function, and gives its end as a report. Never rejects: whatever goes
 * wrong is the call's failure and nobody else's.
 *
 * The reader of partitions is loaded when a call has one: most of a worker's start-up would be spent on it.
 */
import type { ReadAhead } from '../../partitioner/prefetch.ts'
import type { PartitionReader, ReadReport } from '../../partitioner/read.ts'
import type { Reducer } from '../../reducers/reducer.ts'
import { messageOf, SerializationError } from '../core/errors.ts'
import { callId, jobKey } from '../core/ids.ts'
import type { RequestTally } from '../core/tally.ts'
import { decodeValue, decodeValueWith, encodeValue } from '../functions/codec.ts'
import { encodeError } from '../functions/error-codec.ts'
import { loadingFunctions } from '../functions/load-function.ts'
import type { CallEnd, CommitPlace } from '../job/commits.ts'
import { type CallSpec, type JournalHead, MAX_RESULT_BYTES, type Report } from '../job/messages.ts'
import type { OutputHead } from '../job/output.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { Storage } from '../storage/storage.ts'
import { withTally } from '../storage/with-tally.ts'
import type { LoadedJob } from './loaded-job.ts'
import { CallMeasure, type ProcessMeter } from './measure.ts'
import { collectInputs, ReduceFeed } from './reduce-feed.ts'
import { CallTask } from './task-context.ts'
import { Turns } from './turns.ts'

const PROGRESS_EVERY_MS = 100

/** What the composition root gives to every call. */
export interface WorkerServices {
  readonly resolveBackend: BackendResolver
  /** The executor's storage, connected at first use; requests are counted in the tally, default keys hold the session. */
  openStorage(reference: LoadedJob['head']['storage'], tally: () => RequestTally, session: string): Storage
  /** True for one call of the process. */
  isFirstCall?(): boolean
  /** Shared by all readers of the process. */
  readonly readAhead?: ReadAhead | undefined
}

/** What the invocation gives to a call. */
export interface CallSurroundings {
  readonly job: LoadedJob
  readonly services: WorkerServices
  readonly meter: ProcessMeter
  report(report: Report): void
  signal(): AbortSignal
  /** @throws CancelledError when the call was aborted */
  throwIfAborted(): void
  /** A reduce call takes its feed from here on. */
  feedInto(feed: ReduceFeed): void
  /** The partition of the call may be ended early from here on. */
  reads(partition: Pick<PartitionReader, 'endAt'>): void
}

type UserFunction = (...args: unknown[]) => unknown

interface CallState {
  readonly spec: CallSpec
  readonly around: CallSurroundings
  readonly measure: CallMeasure
  readonly failedInputs: string[]
  /** Asked when the function has returned. */
  readReport?: () => ReadReport
}

export async function runCall(spec: CallSpec, around: CallSurroundings): Promise<Report> {
  const state: CallState = {
    spec,
    around,
    measure: new CallMeasure(around.meter, around.services.isFirstCall?.()),
    failedInputs: [],
  }
  const { call } = spec
  try {
    const { journal } = around.job.head
    const { result, stats, read } = journal === undefined ? await finish(state) : await finishOnce(state, journal)
    return { type: 'succeeded', call, result, stats, ...(read === undefined ? {} : { read }) }
  } catch (error) {
    takeReadReport(state)
    return { type: 'failed', call, error: encodeError(error), stats: state.measure.finish(0) }
  }
}

/** Runs the call to its end. */
async function finish(state: CallState): Promise<CallEnd> {
  const result = encodeResult(await perform(state), state)
  const read = takeReadReport(state)
  return { attempt: state.spec.attempt, result, stats: state.measure.finish(result.byteLength), read }
}

/** The same for a job with a journal: the end that was committed first, by whichever attempt. */
async function finishOnce(state: CallState, journal: JournalHead): Promise<CallEnd> {
  const { commitCall, commitPlace, committedBefore } = await import('./commit.ts')
  const place = await commitPlace(journal, state.around.services.resolveBackend)
  const { output } = state.around.job.head
  if (output !== undefined) return finishWithOutput(state, output, place)
  const before = await committedBefore(place, state.spec)
  if (before !== undefined) return before
  return (await commitCall(place, state.spec, await finish(state))).end
}

/** What the call gives becomes an object of its own; its result is that object. */
async function finishWithOutput(state: CallState, head: OutputHead, journal: CommitPlace): Promise<CallEnd> {
  const { spec, around, measure } = state
  if (spec.output === undefined) throw new Error(`call ${callId(spec.call)} of a job with outputs has none`)
  const { finishOutput } = await import('./output-call.ts')
  return finishOutput({
    spec: { ...spec, output: spec.output },
    head,
    journal,
    resolve: async (name) => withTally(await around.services.resolveBackend(name), measure.tally),
    signal: around.signal(),
    run: () => perform(state),
    end: (sizeBytes) => {
      // a stream is made while it is written
      measure.endRun()
      const read = takeReadReport(state)
      return { attempt: spec.attempt, stats: measure.finish(sizeBytes), read }
    },
  })
}

async function perform(state: CallState): Promise<unknown> {
  const { job } = state.around
  const target = await job.target
  if (state.spec.input.type === 'results') return reduce(target, state, state.spec.input.count)
  const input = await makeInput(state)
  return runFunction(requireFunction(target, job), input, state)
}

async function runFunction(fn: UserFunction, input: unknown, state: CallState): Promise<unknown> {
  const { job } = state.around
  const given = job.extraArgs()
  const args = given instanceof Promise ? await given : given
  const task = makeTask(state)
  // aborted while function and input were made ready: the user's code need not begin
  state.around.throwIfAborted()
  state.measure.beginRun()
  try {
    return await (args.length === 0 ? fn(input, task) : fn(input, ...args, task))
  } finally {
    state.measure.endRun()
  }
}

async function makeInput(state: CallState): Promise<unknown> {
  const { input } = state.spec
  if (input.type === 'item') return decodeValueWith(input.value, { ...loadingFunctions, adopt: true })
  if (input.type !== 'partition') throw new Error(`a ${input.type} input is no input of a map`)
  const { job, services } = state.around
  const { read } = job.head
  if (read === undefined) throw new Error(`job ${job.head.jobId} has partitions but does not say how they are read`)
  const { openPartition } = await import('../../partitioner/read.ts')
  const partition = openPartition(input.partition, {
    backend: withTally(await services.resolveBackend(input.partition.object.backend), state.measure.tally),
    read,
    edges: input.edges,
    signal: state.around.signal(),
    onBytes: countBytes(state),
    splittable: job.head.splittable,
    requests: { readAhead: services.readAhead },
  })
  if (job.head.splittable === true) state.around.reads(partition)
  state.readReport = () => {
    partition.fixEnd()
    return partition.report()
  }
  return partition
}

function countBytes({ measure, around, spec }: CallState): (bytes: number) => void {
  let reportedAt = performance.now()
  return (bytes) => {
    measure.bytesRead += bytes
    const now = performance.now()
    if (now - reportedAt < PROGRESS_EVERY_MS) return
    reportedAt = now
    around.report({ type: 'progress', call: spec.call, bytesRead: measure.bytesRead })
  }
}

async function reduce(target: unknown, state: CallState, count: number): Promise<unknown> {
  const { around, spec } = state
  const feed = new ReduceFeed(count, (consumed) => around.report({ type: 'consumed', call: spec.call, consumed }))
  around.feedInto(feed)
  if (around.job.head.reducer !== true) {
    const fn = requireFunction(target, around.job)
    return runFunction(fn, await collectInputs(feed, state.failedInputs), state)
  }
  state.measure.beginRun()
  try {
    return await fold(target as Reducer<unknown, unknown, unknown>, feed, state.failedInputs)
  } finally {
    state.measure.endRun(feed.waitedMs)
  }
}

async function fold(reducer: Reducer<unknown, unknown, unknown>, feed: ReduceFeed, failedInputs: string[]) {
  const ordered = reducer.commutative !== true
  const turns = new Turns()
  let acc = reducer.initial()
  for (let batch = await feed.nextBatch(ordered); batch !== undefined; batch = await feed.nextBatch(ordered)) {
    for (const input of batch) {
      if (input.type === 'absent') failedInputs.push(input.callId)
      else acc = await reducer.add(acc, decodeValue(input.value, { adopt: true }))
      if (turns.due) await turns.turn()
    }
  }
  return reducer.finish(acc)
}

function makeTask({ around, spec, failedInputs, measure }: CallState): CallTask {
  const { head } = around.job
  return new CallTask({
    head,
    spec,
    failedInputs,
    signal: around.signal,
    openStorage: () => around.services.openStorage(head.storage, () => measure.tally, sessionOf(around.job, spec)),
    log: (text, stream) => around.report({ type: 'log', call: spec.call, text, stream }),
  })
}

/** As Lithops names it: CloudObjects of a call are found by its job. */
function sessionOf({ head }: LoadedJob, { call }: CallSpec): string {
  return `${jobKey(head.executorId, head.jobId)}-${callId(call)}`
}

function encodeResult(value: unknown, { around, spec }: CallState): Uint8Array {
  const name = `${around.job.head.jobId}/${callId(spec.call)}`
  const bytes = encoded(value, name)
  if (bytes.byteLength <= MAX_RESULT_BYTES) return bytes
  throw new SerializationError(
    `call ${name} returned ${bytes.byteLength} bytes, at most ${MAX_RESULT_BYTES} travel back: ` +
      'put it in a store (task.storage.putCloudObject) and return the CloudObject, or name an output',
  )
}

function encoded(value: unknown, name: string): Uint8Array {
  try {
    return encodeValue(value, 'result')
  } catch (cause) {
    const why = messageOf(cause)
    throw new SerializationError(`call ${name} returned what cannot travel: ${why}`, { cause })
  }
}

function takeReadReport({ readReport, measure }: CallState): ReadReport | undefined {
  const report = readReport?.()
  measure.recordsRead = report?.records ?? 0
  return report
}

function requireFunction(target: unknown, { head }: LoadedJob): UserFunction {
  if (typeof target === 'function') return target as UserFunction
  throw new SerializationError(`what job ${head.jobId} shipped is no function but ${typeof target}`)
}
