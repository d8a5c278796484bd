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
import type { CallEnd } from '../job/commits.ts'
import { type CallSpec, MAX_RESULT_BYTES, type Report } from '../job/messages.ts'
import type { BackendResolver } from '../storage/backend.ts'
import type { Storage } from '../storage/storage.ts'
import { withTally } from '../storage/with-tally.ts'
import type { CommittedCall } from './committed-call.ts'
import type { DurableHead } from './durable-call.ts'
import type { LoadedJob } from './loaded-job.ts'
import { CallMeasure, type MemoryMeter, type Meters } from './measure.ts'
import { collectInputs, ReduceFeed } from './reduce-feed.ts'
import { CallTask } from './task-context.ts'
import { Turns } from './turns.ts'

const PROGRESS_EVERY_MS = 100
const LOADING = { ...loadingFunctions, adopt: true }

/** What the composition root gives to every call. */
export interface WorkerServices {
  readonly resolveBackend: BackendResolver
  /** The executor's storage, connected at first use; requests are counted in the tally, default keys hold the session. */
  openStorage(reference: LoadedJob['head']['storage'], tally: () => RequestTally, session: string): Storage
  /** Of the process. */
  readonly memory?: MemoryMeter | undefined
  /** True for one call of the process. */
  isFirstCall?(): boolean
  /** Shared by all readers of the process. */
  readonly readAhead?: ReadAhead | undefined
}

/** What the invocation gives to a call. */
export interface CallSurroundings {
  readonly job: LoadedJob
  readonly services: WorkerServices
  readonly meters: Meters
  report(report: Report): void
  signal(): AbortSignal
  /** @throws CancelledError when the call was aborted */
  throwIfAborted(): void
  /** A reduce call takes its feed from here on. */
  feedInto(feed: ReduceFeed): void
  /** The partition of the call may be ended early from here on; where it ends then is reported. */
  reads(partition: DivisibleRead): void
}

export interface DivisibleRead {
  endAt(at: number): void
}

type UserFunction = (...args: unknown[]) => unknown

interface CallState {
  /** Another one once the call was divided. */
  spec: CallSpec
  /** Where the job has a journal. */
  committed?: CommittedCall
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
    measure: new CallMeasure(around.meters, around.services.isFirstCall?.()),
    failedInputs: [],
  }
  const { call } = spec
  try {
    const { journal, output } = around.job.head
    const { result, stats, read } =
      journal === undefined ? await finish(state) : await finishOnce(state, { journal, output })
    if (read === undefined) return { type: 'succeeded', call, result, stats }
    return { type: 'succeeded', call, result, stats, read }
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

/** The same for a job with a journal. */
async function finishOnce(state: CallState, head: DurableHead): Promise<CallEnd> {
  const { spec, around, measure } = state
  const { finishDurable } = await import('./durable-call.ts')
  const asItIs = (shorter: CallSpec) => {
    state.spec = shorter
    return state
  }
  const durable = {
    ...{ spec, measure },
    resolve: around.services.resolveBackend,
    report: (report: Report) => around.report(report),
    signal: () => around.signal(),
    onCommitted: (committed: CommittedCall) => {
      state.committed = committed
    },
    perform: (shorter: CallSpec) => perform(asItIs(shorter)),
    finish: (shorter: CallSpec) => finish(asItIs(shorter)),
    takeReadReport: () => takeReadReport(state),
  }
  return finishDurable(durable, head)
}

/** What the call gives, or a promise of it. @throws what it fails with, also by rejecting */
function perform(state: CallState): unknown {
  const { job } = state.around
  const { input } = state.spec
  if (job.loaded === undefined || input.type !== 'item') return performWhenReady(state)
  const fn = requireFunction(job.loaded, job)
  const item = decodeItem(input.value)
  const args = job.extraArgs()
  // most calls have nothing to wait for: each wait would cost as much as the rest
  if (!(item instanceof Promise || args instanceof Promise)) return runFunction(fn, item, args, state)
  return Promise.all([item, args]).then(([given, others]) => runFunction(fn, given, others, state))
}

async function performWhenReady(state: CallState): Promise<unknown> {
  const { job } = state.around
  const target = await job.target
  if (state.spec.input.type === 'results') return reduce(target, state, state.spec.input.count)
  const input = await makeInput(state)
  return runFunction(requireFunction(target, job), input, await job.extraArgs(), state)
}

async function runFunction(
  fn: UserFunction,
  input: unknown,
  args: readonly unknown[],
  state: CallState,
): Promise<unknown> {
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

/** The bytes are the value's from here on. */
function decodeItem(bytes: Uint8Array): unknown {
  return decodeValueWith(bytes, LOADING)
}

async function makeInput(state: CallState): Promise<unknown> {
  const { input } = state.spec
  if (input.type === 'item') return decodeItem(input.value)
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
  if (job.head.splittable === true) state.around.reads({ endAt: (at) => endAt(state, partition, at) })
  state.readReport = () => {
    partition.fixEnd()
    return partition.report()
  }
  return partition
}

function endAt({ committed, around, spec }: CallState, partition: PartitionReader, at: number): void {
  if (committed !== undefined) committed.endAt(partition, at)
  else around.report({ type: 'divided', call: spec.call, end: partition.endAt(at) })
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
    return runFunction(fn, await collectInputs(feed, state.failedInputs), await around.job.extraArgs(), state)
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
      if (turns.due(performance.now())) await turns.turn()
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
  const name = () => `${around.job.head.jobId}/${callId(spec.call)}`
  const bytes = encoded(value, name)
  if (bytes.byteLength <= MAX_RESULT_BYTES) return bytes
  throw new SerializationError(
    `call ${name()} returned ${bytes.byteLength} bytes, at most ${MAX_RESULT_BYTES} travel back: ` +
      'put it in a store (task.storage.putCloudObject) and return the CloudObject, or name an output',
  )
}

function encoded(value: unknown, name: () => string): Uint8Array {
  try {
    return encodeValue(value, 'result')
  } catch (cause) {
    const why = messageOf(cause)
    throw new SerializationError(`call ${name()} returned what cannot travel: ${why}`, { cause })
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
